package dataset

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/photos"
	"xbmedge/internal/vision"
)

// folder writes pictures, name → width; width 0 is a broken file.
func folder(t *testing.T, files map[string]int) string {
	t.Helper()
	root := t.TempDir()
	for name, width := range files {
		var content bytes.Buffer
		if width > 0 {
			if err := vision.EncodePNG(&content, vision.NewFrame(width, 20)); err != nil {
				t.Fatal(err)
			}
		}
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestOpen(t *testing.T) {
	d, err := Open(folder(t, map[string]int{"b/1.png": 5, "b/2.png": 6, "a/1.png": 7, "c/1.png": 8, "c/2.png": 9}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, d.Classes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{0, 1, 1, 2, 2}, d.Labels); diff != "" {
		t.Error(diff)
	}
	usable, leftOut, err := d.ForTraining()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a"}, leftOut); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"b", "c"}, usable.Classes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{0, 0, 1, 1}, usable.Labels); diff != "" {
		t.Error(diff)
	}
	if len(d.Classes) != 3 || len(d.Photos) != 5 {
		t.Error("the opened data set was changed")
	}
}

func TestOpenRefusals(t *testing.T) {
	loose := folder(t, map[string]int{"a/1.png": 5, "loose.png": 5})
	if _, err := Open(loose); err == nil || !strings.Contains(err.Error(), "loose.png") {
		t.Errorf("loose photo: %v", err)
	}
	if _, err := Open(folder(t, nil)); !errors.Is(err, photos.ErrEmpty) {
		t.Errorf("empty folder: %v", err)
	}
	d, err := Open(folder(t, map[string]int{"a/1.png": 5, "a/2.png": 5, "b/1.png": 5}))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.ForTraining(); !errors.Is(err, ErrTooFewClasses) {
		t.Errorf("one usable class: %v", err)
	}
}

func TestLoadLeavesOutBrokenPhotosAndTheirClasses(t *testing.T) {
	d, err := Open(folder(t, map[string]int{"a/1.png": 0, "b/1.png": 10, "b/2.png": 0, "b/3.png": 60, "c/1.png": 30}))
	if err != nil {
		t.Fatal(err)
	}
	loaded, frames, skipped, err := d.Load(t.Context(), 15, 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(skipped) != 2 {
		t.Errorf("skipped %v, want two", skipped)
	}
	if diff := cmp.Diff([]string{"b", "c"}, loaded.Classes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{0, 0, 1}, loaded.Labels); diff != "" {
		t.Error(diff)
	}
	var sizes [][2]int
	for _, f := range frames {
		if err := f.Validate(); err != nil {
			t.Error(err)
		}
		sizes = append(sizes, [2]int{f.Width, f.Height})
	}
	if diff := cmp.Diff([][2]int{{10, 20}, {45, 15}, {23, 15}}, sizes); diff != "" {
		t.Error(diff)
	}
}
