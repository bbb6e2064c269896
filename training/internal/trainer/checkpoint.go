package trainer

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"os"
	"slices"

	"xbmedge/internal/atomicfile"
	"xbmedge/internal/nn"
)

// The metadata of a checkpoint.
const (
	positionKey = "position"
	samplerKey  = "sampler"
	checksumKey = "crc32c"
)

// checkpoint is a moment of a run.
type checkpoint struct {
	position
	sampler []byte
	state   nn.Weights
}

// position is how far a run has come.
type position struct {
	Step      int      `json:"step"`
	Evaluated int      `json:"evaluated"` // step of the last evaluation
	Best      *Metrics `json:"best"`      // nil before the first
	Losses    float64  `json:"losses"`    // sum of those since the last evaluation
	Norms     float64  `json:"norms"`     // sum of the gradients' norms since then
	Plateau   plateau  `json:"plateau"`   // what decay: plateau has seen
	Inputs    string   `json:"inputs"`    // fingerprint of what is learned from
}

func (f folder) save(name string, c *checkpoint) error {
	text, err := json.Marshal(c.position)
	if err != nil {
		return err
	}
	metadata := map[string]string{positionKey: string(text), samplerKey: string(c.sampler), checksumKey: checksum(c.state)}
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
		return nil, fmt.Errorf("checkpoint: %w; if %s is whole, copy it there", err, f.checkpoint(bestFile))
	}
	c := &checkpoint{sampler: []byte(metadata[samplerKey]), state: state}
	if err := json.Unmarshal([]byte(metadata[positionKey]), &c.position); err != nil || c.Step < 0 {
		return nil, fmt.Errorf("checkpoint %s was not written by xbm-train fit: it does not say how far the run had come", f.checkpoint(name))
	}
	if metadata[checksumKey] != checksum(state) {
		return nil, fmt.Errorf("checkpoint %s is damaged: its checksum is wrong; if %s is whole, copy it there", f.checkpoint(name), f.checkpoint(bestFile))
	}
	return c, nil
}

// checksum is the CRC-32C of names, shapes and values.
func checksum(w nn.Weights) string {
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	buf := make([]byte, 0, 1<<16)
	for _, name := range slices.Sorted(maps.Keys(w)) {
		buf = fmt.Appendf(buf[:0], "%s %v ", name, w[name].Shape)
		for _, v := range w[name].Data {
			if len(buf) > 1<<16-4 {
				sum.Write(buf)
				buf = buf[:0]
			}
			buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
		}
		sum.Write(buf)
	}
	return fmt.Sprintf("%08x", sum.Sum32())
}
