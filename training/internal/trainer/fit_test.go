package trainer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflite"
	"xbmedge/internal/vision"
	"xbmedge/training/internal/dataset"
)

// needTFLite skips tests that evaluate, which happens in TensorFlow Lite.
func needTFLite(t *testing.T) {
	t.Helper()
	if err := tflite.Available(); err != nil {
		t.Skip(err)
	}
}

// drawings makes class folders of noisy pictures, each class with a colour and a place of its own.
func drawings(t *testing.T, classes, photos int) string {
	t.Helper()
	root := t.TempDir()
	rng := rand.New(rand.NewPCG(9, 9))
	for c := range classes {
		dir := filepath.Join(root, "train", fmt.Sprintf("class%02d", c))
		if err := os.MkdirAll(dir, 0o750); err != nil {
			t.Fatal(err)
		}
		for p := range photos {
			f := vision.NewFrame(24, 24)
			for i := range f.Pix {
				x := i / 3 % 24
				v := rng.IntN(60)
				if x/6 == c%4 && i%3 == c/4%3 {
					v += 180
				}
				f.Pix[i] = byte(v)
			}
			var b bytes.Buffer
			if err := vision.EncodePNG(&b, f); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d.png", p)), b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

func smallConfig() Config {
	c := DefaultConfig()
	c.Network.Name, c.Network.Freeze, c.Network.Views, c.Network.DeploySize = "smallcnn", "", 0, 0
	c.Network.Size, c.Network.Channels, c.Network.Embedding = 16, []int{8, 16}, 8
	c.Sampler = SamplerConfig{Classes: 4, Photos: 2}
	c.XBM = MemoryConfig{Size: 20, StartIter: 3, Weight: 1} // no multiple of the batch: it wraps inside one
	c.Optimizer.Warmup = 2
	c.Schedule = ScheduleConfig{Steps: 12, Evaluate: 6, Checkpoint: 4}
	c.Data.Validation, c.Data.Cache = 0.25, CacheOff
	return c
}

// silent is a Progress that cancels a context at a step.
type silent struct {
	at     int
	cancel context.CancelFunc
	lines  []Metrics
}

func (s *silent) Prepare(string, float64) {}
func (s *silent) Step(r *StepReport) {
	if r.Step == s.at {
		s.cancel()
	}
}
func (s *silent) Evaluated(m *Metrics) { s.lines = append(s.lines, *m) }

func TestResumedRunEndsWithTheSameWeights(t *testing.T) {
	needTFLite(t)
	data := drawings(t, 6, 8)
	log := slog.New(slog.DiscardHandler)
	d := Description{Data: data, Config: smallConfig()}
	whole, stopped := wholeAndStopped(t, d)
	// What a kill after the last checkpoint would leave besides: a line too many, and half of one.
	appendTo(t, filepath.Join(stopped, metricsFile), `{"step":99}`+"\n"+`{"st`)
	if _, err := Resume(t.Context(), stopped, "", nil, &silent{}, log); err != nil {
		t.Fatal(err)
	}
	want, got := readState(t, whole), readState(t, stopped)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Fatal(diff)
	}
	for name := range want {
		if !slices.Equal(want[name].Data, got[name].Data) {
			t.Errorf("%s differs after the interruption", name)
		}
	}
	if filled := want["/memory/filled"].Data[0]; filled != 20 {
		t.Errorf("the memory holds %g entries, want 20: the test did not reach the wrap-around", filled)
	}
	if a, b := metricsSteps(t, whole), metricsSteps(t, stopped); a != b {
		t.Errorf("metrics.jsonl has steps %s, undisturbed %s", b, a)
	}
	if _, err := Start(t.Context(), d, whole, &silent{}, log); err == nil || !strings.Contains(err.Error(), "already holds a run") {
		t.Errorf("a run was overwritten: %v", err)
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(old, text...), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readState(t *testing.T, run string) nn.Weights {
	t.Helper()
	c, err := folder(run).load(latestFile)
	if err != nil {
		t.Fatal(err)
	}
	return c.state
}

func metricsSteps(t *testing.T, run string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(run, metricsFile))
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	for line := range strings.Lines(string(raw)) {
		steps = append(steps, strings.SplitN(line, ",", 2)[0])
	}
	return strings.Join(steps, " ")
}

func TestTrainingLearnsWithAndWithoutFrozenTrunk(t *testing.T) {
	needTFLite(t)
	data := drawings(t, 8, 8)
	log := slog.New(slog.DiscardHandler)
	c := smallConfig()
	c.Network.Channels = []int{16, 32}
	c.Schedule = ScheduleConfig{Steps: 80, Evaluate: 80, Checkpoint: 80}
	c.Optimizer.LearningRate = 5e-3
	run := filepath.Join(t.TempDir(), "run")
	r, err := Start(t.Context(), Description{Data: data, Config: c}, run, &silent{}, log)
	if err != nil {
		t.Fatal(err)
	}
	if r.Best.RecallAt1 < 0.9 { // guessing finds 0.125
		t.Errorf("recall@1 %.3f after training", r.Best.RecallAt1)
	}

	// The exported network serves as pretrained weights; its batch norms are folded, so the trunk is frozen there.
	c.Network.Weights = filepath.Join(run, checkpoints, "weights.safetensors")
	state := readState(t, run)
	weights := nn.Weights{}
	for name, tensor := range state {
		if base, ok := strings.CutPrefix(name, weightScope+"/"); ok {
			weights[base] = tensor
		}
	}
	var b bytes.Buffer
	if err := nn.WriteSafetensors(&b, weights, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.Network.Weights, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Network.Freeze, c.Network.Views, c.Schedule.Steps = "conv0", 2, 10
	frozen := filepath.Join(t.TempDir(), "frozen")
	r, err = Start(t.Context(), Description{Data: data, Config: c}, frozen, &silent{}, log)
	if err != nil {
		t.Fatal(err)
	}
	if r.Best.RecallAt1 < 0.9 {
		t.Errorf("recall@1 %.3f with a frozen trunk", r.Best.RecallAt1)
	}
	for name := range readState(t, frozen) {
		if strings.Contains(name, "conv0") {
			t.Errorf("%s of the frozen trunk was trained", name)
		}
	}
}

func TestMemoryStartsAfterStartIter(t *testing.T) {
	c := smallConfig()
	p, err := newParts(&c)
	if err != nil {
		t.Fatal(err)
	}
	l := openLearner(t, p.tail, p.weights, &c)
	x := make([]float32, 8*p.tail.Input.Size())
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range x {
		x[i] = rng.Float32()
	}
	for step, want := range []int{0, 0, 0, 8, 16, 20, 20} { // start_iter is 3, the batch 8, the memory 20
		if _, err := l.step(x, []int32{0, 0, 1, 1, 2, 2, 3, 3}, nil, 1e-3); err != nil {
			t.Fatal(err)
		}
		if got := l.filled(); got != want {
			t.Errorf("after step %d the memory holds %d, want %d", step+1, got, want)
		}
	}
}

func TestBadData(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, data string)
		want  string
	}{
		{"empty folder", func(t *testing.T, data string) { remove(t, filepath.Join(data, "train"), 0) }, "no JPEG or PNG pictures"},
		{"one class", func(t *testing.T, data string) { remove(t, filepath.Join(data, "train"), 1) }, "at least 2"},
	} {
		data := drawings(t, 3, 3)
		c.spoil(t, data)
		run := filepath.Join(t.TempDir(), "run")
		_, err := Start(t.Context(), Description{Data: data, Config: smallConfig()}, run, &silent{}, log)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not say %q", c.name, err, c.want)
		}
		if _, err := os.Stat(run); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: a run folder was left behind", c.name)
		}
	}
}

