//go:build !linux

package control

import "net"

// allowed trusts the socket's mode: other systems tell who asks in other ways.
func allowed(*net.UnixConn) (user int, err error) { return -1, nil }
