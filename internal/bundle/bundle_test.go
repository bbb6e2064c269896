package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/vision"
)

// sample returns what a small bundle is made of. Its model is no real one: the package does not look into it.
func sample() (Manifest, Parts) {
	m := Manifest{
		Name: "shelf", Version: 3, Created: time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC), Dim: 4, Quantisation: "int8",
		Input: Input{4, 2, Normalisation}, MinAgent: "0.1.0", Training: json.RawMessage(`{"seed":1}`),
		CompatibleSpaces: []string{strings.Repeat("ab", 16)},
	}
	image := vision.NewFrame(4, 2)
	for i := range image.Pix {
		image.Pix[i] = byte(7 * i)
	}
	return m, Parts{
		Model: []byte("a model"), Classes: []string{"cup", "watch"}, Thresholds: []Threshold{{0.6, 0.01, 0.02}},
		Output: Output{"int8", 0.5, -3}, Golden: []Golden{{image, []float32{-128, 0, 5, 127}}},
	}
}

func newKey(t testing.TB) (PublicKey, *SecretKey) {
	t.Helper()
	public, secret, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return public, secret
}

// encode returns the bytes of a bundle, which may be a wrong one.
func encode(t testing.TB, m Manifest, parts Parts, key *SecretKey) []byte {
	t.Helper()
	b, err := assemble(m, parts, key)
	if err != nil {
		t.Fatal(err)
	}
	return packed(t, b.all())
}

func packed(t testing.TB, files []file) []byte {
	t.Helper()
	var raw bytes.Buffer
	if err := pack(&raw, files); err != nil {
		t.Fatal(err)
	}
	return raw.Bytes()
}

func TestRoundTrip(t *testing.T) {
	public, secret := newKey(t)
	m, parts := sample()
	path := filepath.Join(t.TempDir(), "shelf.xbm")
	if err := Write(path, m, parts, secret); err != nil {
		t.Fatal(err)
	}
	b, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	got := b.Manifest()
	got.Training = nil // indented otherwise than it was given
	want := m
	want.Schema, want.SpaceID, want.Parts, want.Training = Schema, hash(parts.Model)[:32], b.Manifest().Parts, nil
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	back := Parts{b.Model(), b.Classes(), b.Thresholds(), b.Output(), b.Golden()}
	if d := cmp.Diff(parts, back); d != "" {
		t.Error(d)
	}
	if err := b.Verify([]PublicKey{public}); err != nil {
		t.Error(err)
	}
	var names []string
	if err := b.Files(func(name string, _ []byte) error { names = append(names, name); return nil }); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{
		"manifest.json", "manifest.json.minisig", "model.tflite", "classes.json", "thresholds.json", "golden/expected.json", "golden/000.png",
	}, names); d != "" {
		t.Error(d)
	}
}

// The same content gives the same bytes, so that a bundle can be made again and compared.
func TestWriteRepeats(t *testing.T) {
	m, parts := sample()
	_, secret := newKey(t)
	if !bytes.Equal(encode(t, m, parts, secret), encode(t, m, parts, secret)) {
		t.Error("the same bundle has other bytes the second time")
	}
}

// Whatever byte of a signed bundle is changed, it is refused.
func TestEveryByteCounts(t *testing.T) {
	public, secret := newKey(t)
	m, parts := sample()
	raw := encode(t, m, parts, secret)
	for _, change := range []byte{1, 0x20, 0x80, 0xff} {
		for i := range raw {
			raw[i] ^= change
			if b, err := Read(raw); err == nil && b.Verify([]PublicKey{public}) == nil {
				t.Errorf("byte %d of %d xor %#x: taken", i, len(raw), change)
			}
			raw[i] ^= change
		}
	}
	if b, err := Read(raw); err != nil || b.Verify([]PublicKey{public}) != nil {
		t.Fatalf("the bundle itself is refused: %v", err)
	}
	t.Logf("%d bytes", len(raw))
}

// Unsigned, every byte but those of the manifest counts.
func TestEveryByteOfAPartCounts(t *testing.T) {
	m, parts := sample()
	raw := encode(t, m, parts, nil)
	b, err := Read(raw)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		if i >= block && i < block+len(b.text) {
			continue
		}
		changed := bytes.Clone(raw)
		changed[i] ^= 1
		if _, err := Read(changed); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
}

