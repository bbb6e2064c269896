package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"xbmedge/convert/internal/report"
	"xbmedge/internal/cli"
	"xbmedge/internal/nn"
	"xbmedge/internal/tflite"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

const size = 32

// writeRun makes a run folder with a small untrained network; change may spoil its weights.
func writeRun(t *testing.T, change func(nn.Weights)) string {
	t.Helper()
	net := nn.SmallCNN(size, 8, 16, 32).WithEmbedding(16)
	w, err := net.Init(rand.New(rand.NewPCG(7, 8)))
	if err != nil {
		t.Fatal(err)
	}
	if net, w, err = nn.Fold(net, w); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(w)
	}
	dir := t.TempDir()
	if err := nn.WriteNetwork(dir, net, w); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// writePhotos makes class folders: each class is a pattern of rectangles, each photo of it has its own noise.
func writePhotos(t *testing.T, classes, each int, seed uint64) string {
	t.Helper()
	dir := t.TempDir()
	noise := rand.New(rand.NewPCG(seed, 1))
	for c := range classes {
		pattern := rand.New(rand.NewPCG(uint64(c), 2))
		f := vision.NewFrame(size+8, size)
		for range 6 {
			x, y, colour := pattern.IntN(f.Width), pattern.IntN(f.Height), byte(pattern.IntN(256))
			for row := y; row < min(y+14, f.Height); row++ {
				for col := x; col < min(x+14, f.Width); col++ {
					f.Pix[3*(row*f.Width+col)+pattern.IntN(3)] = colour
				}
			}
		}
		for k := range each {
			photo := vision.Frame{Width: f.Width, Height: f.Height, Pix: bytes.Clone(f.Pix)}
			for i := range photo.Pix {
				photo.Pix[i] = byte(min(int(photo.Pix[i])+noise.IntN(20), 255))
			}
			var png bytes.Buffer
			if err := vision.EncodePNG(&png, photo); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, fmt.Sprintf("class%02d", c), fmt.Sprintf("%d.png", k)), png.Bytes())
		}
	}
	return dir
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func needTFLite(t *testing.T) {
	t.Helper()
	if err := tflite.Available(); err != nil {
		t.Skip(err)
	}
}

func convert(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errOut bytes.Buffer
	err = newProgram().Run(context.Background(), args, &out, &errOut)
	return out.String(), errOut.String(), err
}

func TestQuantize(t *testing.T) {
	needTFLite(t)
	runDir, train, test := writeRun(t, nil), writePhotos(t, 10, 4, 1), writePhotos(t, 10, 2, 2)
	write(t, filepath.Join(train, "class03", "broken.jpg"), []byte("no picture"))
	out := filepath.Join(t.TempDir(), "model.tflite")
	figures := out + ".json"
	stdout, stderr, err := convert(t, "quantize", "--run", runDir, "--calib", train, "--test", test,
		"--out", out, "--json", figures, "--samples", "100", "--max-recall-drop", "0.1")
	if err != nil {
		t.Fatal(err)
	}
	var got report.Report
	raw, err := os.ReadFile(figures)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if got.ModelBytes != len(file) || got.Type != "int8" || got.Samples != 40 || got.Skipped != 1 || got.Queries != 20 || got.Gallery != 40 {
		t.Errorf("figures %s, the file has %d bytes", raw, len(file))
	}
	if got.RecallAt1Float == nil || *got.RecallAt1Float < 0.9 || got.RecallAt1Int8 == nil || *got.RecallAt1Int8 < 0.8 {
		t.Errorf("recall in %s: noise on a pattern should not hide it", raw)
	}
	if got.CosineMean == nil || *got.CosineMean < 0.99 || *got.CosineP1 > *got.CosineMean {
		t.Errorf("cosines in %s", raw)
	}
	if !strings.Contains(stderr, "broken.jpg") || !strings.Contains(stdout, "1 unreadable skipped") {
		t.Errorf("the broken photo is not named and counted:\n%s\n%s", stderr, stdout)
	}
	m, err := tflitefile.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	if in := m.Tensors[m.Inputs[0]]; in.Type != tflitefile.Int8 {
		t.Errorf("input is %v", in.Type)
	}
}

