package engine

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/gobackend"
)

// Engine is an opened backend.
type Engine struct {
	Name     string
	Backend  compute.Backend
	Lowering Lowering // how convolutions are written that are to be fast there
	Devices  int      // that a batch is spread over
}

// pattern is the name of an engine: the platform, and the number of devices if they are several.
var pattern = regexp.MustCompile(`^(go|xla:cpu|xla:cuda)(?:[×x]([0-9]{1,3}))?$`)

// Parse returns the platform and the number of devices that an engine's name stands for, or says what is wrong with it.
func Parse(name string) (platform string, devices int, err error) {
	m := pattern.FindStringSubmatch(name)
	switch {
	case m == nil:
		return "", 0, fmt.Errorf("%q is not known: take go, xla:cpu or xla:cuda, or several devices as in xla:cuda×4", name)
	case m[2] == "":
		return m[1], 1, nil
	case m[1] == "go":
		return "", 0, fmt.Errorf("%q: go has one device, which uses all processors", name)
	}
	if devices, err = strconv.Atoi(m[2]); err != nil || devices == 0 {
		return "", 0, fmt.Errorf("%q has no device: take one or more", name)
	}
	return m[1], devices, nil
}

// Open opens an engine: "go", the pure-Go one that is always there, "xla:cpu" or "xla:cuda" in programs built with
// -tags xla, and "xla:cuda×4" for four devices that share each batch.
func Open(name string) (*Engine, error) {
	platform, devices, err := Parse(name)
	if err != nil {
		return nil, fmt.Errorf("backend %w", err)
	}
	e := &Engine{Name: name, Devices: devices}
	switch platform {
	case "go":
		// One operation after another. By default they share a few workers, a matrix product waits
		// in one of them for others, and as many products at once as there are workers wait for ever (compute v0.1.3).
		e.Backend, err = gobackend.New("ops_sequential")
		return e, err
	case "xla:cpu":
		e.Lowering = Shifts
	case "xla:cuda":
		e.Lowering = Native
	}
	if e.Backend, err = openXLA(platform, e.Devices); err != nil {
		return nil, fmt.Errorf("backend %q: %w", name, err)
	}
	if n := int(e.Backend.NumDevices()); n < e.Devices {
		e.Backend.Finalize()
		return nil, fmt.Errorf("backend %q: this machine has %d of these devices", name, n)
	}
	return e, nil
}

// FreeMemory returns the bytes that the engine could still take, where that is known: on a CPU, those of the machine.
func (e *Engine) FreeMemory() (bytes int64, known bool) {
	if strings.HasPrefix(e.Name, "xla:cuda") {
		return 0, false
	}
	return HostMemory()
}

// HostMemory returns the bytes of this machine's memory that a program could still take, where that is known.
func HostMemory() (bytes int64, known bool) {
	file, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	defer file.Close() //nolint:errcheck // it was only read
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var kilobytes int64
		if n, _ := fmt.Sscanf(lines.Text(), "MemAvailable: %d kB", &kilobytes); n == 1 {
			return kilobytes << 10, true
		}
	}
	return 0, false
}

// Close frees what the backend holds.
func (e *Engine) Close() { e.Backend.Finalize() }

// Try runs a function that builds or runs graphs and turns GoMLX's panics into errors. Panics of the Go runtime, which
// are bugs, pass through.
func Try(f func()) (err error) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case runtimeError:
			panic(e)
		case error:
			err = e
		default:
			panic(e)
		}
	}()
	f()
	return nil
}

type runtimeError interface {
	error
	RuntimeError()
}

var errNoXLA = errors.New("this xbm-train was built without XLA: run scripts/setup.sh xla and make again, or take backend go")
