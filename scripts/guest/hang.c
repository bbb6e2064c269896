/* Put before the TensorFlow Lite library (LD_PRELOAD), makes the model hang as long as a file is there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>

int TfLiteInterpreterInvoke(void* interpreter) {
  static int (*real)(void*);
  if (!real) real = (int (*)(void*))dlsym(RTLD_NEXT, "TfLiteInterpreterInvoke");
  while (access("/var/lib/xbm-agent/hang", F_OK) == 0) sleep(1);
  return real(interpreter);
}
