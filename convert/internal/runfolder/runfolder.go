// Package runfolder reads what the trainer hands over: a folder with the network and its weights, batch norms folded.
package runfolder

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"xbmedge/internal/nn"
)

// The files of a run folder that the converter reads.
const (
	NetworkFile = "network.json"
	WeightsFile = "model.safetensors"
)

// maxSize bounds the input's width and height, in pixels: what is larger is a mistake or malice.
const maxSize = 2048

// Read returns the network of a run and its weights, which fit each other: an embedder of RGB pictures.
func Read(run string) (*nn.Network, nn.Weights, error) {
	path := filepath.Join(run, NetworkFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s holds no finished run: it has no %s; name a folder that xbm-train fit has written", run, NetworkFile)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read run: %w", err)
	}
	net := &nn.Network{}
	if err := json.Unmarshal(raw, net); err != nil {
		return nil, nil, fmt.Errorf("read run: %s describes no network: %w", path, err)
	}
	if err := check(net); err != nil {
		return nil, nil, fmt.Errorf("read run: %s: %w", path, err)
	}
	w, err := nn.ReadSafetensors(filepath.Join(run, WeightsFile))
	if err != nil {
		return nil, nil, fmt.Errorf("read run: %w", err)
	}
	if err := net.Check(w); err != nil {
		return nil, nil, fmt.Errorf("read run: %s does not belong to %s: %w", WeightsFile, NetworkFile, err)
	}
	return net, w, nil
}

func check(net *nn.Network) error {
	if net.Input.C != 3 || net.Input.H <= 0 || net.Input.W <= 0 || net.Input.H > maxSize || net.Input.W > maxSize {
		return fmt.Errorf("its input is %v, not a picture of at most %d×%d×3", net.Input, maxSize, maxSize)
	}
	out, err := net.Output()
	if err != nil {
		return err
	}
	if out.H != 1 || out.W != 1 {
		return fmt.Errorf("its output is %v, not an embedding", out)
	}
	return nil
}
