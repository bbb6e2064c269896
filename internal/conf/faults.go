package conf

import (
	"errors"
	"fmt"
)

// Faults collects what is wrong with a configuration, so that a user sees all of it at once. The zero value is ready.
type Faults struct {
	errs []error
}

// Addf adds a fault of a key; the text should say what to do.
func (f *Faults) Addf(key, format string, args ...any) {
	f.errs = append(f.errs, fmt.Errorf("%s: %w", key, fmt.Errorf(format, args...)))
}

// Err returns all faults joined, one a line, or nil when there are none.
func (f *Faults) Err() error { return errors.Join(f.errs...) }

// flatten returns the errors joined in err.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
