package main

import (
	"bytes"
	stdcmp "cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/convert/internal/report"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

// quantizeTo runs quantize on a small network and returns the model and what the report says.
func quantizeTo(t *testing.T, runDir string, args ...string) (*tflitefile.Model, *report.Report) {
	t.Helper()
	needTFLite(t)
	dir := t.TempDir()
	out, figures := filepath.Join(dir, "model.tflite"), filepath.Join(dir, "report.json")
	_, _, err := convert(t, append([]string{
		"quantize", "--run", runDir, "--calib", writePhotos(t, 10, 4, 1), "--out", out, "--json", figures, "--max-recall-drop", "1",
	}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	m, err := tflitefile.Decode(read(t, out))
	if err != nil {
		t.Fatal(err)
	}
	r := &report.Report{}
	if err := json.Unmarshal(read(t, figures), r); err != nil {
		t.Fatal(err)
	}
	return m, r
}

// tensorType returns the type of the value that is named after a layer.
func tensorType(t *testing.T, m *tflitefile.Model, layer string) tflitefile.Type {
	t.Helper()
	i := m.Find(layer)
	if i < 0 {
		t.Fatalf("the model has no value %s", layer)
	}
	return m.Tensors[i].Type
}

// The methods give different models, and the report says which it was.
func TestMethods(t *testing.T) {
	runDir := writeRun(t, nil)
	seen := map[string]string{}
	for _, method := range methods() {
		m, r := quantizeTo(t, runDir, "--method", method, "--percentile", "99")
		if r.Method != method || (r.Chosen != "") != (method == "auto") || (len(r.Trials) > 0) != (method == "auto") {
			t.Errorf("%s: the report has method %q, chosen %q and %d trials", method, r.Method, r.Chosen, len(r.Trials))
		}
		for _, trial := range r.Trials {
			if trial.Failure != "" || trial.CosineMean < 0.9 {
				t.Errorf("trial %+v", trial)
			}
		}
		file, err := tflitefile.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		seen[string(file)] = method
	}
	if len(seen) < 3 { // on such pictures kl may well end where minmax does, and auto is one of the others
		t.Errorf("%d methods give %d models", len(methods()), len(seen))
	}
}

func TestFloatLayers(t *testing.T) {
	m, r := quantizeTo(t, writeRun(t, nil), "--float-layers", "conv2,embedding")
	if diff := cmp.Diff([]string{"conv2", "embedding"}, r.FloatLayers); diff != "" {
		t.Errorf("float layers (-want +got):\n%s", diff)
	}
	for layer, want := range map[string]tflitefile.Type{"conv1": tflitefile.Int8, "conv2": tflitefile.Float32, "embedding": tflitefile.Float32} {
		if got := tensorType(t, m, layer); got != want {
			t.Errorf("layer %s is %v, want %v", layer, got, want)
		}
	}
	taken, all := 0, 0
	for _, o := range r.Int8.Operators {
		taken, all = taken+o.Taken, all+o.Count
	}
	if taken != all || all == 0 {
		t.Errorf("XNNPACK takes %d of %d operators", taken, all)
	}
}

// The layer that the report says costs most is the one that --float-worst 1 keeps in float, and the model is better for
// it.
func TestFloatWorst(t *testing.T) {
	runDir := writeRun(t, spoilConv2)
	_, plain := quantizeTo(t, runDir, "--sensitivity")
	worst := slices.MaxFunc(plain.Layers, func(a, b report.Layer) int { return cmpCost(t, a, b) })
	m, better := quantizeTo(t, runDir, "--float-worst", "1")
	if diff := cmp.Diff([]string{worst.Name}, better.FloatLayers); diff != "" || worst.Name != "conv2" {
		t.Errorf("float layers (-most costly +kept):\n%s; want conv2", diff)
	}
	if got := tensorType(t, m, "conv2"); got != tflitefile.Float32 {
		t.Errorf("conv2 is %v", got)
	}
	if *better.CosineMean < *plain.CosineMean+0.1 {
		t.Errorf("mean cosine %.4f with conv2 in float, %.4f without", *better.CosineMean, *plain.CosineMean)
	}
	if better.Layers[0].Cost == nil {
		t.Error("what was measured to choose is not in the report")
	}
	_, auto := quantizeTo(t, runDir, "--float-worst", "1", "--method", "auto")
	if diff := cmp.Diff(better.FloatLayers, auto.FloatLayers); diff != "" || auto.Chosen == "" {
		t.Errorf("with auto, chosen %q (-without +with):\n%s", auto.Chosen, diff)
	}
}

func cmpCost(t *testing.T, a, b report.Layer) int {
	t.Helper()
	if a.Cost == nil || b.Cost == nil {
		t.Fatal("a layer has no cost")
	}
	return stdcmp.Compare(*a.Cost, *b.Cost)
}

// Vectors of very different lengths, here of grey photos of much contrast and of little, keep the last layer in float.
func TestEmbedding(t *testing.T) {
	needTFLite(t)
	runDir, photos := writeRun(t, nil), t.TempDir()
	noise := rand.New(rand.NewPCG(3, 4))
	for i := range 40 {
		contrast := 3
		if i%10 == 0 {
			contrast = 120
		}
		f := vision.NewFrame(size, size)
		for k := range f.Pix {
			f.Pix[k] = byte(128 - contrast + noise.IntN(2*contrast))
		}
		var png bytes.Buffer
		if err := vision.EncodePNG(&png, f); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(photos, "things", fmt.Sprintf("%d.png", i)), png.Bytes())
	}
	for _, tc := range []struct {
		calib, embedding string
		want             tflitefile.Type
	}{
		{photos, "auto", tflitefile.Float32},
		{photos, "int8", tflitefile.Int8},
		{writePhotos(t, 10, 4, 1), "auto", tflitefile.Int8},
		{writePhotos(t, 10, 4, 1), "float", tflitefile.Float32},
	} {
		out := filepath.Join(t.TempDir(), "model.tflite")
		stdout, _, err := convert(t, "quantize", "--run", runDir, "--calib", tc.calib, "--out", out, "--max-recall-drop", "1", "--embedding", tc.embedding)
		if err != nil {
			t.Fatal(err)
		}
		m, err := tflitefile.Decode(read(t, out))
		if err != nil {
			t.Fatal(err)
		}
		if got := tensorType(t, m, "embedding"); got != tc.want || strings.Contains(stdout, "in float     embedding") != (tc.want == tflitefile.Float32) {
			t.Errorf("--embedding %s: it is %v, want %v; printed\n%s", tc.embedding, got, tc.want, stdout)
		}
	}
}

// What NumPy is given are the very pixels, as many as were drawn.
func TestFrames(t *testing.T) {
	frames := filepath.Join(t.TempDir(), "frames.npy")
	_, r := quantizeTo(t, writeRun(t, nil), "--frames", frames, "--samples", "7")
	file := read(t, frames)
	if want := []byte("'descr': '|u1', 'fortran_order': False, 'shape': (7, 32, 32, 3, )"); r.Samples != 7 || !bytes.Contains(file, want) || len(file) != 128+7*size*size*3 {
		t.Errorf("%d samples; %d bytes, which begin %q", r.Samples, len(file), file[:min(len(file), 128)])
	}
}

// A page with costs says them.
func TestSensitivityOnThePage(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.html")
	for _, asked := range []bool{true, false} {
		args := []string{"--html", page}
		if asked {
			args = append(args, "--sensitivity")
		}
		_, r := quantizeTo(t, writeRun(t, nil), args...)
		if said := bytes.Contains(read(t, page), []byte(">costs</th>")); said != asked || (r.Layers[0].Cost != nil) != asked {
			t.Errorf("asked for costs: %v; on the page: %v; first layer %+v", asked, said, r.Layers[0])
		}
	}
}
