#!/usr/bin/env bash
# Links the whole agent for armhf. No TensorFlow Lite for armhf can be fetched, so a stand-in is made that has the
# functions the agent calls and does nothing; where qemu-arm is, the agent then says which parts it has. Also shows that
# a library for another machine, and programs not fit to be shipped, are refused. Skipped where the cross-compiler is
# missing and cannot be installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/arch.sh
. scripts/arch.sh

die() {
  printf 'cross_test: %s\n' "$*" >&2
  exit 1
}
pass() { printf 'ok      %s\n' "$*"; }

# refused PATTERN COMMAND… runs a command that must fail with that message.
refused() {
  local pattern=$1 output
  shift
  ! output=$("$@" 2>&1) || die "$* succeeded"
  output=$(grep -e "$pattern" <<<"$output") || die "$* did not say: $pattern"
  pass "refused: $output"
}

host=$(host_arch)
[[ -f build/tflite/lib/libtensorflowlite_c.so ]] || die "build/tflite is missing: scripts/setup.sh tflite makes it"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

env -u TFLITE_DIR scripts/setup.sh cross armhf </dev/null >"$work/setup.log" 2>&1 || true # then refuses: no library
for needed in arm-linux-gnueabihf-g++ mmdebstrap; do
  command -v "$needed" >/dev/null || {
    echo "skipped cross_test: $needed is missing (as root: scripts/setup.sh cross armhf)"
    exit
  }
done
refused 'no prebuilt TensorFlow Lite for armhf' env -u TFLITE_DIR scripts/cross.sh armhf
refused 'takes a .deb for another architecture' env XBM_DEBIAN=13 scripts/package.sh all
refused "has a library for $host, not for armhf" env TFLITE_DIR="$PWD/build/tflite" scripts/cross.sh armhf

# The functions that the agent calls are those that the Go sources name.
mkdir -p "$work/tflite/lib"
cp -r build/tflite/include "$work/tflite/"
binding=$(go list -m -f '{{.Dir}}' github.com/tphakala/go-tflite)
{
  echo 'const char *TfLiteVersion(void) { return "stand-in"; }'
  grep -hoE '\bTfLite[A-Za-z0-9]+ *\(' "$binding"/*.go "$binding"/*.h internal/tflite/*.go |
    tr -d ' (' | sort -u | grep -vx TfLiteVersion | sed 's/.*/void &(void) {}/'
} >"$work/standin.c"
arm-linux-gnueabihf-gcc -nostdlib -shared -fPIC -fno-builtin -Wl,-soname,libtensorflowlite_c.so \
  -o "$work/tflite/lib/libtensorflowlite_c.so" "$work/standin.c"
export TFLITE_DIR=$work/tflite
scripts/cross.sh armhf >"$work/cross.log" 2>&1 || {
  tail -20 "$work/cross.log" >&2
  die "the agent does not build for armhf"
}
pass "$(tail -n1 "$work/cross.log")"
refused 'it is for armhf, not for arm64' scripts/checkbinary.sh bin/armhf/xbm-agent arm64
CGO_ENABLED=0 GOARCH=arm64 go build -trimpath -o "$work/stub/xbm-agent" ./agent # what forgetting cgo gives
refused 'a part is missing: it is not linked against libtensorflowlite_c.so' scripts/checkbinary.sh "$work/stub/xbm-agent" arm64
if [[ -f bin/xbm-agent ]]; then # built to be run here
  refused 'it looks for libraries in /' scripts/checkbinary.sh bin/xbm-agent "$host"
  refused 'it is not stripped' scripts/checkbinary.sh bin/xbm-agent "$host"
fi

qemu=$(command -v qemu-arm || command -v qemu-arm-static) || {
  echo "skipped qemu-arm: not there (Debian: apt-get install qemu-user-static)"
  exit
}
parts=$("$qemu" -L build/sysroot-armhf -E LD_LIBRARY_PATH="$work/tflite/lib" bin/armhf/xbm-agent version --json)
[[ $parts == *'"tflite":"stand-in"'* ]] || die "it says: $parts"
parts+=" $("$qemu" -L build/sysroot-armhf bin/armhf/xbm-capture --version)"
[[ $parts == *OpenCV* ]] || die "it says: $parts"
pass "$parts"
