package nn

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
)

// maxHeader bounds the JSON header of a safetensors file, in bytes, as the format's own library does.
const maxHeader = 100 << 20

type tensorInfo struct {
	DType   DType    `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// ReadSafetensors reads a file in the safetensors format: an 8-byte little-endian length, a JSON header of that length
// and the raw values, which become float32. Integers, such as PyTorch's counts of batches, are passed over. Files from
// elsewhere are taken as hostile: nothing is allocated before the sizes in the header are known to fit the file.
func ReadSafetensors(path string) (Weights, error) {
	w, _, err := ReadSafetensorsMetadata(path)
	return w, err
}

// ReadSafetensorsMetadata is ReadSafetensors for files whose metadata matter too.
func ReadSafetensorsMetadata(path string) (Weights, map[string]string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read weights: %w", err)
	}
	w, metadata, err := ParseSafetensors(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("%s is no usable safetensors file: %w", path, err)
	}
	return w, metadata, nil
}

// metadataKey is the header's entry that is no tensor.
const metadataKey = "__metadata__"

// ParseSafetensors is ReadSafetensorsMetadata for a file's content.
func ParseSafetensors(raw []byte) (w Weights, metadata map[string]string, err error) {
	if len(raw) < 8 {
		return nil, nil, fmt.Errorf("%d bytes are too few", len(raw))
	}
	n := binary.LittleEndian.Uint64(raw)
	if n > maxHeader || n > uint64(len(raw)-8) {
		return nil, nil, fmt.Errorf("its header says %d bytes, the file has %d", n, len(raw))
	}
	var header map[string]json.RawMessage
	if err := json.Unmarshal(raw[8:8+n], &header); err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	data := raw[8+n:]
	w = Weights{}
	for name, field := range header {
		if name == metadataKey {
			if err := json.Unmarshal(field, &metadata); err != nil {
				return nil, nil, fmt.Errorf("metadata: %w", err)
			}
			continue
		}
		var info tensorInfo
		if err := json.Unmarshal(field, &info); err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		if strings.HasPrefix(string(info.DType), "I") || strings.HasPrefix(string(info.DType), "U") {
			continue
		}
		t, err := info.decode(data)
		if err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		w[name] = t
	}
	return w, metadata, nil
}

func (info *tensorInfo) decode(data []byte) (*Tensor, error) {
	size := int64(info.DType.Size())
	if size == 0 {
		return nil, fmt.Errorf("type %s; F16, BF16, F32 and F64 are read", info.DType)
	}
	begin, end := info.Offsets[0], info.Offsets[1]
	if begin < 0 || end < begin || end > int64(len(data)) {
		return nil, fmt.Errorf("bytes %d to %d are not in the file: it is cut short", begin, end)
	}
	count := int64(1)
	for _, d := range info.Shape {
		if d < 0 || (d > 0 && count > int64(len(data))/int64(d)) {
			return nil, fmt.Errorf("shape %v does not fit the file", info.Shape)
		}
		count *= int64(d)
	}
	if count*size != end-begin {
		return nil, fmt.Errorf("shape %v needs %d bytes, got %d", info.Shape, count*size, end-begin)
	}
	return &Tensor{Shape: info.Shape, Data: info.DType.Decode(data[begin:end])}, nil
}

// WriteSafetensors writes float32 tensors, sorted by name, so that the same weights give the same bytes. The metadata
// may be nil.
func WriteSafetensors(out io.Writer, w Weights, metadata map[string]string) error {
	return writeSafetensors(out, w, metadata, F32, func(buf []byte, v float32) []byte {
		return binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
	})
}

// WriteSafetensorsF16 is WriteSafetensors in half precision: half the size, and 11 bits of every value. It fails for
// values that have no half-precision number near them.
func WriteSafetensorsF16(out io.Writer, w Weights, metadata map[string]string) error {
	for name, t := range w {
		for _, v := range t.Data {
			if !(math.Abs(float64(v)) < 65520) { // the negation also catches NaN
				return fmt.Errorf("tensor %q holds %g, which half precision cannot: write float32", name, v)
			}
		}
	}
	return writeSafetensors(out, w, metadata, F16, func(buf []byte, v float32) []byte {
		return binary.LittleEndian.AppendUint16(buf, toHalf(v))
	})
}

func writeSafetensors(out io.Writer, w Weights, metadata map[string]string, d DType, put func([]byte, float32) []byte) error {
	names := slices.Sorted(maps.Keys(w))
	header := map[string]any{}
	if len(metadata) > 0 {
		header[metadataKey] = metadata
	}
	offset := int64(0)
	for _, name := range names {
		t := w[name]
		size := int64(d.Size() * len(t.Data))
		shape := append([]int{}, t.Shape...) // never null, which other readers refuse: a scalar's shape is []
		header[name] = tensorInfo{DType: d, Shape: shape, Offsets: [2]int64{offset, offset + size}}
		offset += size
	}
	text, err := json.Marshal(header)
	if err != nil {
		return fmt.Errorf("safetensors header: %w", err)
	}
	for len(text)%8 != 0 { // values start at a multiple of eight bytes
		text = append(text, ' ')
	}
	if _, err := out.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(text)))); err != nil {
		return err
	}
	if _, err := out.Write(text); err != nil {
		return err
	}
	for _, name := range names {
		buf := make([]byte, 0, d.Size()*len(w[name].Data))
		for _, v := range w[name].Data {
			buf = put(buf, v)
		}
		if _, err := out.Write(buf); err != nil {
			return err
		}
	}
	return nil
}
