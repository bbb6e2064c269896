package trainer

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestFolderThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_RDONLY, ""); err != nil {
		t.Skip("a read-only file system needs root: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	if err := folder(filepath.Join(dir, "a", "run")).free(); err == nil || !strings.Contains(err.Error(), dir+" cannot be written") {
		t.Errorf("error %v does not name %s", err, dir)
	}
}
