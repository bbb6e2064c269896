//go:build xla

package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/go-xla/compute/xla"
	"github.com/gomlx/go-xla/pjrt"
)

// openXLA opens a backend whose PJRT plugin is installed. go-xla would fetch a missing one by itself, of whatever
// content; a trainer does not run what nobody has checked.
func openXLA(platform string, devices int) (compute.Backend, error) {
	xla.EnableAutoInstall(false)
	name := strings.TrimPrefix(platform, "xla:")
	options := pjrt.NamedValuesMap{}
	if name == "cpu" {
		options["cpu_device_count"] = int64(devices) // a CPU counts as many devices as it is told to
	}
	b, err := load(name, options)
	if err != nil {
		if !pluginThere(name) {
			return nil, fmt.Errorf("its PJRT plugin pjrt_c_api_%s_plugin.so is in no folder of PJRT_PLUGIN_LIBRARY_PATH: run %s, or take backend go",
				name, setup(name))
		}
		if name == "cuda" {
			return nil, fmt.Errorf("its PJRT plugin is there but does not start (%w): it needs an NVIDIA GPU with its driver; or take backend go", err)
		}
		return nil, fmt.Errorf("its PJRT plugin is there but does not start: %w; or take backend go", err)
	}
	return b, nil
}

// load opens the backend. go-xla (v0.4.0) logs a warning of a plugin that cannot be loaded, be it for want of the
// libraries that it needs itself, and then takes hold of nothing; that ends here.
func load(name string, options pjrt.NamedValuesMap) (b compute.Backend, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			b, err = nil, fmt.Errorf("a PJRT plugin in PJRT_PLUGIN_LIBRARY_PATH cannot be loaded, see above: fetch it anew with %s (%v)", setup(name), fault)
		}
	}()
	return xla.NewWithOptions(name, options)
}

func pluginThere(name string) bool {
	for _, folder := range filepath.SplitList(os.Getenv("PJRT_PLUGIN_LIBRARY_PATH")) {
		if _, err := os.Stat(filepath.Join(folder, "pjrt_c_api_"+name+"_plugin.so")); err == nil {
			return true
		}
	}
	return false
}

func setup(name string) string {
	if name == "cpu" {
		return "scripts/setup.sh xla"
	}
	return "scripts/setup.sh xla " + name
}
