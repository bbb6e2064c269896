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
	"xbmedge/training/internal/frames"
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
	d, err := OpenFolders(folder(t, map[string]int{"b/1.png": 5, "b/2.png": 6, "a/1.png": 7, "c/1.png": 8, "c/2.png": 9}))
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
	if _, err := OpenFolders(loose); err == nil || !strings.Contains(err.Error(), "loose.png") {
		t.Errorf("loose photo: %v", err)
	}
	if _, err := OpenFolders(folder(t, nil)); !errors.Is(err, photos.ErrEmpty) {
		t.Errorf("empty folder: %v", err)
	}
	d, err := OpenFolders(folder(t, map[string]int{"a/1.png": 5, "a/2.png": 5, "b/1.png": 5}))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.ForTraining(); !errors.Is(err, ErrTooFewClasses) {
		t.Errorf("one usable class: %v", err)
	}
}

func TestLoadLeavesOutBrokenPhotosAndTheirClasses(t *testing.T) {
	d, err := OpenFolders(folder(t, map[string]int{"a/1.png": 0, "b/1.png": 10, "b/2.png": 0, "b/3.png": 60, "c/1.png": 30}))
	if err != nil {
		t.Fatal(err)
	}
	loaded, store, report, err := d.Load(t.Context(), frames.Options{ShorterSide: 15, Workers: 2, Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Skipped) != 2 {
		t.Errorf("skipped %v, want two", report.Skipped)
	}
	if diff := cmp.Diff([]string{"b", "c"}, loaded.Classes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{0, 0, 1}, loaded.Labels); diff != "" {
		t.Error(diff)
	}
	usable, kept, _, err := loaded.ForTrainingWith(store)
	if !errors.Is(err, ErrTooFewClasses) || usable != nil || kept != nil {
		t.Errorf("one class with a pair: %v", err)
	}
	var sizes [][2]int
	for i := range store.Len() {
		width, height := store.Size(i)
		sizes = append(sizes, [2]int{width, height})
	}
	if diff := cmp.Diff([][2]int{{10, 20}, {45, 15}, {23, 15}}, sizes); diff != "" {
		t.Error(diff)
	}
}

func TestForTrainingWithKeepsPhotosAndLabelsTogether(t *testing.T) {
	d, err := OpenFolders(folder(t, map[string]int{"a/1.png": 3, "a/2.png": 4, "b/1.png": 5, "c/1.png": 6, "c/2.png": 7}))
	if err != nil {
		t.Fatal(err)
	}
	loaded, store, _, err := d.Load(t.Context(), frames.Options{Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	usable, kept, leftOut, err := loaded.ForTrainingWith(store)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b"}, leftOut); diff != "" {
		t.Error(diff)
	}
	got := map[int][]int{} // label → widths
	for i, label := range usable.Labels {
		width, _ := kept.Size(i)
		got[label] = append(got[label], width)
	}
	if diff := cmp.Diff(map[int][]int{0: {3, 4}, 1: {6, 7}}, got); diff != "" {
		t.Error(diff)
	}
}
