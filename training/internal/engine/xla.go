//go:build xla

package engine

import (
	"fmt"

	"github.com/gomlx/compute"
	"github.com/gomlx/go-xla/compute/xla" // registers the backend
)

// openXLA opens a backend whose PJRT plugin is installed. go-xla would fetch a missing one by itself, of whatever
// content; a trainer does not run what nobody has checked.
func openXLA(name string) (compute.Backend, error) {
	xla.EnableAutoInstall(false)
	b, err := compute.NewWithConfig(name)
	if err != nil {
		return nil, fmt.Errorf("%w; or take backend go", err)
	}
	return b, nil
}
