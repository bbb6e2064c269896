//go:build !xla

package engine

import "github.com/gomlx/compute"

func openXLA(string) (compute.Backend, error) { return nil, errNoXLA }
