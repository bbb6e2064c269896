package capture

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"xbmedge/camera"
)

// The programs that read cameras. The one with OpenCV is apart since OpenCV's 240 libraries take 65 MB of every process
// that is linked against them.
const (
	withOpenCV = "xbm-capture"
	without    = "xbm-stream"
)

// Program returns the command line of a capture process for such a camera: of the program with OpenCV where that is
// needed, otherwise of the one without, which takes a fraction of the memory. An agent that is all alone does the work of
// that one itself.
func Program(cfg camera.Config) ([]string, error) {
	if cfg.NeedsOpenCV() || cfg.Kind == camera.Libcamera && camera.GStreamerHasLibcamera() {
		path, err := find(withOpenCV)
		if err == nil {
			return []string{path}, nil
		}
		if cfg.NeedsOpenCV() {
			return nil, fmt.Errorf("this camera needs OpenCV: %w", err)
		}
	}
	if path, err := find(without); err == nil {
		return []string{path}, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return []string{self, "capture"}, nil
}

// find looks for a program where packages put it, and beside this one.
func find(program string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	dir := filepath.Dir(self)
	places := []string{filepath.Join(dir, program), filepath.Join(dir, "..", "lib", "xbm-agent", program)}
	for _, path := range places {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("the program %s is in none of %s: install the package, or build it with `make`",
		program, strings.Join(places, ", "))
}

// OpenCV returns the versions of gocv and OpenCV in the program that has them; the error says that there is none.
func OpenCV(ctx context.Context) (string, error) {
	path, err := find(withOpenCV)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version") //nolint:gosec // found by findHelper
	cmd.Env = environment(os.Environ())
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", path, err)
	}
	if version := strings.TrimSpace(string(out)); version != "" {
		return version, nil
	}
	return "", fmt.Errorf("%s: %w", path, camera.ErrNoOpenCV)
}
