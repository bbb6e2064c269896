package weightfile

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/nlpodyssey/gopickle/types"

	"xbmedge/internal/nn"
)

// storageType is the type of the numbers in a storage; dtype is empty for integers.
type storageType struct {
	dtype nn.DType
	size  int
}

// storage is a run of numbers that tensors are views of. PyTorch keeps it outside the pickle.
type storage struct {
	storageType
	numel int
	raw   []byte // nil until it has been found
}

// view is a torch tensor.
type view struct {
	of            *storage
	offset        int
	shape, stride []int
}

var _ lazy = (*view)(nil)

// rebuildTensor is torch._utils._rebuild_tensor_v2(storage, offset, shape, stride, requires_grad, hooks).
func rebuildTensor(args []any) (any, error) {
	if len(args) < 4 {
		return nil, errors.New("a tensor lacks its shape")
	}
	s, ok := args[0].(*storage)
	offset, whole := args[1].(int)
	if !ok || !whole || offset < 0 {
		return nil, errors.New("a tensor lacks its values")
	}
	shape, err := ints(args[2])
	if err != nil {
		return nil, err
	}
	stride, err := ints(args[3])
	if err != nil {
		return nil, err
	}
	if len(stride) != len(shape) {
		return nil, fmt.Errorf("a tensor of shape %v has strides %v", shape, stride)
	}
	return &view{s, offset, shape, stride}, nil
}

// rebuildParameter is torch._utils._rebuild_parameter(tensor, requires_grad, hooks).
func rebuildParameter(args []any) (any, error) {
	if len(args) == 0 {
		return nil, errors.New("a parameter lacks its tensor")
	}
	return args[0], nil
}

func (v *view) tensor() (*nn.Tensor, error) {
	if v.of.dtype == "" {
		return nil, nil
	}
	n, err := elements(v.shape, v.of.numel)
	if err != nil {
		return nil, err
	}
	if len(v.of.raw) < v.of.numel*v.of.size {
		return nil, errors.New("its values are not in the file: it is cut short")
	}
	last := v.offset
	for i, d := range v.shape {
		if d > 1 && v.stride[i] > (v.of.numel-1)/(d-1) {
			return nil, fmt.Errorf("strides %v lead out of its %d values", v.stride, v.of.numel)
		}
		last += max(d-1, 0) * v.stride[i]
	}
	if n > 0 && last >= v.of.numel || v.offset > v.of.numel {
		return nil, fmt.Errorf("shape %v from value %d on leads out of its %d values", v.shape, v.offset, v.of.numel)
	}
	size := v.of.size
	if v.contiguous() {
		return &nn.Tensor{Shape: v.shape, Data: v.of.dtype.Decode(v.of.raw[v.offset*size : (v.offset+n)*size])}, nil
	}
	out := &nn.Tensor{Shape: v.shape, Data: make([]float32, n)}
	index := make([]int, len(v.shape))
	for i := range out.Data {
		at := v.offset
		for k, x := range index {
			at += x * v.stride[k]
		}
		out.Data[i] = v.of.dtype.Decode(v.of.raw[at*size : (at+1)*size])[0]
		for k := len(index) - 1; k >= 0; k-- {
			if index[k]++; index[k] < v.shape[k] {
				break
			}
			index[k] = 0
		}
	}
	return out, nil
}

func (v *view) contiguous() bool {
	want := 1
	for i := len(v.shape) - 1; i >= 0; i-- {
		if v.shape[i] != 1 && v.stride[i] != want {
			return false
		}
		want *= v.shape[i]
	}
	return true
}

// storages hands out one storage for each key that a pickle names.
type storages struct{ byKey map[string]*storage }

