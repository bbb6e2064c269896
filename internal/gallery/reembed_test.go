package gallery_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"xbmedge/internal/gallery"
)

// What is kept of a gallery that is moved is the file that was read, also where that is the copy beside a damaged one, and its
// name leads nowhere else, whatever the file says of its model.
func TestKeepOlder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "my.gallery")
	g := pictured(t)
	if err := errors.Join(g.Save(path), g.Rename("mug", "Cup"), g.Save(path)); err != nil {
		t.Fatal(err)
	}
	backup, err := os.ReadFile(gallery.BackupPath(path))
	if err == nil {
		err = os.WriteFile(path, []byte("torn"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if g, err = gallery.Read(path); err != nil {
		t.Fatal(err)
	}
	kept, err := g.KeepOlder(path)
	if err != nil || kept != gallery.OlderPath(path, g.Model()) {
		t.Fatalf("kept as %q: %v", kept, err)
	}
	if got, err := os.ReadFile(kept); err != nil || !bytes.Equal(got, backup) {
		t.Errorf("kept is not the good state (%v)", err)
	}
	for space, want := range map[string]string{"00ff00ff00ff00ff": "x.of-00ff00ff00ff", "../../etc": "x.of-______e_c", "": "x.of-"} {
		if got := gallery.OlderPath("x", gallery.Model{SpaceID: space}); got != want {
			t.Errorf("space %q: %q, want %q", space, got, want)
		}
	}
}

func TestCheckReembed(t *testing.T) {
	g := pictured(t)
	if err := g.CheckReembed(); !errors.Is(err, gallery.ErrNoCrop) || !strings.Contains(err.Error(), "mug") {
		t.Errorf("things without pictures: %v; want the first of them named", err)
	}
	if err := errors.Join(g.Remove("mug"), g.Remove("pear"), g.CheckReembed()); err != nil {
		t.Errorf("a thing with pictures: %v", err)
	}
}
