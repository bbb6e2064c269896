package nn

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"xbmedge/internal/atomicfile"
)

// What the trainer leaves in the folder of a run for the converter.
const (
	NetworkFile = "network.json"      // the network, without batch norms
	WeightsFile = "model.safetensors" // its weights
	// TrunkFile is there where the first layers were run in int8 in training: their int8 model, to be taken over as it is.
	TrunkFile = "trunk.tflite"
)

// maxSide bounds the input's width and height, in pixels: what is larger is a mistake or malice.
const maxSide = 2048

// WriteNetwork writes a network and its weights into the folder of a run.
func WriteNetwork(run string, net *Network, w Weights) error {
	if err := atomicfile.WriteJSON(filepath.Join(run, NetworkFile), 0o644, net); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(run, WeightsFile), 0o644, func(out io.Writer) error { return WriteSafetensors(out, w, nil) })
}

// ReadNetwork returns the network of a run and its weights, which fit each other: an embedder of RGB pictures.
func ReadNetwork(run string) (*Network, Weights, error) {
	path := filepath.Join(run, NetworkFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s holds no finished run: it has no %s; name a folder that xbm-train fit has written", run, NetworkFile)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read run: %w", err)
	}
	net := &Network{}
	if err := json.Unmarshal(raw, net); err != nil {
		return nil, nil, fmt.Errorf("read run: %s describes no network: %w", path, err)
	}
	if err := net.checkEmbedder(); err != nil {
		return nil, nil, fmt.Errorf("read run: %s: %w", path, err)
	}
	w, err := ReadSafetensors(filepath.Join(run, WeightsFile))
	if err != nil {
		return nil, nil, fmt.Errorf("read run: %w", err)
	}
	if err := net.Check(w); err != nil {
		return nil, nil, fmt.Errorf("read run: %s does not belong to %s: %w", WeightsFile, NetworkFile, err)
	}
	return net, w, nil
}

func (n *Network) checkEmbedder() error {
	if n.Input.C != 3 || n.Input.H <= 0 || n.Input.W <= 0 || n.Input.H > maxSide || n.Input.W > maxSide {
		return fmt.Errorf("its input is %v, not a picture of at most %d×%d×3", n.Input, maxSide, maxSide)
	}
	out, err := n.Output()
	if err != nil {
		return err
	}
	if out.H != 1 || out.W != 1 {
		return fmt.Errorf("its output is %v, not an embedding", out)
	}
	return nil
}
