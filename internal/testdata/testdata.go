// Package testdata finds the photos, weights and models that tests read but that are not part of the repository.
package testdata

import (
	"os"
	"path/filepath"
	"testing"
)

// EnvShared names the environment variable that overrides where the shared folder is looked for.
const EnvShared = "XBM_SHARED"

// Dir returns the folder name of the shared data ("grocery", "tflite/…"), and skips the test with the reason when it
// is not there. The shared folder lies beside the repository, as ../shared, unless XBM_SHARED names another.
func Dir(t testing.TB, name string) string {
	t.Helper()
	shared := os.Getenv(EnvShared)
	if shared == "" {
		shared = filepath.Join(filepath.Dir(Root(t)), "shared")
	}
	dir := filepath.Join(shared, "data", filepath.FromSlash(name))
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		t.Skipf("needs the shared data folder %q, which is not at %s (set %s to the shared folder)", name, dir, EnvShared)
	}
	return dir
}

// File returns the path of a file in the shared data ("tflite/vww_96_int8.tflite"), and skips the test when its folder
// is not there. A file missing from a folder that is there fails the test.
func File(t testing.TB, name string) string {
	t.Helper()
	dir, base := filepath.Split(filepath.FromSlash(name))
	path := filepath.Join(Dir(t, filepath.Clean(dir)), base)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("shared data: %v", err)
	}
	return path
}

// Root returns the folder that holds go.mod, found by walking up from the test's working directory.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatalf("find the repository: %v", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("find the repository: no go.mod in the working directory or above")
		}
		dir = parent
	}
}
