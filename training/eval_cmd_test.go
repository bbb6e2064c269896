package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/cli"
	"xbmedge/internal/npy"
	"xbmedge/internal/photos"
)

// matrix writes rows of two values, which need no length of one.
func matrix(t *testing.T, dir, name string, data ...float32) string {
	t.Helper()
	var b bytes.Buffer
	if err := npy.WriteMatrix(&b, 2, data); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, name), b.Bytes())
	return filepath.Join(dir, name)
}

// integers writes labels of a type such as "<i4".
func integers(t *testing.T, dir, name, descr string, labels any, n int) string {
	t.Helper()
	var b bytes.Buffer
	head := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%d,), }\n", descr, n)
	b.WriteString("\x93NUMPY\x01\x00")
	_ = binary.Write(&b, binary.LittleEndian, uint16(len(head)))
	b.WriteString(head)
	if err := binary.Write(&b, binary.LittleEndian, labels); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, name), b.Bytes())
	return filepath.Join(dir, name)
}

func wholeOf(t *testing.T, root string) int {
	t.Helper()
	list, err := photos.List(root)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func evaluated(t *testing.T, args ...string) (r report, stdout string) {
	t.Helper()
	stdout, stderr, err := runCommand(t, append([]string{"eval"}, args...)...)
	if err != nil {
		t.Fatalf("%q: %v, said %q", args, err, stderr)
	}
	text := stdout
	if file := args[len(args)-1]; file != "-" {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = string(content)
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return r, stdout
}

func TestEvalArrays(t *testing.T) {
	dir := t.TempDir()
	// At 0°, 8° (of length 10), 45°, 80°; the one of class −7 has nothing to find and stands in the way of the third.
	e := matrix(t, dir, "e.npy", 1, 0, 9.9, 1.39, 1, 1, 1, 5.67)
	y := integers(t, dir, "y.npy", "<i4", []int32{5, 5, -7, 5}, 4)
	got, table := evaluated(t, "--embeddings", e, "--labels", y, "--per-class", "--ks", "2,1", "--json", filepath.Join(dir, "r.json"))
	want := report{
		RecallAt1: 2.0 / 3, RecallAt5: 1, RecallAt: map[string]float64{"1": 2.0 / 3, "2": 1}, PrecisionAt1: 2.0 / 3,
		MAP: ((1+2.0/3)/2*2 + (1.0/2+2.0/3)/2) / 3, MAPAtR: (0.5 + 0.5 + 0.25) / 3, RPrecision: 0.5, Queries: 4, Lone: 1, Gallery: 4,
	}
	want.Classes = []classReport{{"5", 3, want.RecallAt, want.MAP, want.MAPAtR, want.RPrecision, want.PrecisionAt1}}
	compareReports(t, want, got)
	for _, part := range []string{
		"recall@2     1.0000\nrecall@1     0.6667\nmAP          0.7500\nmAP@R        0.4167\nR-precision  0.5000\n",
		"4 queries against 4 in the gallery, 1 with nothing to find left out\n",
		"class  queries  recall@2  recall@1  mAP     mAP@R   R-precision\n5      3        1.0000    0.6667    0.7500  0.4167  0.5000\n",
	} {
		if !strings.Contains(table, part) {
			t.Errorf("no %q in\n%s", part, table)
		}
	}

	// The same in a gallery, as JSON alone. Without --ks a small gallery has few of them.
	g := matrix(t, dir, "g.npy", 1, 0.1, 1, 9)
	z := integers(t, dir, "z.npy", "|u1", []uint8{5, 6}, 2)
	got, _ = evaluated(t, "--embeddings", e, "--labels", y, "--gallery-embeddings", g, "--gallery-labels", z, "--json", "-")
	compareReports(t, report{
		RecallAt1: 2.0 / 3, RecallAt5: 1, RecallAt: map[string]float64{"1": 2.0 / 3}, PrecisionAt1: 2.0 / 3,
		MAP: (1 + 1 + 0.5) / 3, MAPAtR: 2.0 / 3, RPrecision: 2.0 / 3, Queries: 4, Lone: 1, Gallery: 2,
	}, got)
}

func compareReports(t *testing.T, want, got report) {
	t.Helper()
	round := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })
	if diff := cmp.Diff(want, got, round, cmp.AllowUnexported(report{})); diff != "" {
		t.Error(diff)
	}
}

