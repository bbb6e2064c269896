package trainer

import (
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflitefile"
	"xbmedge/internal/vision"
)

// frozenConfig is smallConfig with a trunk that a run of its own on that data has trained.
func frozenConfig(t *testing.T, data string) Config {
	t.Helper()
	cfg := smallConfig()
	run := filepath.Join(t.TempDir(), "trunk")
	if _, err := Start(t.Context(), Description{Data: data, Config: cfg}, run, &silent{}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	net, _, err := nn.ReadNetwork(run)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Seed, cfg.Network.Weights = 2, filepath.Join(run, WeightsFile)
	cfg.Network.Freeze, cfg.Network.Trunk, cfg.Network.Views = net.Layers[0].Name, trunkInt8, 3
	return cfg
}

// TestInt8TrunkIsWhatTheTailLearnsOn: the tail gets what the int8 model in the run's folder makes of the pixels.
func TestInt8TrunkIsWhatTheTailLearnsOn(t *testing.T) {
	needTFLite(t)
	data := drawings(t, 6, 8)
	cfg := frozenConfig(t, data)
	p, err := newParts(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	pictures := make([]vision.Frame, 8)
	for i := range pictures {
		pictures[i] = vision.NewFrame(16, 16)
		for k := range pictures[i].Pix {
			pictures[i].Pix[k] = byte(k * (i + 3))
		}
	}
	file, err := int8Model(t.Context(), p.trunk, p.weights, pictures)
	if err != nil {
		t.Fatal(err)
	}
	v := newViewSet(stills(pictures), &cfg)
	done := func(float64) {}
	rounded, err := newInt8Outputs(t.Context(), v, p, file, &cfg, done)
	if err != nil {
		t.Fatal(err)
	}
	exact, err := newTrunkOutputs(t.Context(), v, p, &cfg, done)
	if err != nil {
		t.Fatal(err)
	}
	model, err := tflitefile.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	q := model.Tensors[model.Outputs[0]].Quant
	a, b := make([]float32, rounded.size), make([]float32, exact.size)
	var worst, largest float64
	for i := range pictures {
		if err := errors.Join(rounded.Plain(i, a), exact.Plain(i, b)); err != nil {
			t.Fatal(err)
		}
		for k := range a {
			if steps := float64(a[k] / q.Scale[0]); math.Abs(steps-math.Round(steps)) > 1e-3 {
				t.Fatalf("%g is not on the grid of %g", a[k], q.Scale[0])
			}
			worst, largest = max(worst, math.Abs(float64(a[k]-b[k]))), max(largest, math.Abs(float64(b[k])))
		}
	}
	if worst == 0 || worst > 0.1*largest {
		t.Errorf("the int8 trunk is off by %g of %g", worst, largest)
	}
	var filled [2][]float32
	for k, in := range []inputs{rounded, exact} {
		filled[k] = make([]float32, 2*rounded.size)
		if err := in.Fill(5, []int{3, 1}, filled[k]); err != nil {
			t.Fatal(err)
		}
	}
	for k := range filled[0] {
		if math.Abs(float64(filled[0][k]-filled[1][k])) > 0.1*largest {
			t.Fatalf("another view: value %d is %g, in float %g", k, filled[0][k], filled[1][k])
		}
	}
}

// stills are frames in memory.
type stills []vision.Frame

func (s stills) Len() int                                     { return len(s) }
func (s stills) Frame(i int, _ *[]byte) (vision.Frame, error) { return s[i], nil }

func TestInt8TrunkRunResumes(t *testing.T) {
	needTFLite(t)
	data := drawings(t, 6, 8)
	d := Description{Data: data, Config: frozenConfig(t, data)}
	whole, stopped := wholeAndStopped(t, d)
	log := slog.New(slog.DiscardHandler)
	trunk := filepath.Join(stopped, nn.TrunkFile)
	if err := os.Rename(trunk, trunk+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := Resume(t.Context(), stopped, "", nil, &silent{}, log); err == nil || !strings.Contains(err.Error(), "has lost its trunk.tflite") {
		t.Errorf("without the trunk: %v", err)
	}
	if err := os.Rename(trunk+".away", trunk); err != nil {
		t.Fatal(err)
	}
	if _, err := Resume(t.Context(), stopped, "", nil, &silent{}, log); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(readState(t, whole), readState(t, stopped)); diff != "" {
		t.Error("the state differs after the interruption")
	}
}

func TestInt8TrunkNeedsATrunk(t *testing.T) {
	cfg := smallConfig()
	cfg.Network.Trunk = trunkInt8
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "set network.freeze to its last layer") {
		t.Error(err)
	}
}