func TestTruncated(t *testing.T) {
	m, parts := sample()
	raw := encode(t, m, parts, nil)
	for n := range raw {
		if _, err := Read(raw[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("the first %d bytes of %d: %v", n, len(raw), err)
		}
	}
}

// rename gives the sample's files with one of them called otherwise.
func rename(from, to string) func([]file) []file {
	return func(files []file) []file {
		for i := range files {
			if files[i].name == from {
				files[i].name = to
			}
		}
		return files
	}
}

func TestReadRefusesArchives(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func([]file) []file
		want   string
	}{
		{"absolute name", rename("classes.json", "/etc/passwd"), `"/etc/passwd"`},
		{"name upwards", rename("classes.json", "../passwd"), `"../passwd"`},
		{"name upwards within", rename("classes.json", "golden/.."), `"golden/.."`},
		{"hidden name", rename("classes.json", ".profile"), `".profile"`},
		{"deep name", rename("classes.json", "a/b/c"), `"a/b/c"`},
		{"two of a name", rename("classes.json", "model.tflite"), "there twice"},
		{"another order", func(f []file) []file { f[1], f[2] = f[2], f[1]; return f }, "the manifest says"},
		{"manifest not first", func(f []file) []file { return f[1:] }, "first part"},
		{"a part missing", func(f []file) []file { return f[:len(f)-1] }, "the manifest names"},
		{"a part more", func(f []file) []file { return append(f, file{"more", nil}) }, "the manifest names"},
		{"another content", func(f []file) []file { f[1].data = []byte("A model"); return f }, "SHA-256"},
		{"a longer content", func(f []file) []file { f[1].data = []byte("a model "); return f }, "of 8 bytes"},
		{"nothing", func([]file) []file { return nil }, "first part"},
		{"a signature that is none", func(f []file) []file { return append([]file{f[0], {signatureName, []byte("x")}}, f[1:]...) }, "no signature"},
		{"a manifest too long", func(f []file) []file { f[0].data = make([]byte, maxManifest+1); return f }, "more than"},
		{"many parts", func(f []file) []file {
			for i := range maxParts {
				f = append(f, file{"part" + strings.Repeat("x", 1+i%30) + string(rune('a'+i/30)), nil})
			}
			return f
		}, "more than 512 parts"},
	} {
		m, parts := sample()
		b, err := assemble(m, parts, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Read(packed(t, tt.change(b.all()))); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
	m, parts := sample()
	raw := encode(t, m, parts, nil)
	if _, err := Read(append(raw, 0)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte more: %v", err)
	}
	if _, err := Read(append(bytes.Clone(raw), raw...)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("two bundles in a row: %v", err)
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Manifest, *Parts)
		want   string
	}{
		{"no name", func(m *Manifest, _ *Parts) { m.Name = "" }, "name"},
		{"a name that is a path", func(m *Manifest, _ *Parts) { m.Name = "a/b" }, "name"},
		{"no version", func(m *Manifest, _ *Parts) { m.Version = 0 }, "version 0"},
		{"no time", func(m *Manifest, _ *Parts) { m.Created = time.Time{} }, "time"},
		{"a large input", func(m *Manifest, _ *Parts) { m.Input.Width = 1 << 20 }, "pixels"},
		{"another normalisation", func(m *Manifest, _ *Parts) { m.Input.Normalisation = "pixel/255" }, "normalisation"},
		{"another dim", func(m *Manifest, _ *Parts) { m.Dim = 5 }, "has 4 values"},
		{"no quantisation", func(m *Manifest, _ *Parts) { m.Quantisation = "int4" }, "int4"},
		{"a space that is none", func(m *Manifest, _ *Parts) { m.CompatibleSpaces = []string{"old"} }, "space id"},
		{"an agent that is none", func(m *Manifest, _ *Parts) { m.MinAgent = "new" }, "min_agent"},
		{"provenance that is no object", func(m *Manifest, _ *Parts) { m.Training = json.RawMessage("[]") }, "training"},
		{"empty golden", func(_ *Manifest, p *Parts) { p.Golden = nil }, "no golden images"},
		{"a golden image of another size", func(m *Manifest, _ *Parts) { m.Input.Height = 3 }, "the model takes 4×3"},
		{"golden values of another type", func(_ *Manifest, p *Parts) { p.Golden[0].Output[0] = 128 }, "no int8"},
		{"golden values between integers", func(_ *Manifest, p *Parts) { p.Golden[0].Output[0] = 0.5 }, "no int8"},
		{"golden values without a scale", func(_ *Manifest, p *Parts) { p.Output.Scale = 0 }, "scale"},
		{"a threshold that is none", func(_ *Manifest, p *Parts) { p.Thresholds[0].Threshold = 2 }, "cosine"},
	} {
		m, parts := sample()
		tt.change(&m, &parts)
		path := filepath.Join(t.TempDir(), "x.xbm")
		if err := Write(path, m, parts, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: something was written", tt.name)
		}
	}
}

func TestOpenRefusesOversize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.xbm")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(MaxBytes+1), f.Close()); err != nil { // a hole: it takes no room
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "256 MB") {
		t.Errorf("%v; want the limit", err)
	}
}