// load takes the persistent id ('storage', type, key, device, number of elements).
func (s *storages) load(id any) (any, error) {
	t, ok := id.(*types.Tuple)
	if !ok || t.Len() < 5 || t.Get(0) != "storage" {
		return nil, errors.New("it refers to what is no storage")
	}
	kind, isType := t.Get(1).(storageType)
	key, isText := t.Get(2).(string)
	numel, isWhole := t.Get(4).(int)
	if !isType || !isText || !isWhole || numel < 0 || numel > maxFile {
		return nil, errors.New("it refers to a storage without type, key or size")
	}
	if known := s.byKey[key]; known != nil {
		if known.storageType != kind || known.numel != numel {
			return nil, fmt.Errorf("storage %q is of two kinds", key)
		}
		return known, nil
	}
	s.byKey[key] = &storage{storageType: kind, numel: numel}
	return s.byKey[key], nil
}

// torchArchive reads a .pth of PyTorch 1.6 or later: a zip, not compressed, of data.pkl and a file for each storage.
func torchArchive(raw []byte) (nn.Weights, error) {
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return nil, fmt.Errorf("its archive is damaged or cut short: %w", err)
	}
	files := map[string][]byte{}
	folder := ""
	for _, f := range z.File {
		start, err := f.DataOffset()
		if err != nil {
			return nil, fmt.Errorf("its archive is damaged: %w", err)
		}
		size := f.UncompressedSize64
		if f.Method != zip.Store || start < 0 || size > uint64(len(raw)) || uint64(start)+size > uint64(len(raw)) {
			return nil, fmt.Errorf("%.100q in its archive is compressed or cut short: torch.save writes neither", f.Name)
		}
		files[f.Name] = raw[start : uint64(start)+size]
		if path.Base(f.Name) == "data.pkl" && folder == "" {
			folder = path.Dir(f.Name)
		}
	}
	if folder == "" {
		return nil, errors.New("its archive holds no data.pkl: it is a zip, but not of torch.save")
	}
	if order, ok := files[folder+"/byteorder"]; ok && string(order) != "little" {
		return nil, fmt.Errorf("its numbers are %.10q-endian; save it on another machine", order)
	}
	s := storages{byKey: map[string]*storage{}}
	value, _, err := unpickle(files[folder+"/data.pkl"], s.load)
	if err != nil {
		return nil, err
	}
	for key, storage := range s.byKey {
		storage.raw = files[folder+"/data/"+key]
	}
	return collect(value, len(raw))
}

// torchMagic is the pickle of PyTorch's magic number, which its older files begin with.
var torchMagic = []byte("\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.")

// torchLegacy reads a .pth from before PyTorch 1.6: pickles of the magic number, a version, the machine, the value and
// the storages' keys, then for each key the number of elements in eight bytes and the elements.
func torchLegacy(raw []byte) (nn.Weights, error) {
	s := storages{byKey: map[string]*storage{}}
	at := 0
	next := func() (any, error) {
		value, size, err := unpickle(raw[at:], s.load)
		at += size
		return value, err
	}
	var parts [5]any
	for i := range parts {
		var err error
		if parts[i], err = next(); err != nil {
			return nil, err
		}
	}
	if version, ok := parts[1].(int); !ok || version != 1001 {
		return nil, fmt.Errorf("it is of version %v of PyTorch's old format; 1001 is read: save it anew", parts[1])
	}
	keys, ok := parts[4].(*types.List)
	if !ok {
		return nil, errors.New("its list of storages is missing")
	}
	for _, k := range *keys {
		key, _ := k.(string)
		storage := s.byKey[key]
		if storage == nil {
			return nil, fmt.Errorf("it lists a storage %.50q that no tensor has", key)
		}
		var err error
		if storage.raw, err = legacyStorage(raw[at:], storage); err != nil {
			return nil, err
		}
		at += 8 + len(storage.raw)
	}
	return collect(parts[3], len(raw))
}

func legacyStorage(raw []byte, s *storage) ([]byte, error) {
	if len(raw) < 8 {
		return nil, io.ErrUnexpectedEOF
	}
	n := binary.LittleEndian.Uint64(raw)
	if n != uint64(s.numel) || n > uint64(len(raw)-8)/uint64(s.size) {
		return nil, fmt.Errorf("a storage of %d values does not fit the file: it is cut short", n)
	}
	return raw[8 : 8+s.numel*s.size], nil
}
