package bundle

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
)

// ModelInfo says which model LoadModel has loaded.
type ModelInfo struct {
	Name             string // of the bundle; of a bare model the file's, without its ending
	Version          int    // of the bundle; 0 for a bare model
	SHA256           string // of the model, in hexadecimal
	SpaceID          string
	CompatibleSpaces []string
	KeyID            string  // of the key that has signed, when keys were given
	Bundle           *Bundle // nil for a bare model
}

// LoadModel reads a model from a bundle or from a bare .tflite file; the content says which it is. When keys are given,
// what none of them has signed is refused, and a bare model is signed by none.
func LoadModel(path string, keys ...PublicKey) (model []byte, info ModelInfo, err error) {
	raw, err := readFile(path)
	if err != nil {
		return nil, ModelInfo{}, fmt.Errorf("read model: %w", err)
	}
	if !IsBundle(raw) && filepath.Ext(path) != ".xbm" {
		if len(keys) > 0 {
			return nil, ModelInfo{}, fmt.Errorf("model %s is %w: put it into a bundle with `xbm-convert bundle --sign KEY`", path, ErrUnsigned)
		}
		sum := hash(raw)
		name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		return raw, ModelInfo{Name: name, SHA256: sum, SpaceID: SpaceOf(sum)}, nil
	}
	b, err := Read(raw)
	if err != nil {
		return nil, ModelInfo{}, fmt.Errorf("bundle %s: %w; copy it again, or make it anew", path, err)
	}
	info = ModelInfo{
		Name: b.manifest.Name, Version: b.manifest.Version, SHA256: b.ModelSHA256(), SpaceID: b.manifest.SpaceID,
		CompatibleSpaces: b.manifest.CompatibleSpaces, Bundle: b,
	}
	if len(keys) > 0 {
		if err := b.Verify(keys); err != nil {
			return nil, ModelInfo{}, fmt.Errorf("%s: %w", path, err)
		}
		info.KeyID = b.KeyID()
	}
	return b.Model(), info, nil
}

// IsBundle reports whether a file's content begins like a bundle's.
func IsBundle(raw []byte) bool { return bytes.HasPrefix(raw, []byte(manifestName+"\x00")) }
