package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/bundle"
	"xbmedge/internal/bundle/bundletest"
	"xbmedge/internal/bundle/parity"
)

// workshop is a folder with what bundles are made of.
type workshop struct {
	t      *testing.T
	dir    string
	photos string
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	w := &workshop{t: t, dir: t.TempDir(), photos: writePhotos(t, 4, 6, 1)}
	write(t, w.path("a.tflite"), bundletest.Model(t, 1))
	write(t, w.path("b.tflite"), bundletest.Model(t, 2))
	w.run("keygen", "--out", w.path("key"))
	w.run("keygen", "--out", w.path("other"))
	return w
}

func (w *workshop) path(name string) string { return filepath.Join(w.dir, name) }

func (w *workshop) run(args ...string) string {
	w.t.Helper()
	stdout, stderr, err := convert(w.t, args...)
	if err != nil {
		w.t.Fatalf("%s: %v\n%s%s", strings.Join(args, " "), err, stdout, stderr)
	}
	return stdout
}

// bundle makes one of a model with these flags, and reads it.
func (w *workshop) bundle(model, out string, flags ...string) *bundle.Bundle {
	w.t.Helper()
	w.run(append([]string{"bundle", "--model", w.path(model), "--photos", w.photos, "--out", w.path(out)}, flags...)...)
	b, err := bundle.Open(w.path(out))
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func TestBundle(t *testing.T) {
	w := newWorkshop(t)
	run := t.TempDir()
	old := strings.Repeat("0a", 32)
	write(t, filepath.Join(run, "environment.json"), []byte(`{"seed": 7, "compatible": {"sha256": "`+old+`"}}`))
	write(t, filepath.Join(run, "config.json"), []byte(`{"xbm": {"size": 1024}}`))
	write(t, w.path("summary.json"), []byte(`{"samples": 40}`))
	write(t, filepath.Join(w.photos, "class00", "broken.png"), []byte("no picture"))

	b := w.bundle("a.tflite", "1.xbm", "--run", run, "--conversion", w.path("summary.json"), "--name", "shelf", "--min-agent", "0.1.0",
		"--golden", "5", "--sign", w.path("key.key"))
	m := b.Manifest()
	if m.Name != "shelf" || m.Version != 1 || m.Dim != bundletest.Dim || m.Quantisation != "int8" || m.MinAgent != "0.1.0" ||
		m.Input != (bundle.Input{Width: bundletest.Size, Height: bundletest.Size, Normalisation: bundle.Normalisation}) {
		t.Errorf("manifest %+v", m)
	}
	if d := cmp.Diff([]string{old[:32]}, m.CompatibleSpaces); d != "" {
		t.Error(d)
	}
	var training struct {
		Environment struct{ Seed int }
		Config      struct{ XBM struct{ Size int } }
	}
	if err := json.Unmarshal(m.Training, &training); err != nil || training.Environment.Seed != 7 || training.Config.XBM.Size != 1024 {
		t.Errorf("training %s, %v", m.Training, err)
	}
	if !strings.Contains(string(m.Conversion), `"samples": 40`) {
		t.Errorf("conversion %s", m.Conversion)
	}
	if len(b.Golden()) != 5 || len(b.Classes()) != 4 || len(b.Thresholds()) == 0 {
		t.Errorf("%d golden images, classes %q, thresholds %v", len(b.Golden()), b.Classes(), b.Thresholds())
	}

	if out := w.run("verify", w.path("1.xbm"), "--key", w.path("key.pub")); !strings.Contains(out, "signature    verified") || !strings.Contains(out, "parity       exact") {
		t.Errorf("verify says\n%s", out)
	}
	var v parity.Verification
	if err := json.Unmarshal([]byte(w.run("verify", "--json", w.path("1.xbm"))), &v); err != nil || v.Signature != parity.Unverified || v.Parity.Verdict != parity.Exact {
		t.Errorf("verify --json: %+v, %v", v, err)
	}
	if out := w.run("inspect", w.path("1.xbm")); !strings.Contains(out, "shelf version 1") || !strings.Contains(out, "golden/004.png") {
		t.Errorf("inspect says\n%s", out)
	}
	w.run("unpack", w.path("1.xbm"), "--out", w.path("parts"))
	if model, err := os.ReadFile(w.path("parts/model.tflite")); err != nil || string(model) != string(b.Model()) {
		t.Errorf("the unpacked model is another: %v", err)
	}
	if _, _, err := convert(t, "unpack", w.path("1.xbm"), "--out", w.path("parts")); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("unpack over a folder: %v", err)
	}
}

