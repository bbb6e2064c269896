// Package bundle reads and writes .xbm files, each of which hands a board one model with all that belongs to it: what the
// model is, thresholds, the names of its classes, and golden images with the output that the host computed for them. A
// bundle may be signed, and then a board can tell whose it is.
//
// The file is an uncompressed tar archive, so `tar -xf` opens it. First comes manifest.json, which names every other part
// with its size and SHA-256; then, when it is signed, manifest.json.minisig, a signature of the manifest as the program
// minisign makes and verifies it; then the parts in the manifest's order. A file has one form only: one with a byte more,
// less or other than what Write makes of its content is refused.
package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Limits on a bundle; a file beyond them is refused.
const (
	MaxBytes       = 256 << 20 // the whole file
	maxManifest    = 1 << 20
	maxSignature   = 4 << 10
	maxParts       = 512
	MaxGolden      = 256      // golden images
	maxInput       = 2048     // pixels of the model's input, in width and height
	maxGoldenBytes = 64 << 20 // the pixels of all golden images
	maxDim         = 4096     // values of an embedding
)

// ErrCorrupt is wrapped by the error for a file that is damaged or no bundle.
var ErrCorrupt = errors.New("damaged or not a bundle")

// The names of parts.
const (
	manifestName   = "manifest.json"
	signatureName  = "manifest.json.minisig"
	modelName      = "model.tflite"
	classesName    = "classes.json"
	thresholdsName = "thresholds.json"
	expectedName   = "golden/expected.json"
)

// Bundle is a bundle that has been read whole. Nothing changes it; what its methods return must not be changed either.
type Bundle struct {
	manifest   Manifest
	text       []byte // the manifest as it is in the file, which is what is signed
	signature  []byte // nil: unsigned
	files      []file // the parts, in the manifest's order
	classes    []string
	thresholds []Threshold
	output     Output
	golden     []Golden
}

// file is a part and its bytes.
type file struct {
	name string
	data []byte
}

// Open reads a bundle. It is whole and consistent in itself then; whose it is only Verify can tell. Errors wrap
// ErrCorrupt, or say that the file cannot be read.
func Open(path string) (*Bundle, error) {
	raw, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	b, err := Read(raw)
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", path, err)
	}
	return b, nil
}

// readFile reads a file of at most MaxBytes, also where it grows meanwhile.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only: nothing is lost
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > MaxBytes {
		return nil, fmt.Errorf("%s is not a file of at most %d MB", path, MaxBytes>>20)
	}
	raw, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > MaxBytes {
		return nil, fmt.Errorf("%s is not a file of at most %d MB", path, MaxBytes>>20)
	}
	return raw, nil
}

// Read is Open for the bytes of a file, which the bundle keeps.
func Read(raw []byte) (*Bundle, error) {
	b, err := read(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return b, nil
}

func read(raw []byte) (*Bundle, error) {
	if len(raw) > MaxBytes {
		return nil, fmt.Errorf("%d bytes, more than the %d MB that a bundle may have", len(raw), MaxBytes>>20)
	}
	files, err := unpack(raw)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 || files[0].name != manifestName {
		return nil, fmt.Errorf("its first part is not %s", manifestName)
	}
	b := &Bundle{text: files[0].data, files: files[1:]}
	if len(b.text) > maxManifest {
		return nil, fmt.Errorf("a manifest of %d bytes, more than %d", len(b.text), maxManifest)
	}
	if len(b.files) > 0 && b.files[0].name == signatureName {
		b.signature, b.files = b.files[0].data, b.files[1:]
		if err := checkSignatureForm(b.signature); err != nil {
			return nil, err
		}
	}
	if b.manifest, err = decodeManifest(b.text); err != nil {
		return nil, err
	}
	if err := b.checkParts(); err != nil {
		return nil, err
	}
	if err := b.decodeParts(); err != nil {
		return nil, err
	}
	return b, nil
}

// checkParts holds the parts to what the manifest says of them.
func (b *Bundle) checkParts() error {
	parts := b.manifest.Parts
	if len(parts) != len(b.files) {
		return fmt.Errorf("the manifest names %d parts, the file has %d", len(parts), len(b.files))
	}
	for i, p := range parts {
		f := b.files[i]
		if p.Name != f.name || p.Bytes != len(f.data) {
			return fmt.Errorf("part %d is %q of %d bytes, the manifest says %q of %d", i, f.name, len(f.data), p.Name, p.Bytes)
		}
		if got := hash(f.data); got != p.SHA256 {
			return fmt.Errorf("part %s has SHA-256 %.12s…, the manifest says %.12s…", p.Name, got, p.SHA256)
		}
	}
	return nil
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Manifest says what the bundle is.
func (b *Bundle) Manifest() Manifest { return b.manifest }

// Model returns the bytes of the .tflite file.
func (b *Bundle) Model() []byte { return b.part(modelName) }

// ModelSHA256 is the SHA-256 of the model's bytes, in hexadecimal.
func (b *Bundle) ModelSHA256() string {
	i := slices.IndexFunc(b.manifest.Parts, func(p Part) bool { return p.Name == modelName })
	return b.manifest.Parts[i].SHA256 // Read has seen to it that there is a model
}

// Golden returns the images that every machine must compute the same output for, at least one.
func (b *Bundle) Golden() []Golden { return b.golden }

// Output says what kind of numbers the golden outputs are.
func (b *Bundle) Output() Output { return b.output }

// Thresholds returns what is suggested for deciding between known and unknown; it may be empty.
func (b *Bundle) Thresholds() []Threshold { return b.thresholds }

// Classes returns the names of the classes the model was trained on; it may be empty.
func (b *Bundle) Classes() []string { return b.classes }

// Files calls each with every file that tar would unpack, in their order.
func (b *Bundle) Files(each func(name string, data []byte) error) error {
	for _, f := range b.all() {
		if err := each(f.name, f.data); err != nil {
			return err
		}
	}
	return nil
}

// Encode writes the bundle's file.
func (b *Bundle) Encode(w io.Writer) error { return pack(w, b.all()) }

// all are the files of the archive.
func (b *Bundle) all() []file {
	all := []file{{manifestName, b.text}}
	if b.signature != nil {
		all = append(all, file{signatureName, b.signature})
	}
	return append(all, b.files...)
}

// part returns a part's bytes, nil where there is none.
func (b *Bundle) part(name string) []byte {
	for _, f := range b.files {
		if f.name == name {
			return f.data
		}
	}
	return nil
}