// remove deletes all but the first n entries of a folder.
func remove(t *testing.T, dir string, n int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries[n:] {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCorruptPhotoIsSkippedAndCounted(t *testing.T) {
	needTFLite(t)
	data := drawings(t, 4, 4)
	bad := filepath.Join(data, "train", "class01", "00.png")
	if err := os.WriteFile(bad, []byte("\x89PNG\r\n\x1a\nhalf"), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	c := smallConfig()
	c.Schedule = ScheduleConfig{Steps: 2, Evaluate: 2, Checkpoint: 2}
	r, err := Start(t.Context(), Description{Data: data, Config: c}, filepath.Join(t.TempDir(), "run"), &silent{}, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if r.Skipped != 1 || r.Photos != 15 || !strings.Contains(said.String(), bad) {
		t.Errorf("skipped %d, used %d, said %q; want 1, 15 and the name of the photo", r.Skipped, r.Photos, said.String())
	}
}

func TestValidateNamesTheKeys(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Fatalf("the defaults are refused: %v", err)
	}
	for want, spoil := range map[string]func(c *Config){
		"network.name":                             func(c *Config) { c.Network.Name = "vgg" },
		"workers is -1":                            func(c *Config) { c.Workers = -1 },
		"network.freeze":                           func(c *Config) { c.Network.Weights, c.Network.Freeze = noWeights, "pool" },
		"network.channels holds 100000":            func(c *Config) { c.Network.Name, c.Network.Channels = "smallcnn", []int{100000} },
		"network.views is 1000000000":              func(c *Config) { c.Network.Views = 1e9 },
		"xbm.size":                                 func(c *Config) { c.XBM.Size = 10 },
		"xbm.weight is -1":                         func(c *Config) { c.XBM.Weight = -1 },
		"a batch has at most 65536":                func(c *Config) { c.Sampler, c.XBM.Size = SamplerConfig{1 << 16, 2}, 0 },
		"sampler.photos 4611686018427387904":       func(c *Config) { c.Sampler, c.XBM.Size = SamplerConfig{4, 1 << 62}, 0 },
		"a batch of 9, which 2 devices cannot":     func(c *Config) { c.Backend, c.Sampler = "xla:cpu×2", SamplerConfig{3, 3} },
		"backend \"xla:cpu×00\" has no device":     func(c *Config) { c.Backend = "xla:cpu×00" },
		"optimizer.rates are all 0":                func(c *Config) { c.Optimizer.Rates = RatesConfig{} },
		"semihard, which XLA cannot compute: take": func(c *Config) { c.Backend, c.Loss.Name, c.Loss.Triplet.Mining = "xla:cpu", lossTriplet, "semihard" },
	} {
		c := DefaultConfig()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}

// TestDevicesShareWhatIsLeft: a batch that is made smaller for want of classes must still come out even.
func TestDevicesShareWhatIsLeft(t *testing.T) {
	c := smallConfig()
	c.Sampler = SamplerConfig{Classes: 4, Photos: 3}
	f := &fitting{cfg: &c, devices: 2, log: slog.New(slog.DiscardHandler)}
	set := &dataset.Dataset{Classes: []string{"a", "b", "c"}, Labels: []int{0, 0, 1, 1, 2, 2}}
	if err := f.divide(set); err == nil || !strings.Contains(err.Error(), "take a multiple of 2") {
		t.Errorf("error %v for a batch of 9 on 2 devices", err)
	}
}

func TestSlowMiningIsWarnedOf(t *testing.T) {
	c := smallConfig()
	c.Loss.Name, c.Loss.Triplet.Mining = lossTriplet, "semihard"
	for size, want := range map[int]bool{8192: false, 8193: true} {
		c.XBM.Size = size
		var said bytes.Buffer
		_, err := Start(t.Context(), Description{Data: "/none", Config: c}, filepath.Join(t.TempDir(), "run"), &silent{}, slog.New(slog.NewTextHandler(&said, nil)))
		if err == nil || strings.Contains(said.String(), "semi-hard") != want {
			t.Errorf("a memory of %d: %v, said %q", size, err, said.String())
		}
	}
}

func TestNameThatJSONCannotHold(t *testing.T) {
	_, err := Start(t.Context(), Description{Data: "/photos\xff", Config: smallConfig()}, filepath.Join(t.TempDir(), "run"), &silent{}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), `"/photos\xff" is not UTF-8`) {
		t.Errorf("error %v", err)
	}
}

// TestDeploySize: what is left for the board takes larger pictures than it was trained on.
func TestDeploySize(t *testing.T) {
	needTFLite(t)
	c := smallConfig()
	c.Network.DeploySize = 24
	run := filepath.Join(t.TempDir(), "run")
	if _, err := Start(t.Context(), Description{Data: drawings(t, 4, 6), Config: c}, run, &silent{}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	net, _, err := nn.ReadNetwork(run)
	if err != nil {
		t.Fatal(err)
	}
	if want := (nn.Shape{H: 24, W: 24, C: 3}); net.Input != want {
		t.Errorf("input %v, want %v", net.Input, want)
	}
	c.Network.Pooling = "max"
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "network.deploy_size") {
		t.Errorf("with max pooling: %v", err)
	}
}
