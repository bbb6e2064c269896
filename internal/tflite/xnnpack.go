//go:build cgo && tflite

package tflite

/*
#cgo CFLAGS: -I${SRCDIR}/include
#cgo LDFLAGS: -ltensorflowlite_c
#include <malloc.h>
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

// watched is what the interpreter gets as its delegate: XNNPACK's, noting what it takes. The C API has no call that
// tells, but a delegate is shown the graph while it takes its part of it.
typedef struct {
	TfLiteDelegate base; // first, so that a pointer to it points at the whole
	TfLiteDelegate* xnnpack;
	TfLiteContext* context; // the interpreter's, and valid as long as it is
	int32_t* taken;         // operators, by their number in the file
	int32_t count;
} watched;

static TfLiteStatus note_taken(TfLiteContext* context, watched* w) {
	TfLiteIntArray* plan;
	TfLiteStatus status = context->GetExecutionPlan(context, &plan);
	for (int i = 0; status == kTfLiteOk && i < plan->size; i++) {
		TfLiteNode* node;
		TfLiteRegistration* registration;
		status = context->GetNodeAndRegistration(context, plan->data[i], &node, &registration);
		if (status != kTfLiteOk || node->delegate != w->xnnpack || node->builtin_data == NULL) continue;
		const TfLiteIntArray* nodes = ((TfLiteDelegateParams*)node->builtin_data)->nodes_to_replace;
		int32_t* grown = realloc(w->taken, (w->count + nodes->size) * sizeof *grown);
		if (grown == NULL) return kTfLiteError;
		w->taken = grown;
		for (int k = 0; k < nodes->size; k++) w->taken[w->count++] = nodes->data[k];
	}
	return status;
}

static TfLiteStatus watched_prepare(TfLiteContext* context, TfLiteDelegate* delegate) {
	watched* w = (watched*)delegate;
	w->context = context;
	w->count = 0;
	TfLiteStatus status = w->xnnpack->Prepare(context, w->xnnpack);
	return status == kTfLiteOk ? note_taken(context, w) : status;
}

static watched* create_watched(int32_t threads) {
	watched* w = calloc(1, sizeof *w);
	if (w == NULL) return NULL;
	w->xnnpack = create_xnnpack(threads);
	if (w->xnnpack == NULL || w->xnnpack->Prepare == NULL) {
		if (w->xnnpack != NULL) TfLiteXNNPackDelegateDelete(w->xnnpack);
		free(w);
		return NULL;
	}
	w->base = *w->xnnpack;
	w->base.Prepare = watched_prepare;
	return w;
}

static void delete_watched(watched* w) {
	TfLiteXNNPackDelegateDelete(w->xnnpack);
	free(w->taken);
	free(w);
}

// arena is the extent of the memory that the interpreter's own tensors share.
static size_t arena(const watched* w) {
	const char* low = NULL;
	const char* high = NULL;
	for (size_t i = 0; w->context != NULL && i < w->context->tensors_size; i++) {
		const TfLiteTensor* t = &w->context->tensors[i];
		if (t->allocation_type != kTfLiteArenaRw || t->data.raw == NULL) continue;
		if (low == NULL || t->data.raw < low) low = t->data.raw;
		if (high == NULL || t->data.raw + t->bytes > high) high = t->data.raw + t->bytes;
	}
	return high - low;
}

// heap_in_use is what malloc has given out and not got back, or 0 where the C library does not say.
static size_t heap_in_use(void) {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
	struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
#else
	return 0;
#endif
}
*/
import "C"

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/tphakala/go-tflite/delegates"
)

// Available returns nil when models can be run, and otherwise ErrUnavailable.
func Available() error { return nil }

// Version returns the version of the TensorFlow Lite library, empty without one.
func Version() string { return C.GoString(C.TfLiteVersion()) }

// HeapInUse returns the bytes that C code, which is TensorFlow Lite, holds in this process, or 0 where that is not known.
// The difference over Open and a first Invoke is what a model takes: its file, its weights as XNNPACK packs them, and
// room for values.
func HeapInUse() int { return int(C.heap_in_use()) }

// xnnpack is go-tflite's XNNPACK delegate with the integer operators switched on, and watched.
type xnnpack struct{ delegate *C.watched }

var (
	_ delegates.Delegater = (*xnnpack)(nil)
	_ delegates.Deleter   = (*xnnpack)(nil)
)

func newXNNPack(threads int) (*xnnpack, error) {
	if header := C.GoString(C.header_version()); !strings.HasPrefix(Version(), header) {
		return nil, fmt.Errorf("the TensorFlow Lite library is version %s, the XNNPACK header it was built with is for %s0: "+
			"put the library's own xnnpack_delegate.h into its include folder and build again", Version(), header)
	}
	d := C.create_watched(C.int32_t(threads))
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
		C.delete_watched(x.delegate)
		x.delegate = nil
	}
}

// taken returns the numbers of the operators that XNNPACK computes, in ascending order.
func (x *xnnpack) taken() []int {
	numbers := make([]int, x.delegate.count)
	for i, n := range unsafe.Slice(x.delegate.taken, len(numbers)) {
		numbers[i] = int(n)
	}
	slices.Sort(numbers)
	return numbers
}

func (x *xnnpack) arena() int { return int(C.arena(x.delegate)) }
