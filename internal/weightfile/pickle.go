package weightfile

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/nlpodyssey/gopickle/pickle"
	"github.com/nlpodyssey/gopickle/types"

	"xbmedge/internal/nn"
)

// lazy is a tensor whose values have not been read yet.
type lazy interface {
	// tensor reads the values: nil where they are no real numbers.
	tensor() (*nn.Tensor, error)
}

// unpickle runs the pickle that raw begins with and returns its value and length. Load turns what PyTorch stores
// outside the pickle into a value; it may be nil.
func unpickle(raw []byte, load func(any) (any, error)) (value any, size int, err error) {
	if size, err = scan(raw); err != nil {
		return nil, 0, err
	}
	defer func() {
		// The library checks lengths, not types: a pickle that was made to confuse it can make it index nothing.
		if r := recover(); r != nil {
			value, err = nil, errors.New("its pickle is damaged")
		}
	}()
	u := pickle.NewUnpickler(bytes.NewReader(raw[:size]))
	u.FindClass = findClass
	u.PersistentLoad = load
	value, err = u.Load()
	if err == nil {
		return value, size, nil
	}
	if r := (&refusedClass{}); errors.As(err, &r) {
		return nil, 0, err
	}
	return nil, 0, fmt.Errorf("its pickle is damaged: %.200s", err.Error()) // the library prints whole values
}

// refusedClass is the error for what a pickle names and this package does not know.
type refusedClass struct{ name string }

func (r *refusedClass) Error() string {
	return fmt.Sprintf("it holds a %s, which is no tensor and was not run: save the tensors alone, "+
		"as torch.save(model.state_dict(), FILE) does", r.name)
}

// findClass returns what a pickle may call. The library knows OrderedDict itself.
func findClass(module, name string) (any, error) {
	switch full := module + "." + name; full {
	case "torch._utils._rebuild_tensor_v2":
		return function(rebuildTensor), nil
	case "torch._utils._rebuild_parameter":
		return function(rebuildParameter), nil
	case "torch.FloatStorage":
		return storageType{nn.F32, 4}, nil
	case "torch.HalfStorage":
		return storageType{nn.F16, 2}, nil
	case "torch.BFloat16Storage":
		return storageType{nn.BF16, 2}, nil
	case "torch.DoubleStorage":
		return storageType{nn.F64, 8}, nil
	case "torch.LongStorage":
		return storageType{size: 8}, nil
	case "torch.IntStorage":
		return storageType{size: 4}, nil
	case "torch.ShortStorage":
		return storageType{size: 2}, nil
	case "torch.CharStorage", "torch.ByteStorage", "torch.BoolStorage":
		return storageType{size: 1}, nil
	case "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct":
		return function(newArray), nil
	case "numpy.ndarray":
		return arrayClass{}, nil
	case "numpy.dtype":
		return function(newDType), nil
	case "numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer":
		return function(arrayFromBuffer), nil
	case "_codecs.encode":
		return function(encodeLatin1), nil
	default:
		return nil, &refusedClass{full}
	}
}

// function is something a pickle may call.
type function func(args []any) (any, error)

// Call implements types.Callable.
func (f function) Call(args ...any) (any, error) { return f(args) }

var _ types.Callable = function(nil)

// entries returns the texts a dictionary has for keys and their values, or nil for what is no dictionary.
func entries(v any) map[string]any {
	out := map[string]any{}
	switch d := v.(type) {
	case *types.OrderedDict:
		for k, e := range d.Map {
			if name, ok := k.(string); ok {
				out[name] = e.Value
			}
		}
	case *types.Dict:
		for _, e := range *d {
			if name, ok := e.Key.(string); ok {
				out[name] = e.Value
			}
		}
	default:
		return nil
	}
	return out
}

// collect reads the tensors of a dictionary, or of the one that training programs put around it. Their values, in
// float32, may take no more than four times the file's bytes, which stops files whose tensors share their values in
// order to be far larger in memory than on disk.
func collect(v any, fileBytes int) (nn.Weights, error) {
	dict := entries(v)
	if dict == nil {
		return nil, errors.New("its pickle holds no dictionary of tensors: save a state_dict")
	}
	for _, key := range []string{"state_dict", "model"} {
		if inner := entries(dict[key]); inner != nil {
			dict = inner
			break
		}
	}
	budget := fileBytes
	w := nn.Weights{}
	for name, value := range dict {
		l, ok := value.(lazy)
		if !ok {
			continue // a counter, a version
		}
		t, err := l.tensor()
		if err != nil {
			return nil, fmt.Errorf("tensor %.100q: %w", name, err)
		}
		if t == nil {
			continue
		}
		if budget -= len(t.Data); budget < 0 {
			return nil, errors.New("its tensors hold more values than it has bytes")
		}
		w[name] = t
	}
	return w, nil
}

// ints returns the elements of a tuple of whole numbers, none below zero.
func ints(v any) ([]int, error) {
	t, ok := v.(*types.Tuple)
	if !ok {
		return nil, errors.New("its pickle is damaged: a shape is no tuple")
	}
	out := make([]int, t.Len())
	for i := range out {
		if out[i], ok = t.Get(i).(int); !ok || out[i] < 0 {
			return nil, errors.New("its pickle is damaged: a shape holds what is no size")
		}
	}
	return out, nil
}

// elements returns the product of a shape, or an error where it exceeds most.
func elements(shape []int, most int) (int, error) {
	n := 1
	for _, d := range shape {
		if d > 0 && n > most/d {
			return 0, fmt.Errorf("shape %v has more than the %d values there are", shape, most)
		}
		n *= d
	}
	return n, nil
}
