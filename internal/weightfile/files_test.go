package weightfile

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/nn"
	"xbmedge/internal/onnxfile"
)

// written is what testdata/files.py put into each file.
func written() nn.Weights {
	return nn.Weights{
		"w": {Shape: []int{2, 3}, Data: []float32{0, 0.5, 1, 1.5, 2, 2.5}},
		"b": {Shape: []int{3}, Data: []float32{-1, -1.5, -2}},
	}
}

func TestReadEveryFormat(t *testing.T) {
	safe := filepath.Join(t.TempDir(), "any.name")
	var buf bytes.Buffer
	if err := nn.WriteSafetensors(&buf, written(), nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(safe, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"testdata/plain.pth", "testdata/checkpoint_half.pth", "testdata/checkpoint_bfloat16.pth", "testdata/legacy.pth",
		"testdata/views.pth", "testdata/protocol2.pdparams", "testdata/protocol4.pdparams", safe,
	} {
		got, err := Read(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if d := cmp.Diff(written(), got); d != "" {
			t.Errorf("%s (-want +got):\n%s", path, d)
		}
	}
}

// TestReadSafetensorsOfAnyLength: a header of 0x280 bytes makes the file begin as a pickle of protocol 2 does.
func TestReadSafetensorsOfAnyLength(t *testing.T) {
	for _, filler := range []int{0, 100, 500, 512} {
		for more := range 16 {
			var buf bytes.Buffer
			metadata := map[string]string{"filler": strings.Repeat("x", filler+8*more)}
			if err := nn.WriteSafetensors(&buf, written(), metadata); err != nil {
				t.Fatal(err)
			}
			got, err := Parse(buf.Bytes())
			if err != nil {
				t.Fatalf("a file that begins with % x: %v", buf.Bytes()[:8], err)
			}
			if d := cmp.Diff(written(), got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		}
	}
}

func TestReadONNX(t *testing.T) {
	net := nn.SmallCNN(16, 4, 8).WithoutBatchNorm()
	w := nn.Weights{}
	ps, err := net.Parameters()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range ps {
		w[p.Name] = fill(p.Name, p.Shape...)
	}
	model, err := onnxfile.Encode(net, w, onnxfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	read, err := Parse(model)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Match(net, read)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(w, back); d != "" {
		t.Errorf("weights changed (-written +read):\n%s", d)
	}
}

// pickled is a pickle of protocol 2 with that body.
func pickled(body string) []byte { return []byte("\x80\x02" + body + ".") }

func TestReadRefuses(t *testing.T) {
	dict := func(value string) []byte { return pickled("}X\x01\x00\x00\x00w" + value + "s") }
	for _, tt := range []struct {
		name string
		raw  []byte
		want string
	}{
		{"nothing", nil, "neither safetensors"},
		{"a web page", []byte("<!DOCTYPE html><title>404</title>"), "neither safetensors"},
		{"a command", pickled("cos\nsystem\nX\x02\x00\x00\x00id\x85R"), "os.system, which is no tensor and was not run"},
		{"a command by stack", pickled("X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93X\x02\x00\x00\x00id\x85R"), "os.system"},
		{"a builtin", pickled("c__builtin__\neval\nX\x01\x00\x00\x001\x85R"), "__builtin__.eval"},
		{"four gigabytes of text", pickled("}X\xff\xff\xff\xffw"), "cut short"},
		{"exabytes", []byte("\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f."), "cut short"},
		{"a frame of exabytes", []byte("\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f."), "cut short"},
		{"no end", []byte("\x80\x02}"), "cut short"},
		{"an old instance", pickled("(ios\nsystem\n"), "opcode 0x69"},
		{"a text integer", pickled("I12345678901234567890\n"), "opcode 0x49"},
		{"an empty integer", pickled("\x8a\x00"), "damaged"},
		{"a number", pickled("K\x07"), "no dictionary"},
		{"no tensors", pickled("}"), "no tensors of real numbers"},
		{"an array of exabytes", dict("cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R\x89U\x04abcdtb"), "more than the 1 values"},
		{"big-endian", dict("cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01K\x01\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01>tb\x89U\x04abcdtb"), "big-endian"},
		{"an array without state", dict("cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"), "lacks its state"},
		{"an archive that is none", []byte("PK\x03\x04 and then nothing of it"), "damaged or cut short"},
		{"an empty graph", []byte("\x08\x07\x3a\x00"), "no tensors of real numbers"},
		{"a broken model", []byte("\x08\x07\x3a\x7f"), "no ONNX model"},
	} {
		w, err := Parse(tt.raw)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, error %v, want %q", tt.name, w, err, tt.want)
		}
	}
}

func TestReadRefusesFiles(t *testing.T) {
	good, err := os.ReadFile("testdata/plain.pth")
	if err != nil {
		t.Fatal(err)
	}
	legacy, err := os.ReadFile("testdata/legacy.pth")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, tt := range []struct {
		name string
		raw  []byte
		want string
	}{
		{"half", good[:len(good)/2], "cut short"},
		{"legacy half", legacy[:len(legacy)-10], "cut short"},
		{"bigendian", bytes.ReplaceAll(good, []byte("little"), []byte("bigend")), `"bigend"-endian`},
	} {
		path := filepath.Join(dir, tt.name)
		if err := os.WriteFile(path, tt.raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want %q and the path", tt.name, err, tt.want)
		}
	}
	for path, want := range map[string]string{
		"testdata/with_namespace.pth": "argparse.Namespace, which is no tensor", "testdata": "no file of at most", "testdata/none": "no such file",
	} {
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", path, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.p*")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		w, err := Parse(raw)
		if err != nil {
			return
		}
		values := 0
		for name, tensor := range w {
			if len(nn.NewTensor(tensor.Shape...).Data) != len(tensor.Data) {
				t.Errorf("tensor %q: shape %v with %d values", name, tensor.Shape, len(tensor.Data))
			}
			values += len(tensor.Data)
		}
		if values > len(raw) {
			t.Errorf("%d values of %d bytes", values, len(raw))
		}
	})
}
