package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/cli"
	"xbmedge/internal/nn"
	"xbmedge/internal/npy"
	"xbmedge/internal/tflite"
	"xbmedge/internal/vision"
	"xbmedge/training/internal/trainer"
)

// smallRun writes a run whose untrained network embeds in 8 values.
func smallRun(t *testing.T) string {
	t.Helper()
	if err := tflite.Available(); err != nil {
		t.Skip(err)
	}
	net := nn.SmallCNN(16, 4, 8).WithEmbedding(8)
	w, err := net.Init(rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	if net, w, err = nn.Fold(net, w); err != nil {
		t.Fatal(err)
	}
	run := t.TempDir()
	if err := nn.WriteNetwork(run, net, w); err != nil {
		t.Fatal(err)
	}
	return run
}

// colours writes class folders, each with photos of a colour of its own, and returns the folder that holds them.
func colours(t *testing.T, photos int) string {
	t.Helper()
	root := t.TempDir()
	for c, rgb := range [][3]byte{{250, 10, 10}, {10, 250, 10}, {10, 10, 250}} {
		dir := filepath.Join(root, fmt.Sprintf("class%d", c))
		if err := os.Mkdir(dir, 0o750); err != nil {
			t.Fatal(err)
		}
		for p := range photos {
			f := vision.NewFrame(16, 16)
			for i := range f.Pix {
				f.Pix[i] = rgb[i%3] ^ byte(p)
			}
			var b bytes.Buffer
			if err := vision.EncodePNG(&b, f); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, fmt.Sprintf("%d.png", p)), b.Bytes())
		}
	}
	return root
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// runCommand returns what a command printed.
func runCommand(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, messages bytes.Buffer
	err = newProgram().Run(t.Context(), args, &out, &messages)
	return out.String(), messages.String(), err
}

type line struct {
	Path      string
	Embedding []float32
}

func lines(t *testing.T, text string) []line {
	t.Helper()
	var all []line
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		var l line
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			t.Fatalf("%q: %v", s.Text(), err)
		}
		all = append(all, l)
	}
	return all
}

func TestPredict(t *testing.T) {
	run, photos, out := smallRun(t), colours(t, 3), t.TempDir()
	last := filepath.Join(photos, "class2", "1.png")
	stdout, stderr, err := runCommand(t, "predict", "--run", run, last, photos)
	if err != nil || !strings.Contains(stderr, "10 photos embedded in 8 values each, 0 unreadable") {
		t.Fatalf("%v, said %q", err, stderr)
	}
	got := lines(t, stdout)
	var want []string
	for c := range 3 {
		for p := range 3 {
			want = append(want, filepath.Join(photos, fmt.Sprintf("class%d", c), fmt.Sprintf("%d.png", p)))
		}
	}
	want = append([]string{last}, want...)
	var paths []string
	for _, l := range got {
		paths = append(paths, l.Path)
		length := 0.0
		for _, v := range l.Embedding {
			length += float64(v) * float64(v)
		}
		if len(l.Embedding) != 8 || math.Abs(length-1) > 1e-5 {
			t.Errorf("%s: %v", l.Path, l.Embedding)
		}
	}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(got[0].Embedding, got[8].Embedding); diff != "" {
		t.Errorf("the same photo twice: %s", diff)
	}

	// The same in files, from the model as a file.
	model, err := trainer.ReadModel(run)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(out, "m.tflite"), model)
	for _, name := range []string{"e.jsonl", "e.npy"} {
		if stdout, _, err := runCommand(t, "predict", "--model", filepath.Join(out, "m.tflite"), "--out", filepath.Join(out, name), last, photos); err != nil || stdout != "" {
			t.Fatalf("%s: %v, printed %q", name, err, stdout)
		}
	}
	if text, err := os.ReadFile(filepath.Join(out, "e.jsonl")); err != nil || string(text) != stdout {
		t.Errorf("e.jsonl holds %q, %v", text, err)
	}
	rows, dim, data, err := npy.ReadMatrix(filepath.Join(out, "e.npy"))
	if err != nil || rows != 10 || dim != 8 {
		t.Fatalf("%d×%d, %v", rows, dim, err)
	}
	for i, l := range got {
		if diff := cmp.Diff(l.Embedding, data[i*dim:(i+1)*dim]); diff != "" {
			t.Errorf("row %d: %s", i, diff)
		}
	}
	if text, err := os.ReadFile(filepath.Join(out, "e.txt")); err != nil || string(text) != strings.Join(want, "\n")+"\n" {
		t.Errorf("e.txt holds %q, %v", text, err)
	}
}

