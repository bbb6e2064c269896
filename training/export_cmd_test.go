package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/weightfile"
)

// finishedRun writes a run as fit leaves it.
func finishedRun(t *testing.T) (run string, net *nn.Network, w nn.Weights) {
	t.Helper()
	net = nn.SmallCNN(32, 8, 16).WithEmbedding(8)
	w, err := net.Init(rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	if net, w, err = nn.Fold(net, w); err != nil {
		t.Fatal(err)
	}
	run = t.TempDir()
	if err := nn.WriteNetwork(run, net, w); err != nil {
		t.Fatal(err)
	}
	return run, net, w
}

func train(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	var out, stderr bytes.Buffer
	err = newProgram().Run(t.Context(), args, &out, &stderr)
	return out.String(), err
}

func TestExport(t *testing.T) {
	run, net, w := finishedRun(t)
	for _, tt := range []struct {
		file  string
		flags []string
	}{
		{"m.onnx", nil}, {"n.onnx", []string{"--normalize"}}, {"w.safetensors", nil}, {"h.safetensors", []string{"--half"}}, {"any", []string{"--format", "onnx"}},
	} {
		out := filepath.Join(t.TempDir(), tt.file)
		stdout, err := train(t, append([]string{"export", "--run", run, "--out", out}, tt.flags...)...)
		if err != nil || !strings.HasPrefix(stdout, out+": smallcnn_32") {
			t.Errorf("%s: %q, %v", tt.file, stdout, err)
			continue
		}
		read, err := weightfile.Read(out)
		if err != nil {
			t.Errorf("%s: %v", tt.file, err)
			continue
		}
		back, err := weightfile.Match(net, read)
		if err != nil {
			t.Errorf("%s: %v", tt.file, err)
			continue
		}
		for name, want := range w {
			for i, v := range want.Data {
				if d := back[name].Data[i] - v; d*d > 1e-5 {
					t.Fatalf("%s: %s[%d] is %g, want %g", tt.file, name, i, back[name].Data[i], v)
				}
			}
		}
	}
	out := filepath.Join(t.TempDir(), "m.tflite")
	if _, err := train(t, "export", "--run", run, "--out", out); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := tflitefile.Decode(file); err != nil || m.Description != net.Name {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestExportRefuses(t *testing.T) {
	run, _, _ := finishedRun(t)
	dir := t.TempDir()
	for args, want := range map[string]string{
		"--out " + dir + "/m.pb":                       "none of .tflite, .safetensors and .onnx",
		"--out " + dir + "/m.pb --format pb":           "want tflite, safetensors, or onnx",
		"--out " + dir + "/m.onnx --half":              "--half is for safetensors",
		"--out " + dir + "/m.tflite --normalize":       "--normalize is for onnx",
		"--out " + dir + "/no/m.onnx":                  "there is no folder",
		"--out " + dir + "/m.onnx --run " + dir:        "xbm-train fit",
		"--out " + dir + "/m.safetensors --half --x 1": "unknown flag",
	} {
		all := append([]string{"export", "--run", run}, strings.Fields(args)...)
		if _, err := train(t, all...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestWeightsCommands(t *testing.T) {
	stdout, err := train(t, "weights", "list")
	if err != nil || !strings.Contains(stdout, "torchvision-resnet50 ") || !strings.Contains(stdout, "Apache-2.0") {
		t.Errorf("%v: %s", err, stdout)
	}
	for args, want := range map[string]string{
		"weights get": "needs one NAME", "weights get vgg": `no weights are called "vgg"`, "weights": "want get, or list",
	} {
		if _, err := train(t, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
	// What lies in the folder needs no network, whatever its sum.
	folder := t.TempDir()
	file := filepath.Join(folder, "ResNet50_vd_pretrained.pdparams")
	content, err := os.ReadFile("../internal/weightfile/testdata/protocol4.pdparams")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if stdout, err := train(t, "weights", "get", "paddleclas-resnet50-vd", "--folder", folder); err != nil || stdout != file+"\n" {
		t.Errorf("%q, %v", stdout, err)
	}
}
