package trainer

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/nn"
)

// Files of a run folder, besides the network of the best checkpoint (nn.WriteNetwork).
const (
	configFile  = "config.json"
	metricsFile = "metrics.jsonl"
	latestFile  = "latest.safetensors" // everything needed to go on
	bestFile    = "best.safetensors"   // the same, of the best evaluation
	checkpoints = "checkpoints"
)

// Description is what a run was started with.
type Description struct {
	Data   string `json:"data"` // folder of class folders
	Config Config `json:"config"`
}

// Metrics is one line of metrics.jsonl.
type Metrics struct {
	Step         int     `json:"step"`
	Loss         float64 `json:"loss"` // mean since the line before
	LearningRate float64 `json:"learning_rate"`
	Memory       int     `json:"memory"` // entries filled
	RecallAt1    float64 `json:"recall_at_1"`
	RecallAt5    float64 `json:"recall_at_5"`
	MAP          float64 `json:"map"`
	ImagesPerSec float64 `json:"images_per_second"`
	Best         bool    `json:"best"`
}

// better reports whether m is a better checkpoint than best: by mean average precision, which every photo moves a
// little, then by recall@1, which on a few held-back photos is all steps.
func (m *Metrics) better(best *Metrics) bool {
	if best == nil || m.MAP != best.MAP {
		return best == nil || m.MAP > best.MAP
	}
	return m.RecallAt1 > best.RecallAt1
}

// folder is a run folder.
type folder string

func (f folder) path(name string) string { return filepath.Join(string(f), name) }
func (f folder) checkpoint(name string) string {
	return filepath.Join(string(f), checkpoints, name)
}

// create makes a new run folder. One that already holds a run is refused, so that none is overwritten by mistake.
func (f folder) create(d *Description) error {
	if _, err := os.Stat(f.path(configFile)); err == nil {
		return fmt.Errorf("%s already holds a run: take another --out, or go on with it by --resume %s", f, f)
	}
	if err := os.MkdirAll(f.path(checkpoints), 0o755); err != nil { //nolint:gosec // a run is meant to be read by others
		return fmt.Errorf("create run: %w", err)
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

// progressKeys are the metadata of a checkpoint.
const (
	stepKey    = "step"
	samplerKey = "sampler"
	bestKey    = "best"
)

// checkpoint is a moment of a run.
type checkpoint struct {
	step    int
	sampler []byte
	best    *Metrics // nil before the first evaluation
	state   nn.Weights
}

func (f folder) save(name string, c *checkpoint) error {
	metadata := map[string]string{stepKey: strconv.Itoa(c.step), samplerKey: string(c.sampler)}
	if c.best != nil {
		best, err := json.Marshal(c.best)
		if err != nil {
			return err
		}
		metadata[bestKey] = string(best)
	}
	return atomicfile.Write(f.checkpoint(name), 0o644, func(out io.Writer) error {
		return nn.WriteSafetensors(out, c.state, metadata)
	})
}

func (f folder) load(name string) (*checkpoint, error) {
	state, metadata, err := nn.ReadSafetensorsMetadata(f.checkpoint(name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s has no checkpoint yet: start it anew with another --out", f)
	}
	if err != nil {
		return nil, err
	}
	c := &checkpoint{sampler: []byte(metadata[samplerKey]), state: state}
	if c.step, err = strconv.Atoi(metadata[stepKey]); err != nil {
		return nil, fmt.Errorf("checkpoint %s: step: %w", f.checkpoint(name), err)
	}
	if best := metadata[bestKey]; best != "" {
		if err := json.Unmarshal([]byte(best), &c.best); err != nil {
			return nil, fmt.Errorf("checkpoint %s: best: %w", f.checkpoint(name), err)
		}
	}
	return c, nil
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
