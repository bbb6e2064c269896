package outbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lock keeps other processes from writing to a folder, until release or the end of the process. A folder that cannot
// be made or locked is left unlocked: there nobody can write.
func lock(dir string) (release func() error, err error) {
	none := func() error { return nil }
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return none, nil //nolint:nilerr // the writer will find out, and say so
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		if f, err = os.Open(path); err != nil { // read-only, but there
			return none, nil //nolint:nilerr // as above
		}
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("%w", ErrInUse), f.Close())
	}
	return f.Close, nil
}
