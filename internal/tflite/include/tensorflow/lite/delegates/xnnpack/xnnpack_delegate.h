/* Declares the part of TensorFlow Lite's XNNPACK delegate that is used, for libraries that come without its header.
 *
 * The layout is that of TensorFlow Lite 2.9. Later versions return a longer struct, by value, so this declaration must
 * not be used with them: XBM_XNNPACK_VERSION lets the code that opens models compare it with the library's version.
 * A library folder that has its own header comes first on the include path (see scripts/env.sh). */
#ifndef XBM_XNNPACK_DELEGATE_H
#define XBM_XNNPACK_DELEGATE_H

#include <stdint.h>
#include <tensorflow/lite/c/common.h>

#define XBM_XNNPACK_VERSION "2.9."

#define TFLITE_XNNPACK_DELEGATE_FLAG_QS8 0x00000001
#define TFLITE_XNNPACK_DELEGATE_FLAG_QU8 0x00000002

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t num_threads; /* 0 or 1: the calling thread alone */
  uint32_t flags;      /* which integer operators are taken */
  void* weights_cache; /* optional */
} TfLiteXNNPackDelegateOptions;

TfLiteXNNPackDelegateOptions TfLiteXNNPackDelegateOptionsDefault(void);
TfLiteDelegate* TfLiteXNNPackDelegateCreate(const TfLiteXNNPackDelegateOptions* options);
void TfLiteXNNPackDelegateDelete(TfLiteDelegate* delegate);

#ifdef __cplusplus
}
#endif

#endif
