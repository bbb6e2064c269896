package trainer

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/nn"
)

// Files of a run folder, besides the network of the best checkpoint (nn.WriteNetwork).
const (
	configFile  = "config.json"
	metricsFile = "metrics.jsonl"
	latestFile  = "latest.safetensors"    // everything needed to go on
	bestFile    = "best.safetensors"      // the same, of the best evaluation
	keptFile    = "step-%07d.safetensors" // the same, of every few epochs
	checkpoints = "checkpoints"
)

// WeightsFile is the file of a run folder that holds the weights of the best checkpoint with their batch norms, to start another run
// from.
const WeightsFile = "weights.safetensors"

// Description is what a run was started with.
type Description struct {
	Data   string `json:"data"` // what dataset.OpenTrain takes
	Config Config `json:"config"`

	Version string `json:"-"` // of the program, for the environment
}

// Metrics is one line of metrics.jsonl.
type Metrics struct {
	Step         int     `json:"step"`
	Epoch        float64 `json:"epoch"`         // times that every photo has been seen, about
	Loss         float64 `json:"loss"`          // mean since the line before
	GradientNorm float64 `json:"gradient_norm"` // mean since the line before, before clipping
	LearningRate float64 `json:"learning_rate"`
	Memory       int     `json:"memory"` // entries filled
	RecallAt1    float64 `json:"recall_at_1"`
	RecallAt5    float64 `json:"recall_at_5"`
	MAP          float64 `json:"map"`
	// The same photos, looking among the old model's embeddings (compatible.model).
	CompatibleRecallAt1 float64 `json:"compatible_recall_at_1,omitempty"`
	CompatibleMAP       float64 `json:"compatible_map,omitempty"`
	ImagesPerSec        float64 `json:"images_per_second"`
	Best                bool    `json:"best"`
}

// better reports whether m is a better checkpoint than best: by mean average precision, which every photo moves a
// little, then by recall@1, which on a few held-back photos is all steps. Where there is an old model, what is found
// among its embeddings counts as much as what is found among the network's own.
func (m *Metrics) better(best *Metrics) bool {
	if best == nil {
		return true
	}
	if a, b := m.MAP+m.CompatibleMAP, best.MAP+best.CompatibleMAP; a != b {
		return a > b
	}
	return m.RecallAt1+m.CompatibleRecallAt1 > best.RecallAt1+best.CompatibleRecallAt1
}

// folder is a run folder.
type folder string

func (f folder) path(name string) string { return filepath.Join(string(f), name) }
func (f folder) checkpoint(name string) string {
	return filepath.Join(string(f), checkpoints, name)
}

// free reports whether a new run can be written there. It is asked before the work that comes first, which may take
// long. A folder that already holds a run is refused, so that none is overwritten by mistake.
func (f folder) free() error {
	if err := f.empty(); err != nil {
		return err
	}
	parent := filepath.Clean(string(f)) // or the nearest folder above it that is there already
	for {
		info, err := os.Stat(parent)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("create run: %s is a file: take another --out", parent)
		}
		if err == nil {
			break
		}
		above := filepath.Dir(parent)
		if above == parent {
			return fmt.Errorf("create run: %w", err)
		}
		parent = above
	}
	probe, err := os.CreateTemp(parent, ".xbm-train-*")
	if err != nil {
		return fmt.Errorf("create run: %s cannot be written: %w", parent, errors.Unwrap(err))
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// empty refuses a folder that already holds a run.
func (f folder) empty() error {
	if _, err := os.Stat(f.path(configFile)); err != nil {
		return nil //nolint:nilerr // what else is wrong with it shows when it is written
	}
	if _, err := os.Stat(f.checkpoint(latestFile)); err != nil {
		return fmt.Errorf("%s already holds a run that has no checkpoint yet: take another --out, or remove it", f)
	}
	return fmt.Errorf("%s already holds a run: take another --out, or go on with it by --resume %s", f, f)
}

// create makes a new run folder, with the int8 model of its trunk unless that is nil, and opens its log.
func (f folder) create(d *Description, trunk []byte, log *runLog) error {
	if err := os.MkdirAll(f.path(checkpoints), 0o755); err != nil { //nolint:gosec // a run is meant to be read by others
		return fmt.Errorf("create run: %w", err)
	}
	if err := log.open(f); err != nil {
		return err
	}
	if err := f.empty(); err != nil { // another may have begun one since free was asked
		return err
	}
	if err := f.writeTrunk(trunk); err != nil {
		return err
	}
	return atomicfile.WriteJSON(f.path(configFile), 0o644, d)
}

// ReadDescription returns what the run in that folder was started with.
func ReadDescription(run string) (*Description, error) {
	raw, err := os.ReadFile(folder(run).path(configFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no run: it has no %s", run, configFile)
	}
	if err != nil {
		return nil, fmt.Errorf("read run: %w", err)
	}
	d := &Description{}
	if err := json.Unmarshal(raw, d); err != nil {
		return nil, fmt.Errorf("read run: %s: %w", folder(run).path(configFile), err)
	}
	return d, nil
}

// writeNetwork writes the network for the converter, and its weights as they were trained.
func (f folder) writeNetwork(net *nn.Network, w nn.Weights) error {
	err := atomicfile.Write(f.path(WeightsFile), 0o644, func(out io.Writer) error { return nn.WriteSafetensors(out, w, nil) })
	if err != nil {
		return err
	}
	net, folded, err := nn.Fold(net, w)
	if err != nil {
		return err
	}
	return nn.WriteNetwork(string(f), net, folded)
}

// sweep removes what a killed run was about to write.
func (f folder) sweep() error {
	for _, pattern := range []string{f.path(".*.tmp-*"), f.checkpoint(".*.tmp-*")} {
		left, err := filepath.Glob(pattern)
		if err != nil {
			return fmt.Errorf("sweep run: %w", err)
		}
		for _, name := range left {
			if err := os.Remove(name); err != nil {
				return fmt.Errorf("sweep run: %w", err)
			}
		}
	}
	return nil
}

// record appends a line to metrics.jsonl.
func (f folder) record(m *Metrics) error {
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(f.path(metricsFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644) //nolint:gosec // as above
	if err != nil {
		return fmt.Errorf("record metrics: %w", err)
	}
	_, err = file.Write(append(line, '\n'))
	return errors.Join(err, file.Close())
}

// rewind drops the lines of metrics.jsonl that a killed run wrote after its last checkpoint, and half a last line.
func (f folder) rewind(step int) error {
	file, err := os.Open(f.path(metricsFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read metrics: %w", err)
	}
	var keep []byte
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var m Metrics
		if json.Unmarshal(lines.Bytes(), &m) == nil && m.Step <= step {
			keep = append(append(keep, lines.Bytes()...), '\n')
		}
	}
	if err := errors.Join(lines.Err(), file.Close()); err != nil {
		return fmt.Errorf("read metrics: %w", err)
	}
	return atomicfile.WriteBytes(f.path(metricsFile), 0o644, keep)
}
