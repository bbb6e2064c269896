package model_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"xbmedge/agent/internal/model"
	"xbmedge/internal/bundle"
	"xbmedge/internal/bundle/bundletest"
	"xbmedge/internal/bundle/parity"
	"xbmedge/internal/gallery"
)

// behaviour names the environment variable that says how the child process behaves.
const behaviour = "XBM_TEST_CHILD"

// TestMain makes this program the child process of trials, well-behaved or not.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != model.ChildCommand {
		os.Exit(m.Run())
	}
	switch os.Getenv(behaviour) {
	case "crash":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		select {}
	case "killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "hang":
		<-time.After(time.Hour)
	case "babble":
		fmt.Println("hello")
		os.Exit(0)
	}
	if err := model.Child(context.Background(), os.Stdin, os.Stdout, 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func read(t *testing.T, path string) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTrial(t *testing.T) {
	path := bundletest.Write(t, bundletest.Model(t, 1), nil, nil)
	off := bundletest.Write(t, bundletest.Model(t, 1), nil, func(_ *bundle.Manifest, p *bundle.Parts) { p.Golden[0].Output = p.Golden[1].Output })
	for _, tt := range []struct {
		behaviour, path string
		limit           time.Duration
		verdict         parity.Verdict
		reason          string
	}{
		{"", path, 0, parity.Exact, ""},
		{"", off, 0, parity.Fail, "values differ"},
		{"crash", path, 0, parity.Fail, "it ended the process that tried it"},
		{"killed", path, 0, parity.Fail, "signal: killed"},
		{"hang", path, 300 * time.Millisecond, parity.Fail, "not done after 300ms"},
	} {
		t.Setenv(behaviour, tt.behaviour)
		trial := model.Trial{Limit: tt.limit}
		c, err := trial.Run(t.Context(), read(t, tt.path))
		if err != nil || c.Verdict != tt.verdict || !strings.Contains(c.Reason, tt.reason) || c.Bundle != "shelf" {
			t.Errorf("%q: %+v, %v; want %s, %q", tt.behaviour, c, err, tt.verdict, tt.reason)
		}
	}
	t.Setenv(behaviour, "babble")
	if _, err := (&model.Trial{}).Run(t.Context(), read(t, path)); err == nil || !strings.Contains(err.Error(), "hello") {
		t.Errorf("a child that says something else: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&model.Trial{}).Run(ended, read(t, path)); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestOpen(t *testing.T) {
	public, secret, err := bundle.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := bundle.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	int8Model := bundletest.Model(t, 1)
	bare := filepath.Join(t.TempDir(), "m.tflite")
	if err := os.WriteFile(bare, int8Model, 0o600); err != nil {
		t.Fatal(err)
	}
	signed, unsigned := bundletest.Write(t, int8Model, secret, nil), bundletest.Write(t, int8Model, nil, nil)
	off := bundletest.Write(t, int8Model, nil, func(_ *bundle.Manifest, p *bundle.Parts) { p.Golden[0].Output = p.Golden[1].Output })
	damaged := filepath.Join(t.TempDir(), "damaged.xbm")
	raw, err := os.ReadFile(signed)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(damaged, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	keys := []string{public.String()}
	for _, tt := range []struct {
		name, path string
		keys       []string
		want       error
		tried      bool
	}{
		{"bare", bare, nil, nil, false},
		{"bare, but keys", bare, keys, bundle.ErrUnsigned, false},
		{"signed", signed, keys, nil, true},
		{"signed, no keys", signed, nil, nil, true},
		{"another key", signed, []string{other.String()}, bundle.ErrWrongKey, false},
		{"unsigned", unsigned, nil, nil, true},
		{"unsigned, but keys", unsigned, keys, bundle.ErrUnsigned, false},
		{"damaged", damaged, keys, bundle.ErrCorrupt, false},
		{"another output", off, nil, parity.ErrFail, false},
		{"keys that are none", signed, []string{"/nonexistent.pub"}, os.ErrNotExist, false},
	} {
		m, err := model.Open(t.Context(), model.Options{Path: tt.path, Keys: tt.keys, Trial: &model.Trial{}})
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if err != nil {
			continue
		}
		if (m.Parity != nil) != tt.tried || tt.tried && m.Parity.Verdict != parity.Exact || m.Dim() != bundletest.Dim {
			t.Errorf("%s: %+v", tt.name, m.Parity)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What a bundle says of spaces decides about galleries.
func TestLoadGallery(t *testing.T) {
	first := bundletest.Model(t, 1)
	old := bundletest.Write(t, first, nil, nil)
	space := read(t, old).Manifest().SpaceID
	open := func(path string) *model.Model {
		t.Helper()
		m, err := model.Open(t.Context(), model.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.Close() })
		return m
	}
	g, err := gallery.New(open(old).ForGallery())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "g.gallery")
	if err := g.Save(path); err != nil {
		t.Fatal(err)
	}
	reads := bundletest.Write(t, bundletest.Model(t, 2), nil, func(m *bundle.Manifest, _ *bundle.Parts) { m.CompatibleSpaces = []string{space} })
	got, err := open(reads).LoadGallery(path)
	if err != nil || len(got.OtherSpaces()) != 1 {
		t.Fatalf("compatible: %v", err)
	}
	var log strings.Builder
	open(reads).Describe(slog.New(slog.NewTextHandler(&log, nil)), got)
	if !strings.Contains(log.String(), "embeddings of older models") || !strings.Contains(log.String(), "name=shelf version=1") {
		t.Errorf("log %s", log.String())
	}
	stranger := bundletest.Write(t, bundletest.Model(t, 2), nil, nil)
	if _, err := open(stranger).LoadGallery(path); !errors.Is(err, gallery.ErrWrongModel) {
		t.Errorf("not compatible: %v", err)
	}
}

func TestVersions(t *testing.T) {
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	info := func(name string, version int) bundle.ModelInfo {
		return bundle.ModelInfo{Name: name, Version: version, Bundle: &bundle.Bundle{}}
	}
	open := func() *model.Versions {
		t.Helper()
		v, err := model.OpenVersions(dir, log)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	open().Ran(info("shelf", 5))
	for _, tt := range []struct {
		info bundle.ModelInfo
		want error
	}{
		{info("shelf", 4), model.ErrDowngrade},
		{info("shelf", 5), nil},
		{info("shelf", 6), nil},
		{info("door", 1), nil},
		{bundle.ModelInfo{Name: "shelf"}, nil}, // a bare model
	} {
		if err := open().Check(tt.info); !errors.Is(err, tt.want) {
			t.Errorf("%s version %d: %v, want %v", tt.info.Name, tt.info.Version, err, tt.want)
		}
	}
	open().Ran(info("shelf", 3)) // allowed on purpose
	if err := open().Check(info("shelf", 3)); err != nil {
		t.Errorf("after going back: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bundles.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open().Check(info("shelf", 1)); err != nil {
		t.Errorf("a damaged file keeps the board from working: %v", err)
	}
}
