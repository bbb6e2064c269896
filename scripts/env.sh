# shellcheck shell=sh
# Sourced (`. scripts/env.sh`) by the Makefile, CI and people, from the repository or, in bash, from anywhere: sets
# what cgo, the linker and the Go compiler need. Sourcing it twice changes nothing.
#
# Reads   TFLITE_DIR  folder with include/ and lib/ of TensorFlow Lite (default: build/tflite, see scripts/setup.sh)
# Exports CGO_CFLAGS CGO_CPPFLAGS CGO_CXXFLAGS CGO_LDFLAGS GOEXPERIMENT GOFLAGS
#         XBM_TAGS    the build tags, which are in GOFLAGS too; a part whose library is absent has none

# shellcheck disable=SC3028,SC2128 # bash only; the first element is this file
if [ -n "${BASH_VERSION:-}" ]; then
  xbm_root=$(cd "$(dirname "$BASH_SOURCE")/.." && pwd)
else
  xbm_root=$PWD
  while [ ! -f "$xbm_root/scripts/env.sh" ] && [ "$xbm_root" != / ]; do
    xbm_root=$(dirname "$xbm_root")
  done
fi
xbm_tflite=${TFLITE_DIR:-$xbm_root/build/tflite}

XBM_TAGS=""
CGO_CFLAGS="-O2 -g"
CGO_CPPFLAGS=""
CGO_CXXFLAGS="-O2 -g --std=c++11 -DNDEBUG"
# CGO_LDFLAGS goes to every cgo package; --as-needed keeps OpenCV out of programs that do not use it.
CGO_LDFLAGS="-O2 -g -Wl,--as-needed"

if [ -f "$xbm_tflite/lib/libtensorflowlite_c.so" ]; then
  XBM_TAGS="$XBM_TAGS tflite"
  # Our header for XNNPACK comes last: a library that ships its own is compiled against that one.
  CGO_CFLAGS="$CGO_CFLAGS -I$xbm_tflite/include -I$xbm_root/internal/tflite/include"
  CGO_LDFLAGS="$CGO_LDFLAGS -L$xbm_tflite/lib -Wl,-rpath,$xbm_tflite/lib"
else
  echo "env: no TensorFlow Lite in $xbm_tflite: building without it (scripts/setup.sh fetches it)" >&2
fi

if command -v pkg-config >/dev/null && pkg-config --exists opencv4; then
  # gocv's imgcodecs wrapper has no build tag, so its library has to be named as well.
  XBM_TAGS="$XBM_TAGS customenv gocv_specific_modules gocv_videoio"
  CGO_CPPFLAGS=$(pkg-config --cflags opencv4)
  CGO_LDFLAGS="$CGO_LDFLAGS -lopencv_core -lopencv_imgproc -lopencv_videoio -lopencv_imgcodecs"
else
  echo "env: no OpenCV: building without it (scripts/setup.sh installs it)" >&2
fi
XBM_TAGS=${XBM_TAGS# }

# The vector instructions of the trainer's pure-Go engine; arm64 has none.
if [ "$(go env GOARCH)" = amd64 ]; then
  GOEXPERIMENT=simd
else
  GOEXPERIMENT=""
fi

GOFLAGS="$(go env GOFLAGS | sed 's/-tags=[^ ]*//; s/^ *//; s/ *$//')"
GOFLAGS="${GOFLAGS:+$GOFLAGS }-tags=$(echo "$XBM_TAGS" | tr ' ' ',')"

export XBM_TAGS CGO_CFLAGS CGO_CPPFLAGS CGO_CXXFLAGS CGO_LDFLAGS GOEXPERIMENT GOFLAGS
unset xbm_root xbm_tflite
