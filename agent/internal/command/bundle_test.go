package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"xbmedge/agent/internal/command"
	"xbmedge/agent/internal/model"
	"xbmedge/internal/bundle"
	"xbmedge/internal/bundle/bundletest"
	"xbmedge/internal/bundle/parity"
	"xbmedge/internal/cli"
	"xbmedge/internal/vision"
)

// TestMain makes this program xbm-agent where it is called to try a model or to read a camera.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Getenv(beAnAgent) != "" || os.Args[1] == model.ChildCommand || os.Args[1] == "capture") {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		code := cli.Execute(ctx, "xbm-agent", command.New().Run, os.Args[1:], os.Stdout, os.Stderr)
		stop()
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// shelf is a board's folder with a gallery of one thing and a picture of it.
type shelf struct {
	t                     *testing.T
	dir, gallery, picture string
	key                   bundle.PublicKey
	secret                *bundle.SecretKey
}

func newShelf(t *testing.T, enrolledWith string) *shelf {
	t.Helper()
	dir := t.TempDir()
	s := &shelf{t: t, dir: dir, gallery: filepath.Join(dir, "things.gallery"), picture: filepath.Join(dir, "cup.png")}
	var err error
	if s.key, s.secret, err = bundle.GenerateKey(); err != nil {
		t.Fatal(err)
	}
	var image bytes.Buffer
	if err := errors.Join(vision.EncodePNG(&image, bundletest.Frames(1)[0]), os.WriteFile(s.picture, image.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, "enroll", "--model", enrolledWith, "--gallery", s.gallery, "Cup", s.picture); err != nil {
		t.Fatal(err)
	}
	return s
}

// version writes a bundle of that version.
func (s *shelf) version(model []byte, version int, change func(*bundle.Manifest, *bundle.Parts)) string {
	s.t.Helper()
	return bundletest.Write(s.t, model, s.secret, func(m *bundle.Manifest, p *bundle.Parts) {
		m.Version = version
		if change != nil {
			change(m, p)
		}
	})
}

// start runs the agent on the picture, until its end.
func (s *shelf) start(bundlePath string, set ...string) (log string, err error) {
	s.t.Helper()
	args := []string{
		"run", "--set", "model.path=" + bundlePath, "--set", "gallery.path=" + s.gallery, "--set", "state_dir=" + filepath.Join(s.dir, "state"),
		"--set", "mqtt.broker=tcp://127.0.0.1:1", "--set", "mqtt.drain=10ms", "--set", "node=test",
		"--set", "cameras.c.kind=file", "--set", "cameras.c.address=" + s.picture,
	}
	for _, v := range set {
		args = append(args, "--set", v)
	}
	var messages bytes.Buffer
	err = command.New().Run(s.t.Context(), args, &bytes.Buffer{}, &messages)
	return messages.String(), err
}

// The life of a board with bundles: a signed one, a newer, an older, and those that must not run.
func TestRunWithBundles(t *testing.T) {
	a, b := bundletest.Model(t, 1), bundletest.Model(t, 2)
	first := bundletest.Write(t, a, nil, nil)
	s := newShelf(t, first)
	space := func(path string) string {
		opened, err := bundle.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		return opened.Manifest().SpaceID
	}(first)
	_, otherSecret, err := bundle.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	key := "model.keys=" + s.key.String()
	for _, tt := range []struct {
		name string
		path string
		set  []string
		want error
		log  string
	}{
		{"signed", s.version(a, 3, nil), []string{key}, nil, "parity exact"},
		{"an older one", s.version(a, 2, nil), []string{key}, model.ErrDowngrade, ""},
		{"an older one, on purpose", s.version(a, 2, nil), []string{key, "model.allow_downgrade=true"}, nil, "version=2"},
		{"a newer one", s.version(a, 4, nil), []string{key}, nil, "version=4"},
		{"unsigned", first, []string{key}, bundle.ErrUnsigned, ""},
		{"of another key", bundletest.Write(t, a, otherSecret, nil), []string{key}, bundle.ErrWrongKey, ""},
		{"that computes otherwise", s.version(a, 6, func(_ *bundle.Manifest, p *bundle.Parts) { p.Golden[0].Output = p.Golden[1].Output }), []string{key}, parity.ErrFail, ""},
		{"of a compatible space", s.version(b, 7, func(m *bundle.Manifest, _ *bundle.Parts) { m.CompatibleSpaces = []string{space} }), []string{key}, nil, "embeddings of older models"},
		{"of another space", s.version(b, 8, nil), []string{key}, nil, "the gallery has been moved"},
	} {
		log, err := s.start(tt.path, tt.set...)
		if !errors.Is(err, tt.want) || !strings.Contains(log, tt.log) {
			t.Errorf("%s: %v, want %v\n%s", tt.name, err, tt.want, log)
		}
		var code interface{ ExitCode() int }
		if tt.want != nil && (!errors.As(err, &code) || code.ExitCode() != 78) {
			t.Errorf("%s: not an error that a restart cannot mend", tt.name)
		}
	}
}

func TestVerify(t *testing.T) {
	int8Model := bundletest.Model(t, 1)
	s := newShelf(t, bundletest.Write(t, int8Model, nil, nil))
	good := s.version(int8Model, 1, nil)
	off := s.version(int8Model, 1, func(_ *bundle.Manifest, p *bundle.Parts) { p.Golden[0].Output = p.Golden[1].Output })
	bare := filepath.Join(s.dir, "m.tflite")
	if err := os.WriteFile(bare, int8Model, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "verify", good, "--key", s.key.String(), "--json")
	var got struct {
		Signature string
		KeyID     string `json:"key_id"`
		Parity    parity.Certificate
	}
	if err := errors.Join(err, json.Unmarshal([]byte(out), &got)); err != nil || got.Signature != "verified" || got.KeyID != s.key.ID() ||
		got.Parity.Verdict != parity.Exact || got.Parity.Images != 2 || got.Parity.Values != 2*bundletest.Dim {
		t.Errorf("verify --json: %s, %v", out, err)
	}
	if out, err := run(t, "verify", good); err != nil || !strings.Contains(out, "signature    not verified") || !strings.Contains(out, "parity       exact") {
		t.Errorf("without a key: %v\n%s", err, out)
	}
	if out, err := run(t, "verify", off); !errors.Is(err, parity.ErrFail) || !strings.Contains(out, "parity       fail") {
		t.Errorf("one that computes otherwise: %v\n%s", err, out)
	}
	if _, err := run(t, "verify", bare); err == nil || !strings.Contains(err.Error(), "xbm-convert bundle") {
		t.Errorf("a bare model: %v", err)
	}
	other, _, err := bundle.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, "verify", good, "--key", other.String()); !errors.Is(err, bundle.ErrWrongKey) {
		t.Errorf("another key: %v", err)
	}
	if _, err := run(t, "verify", good, good); !errors.Is(err, cli.ErrUsage) {
		t.Errorf("two files: %v", err)
	}
	if out, err := run(t, "check-config", "--set", "model.path="+good, "--set", "gallery.path="+s.gallery, "--set", "state_dir="+s.dir,
		"--set", "cameras.c.kind=file", "--set", "cameras.c.address="+s.picture); err != nil || !strings.Contains(out, "good: ") {
		t.Errorf("check-config: %v\n%s", err, out)
	}
	out, _ = run(t, "doctor", "--set", "model.path="+good, "--set", "model.keys="+s.key.String(), "--set", "gallery.path="+s.gallery, "--set", "state_dir="+s.dir,
		"--set", "cameras.c.kind=file", "--set", "cameras.c.address="+s.picture)
	for _, want := range []string{"bundle shelf version 1, signed with the key " + s.key.ID(), "parity exact: 2 golden images"} {
		if !strings.Contains(out, want) {
			t.Errorf("doctor does not say %q:\n%s", want, out)
		}
	}
}
