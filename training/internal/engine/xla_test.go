//go:build xla

package engine

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPluginThatCannotBeLoaded: a download that was cut short, or a plugin without the libraries that it needs, is an
// error like any other. It is looked for in a process of its own: go-xla reads the folders as a program starts.
func TestPluginThatCannotBeLoaded(t *testing.T) {
	const child = "XBM_TEST_PLUGIN"
	if os.Getenv(child) != "" {
		_, err := Open("xla:cpu")
		if err == nil || !strings.Contains(err.Error(), "cannot be loaded") || !strings.Contains(err.Error(), "scripts/setup.sh xla") {
			t.Errorf("error %v", err)
		}
		return
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "pjrt_c_api_cpu_plugin.so"), []byte("cut short"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPluginThatCannotBeLoaded$")
	cmd.Env = append(os.Environ(), child+"=1", "PJRT_PLUGIN_LIBRARY_PATH="+folder)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
