package nn

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWriteAndReadNetwork(t *testing.T) {
	net := SmallCNN(16, 4, 8).WithEmbedding(8)
	w, err := net.Init(rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	if net, w, err = Fold(net, w); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := WriteNetwork(dir, net, w); err != nil {
		t.Fatal(err)
	}
	gotNet, gotWeights, err := ReadNetwork(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(net, gotNet); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(w, gotWeights); diff != "" {
		t.Error(diff)
	}

	// What is spoilt one after the other, and what the error has to say.
	for _, tt := range []struct{ file, old, changed, want string }{
		{NetworkFile, `"c": 3`, `"c": 1`, "its input is 16×16×1"},
		{NetworkFile, `"h": 16`, `"h": 9999`, "not a picture of at most 2048×2048×3"},
		{NetworkFile, `"embedding"`, `"other"`, "model.safetensors does not belong to network.json"},
		{NetworkFile, `"name"`, `name`, "describes no network"},
		{NetworkFile, `"globalavg"`, `"middle"`, "unknown kind"},
		{WeightsFile, "F32", "F64", "no usable safetensors file"},
	} {
		path := filepath.Join(dir, tt.file)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(good), tt.old) {
			t.Fatalf("no %s in %s", tt.old, good)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(good), tt.old, tt.changed, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ReadNetwork(dir); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s for %s: error %v, want %q", tt.changed, tt.old, err, tt.want)
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	if _, _, err := ReadNetwork(t.TempDir()); err == nil || !strings.Contains(err.Error(), "xbm-train fit") {
		t.Errorf("an empty folder: %v", err)
	}
	spatial := &Network{Name: "n", Input: net.Input, Layers: net.Layers[:1]}
	if err := WriteNetwork(dir, spatial, w); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadNetwork(dir); err == nil || !strings.Contains(err.Error(), "not an embedding") {
		t.Errorf("feature maps for an output: %v", err)
	}
}

// A scalar's shape is an empty list: the format's own library refuses null.
func TestScalarInSafetensors(t *testing.T) {
	var out bytes.Buffer
	if err := WriteSafetensors(&out, Weights{"step": {Data: []float32{7}}}, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(out.Bytes(), []byte(`"shape":[]`)) {
		t.Errorf("header %q", out.Bytes()[8:])
	}
}
