//go:build cgo && tflite

package tflite

/*
#cgo CFLAGS: -I${SRCDIR}/include
#cgo LDFLAGS: -ltensorflowlite_c
#include <stdlib.h>
#include <tensorflow/lite/c/c_api.h>
#include <tensorflow/lite/delegates/xnnpack/xnnpack_delegate.h>

#ifdef XBM_XNNPACK_VERSION
static const char* header_version(void) { return XBM_XNNPACK_VERSION; }
#else
static const char* header_version(void) { return ""; }
#endif

// Without the two flags XNNPACK leaves all integer operators to TensorFlow Lite's plain kernels.
static TfLiteDelegate* create_xnnpack(int32_t threads) {
	TfLiteXNNPackDelegateOptions options = TfLiteXNNPackDelegateOptionsDefault();
	options.num_threads = threads;
	options.flags |= TFLITE_XNNPACK_DELEGATE_FLAG_QS8 | TFLITE_XNNPACK_DELEGATE_FLAG_QU8;
	return TfLiteXNNPackDelegateCreate(&options);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/tphakala/go-tflite/delegates"
)

// Available returns nil when models can be run, and otherwise ErrUnavailable.
func Available() error { return nil }

// Version returns the version of the TensorFlow Lite library, empty without one.
func Version() string { return C.GoString(C.TfLiteVersion()) }

// xnnpack is go-tflite's XNNPACK delegate with the integer operators switched on.
type xnnpack struct{ delegate *C.TfLiteDelegate }

var (
	_ delegates.Delegater = (*xnnpack)(nil)
	_ delegates.Deleter   = (*xnnpack)(nil)
)

func newXNNPack(threads int) (*xnnpack, error) {
	if header := C.GoString(C.header_version()); !strings.HasPrefix(Version(), header) {
		return nil, fmt.Errorf("the TensorFlow Lite library is version %s, the XNNPACK header it was built with is for %s0: "+
			"put the library's own xnnpack_delegate.h into its include folder and build again", Version(), header)
	}
	d := C.create_xnnpack(C.int32_t(threads))
	if d == nil {
		return nil, errors.New("XNNPACK could not be started")
	}
	return &xnnpack{d}, nil
}

// Ptr returns the C delegate.
func (x *xnnpack) Ptr() unsafe.Pointer { return unsafe.Pointer(x.delegate) }

// Delete frees the delegate, which no interpreter may use any more.
func (x *xnnpack) Delete() {
	if x.delegate != nil {
		C.TfLiteXNNPackDelegateDelete(x.delegate)
		x.delegate = nil
	}
}