// TestEvalReranks: the flag arrives, and is part of what is written.
func TestEvalReranks(t *testing.T) {
	e, y := filepath.Join("..", "internal", "retrieval", "testdata", "random.npy"), filepath.Join("..", "internal", "retrieval", "testdata", "random_labels.npy")
	plain, _ := evaluated(t, "--embeddings", e, "--labels", y, "--json", "-")
	again, _ := evaluated(t, "--embeddings", e, "--labels", y, "--rerank", "10,3,0.3", "--json", "-")
	if plain.Rerank != nil || again.Rerank == nil || *again.Rerank != (rerankReport{10, 3, 0.3}) || again.MAP < plain.MAP+0.02 {
		t.Errorf("mAP %g, then %g with %+v", plain.MAP, again.MAP, again.Rerank)
	}
	for _, k := range []string{"1", "5", "10", "100"} {
		if v, ok := plain.RecallAt[k]; !ok || v < plain.RecallAt1 {
			t.Errorf("recall@%s is %g in %v", k, v, plain.RecallAt)
		}
	}
}

func TestEvalPhotos(t *testing.T) {
	run, data := smallRun(t), t.TempDir()
	for name, from := range map[string]string{"train": colours(t, 4), "test": colours(t, 2)} {
		if err := os.Rename(from, filepath.Join(data, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(data, "test", "class0", "bad.png"), []byte("no picture"))
	file := filepath.Join(t.TempDir(), "r.json")
	got, _ := evaluated(t, "--run", run, "--data", data, "--per-class", "--json", file)
	if got.Queries != 6 || got.Gallery != 12 || got.Skipped != 1 || got.RecallAt1 != 1 || got.RecallAt["10"] != 1 || len(got.Classes) != 3 || got.Classes[2].Class != "class2" {
		t.Errorf("%+v", got)
	}
	if _, above := got.RecallAt["100"]; above {
		t.Errorf("recall@100 of a gallery of 12: %v", got.RecallAt)
	}
	divided, _ := evaluated(t, "--run", run, "--self", filepath.Join(data, "train"), "--split", "1", "--ks", "1", "--json", "-")
	again, _ := evaluated(t, "--run", run, "--self", filepath.Join(data, "train"), "--split", "1", "--ks", "1", "--json", "-")
	if divided.Queries == 0 || divided.Queries >= divided.Gallery || divided.Queries+divided.Gallery != wholeOf(t, filepath.Join(data, "train")) {
		t.Errorf("--split 1: %d queries, %d in the gallery", divided.Queries, divided.Gallery)
	}
	if divided.MAP != again.MAP {
		t.Errorf("the same seed divides differently: mAP %g and %g", divided.MAP, again.MAP)
	}
	own, _ := evaluated(t, "--run", run, "--gallery-model", run, "--data", data, "--json", "-")
	if own.MAP != got.MAP || own.Gallery != 12 {
		t.Errorf("its own model embeds the gallery: mAP %g, without --gallery-model %g", own.MAP, got.MAP)
	}
	if _, _, err := runCommand(t, "eval", "--run", run, "--gallery-model", filepath.Join(data, "none"), "--data", data); err == nil || !strings.Contains(err.Error(), "name a bundle, a .tflite file") {
		t.Errorf("no such gallery model: %v", err)
	}
	self, _ := evaluated(t, "--run", run, "--self", filepath.Join(data, "train"), "--ks", "11", "--json", "-")
	if self.Queries != 12 || self.Gallery != 12 || self.RecallAt1 != 1 || self.RecallAt["11"] != 1 {
		t.Errorf("%+v", self)
	}
}

func TestEvalRefusals(t *testing.T) {
	dir := t.TempDir()
	e := matrix(t, dir, "e.npy", 1, 0, 0, 1, 1, 1)
	y := integers(t, dir, "y.npy", "<i8", []int64{1, 1, 2}, 3)
	lone := integers(t, dir, "lone.npy", "<i8", []int64{1, 2, 3}, 3)
	short := integers(t, dir, "short.npy", "<i8", []int64{1, 1}, 2)
	floats := integers(t, dir, "floats.npy", "<f4", []float32{1, 1, 2}, 3)
	nan := matrix(t, dir, "nan.npy", 1, 0, 0, float32(math.NaN()), 1, 1)
	empty := matrix(t, dir, "empty.npy")
	wide := filepath.Join(dir, "wide.npy")
	var b bytes.Buffer
	if err := npy.WriteMatrix(&b, 3, make([]float32, 9)); err != nil {
		t.Fatal(err)
	}
	write(t, wide, b.Bytes())
	cut := filepath.Join(dir, "cut.npy")
	write(t, cut, b.Bytes()[:b.Len()-1])
	for _, tt := range []struct {
		args, want string
		usage      bool
	}{
		{"--embeddings " + e, "--embeddings and --labels together", true},
		{"--labels " + y, "--embeddings and --labels together", true},
		{"--embeddings " + e + " --labels " + y + " --run r", "not both", true},
		{"--embeddings " + e + " --labels " + y + " --gallery-labels " + y, "--gallery-embeddings and --gallery-labels together", true},
		{"--run r --self s --data d", "leave --data", true},
		{"--run r --self s --gallery-model m", "add --split", true},
		{"--embeddings " + e + " --labels " + y + " --gallery-model m", "give --gallery-embeddings", true},
		{"--run r --data d --split 2", "--self, which is missing", true},
		{"--run r --self s --split -2", "at least 1", true},
		{"--self s", "eval needs --run", true},
		{"--run r --gallery g", "eval needs --run", true},
		{"--run r --self " + filepath.Join(dir, "none"), "there is no folder", false},
		{"--embeddings " + e + " --labels " + y + " --ks 1,3", "must be from 1 to 2", true},
		{"--embeddings " + e + " --labels " + y + " --ks 0", "must be from 1 to 2", true},
		{"--embeddings " + e + " --labels " + y + " --ks one", "--ks", true},
		{"--embeddings " + e + " --labels " + y + " --rerank 20,6", "--rerank", true},
		{"--embeddings " + e + " --labels " + y + " --rerank 20,6,2", "lambda from 0 to 1", true},
		{"--embeddings " + e + " --labels " + y + " --rerank 20,x,0.3", "--rerank", true},
		{"--embeddings " + e + " --labels " + short, "3 vectors", false},
		{"--embeddings " + e + " --labels " + floats, "must be integers", false},
		{"--embeddings " + e + " --labels " + lone, "no query has another vector of its class", false},
		{"--embeddings " + y + " --labels " + y, "two dimensions", false},
		{"--embeddings " + nan + " --labels " + y, "row 1 holds NaN", false},
		{"--embeddings " + empty + " --labels " + y, "no vectors", false},
		{"--embeddings " + cut + " --labels " + y, "cut off", false},
		{"--embeddings " + dir + "/none.npy --labels " + y, "none.npy", false},
		{"--embeddings " + e + " --labels " + y + " --gallery-embeddings " + wide + " --gallery-labels " + y, "different models", false},
		{"--embeddings " + e + " --labels " + y + " --json " + dir, "it is a folder", false},
	} {
		stdout, _, err := runCommand(t, append([]string{"eval"}, strings.Fields(tt.args)...)...)
		if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, cli.ErrUsage) != tt.usage {
			t.Errorf("%q: %v; want %q, a usage error: %v", tt.args, err, tt.want, tt.usage)
		}
		if stdout != "" {
			t.Errorf("%q printed %q", tt.args, stdout)
		}
	}
}
