package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestWriteReplacesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.bin")
	for _, content := range []string{"first", strings.Repeat("second, longer than any buffer ", 10_000), ""} {
		if err := WriteBytes(path, 0o640, []byte(content)); err != nil {
			t.Fatal(err)
		}
		expectOnly(t, path, content)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o640 {
			t.Errorf("permissions %v, want 0640", info.Mode().Perm())
		}
	}
}

func TestFailureLeavesTheOldFileAlone(t *testing.T) {
	broken := errors.New("broken")
	for _, tc := range []struct {
		name  string
		write func(io.Writer) error
		want  error
	}{
		{"at once", func(io.Writer) error { return broken }, broken},
		{"half way", func(w io.Writer) error {
			// More than the buffer holds, so that the temporary file is not empty.
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return err
			}
			return broken
		}, broken},
		{"disk full", func(w io.Writer) error {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return err
			}
			return syscall.ENOSPC
		}, syscall.ENOSPC},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "gallery.bin")
			if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			err := Write(path, 0o600, tc.write)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want one that wraps %v and names %s", err, tc.want, path)
			}
			expectOnly(t, path, "old")
		})
	}
}

// A real full disk: the kernel refuses the bytes, not the caller's function.
func TestFullDisk(t *testing.T) {
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("cannot mount a small tmpfs here (needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	path := filepath.Join(folder, "gallery.bin")
	if err := WriteBytes(path, 0o600, []byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := WriteBytes(path, 0o600, make([]byte, 1<<20)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v, want %v", err, syscall.ENOSPC)
	}
	expectOnly(t, path, "old")
}

func TestPanicLeavesTheOldFileAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gallery.bin")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = Write(path, 0o600, func(io.Writer) error { panic("bug in the caller") })
	}()
	expectOnly(t, path, "old")
}

func TestRefusals(t *testing.T) {
	root := t.TempDir()
	for _, path := range []string{
		filepath.Join(root, "absent", "file"), // no such folder
		root + string(filepath.Separator),     // a folder
		"",
	} {
		if err := WriteBytes(path, 0o600, nil); err == nil {
			t.Errorf("%q: no error", path)
		}
	}
	// A folder that stands where the file should: the rename fails, nothing stays behind.
	folder := filepath.Join(root, "taken")
	if err := os.MkdirAll(filepath.Join(folder, "child"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteBytes(folder, 0o600, []byte("x")); err == nil {
		t.Error("replaced a folder by a file")
	}
	for path, want := range map[string]string{
		folder:                              "it is a folder",
		filepath.Join(root, "none", "file"): "there is no folder " + filepath.Join(root, "none") + "; make it first",
		filepath.Join(root, "fine"):         "",
	} {
		for name, err := range map[string]error{"Check": Check(path), "Write": writeUnless(want == "", path)} {
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s %s: error %v, want %q", name, path, err, want)
			}
			if err != nil && strings.Contains(err.Error(), ".tmp-") {
				t.Errorf("%s: error %q names a file nobody knows of", name, err)
			}
		}
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func writeUnless(skip bool, path string) error {
	if skip {
		return nil
	}
	return WriteBytes(path, 0o600, nil)
}

func TestConcurrentWritersNeverMix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	contents := []string{strings.Repeat("a", 200_000), strings.Repeat("b", 100_000)}
	if err := WriteBytes(path, 0o600, []byte(contents[0])); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for _, content := range contents {
		group.Go(func() {
			for range 20 {
				if err := WriteBytes(path, 0o600, []byte(content)); err != nil {
					t.Error(err)
				}
				got, err := os.ReadFile(path)
				if err != nil || (string(got) != contents[0] && string(got) != contents[1]) {
					t.Errorf("read %d bytes that no writer wrote, error %v", len(got), err)
				}
			}
		})
	}
	group.Wait()
}

// expectOnly checks the file's content and that it is alone in its folder.
func expectOnly(t *testing.T, path, content string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != content {
		t.Errorf("content is %d bytes, want %d", len(got), len(content))
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("folder holds %v, want only the file", entries)
	}
}

func TestWriteJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.json")
	if err := WriteJSON(path, 0o600, map[string]any{"a": 1, "b": []int{2}}); err != nil {
		t.Fatal(err)
	}
	want := "{\n  \"a\": 1,\n  \"b\": [\n    2\n  ]\n}\n"
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("wrote %q, %v", got, err)
	}
	if err := WriteJSON(path, 0o600, func() {}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("what is no JSON: %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("the old file is now %q, %v", got, err)
	}
}