func TestCheckAgent(t *testing.T) {
	for _, tt := range []struct {
		least, have string
		good        bool
	}{
		{"", "0.0.1", true},
		{"0.2.0", "0.2.0", true},
		{"0.2.0", "0.2.0~git20261125.abc", true},
		{"0.2.0", "v0.2.1", true},
		{"0.2.0", "0.10.0", true},
		{"0.2.0", "1.0.0", true},
		{"0.2.0", "(devel)", true},
		{"0.2.0", "v0.0.0-20261125001122-f03ebfd", true},
		{"0.2.0", "0.1.9", false},
		{"1.0.0", "0.9.9~git20261125.abc", false},
		{"0.2.10", "0.2.9", false},
	} {
		m := Manifest{Name: "shelf", Version: 1, MinAgent: tt.least}
		if err := m.CheckAgent(tt.have); (err == nil) != tt.good || err != nil && !errors.Is(err, ErrAgentTooOld) {
			t.Errorf("wants %q, is %q: %v", tt.least, tt.have, err)
		}
	}
}

func TestLoadModel(t *testing.T) {
	public, secret := newKey(t)
	other, _ := newKey(t)
	m, parts := sample()
	dir := t.TempDir()
	signed, unsigned, bare, broken := filepath.Join(dir, "signed.bin"), filepath.Join(dir, "unsigned.xbm"), filepath.Join(dir, "m.tflite"), filepath.Join(dir, "broken.xbm")
	for _, err := range []error{
		Write(signed, m, parts, secret), Write(unsigned, m, parts, nil),
		os.WriteFile(bare, parts.Model, 0o600), os.WriteFile(broken, []byte("nothing"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		path string
		keys []PublicKey
		want error
		info ModelInfo
	}{
		{signed, nil, nil, ModelInfo{Name: "shelf", Version: 3}},
		{signed, []PublicKey{other, public}, nil, ModelInfo{Name: "shelf", Version: 3, KeyID: public.ID()}},
		{signed, []PublicKey{other}, ErrWrongKey, ModelInfo{}},
		{unsigned, nil, nil, ModelInfo{Name: "shelf", Version: 3}},
		{unsigned, []PublicKey{public}, ErrUnsigned, ModelInfo{}},
		{bare, nil, nil, ModelInfo{Name: "m"}},
		{bare, []PublicKey{public}, ErrUnsigned, ModelInfo{}},
		{broken, nil, ErrCorrupt, ModelInfo{}},
		{filepath.Join(dir, "none"), nil, os.ErrNotExist, ModelInfo{}},
	} {
		model, info, err := LoadModel(tt.path, tt.keys...)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.path, err, tt.want)
			continue
		}
		if err != nil {
			continue
		}
		if !bytes.Equal(model, parts.Model) || info.SHA256 != hash(parts.Model) || info.SpaceID != info.SHA256[:32] ||
			info.Name != tt.info.Name || info.Version != tt.info.Version || info.KeyID != tt.info.KeyID || (info.Bundle == nil) != (tt.path == bare) {
			t.Errorf("%s: %q, %+v", tt.path, model, info)
		}
	}
}