func TestQuantizeRepeatsExactly(t *testing.T) {
	needTFLite(t)
	runDir, train, dir := writeRun(t, nil), writePhotos(t, 6, 4, 1), t.TempDir()
	var files [3][]byte
	for i, seed := range []string{"1", "1", "2"} {
		out := filepath.Join(dir, fmt.Sprint(i))
		if _, _, err := convert(t, "quantize", "--run", runDir, "--calib", train, "--out", out,
			"--samples", "8", "--seed", seed, "--max-recall-drop", "1"); err != nil {
			t.Fatal(err)
		}
		var err error
		if files[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("the same seed gives another file")
	}
	if bytes.Equal(files[0], files[2]) {
		t.Error("another seed calibrates on the same photos")
	}
}

func TestFloat(t *testing.T) {
	needTFLite(t)
	out := filepath.Join(t.TempDir(), "model.tflite")
	stdout, _, err := convert(t, "quantize", "--run", writeRun(t, nil), "--float", "--out", out)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(stdout, "float32") || !strings.Contains(stdout, "not measured") {
		t.Errorf("printed %s", stdout)
	}
	listing, _, err := convert(t, "inspect", out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CONV_2D", "MEAN", `"embedding.weight"`, "[1 32 32 3]"} {
		if !strings.Contains(listing, want) {
			t.Errorf("inspect does not show %s:\n%s", want, listing)
		}
	}
}

// spoilConv2 gives a layer one huge weight in each output, on a channel that is always zero: in int8 it loses everything.
func spoilConv2(w nn.Weights) {
	weight := w["conv2.weight"]
	for c := range 32 {
		weight.Data[c*len(weight.Data)/32] = 3000
	}
	for k := range len(w["conv1.weight"].Data) / 16 {
		w["conv1.weight"].Data[k] = 0
	}
}

func TestRecallBound(t *testing.T) {
	needTFLite(t)
	runDir := writeRun(t, spoilConv2)
	dir := t.TempDir()
	out, page, figures := filepath.Join(dir, "model.tflite"), filepath.Join(dir, "report.html"), filepath.Join(dir, "report.json")
	_, _, err := convert(t, "quantize", "--run", runDir, "--calib", writePhotos(t, 10, 4, 1), "--out", out, "--html", page, "--json", figures)
	if err == nil || !strings.Contains(err.Error(), "recall@1") || !strings.Contains(err.Error(), "most of the error: conv2 (") {
		t.Errorf("error %v, want one about recall@1 and conv2", err)
	}
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was written all the same (%v)", err)
	}
	var got report.Report
	if raw := read(t, figures); json.Unmarshal(raw, &got) != nil || got.Failure == "" || len(got.Layers) != 5 {
		t.Errorf("the report does not say why: %s", raw)
	}
	if html := read(t, page); !bytes.Contains(html, []byte("No model was written")) {
		t.Error("the page does not say so")
	}
}

func TestFewPhotos(t *testing.T) {
	needTFLite(t)
	dir := t.TempDir()
	figures := filepath.Join(dir, "report.json")
	for each, warned := range map[int]bool{3: true, 4: false} { // of four classes
		_, stderr, err := convert(t, "quantize", "--run", writeRun(t, nil), "--calib", writePhotos(t, 4, each, 1),
			"--out", filepath.Join(dir, "model.tflite"), "--json", figures, "--max-recall-drop", "1")
		if err != nil {
			t.Fatal(err)
		}
		var got report.Report
		if err := json.Unmarshal(read(t, figures), &got); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(stderr, "warning: ") != warned || (len(got.Warnings) == 1) != warned {
			t.Errorf("%d photos: warned %q and %q", 4*each, stderr, got.Warnings)
		}
		if got.Int8 == nil || got.Int8.Timings[0].Median <= 0 || got.Int8.MACs != got.Float.MACs || got.Int8.Memory.Live*4 != got.Float.Memory.Live {
			t.Errorf("costs %+v and %+v", got.Float, got.Int8)
		}
	}
}

func TestOverBound(t *testing.T) {
	f, q := 0.95, 0.94
	s := report.Report{}
	if _, over := s.OverBound(); over {
		t.Error("nothing measured is over the bound")
	}
	s.RecallAt1Float, s.RecallAt1Int8 = &f, &q
	for allowed, want := range map[float64]bool{0.02: false, 0.01: false, 0.009: true} {
		s.MaxRecallDrop = allowed
		if _, over := s.OverBound(); over != want {
			t.Errorf("a drop of 0.01 with %g allowed: over = %v", allowed, over)
		}
	}
	for _, tc := range []struct {
		queries int
		allowed float64
		want    bool
	}{
		{100, 0.005, false}, // one photo of a hundred
		{200, 0.005, true},  // two
		{100, 0, true},      // not one
	} {
		s.Queries, s.MaxRecallDrop = tc.queries, tc.allowed
		if _, over := s.OverBound(); over != tc.want {
			t.Errorf("a drop of 0.01 of %d photos with %g allowed: over = %v", tc.queries, tc.allowed, over)
		}
	}
}

