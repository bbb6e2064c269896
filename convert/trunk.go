package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"xbmedge/internal/nn"
	"xbmedge/internal/tflitefile"
)

// fixedTrunk returns the int8 model of the frozen trunk that the rest of a run's network was trained on, or nil where the
// trunk was run in float. Only as it is does the board compute what training saw.
func fixedTrunk(run string) (*tflitefile.Model, error) {
	path := filepath.Join(run, nn.TrunkFile)
	file, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil //nolint:nilnil // most runs have none
	}
	if err != nil {
		return nil, fmt.Errorf("read run: %w", err)
	}
	m, err := tflitefile.Decode(file)
	if err != nil {
		return nil, fmt.Errorf("read run: %s: %w; copy it anew from where the run was trained", path, err)
	}
	return m, nil
}
