//go:build !cgo || !tflite

package tflite

// Interpreter stands in for the real one; there never is a value of it.
type Interpreter struct{}

// Available returns nil when models can be run, and otherwise ErrUnavailable.
func Available() error { return ErrUnavailable }

// Version returns the version of the TensorFlow Lite library, empty without one.
func Version() string { return "" }

// HeapInUse returns the bytes that TensorFlow Lite holds.
func HeapInUse() int { return 0 }

// Open returns ErrUnavailable.
func Open([]byte, Options) (*Interpreter, error) { return nil, ErrUnavailable }

// Inputs describes the inputs.
func (*Interpreter) Inputs() []TensorInfo { return nil }

// Outputs describes the outputs.
func (*Interpreter) Outputs() []TensorInfo { return nil }

// Delegated reports whether XNNPACK takes part.
func (*Interpreter) Delegated() bool { return false }

// Taken returns which operators XNNPACK computes.
func (*Interpreter) Taken() []int { return nil }

// Arena returns the bytes of the memory that the values share outside of XNNPACK.
func (*Interpreter) Arena() int { return 0 }

// InputInt8 returns ErrUnavailable.
func (*Interpreter) InputInt8(int) ([]int8, error) { return nil, ErrUnavailable }

// InputUint8 returns ErrUnavailable.
func (*Interpreter) InputUint8(int) ([]uint8, error) { return nil, ErrUnavailable }

// InputFloat32 returns ErrUnavailable.
func (*Interpreter) InputFloat32(int) ([]float32, error) { return nil, ErrUnavailable }

// OutputInt8 returns ErrUnavailable.
func (*Interpreter) OutputInt8(int) ([]int8, error) { return nil, ErrUnavailable }

// OutputUint8 returns ErrUnavailable.
func (*Interpreter) OutputUint8(int) ([]uint8, error) { return nil, ErrUnavailable }

// OutputFloat32 returns ErrUnavailable.
func (*Interpreter) OutputFloat32(int) ([]float32, error) { return nil, ErrUnavailable }

// Invoke returns ErrUnavailable.
func (*Interpreter) Invoke() error { return ErrUnavailable }

// Close does nothing.
func (*Interpreter) Close() error { return nil }