func TestRefuses(t *testing.T) {
	needTFLite(t)
	runDir, train, dir := writeRun(t, nil), writePhotos(t, 2, 2, 1), t.TempDir()
	out := filepath.Join(dir, "model.tflite")
	broken := t.TempDir()
	write(t, filepath.Join(broken, "class00", "0.jpg"), []byte("no picture"))
	spoilt := writeRun(t, nil)
	write(t, filepath.Join(spoilt, nn.WeightsFile), []byte("short"))
	text := writeRun(t, nil)
	write(t, filepath.Join(text, nn.NetworkFile), []byte("not json"))
	for _, tc := range []struct {
		name  string
		usage bool
		want  string
		args  []string
	}{
		{"no command", true, "no command", nil},
		{"unknown command", true, "bake", []string{"bake"}},
		{"no run", true, "--run", []string{"quantize", "--out", out}},
		{"unknown flag", true, "nose", []string{"quantize", "--nose"}},
		{"argument", true, "extra", []string{"quantize", "--run", runDir, "--calib", train, "--out", out, "extra"}},
		{"test alone", true, "--gallery", []string{"quantize", "--float", "--run", runDir, "--test", train, "--out", out}},
		{"not a run", false, "no finished run", []string{"quantize", "--run", dir, "--calib", train, "--out", out}},
		{"weights", false, "safetensors", []string{"quantize", "--run", spoilt, "--calib", train, "--out", out}},
		{"network", false, "describes no network", []string{"quantize", "--run", text, "--calib", train, "--out", out}},
		{"no photos", false, "no JPEG or PNG", []string{"quantize", "--run", runDir, "--calib", dir, "--out", out}},
		{"no folder", false, "make it first", []string{"quantize", "--run", runDir, "--calib", train, "--out", "nowhere/model"}},
		{"a folder as the model", false, "it is a folder", []string{"quantize", "--run", runDir, "--calib", train, "--out", dir}},
		{"no folder for the figures", false, "make it first", []string{"quantize", "--run", runDir, "--calib", train, "--out", out, "--json", "nowhere/figures"}},
		{"nothing to calibrate on", false, "calibrate on ", []string{"quantize", "--run", runDir, "--calib", broken, "--gallery", train, "--out", out, "--html", filepath.Join(dir, "page")}},
		{"no bound", true, "--max-recall-drop", []string{"quantize", "--run", runDir, "--calib", train, "--out", out, "--max-recall-drop", "nan"}},
		{"no percentage", true, "--percentile", []string{"quantize", "--run", runDir, "--calib", train, "--out", out, "--method", "percentile", "--percentile", "nan"}},
		{"no method", true, "--method", []string{"quantize", "--run", runDir, "--calib", train, "--out", out, "--method", "guess"}},
		{"no such layer", true, "conv1, conv2", []string{"quantize", "--run", runDir, "--calib", train, "--out", out, "--float-layers", "conv1,conv7"}},
		{"fewer than no layers", true, "--float-worst", []string{"quantize", "--run", runDir, "--calib", train, "--out", out, "--float-worst", "-1"}},
		{"costs shown nowhere", true, "--html", []string{"quantize", "--run", runDir, "--calib", train, "--out", out, "--sensitivity"}},
		{"broken queries", false, "none of the 1 photos to search for can be read", []string{"quantize", "--run", runDir, "--calib", train, "--test", broken, "--out", out}},
		{"inspect nothing", true, "one .tflite", []string{"inspect"}},
		{"inspect text", false, "not a TensorFlow Lite model", []string{"inspect", filepath.Join(text, nn.NetworkFile)}},
	} {
		_, _, err := convert(t, tc.args...)
		if err == nil || !strings.Contains(err.Error(), tc.want) || errors.Is(err, cli.ErrUsage) != tc.usage {
			t.Errorf("%s: error %v, want one with %q (usage: %v)", tc.name, err, tc.want, tc.usage)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestHelpAndVersion(t *testing.T) {
	for arg, want := range map[string]string{"help": "xbm-convert quantize", "--help": "xbm-convert quantize", "version": "TensorFlow Lite"} {
		if out, _, err := convert(t, arg); err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v\n%s", arg, err, out)
		}
	}
}
