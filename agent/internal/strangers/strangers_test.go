package strangers

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/gallery"
)

func model() gallery.Model { return gallery.Model{Name: "m", SHA256: "abc", Dim: 2} }

// at is the unit vector at that many degrees.
func at(degrees float64) []float32 {
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	return []float32{float32(cos), float32(sin)}
}

func open(t *testing.T, path string, m gallery.Model, keep int) (*Strangers, string) {
	t.Helper()
	var log bytes.Buffer
	s, err := Open(path, m, keep, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s, log.String()
}

func TestIdentify(t *testing.T) {
	s, err := New(model(), 3)
	if err != nil {
		t.Fatal(err)
	}
	for i, tt := range []struct {
		degrees float64
		want    string
		again   bool
	}{
		{0, "unknown-1", false},
		{90, "unknown-2", false},
		{10, "unknown-1", true},
		{20, "unknown-1", true}, // like the second look, not like the first
		{180, "unknown-3", false},
		{270, "unknown-4", false}, // the one unseen longest goes: 2
		{90, "unknown-5", false},  // and 1
		{180, "unknown-3", true},
	} {
		id, again := s.Identify(at(tt.degrees), 0.97, time.Unix(int64(i), 0))
		if id != tt.want || again != tt.again {
			t.Errorf("call %d: %s, seen before %v; want %s, %v", i, id, again, tt.want, tt.again)
		}
	}
	if diff := cmp.Diff([]string{"unknown-3", "unknown-5", "unknown-4"}, s.IDs()); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
}

func TestVectorsAndForget(t *testing.T) {
	s, err := New(model(), 10)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		s.Identify(at(float64(i)), 0.9, time.Unix(0, 0))
	}
	vectors, err := s.Vectors("unknown-1")
	if err != nil || len(vectors) != views {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	vectors[0][0] = 7 // a copy
	again, err := s.Vectors("unknown-1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(at(6), again[0]); diff != "" {
		t.Errorf("oldest view kept (-want +got):\n%s", diff)
	}
	if err := s.Forget("unknown-1"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"unknown-1", "unknown", "unknown-", "unknown-x", "1", "mug"} {
		if _, err := s.Vectors(id); !errors.Is(err, ErrNone) {
			t.Errorf("Vectors(%q): %v", id, err)
		}
		if err := s.Forget(id); !errors.Is(err, ErrNone) {
			t.Errorf("Forget(%q): %v", id, err)
		}
	}
	if id, again := s.Identify(at(0), 0.9, time.Unix(0, 0)); id != "unknown-2" || again {
		t.Errorf("after forgetting: %s, %v; a number is not given twice", id, again)
	}
}

func TestSaveAndOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "strangers.json")
	s, _ := open(t, path, model(), 10)
	s.Identify(at(0), 0.9, time.Unix(1, 0))
	s.Identify(at(90), 0.9, time.Unix(2, 0))
	s.Identify(at(180), 0.9, time.Unix(3, 0))
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	back, _ := open(t, path, model(), 2) // fewer are kept: the ones seen last
	if diff := cmp.Diff([]string{"unknown-3", "unknown-2"}, back.IDs()); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	if id, again := back.Identify(at(91), 0.9, time.Unix(4, 0)); id != "unknown-2" || !again {
		t.Errorf("after a restart: %s, %v", id, again)
	}
	other, log := open(t, path, gallery.Model{Name: "n", SHA256: "def", Dim: 3}, 10)
	if id, _ := other.Identify([]float32{1, 0, 0}, 0.9, time.Unix(5, 0)); id != "unknown-4" || !strings.Contains(log, "another model") {
		t.Errorf("with another model: %s, log %q", id, log)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an unchanged store was written again: %v", err)
	}
	s.Identify(at(0), 0.9, time.Unix(6, 0))
	s.path = filepath.Join(path, "no", "folder")
	if err := s.Save(); err == nil {
		t.Error("no error where there is no folder")
	}
	s.path = path
	if err := s.Save(); err != nil { // what could not be written is not forgotten
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestDamagedFileIsKeptAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "strangers.json")
	s, _ := open(t, path, model(), 10)
	s.Identify(at(0), 0.9, time.Unix(1, 0))
	s.Identify(at(90), 0.9, time.Unix(1, 0))
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty":           "",
		"cut off":         string(good[:len(good)/2]),
		"another version": strings.Replace(string(good), `"version": 1`, `"version": 2`, 1),
		"twice the same":  strings.Replace(string(good), `"number": 2`, `"number": 1`, 1),
		"a bit":           strings.Replace(string(good), "AACAPw", "AACBPw", 1),
		"next too small":  strings.Replace(string(good), `"next": 3`, `"next": 2`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			if text == string(good) {
				t.Fatal("the file was not damaged")
			}
			path := filepath.Join(t.TempDir(), "strangers.json")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			s, log := open(t, path, model(), 10)
			if len(s.IDs()) != 0 || !strings.Contains(log, "damaged") {
				t.Errorf("strangers %v, log %q", s.IDs(), log)
			}
			kept, err := os.ReadFile(path + ".damaged")
			if err != nil || string(kept) != text {
				t.Errorf("kept aside: %d bytes, %v", len(kept), err)
			}
			if id, _ := s.Identify(at(3), 0.9, time.Unix(1, 0)); id != "unknown-1" || s.Save() != nil {
				t.Errorf("begun anew with %s", id)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for _, keep := range []int{0, -1, MaxKeep + 1} {
		if _, err := New(model(), keep); err == nil {
			t.Errorf("%d strangers: accepted", keep)
		}
	}
	if _, err := New(gallery.Model{}, 1); err == nil {
		t.Error("embeddings of no values: accepted")
	}
}
