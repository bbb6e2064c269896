// Package weightfile reads the weights that others have published, in the files they come in, and fits them to a
// network: safetensors, PyTorch's .pth, PaddleClas's .pdparams and ONNX. All files are taken as hostile. The pickles in
// .pth and .pdparams are programs; what is run of them here can build numbers, texts, lists, dictionaries and tensors,
// and whatever else they name is refused.
//
// Functions keep no state and are safe for concurrent use.
package weightfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"xbmedge/internal/nn"
	"xbmedge/internal/onnxfile"
)

// maxFile bounds the size of a file, in bytes: none of the networks needs a tenth of it.
const maxFile = 1 << 30

// Read returns the tensors of a file under the names they have in it; its format is told by its content. Fit what it
// returns to a network with Match.
func Read(path string) (nn.Weights, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read weights: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("read weights: %s is no file of at most %d MiB", path, maxFile>>20)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read weights: %w", err)
	}
	w, err := Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("read weights: %s: %w", path, err)
	}
	return w, nil
}

var errUnknown = errors.New("it is neither safetensors, nor PyTorch's .pth, nor Paddle's .pdparams, nor ONNX; " +
	"a download that was cut short or a web page in its place looks like this")

// Parse is Read for a file's content. The tensors share no memory with it.
func Parse(raw []byte) (w nn.Weights, err error) {
	switch {
	case safetensors(raw): // first: the length it begins with may look like anything
		w, _, err = nn.ParseSafetensors(raw)
	case bytes.HasPrefix(raw, []byte("PK\x03\x04")):
		w, err = torchArchive(raw)
	case bytes.HasPrefix(raw, torchMagic):
		w, err = torchLegacy(raw)
	case len(raw) > 1 && raw[0] == 0x80 && raw[1] >= 2 && raw[1] <= 5:
		w, err = paddle(raw)
	case len(raw) > 1 && raw[0] == onnxfile.FirstByte:
		w, err = onnxfile.Initializers(raw)
	default:
		return nil, errUnknown
	}
	if err != nil {
		return nil, err
	}
	if len(w) == 0 {
		return nil, errors.New("it holds no tensors of real numbers")
	}
	return w, nil
}

// safetensors reports whether the file begins with the length of a header that fits into it.
func safetensors(raw []byte) bool {
	return len(raw) > 9 && raw[8] == '{' && binary.LittleEndian.Uint64(raw) <= uint64(len(raw)-8)
}
