package features

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

var configured = Settings{Enabled: true, Recognition: true, FPS: 10}

func TestSetIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "features.json")
	s := Open(path, quiet())
	if got := s.Over("shelf", configured); got != configured {
		t.Errorf("nothing set: %+v", got)
	}
	for _, v := range [][2]string{{Recognition, "OFF"}, {Threshold, "0.46"}, {FPS, "2.5"}, {PublishEmbeddings, "on"}, {Enabled, "false"}, {Enabled, "ON"}} {
		if err := s.Set("shelf", v[0], v[1]); err != nil {
			t.Errorf("%s: %v", v, err)
		}
	}
	want := Settings{Enabled: true, Threshold: 0.46, FPS: 2.5, PublishEmbeddings: true}
	again := Open(path, quiet())
	if diff := cmp.Diff(want, again.Over("shelf", configured)); diff != "" {
		t.Error(diff)
	}
	if got := again.Over("attic", configured); got != configured {
		t.Errorf("another camera: %+v", got)
	}
	texts := map[string]string{}
	for _, name := range Names() {
		texts[name] = want.Text(name)
	}
	if diff := cmp.Diff(map[string]string{Enabled: "ON", Recognition: "OFF", Threshold: "0.46", FPS: "2.5", PublishEmbeddings: "ON"}, texts); diff != "" {
		t.Error(diff)
	}
}

func TestRefusedValues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "features.json")
	s := Open(path, quiet())
	for _, tt := range []struct{ feature, value, want string }{
		{"colour", "red", "no feature"},
		{Recognition, "", "want ON or OFF"},
		{Recognition, "2", "want ON or OFF"},
		{Threshold, "1.01", "0 to 1"},
		{Threshold, "-0.1", "0 to 1"},
		{Threshold, "NaN", "0 to 1"},
		{Threshold, "x", "0 to 1"},
		{FPS, "1001", "0 to 1000"},
		{FPS, "Inf", "0 to 1000"},
		{FPS, "1e400", "0 to 1000"},
	} {
		if err := s.Set("shelf", tt.feature, tt.value); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: %v, want %q", tt.feature, tt.value, err, tt.want)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) || s.Over("shelf", configured) != configured {
		t.Errorf("a refused value was kept: %v", err)
	}
}

func TestWhatCannotBeReadOrWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "features.json")
	for text, want := range map[string]Settings{
		`{"version":1,"cameras":{"shelf":{"recognition":"OFF","fps":"many","colour":"red"}}}`: {Enabled: true, FPS: 10},
		`{"version":2}`: configured,
		`{"vers`:        configured,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, Open(path, quiet()).Over("shelf", configured)); diff != "" {
			t.Errorf("%s:\n%s", text, diff)
		}
	}
	s := Open(filepath.Join(path, "below-a-file"), quiet())
	if err := s.Set("shelf", Recognition, "OFF"); !errors.Is(err, ErrNotKept) {
		t.Errorf("%v", err)
	}
	if s.Over("shelf", configured).Recognition {
		t.Error("what cannot be kept is not set either")
	}
}