func TestBundleFollows(t *testing.T) {
	w := newWorkshop(t)
	first := w.bundle("a.tflite", "1.xbm", "--name", "shelf", "--version", "4", "--compatible-with", w.path("b.tflite"))
	second := w.bundle("a.tflite", "2.xbm", "--previous", w.path("1.xbm"))
	if m := second.Manifest(); m.Name != "shelf" || m.Version != 5 || m.SpaceID != first.Manifest().SpaceID || !cmp.Equal(m.CompatibleSpaces, first.Manifest().CompatibleSpaces) {
		t.Errorf("the same model again: %+v", m)
	}
	third := w.bundle("b.tflite", "3.xbm", "--previous", w.path("2.xbm"), "--compatible-with", w.path("2.xbm"))
	if m := third.Manifest(); m.Version != 6 || !m.Reads(first.Manifest().SpaceID) || m.SpaceID == first.Manifest().SpaceID {
		t.Errorf("another model: %+v", m)
	}
	for _, tt := range []struct{ flag, value, want string }{
		{"--version", "4", "versions must grow"},
		{"--version", "3", "versions must grow"},
		{"--name", "shop", "has its name"},
		{"--compatible-with", "nothing", "no space id and no model"},
		{"--run", w.dir, "neither environment.json"},
		{"--sign", w.path("key.pub"), "no secret key"},
		{"--min-agent", "soon", "no version"},
		{"--model", w.path("1.xbm"), "a bundle already"},
		{"--golden", "0", "--golden must be 1"},
		{"--photos", t.TempDir(), "no JPEG or PNG"},
		{"--out", "/nonexistent/x.xbm", "make it first"},
	} {
		args := []string{"bundle", "--model", w.path("a.tflite"), "--photos", w.photos, "--previous", w.path("1.xbm"), "--out", w.path("no.xbm"), tt.flag, tt.value}
		if _, _, err := convert(t, args...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: %v; want %q", tt.flag, tt.value, err, tt.want)
		}
		if _, err := os.Stat(w.path("no.xbm")); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("%s %s: something was written", tt.flag, tt.value)
		}
	}
}

func TestSignAndVerify(t *testing.T) {
	w := newWorkshop(t)
	w.bundle("a.tflite", "1.xbm")
	verify := func(name, key string) error {
		_, _, err := convert(t, "verify", w.path(name), "--key", w.path(key))
		return err
	}
	if err := verify("1.xbm", "key.pub"); !errors.Is(err, bundle.ErrUnsigned) {
		t.Errorf("unsigned: %v", err)
	}
	w.run("sign", w.path("1.xbm"), "--key", w.path("key.key"))
	if err := verify("1.xbm", "key.pub"); err != nil {
		t.Errorf("signed: %v", err)
	}
	if err := verify("1.xbm", "other.pub"); !errors.Is(err, bundle.ErrWrongKey) {
		t.Errorf("another key: %v", err)
	}
	raw, err := os.ReadFile(w.path("1.xbm"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, w.path("short.xbm"), raw[:len(raw)/2])
	if err := verify("short.xbm", "key.pub"); !errors.Is(err, bundle.ErrCorrupt) {
		t.Errorf("half of it: %v", err)
	}
	off := bundletest.Write(t, bundletest.Model(t, 1), nil, func(_ *bundle.Manifest, p *bundle.Parts) {
		p.Golden[0].Output = p.Golden[1].Output
	})
	if out, _, err := convert(t, "verify", off); !errors.Is(err, parity.ErrFail) || !strings.Contains(out, "parity       fail") {
		t.Errorf("a model that computes something else: %v\n%s", err, out)
	}
	if _, _, err := convert(t, "keygen", "--out", w.path("key")); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("a key over another: %v", err)
	}
	write(t, w.path("empty"), []byte("\n"))
	if _, _, err := convert(t, "sign", w.path("1.xbm"), "--key", w.path("key.key"), "--password-file", w.path("empty")); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("an empty password: %v", err)
	}
}

func TestDiff(t *testing.T) {
	w := newWorkshop(t)
	w.bundle("a.tflite", "1.xbm", "--name", "shelf")
	w.bundle("b.tflite", "2.xbm", "--previous", w.path("1.xbm"))
	if out := w.run("diff", w.path("1.xbm"), w.path("1.xbm")); out != "the models are the same, byte for byte\nnothing else differs\nthe new model reads galleries of the old one\n" {
		t.Errorf("with itself:\n%s", out)
	}
	var d difference
	text := w.run("diff", "--json", w.path("1.xbm"), w.path("2.xbm"), "--gallery", w.photos, "--queries", writePhotos(t, 4, 2, 9))
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	changed := map[string]bool{}
	for _, c := range d.Changes {
		changed[c.What] = true
	}
	if d.SameModel || d.ReadsOld || !changed["version"] || !changed["model sha256"] || changed["name"] || changed["dim"] {
		t.Errorf("changes %v", d.Changes)
	}
	if r := d.Recall; r == nil || r.Queries != 8 || r.Gallery != 24 || r.OldOld < 0.5 || r.NewNew < 0.5 || r.OldNew == nil || *r.CosineP1 > *r.CosineMean {
		t.Errorf("recall %s", text)
	}
	if r := d.Timings; r != nil {
		t.Errorf("timed %v unasked", r)
	}
	out := w.run("diff", w.path("a.tflite"), w.path("b.tflite"), "--gallery", w.photos, "--queries", w.photos, "--time")
	if !strings.Contains(out, "old gallery, new query") || !strings.Contains(out, "threads: 1, old ") || !strings.Contains(out, "does not read galleries of the old one") {
		t.Errorf("bare models:\n%s", out)
	}
}

func TestThresholdFor(t *testing.T) {
	genuine := []float32{0.2, 0.6, 0.7, 0.8}
	impostors := []float32{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.68, 0.69, 0.75}
	for _, tt := range []struct {
		rate, accept, reject float64
		above, upTo          float32 // where the threshold lies
	}{
		{0.1, 0.1, 0.5, 0.69, 0.7},
		{0.2, 0.2, 0.5, 0.68, 0.69},
		{0.5, 0.5, 0.25, 0.5, 0.51},
		{0.05, 0, 0.75, 0.75, 0.76},
	} {
		got := thresholdFor(tt.rate, genuine, impostors)
		if got.FalseAccept != tt.accept || got.FalseReject != tt.reject || !(got.Threshold > tt.above && got.Threshold <= tt.upTo) {
			t.Errorf("rate %v: %+v", tt.rate, got)
		}
	}
}
