package photos

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/vision"
)

// tree writes files, name → content, and returns their root.
func tree(t *testing.T, files map[string][]byte) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func picture(t *testing.T, width int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := vision.EncodePNG(&b, vision.NewFrame(width, 1)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestList(t *testing.T) {
	root := tree(t, map[string][]byte{
		"cup/b.jpg": nil, "cup/a.JPG": nil, "cup/notes.txt": nil, "cup/.hidden.jpg": nil,
		"apple/x.Jpeg": nil, "fruit/green/y.png": nil, "loose.PNG": nil,
		".cache/z.jpg": nil, "empty/readme.md": nil, "jpg": nil,
		"cup2/c.jpg": nil,
	})
	if err := os.Symlink(root, filepath.Join(root, "apple", "round")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "cup"), filepath.Join(root, "mug")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("itself.jpg", filepath.Join(root, "cup", "itself.jpg")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere.jpg", filepath.Join(root, "cup", "dangling.jpg")); err != nil {
		t.Fatal(err)
	}
	got, err := List(root)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		relative, err := filepath.Rel(root, got[i].Path)
		if err != nil {
			t.Fatal(err)
		}
		got[i].Path = relative
	}
	want := []Photo{
		{"loose.PNG", ""},
		{"apple/x.Jpeg", "apple"},
		{"cup/a.JPG", "cup"},
		{"cup/b.jpg", "cup"},
		{"cup2/c.jpg", "cup2"},
		{"fruit/green/y.png", "fruit/green"},
		{"mug/a.JPG", "mug"},
		{"mug/b.jpg", "mug"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestListRefusals(t *testing.T) {
	root := tree(t, map[string][]byte{"sub/readme.txt": nil, "photo.jpg": nil})
	for _, tc := range []struct {
		path string
		want error
	}{
		{filepath.Join(root, "sub"), ErrEmpty},
		{filepath.Join(root, "absent"), os.ErrNotExist},
		{filepath.Join(root, "photo.jpg"), nil},
	} {
		_, err := List(tc.path)
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.path) {
			t.Errorf("%s: error %v, want one that names it and is %v", tc.path, err, tc.want)
		}
	}
}

func TestLoadSkipsWhatItCannotRead(t *testing.T) {
	root := tree(t, map[string][]byte{
		"a/1.png": picture(t, 1), "a/2.png": []byte("broken"), "a/3.png": picture(t, 3), "b/4.png": nil, "b/5.png": picture(t, 5),
	})
	list, err := List(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, workers := range []int{0, 1, 3, 50} {
		widths := map[int]int{} // without a lock: calls must come one at a time
		skipped, err := Load(t.Context(), list, workers, func(i int, f vision.Frame) { widths[i] = f.Width })
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[int]int{0: 1, 2: 3, 4: 5}, widths); diff != "" {
			t.Error(diff)
		}
		if len(skipped) != 2 || skipped[0].Path != list[1].Path || skipped[1].Path != list[3].Path {
			t.Errorf("skipped %v, want the second and the fourth", skipped)
		}
		for _, s := range skipped {
			if !errors.Is(s.Err, vision.ErrFormat) || !strings.Contains(s.Err.Error(), s.Path) {
				t.Errorf("reason %v does not name the file", s.Err)
			}
		}
	}
}

func TestLoadFailsWhenNothingCanBeRead(t *testing.T) {
	root := tree(t, map[string][]byte{"1.png": nil, "2.png": []byte("broken")})
	list, err := List(root)
	if err != nil {
		t.Fatal(err)
	}
	skipped, err := Load(t.Context(), list, 2, func(int, vision.Frame) { t.Error("used") })
	if !errors.Is(err, vision.ErrFormat) || len(skipped) != 2 {
		t.Errorf("error %v, skipped %v", err, skipped)
	}
	if skipped, err := Load(t.Context(), nil, 2, nil); err != nil || skipped != nil {
		t.Errorf("no photos at all: %v, %v", skipped, err)
	}
}

func TestLoadStopsWhenAsked(t *testing.T) {
	root := tree(t, map[string][]byte{"1.png": picture(t, 1), "2.png": picture(t, 1), "3.png": picture(t, 1)})
	list, err := List(root)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	used := 0
	many := append(append(append([]Photo{}, list...), list...), list...)
	_, err = Load(ctx, many, 1, func(int, vision.Frame) { used++; cancel() })
	if !errors.Is(err, context.Canceled) || used == len(many) {
		t.Errorf("error %v after %d of %d photos", err, used, len(many))
	}
}
