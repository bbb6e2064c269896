package outbox

import (
	"errors"
	"os"
	"syscall"
)

// fdatasync leaves out what os.File.Sync writes beside the content and its length: one write to the flash less.
func fdatasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
