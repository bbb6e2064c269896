# shellcheck shell=sh
# Sourced (`. scripts/env.sh`) by the Makefile, CI and people, from the repository or, in bash, from anywhere: sets
# what cgo, the linker and the Go compiler need. Sourcing it twice changes nothing.
#
# Reads   TFLITE_DIR  folder with include/ and lib/ of TensorFlow Lite (default: build/tflite, see scripts/setup.sh)
#         XBM_DEBIAN  12 (default) or 13: the release whose libraries a program for another architecture is linked against
#         XBM_TARGET  empty: to run here, on the libraries where they are now; amd64, arm64 or armhf: to be shipped to
#                     such a machine, finding TensorFlow Lite beside itself (scripts/cross.sh). One a shell
#         XBM_LIBDIR  where a shipped program finds it, as seen from its own folder (default ../lib/xbm-agent)
#         PJRT_PLUGIN_LIBRARY_PATH  folders with XLA's PJRT plugins (default: build/pjrt); any switches XLA on in the trainer
# Exports CGO_CFLAGS CGO_CPPFLAGS CGO_CXXFLAGS CGO_LDFLAGS GOEXPERIMENT GOFLAGS; for a target also GOARCH GOARM
#         CGO_ENABLED and, when it is not this machine, CC CXX PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR
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
xbm_tflite=build/tflite
XBM_TAGS=""
CGO_CFLAGS="-O2 -g"
CGO_CPPFLAGS=""
CGO_CXXFLAGS="-O2 -g --std=c++11 -DNDEBUG"
# CGO_LDFLAGS goes to every cgo package; --as-needed keeps OpenCV out of programs that do not use it.
CGO_LDFLAGS="-O2 -g -Wl,--as-needed"

xbm_triple=""
case ${XBM_TARGET:-} in
"") ;;
amd64) GOARCH=amd64 xbm_triple=x86_64-linux-gnu ;;
arm64) GOARCH=arm64 xbm_triple=aarch64-linux-gnu ;;
armhf) GOARCH=arm GOARM=7 xbm_triple=arm-linux-gnueabihf ;;
*) echo "env: XBM_TARGET=$XBM_TARGET is none of amd64, arm64, armhf" >&2 ;;
esac
if [ -n "$xbm_triple" ]; then
  CGO_ENABLED=${CGO_ENABLED:-1} # Go switches it off when cross-building
  export GOARCH CGO_ENABLED
  [ -z "${GOARM:-}" ] || export GOARM
  if [ "$GOARCH" != "$(go env GOHOSTARCH)" ]; then
    xbm_sysroot=$xbm_root/build/sysroot-$XBM_TARGET
    [ "${XBM_DEBIAN:-12}" = 12 ] || xbm_sysroot=$xbm_sysroot-debian$XBM_DEBIAN
    xbm_tflite=build/tflite-$XBM_TARGET
    CC="$xbm_triple-gcc --sysroot=$xbm_sysroot"
    CXX="$xbm_triple-g++ --sysroot=$xbm_sysroot"
    PKG_CONFIG_SYSROOT_DIR=$xbm_sysroot
    PKG_CONFIG_LIBDIR=$xbm_sysroot/usr/lib/$xbm_triple/pkgconfig:$xbm_sysroot/usr/share/pkgconfig
    export CC CXX PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_LIBDIR
  fi
  # Shipped programs hold no path of this machine, so that the same sources give the same bytes anywhere.
  CGO_CFLAGS="-O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -ffile-prefix-map=$xbm_root=."
  CGO_CXXFLAGS="$CGO_CFLAGS --std=c++11 -DNDEBUG"
  CGO_LDFLAGS="-O2 -Wl,--as-needed -Wl,-z,relro,-z,now"
  # The compiler links against its own, older C library, in which those of a newer Debian miss what they will find there.
  [ "${XBM_DEBIAN:-12}" = 12 ] || CGO_LDFLAGS="$CGO_LDFLAGS -Wl,--allow-shlib-undefined"
fi
xbm_tflite=${TFLITE_DIR:-$xbm_root/$xbm_tflite}

if [ -f "$xbm_tflite/lib/libtensorflowlite_c.so" ]; then
  XBM_TAGS="$XBM_TAGS tflite"
  # Our header for XNNPACK comes last: a library that ships its own is compiled against that one.
  CGO_CFLAGS="$CGO_CFLAGS -I$xbm_tflite/include -I$xbm_root/internal/tflite/include"
  xbm_rpath=$xbm_tflite/lib
  # shellcheck disable=SC2016 # $ORIGIN is for the loader
  [ -z "$xbm_triple" ] || xbm_rpath='$ORIGIN/'${XBM_LIBDIR:-../lib/xbm-agent}
  CGO_LDFLAGS="$CGO_LDFLAGS -L$xbm_tflite/lib -Wl,-rpath,$xbm_rpath"
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

# XLA for the trainer, on this machine only: scripts/setup.sh xla fetches it.
if [ -z "$xbm_triple" ]; then
  for xbm_pjrt in "$xbm_root/build/pjrt/cpu" "$xbm_root/build/pjrt/cuda/jax_plugins/xla_cuda12"; do
    case $xbm_pjrt:${PJRT_PLUGIN_LIBRARY_PATH:-} in
    *:*"$xbm_pjrt"*) ;; # sourced twice
    *) [ ! -d "$xbm_pjrt" ] || PJRT_PLUGIN_LIBRARY_PATH=$xbm_pjrt${PJRT_PLUGIN_LIBRARY_PATH:+:$PJRT_PLUGIN_LIBRARY_PATH} ;;
    esac
  done
  if [ -n "${PJRT_PLUGIN_LIBRARY_PATH:-}" ]; then
    XBM_TAGS="$XBM_TAGS xla"
    export PJRT_PLUGIN_LIBRARY_PATH
  fi
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
unset xbm_root xbm_pjrt xbm_tflite xbm_triple xbm_sysroot xbm_rpath