func TestPredictLeavesOutWhatItCannotRead(t *testing.T) {
	run, photos, out := smallRun(t), colours(t, 1), filepath.Join(t.TempDir(), "e.jsonl")
	bad := filepath.Join(photos, "class1", "bad.png")
	write(t, bad, []byte("no picture"))
	stdout, stderr, err := runCommand(t, "predict", "--run", run, photos)
	if err != nil || len(lines(t, stdout)) != 3 || !strings.Contains(stderr, bad) || !strings.Contains(stderr, "1 unreadable") {
		t.Errorf("%v, printed %q, said %q", err, stdout, stderr)
	}
	for name, args := range map[string][]string{
		"strict":         {"--strict", photos},
		"none readable":  {bad},
		"none there":     {photos, filepath.Join(photos, "none.png")},
		"an empty place": {t.TempDir()},
	} {
		for _, file := range []string{out, strings.TrimSuffix(out, ".jsonl") + ".npy"} {
			args := append([]string{"predict", "--run", run, "--out", file}, args...)
			if _, _, err := runCommand(t, args...); err == nil || errors.Is(err, cli.ErrUsage) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if left, err := os.ReadDir(filepath.Dir(out)); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
	}
}

// TestPredictLosesNothing: a list of paths goes beside an array, where the user may have something of that name, and JSON
// cannot hold every path.
func TestPredictLosesNothing(t *testing.T) {
	run, photos, dir := smallRun(t), colours(t, 1), t.TempDir()
	mine, out := filepath.Join(dir, "e.txt"), filepath.Join(dir, "e.npy")
	write(t, mine, []byte("mine"))
	if _, _, err := runCommand(t, "predict", "--run", run, "--out", out, photos); err == nil || !strings.Contains(err.Error(), mine+" is there already") {
		t.Errorf("error %v", err)
	}
	if text, err := os.ReadFile(mine); err != nil || string(text) != "mine" {
		t.Errorf("the user's file holds %q, %v", text, err)
	}
	odd := filepath.Join(photos, "class0", "\xff.png")
	if err := os.Rename(filepath.Join(photos, "class0", "0.png"), odd); err != nil {
		t.Skipf("this file system has no such names: %v", err)
	}
	if _, _, err := runCommand(t, "predict", "--run", run, photos); err == nil || !strings.Contains(err.Error(), "is not UTF-8") {
		t.Errorf("error %v", err)
	}
	for range 2 { // its own files it replaces
		if _, _, err := runCommand(t, "predict", "--run", run, "--out", filepath.Join(dir, "f.npy"), photos); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "f.txt")); err != nil || !strings.HasPrefix(string(text), odd+"\n") {
		t.Errorf("f.txt holds %q, %v", text, err)
	}
}

func TestPredictRefusals(t *testing.T) {
	photo := filepath.Join(colours(t, 1), "class0", "0.png")
	for _, tt := range []struct {
		args, want string
		usage      bool
	}{
		{"predict p.jpg", "predict needs --run or --model", true},
		{"predict --run r --model m p.jpg", "not both", true},
		{"predict --run r", "predict needs photos", true},
		{"predict --run r --out e.csv p.jpg", ".jsonl or .npy", true},
		{"predict --run r none.jpg", "none.jpg", false},
		{"predict --run none " + photo, "holds no finished run", false},
		{"predict --model none.tflite " + photo, "none.tflite", false},
		{"predict --model " + photo + " " + photo, "not a TensorFlow Lite model", false},
	} {
		if _, _, err := runCommand(t, strings.Fields(tt.args)...); err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, cli.ErrUsage) != tt.usage {
			t.Errorf("%q: %v; want %q, a usage error: %v", tt.args, err, tt.want, tt.usage)
		}
	}
}
