package engine

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/gobackend"
)

// Open returns the named backend: "go", the pure-Go one that is always there, or an XLA one such as "xla:cpu" or
// "xla:cuda" in programs built with -tags xla. The Lowering is the one that is fast there.
func Open(name string) (compute.Backend, Lowering, error) {
	if name == "go" {
		b, err := gobackend.New("")
		return b, Products, err
	}
	if name == "xla" || strings.HasPrefix(name, "xla:") {
		b, err := openXLA(name)
		if err != nil {
			return nil, 0, fmt.Errorf("backend %q: %w", name, err)
		}
		lowering := Shifts
		if strings.Contains(name, "cuda") {
			lowering = Native
		}
		return b, lowering, nil
	}
	return nil, 0, fmt.Errorf("backend %q is not known: take go, xla:cpu or xla:cuda", name)
}

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

var errNoXLA = errors.New("this xbm-train was built without XLA: build it with -tags xla")
