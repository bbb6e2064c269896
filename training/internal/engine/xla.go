//go:build xla

package engine

import (
	"github.com/gomlx/compute"

	_ "github.com/gomlx/go-xla/compute/xla" // registers the backend
)

func openXLA(name string) (compute.Backend, error) { return compute.NewWithConfig(name) }
