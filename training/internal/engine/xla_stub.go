//go:build !xla

package engine

import "github.com/gomlx/compute"

func openXLA(string, int) (compute.Backend, error) { return nil, errNoXLA }
