package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// allowed returns the user at the other end: root, the agent's own, or one whose group is the agent's. The socket's mode
// lets in nobody else; the check holds where its folder or mode were changed.
func allowed(conn *net.UnixConn) (user int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("who asks cannot be told: %w", err)
	}
	var peer *syscall.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		peer, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err := errors.Join(err, failed); err != nil {
		return 0, fmt.Errorf("who asks cannot be told: %w", err)
	}
	if !permitted(int(peer.Uid), int(peer.Gid), os.Geteuid(), os.Getegid()) {
		return 0, fmt.Errorf("user %d may not talk to this agent; ask as root, as the agent's user or with its group", peer.Uid)
	}
	return int(peer.Uid), nil
}
