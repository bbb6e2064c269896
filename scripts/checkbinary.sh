#!/usr/bin/env bash
# Refuses a program that is not fit to be shipped: for another architecture, without one of its parts, too big, or
# bound to this machine. The build runs it on what it made.
#
#   scripts/checkbinary.sh FILE ARCH   FILE is xbm-agent, xbm-capture, xbm-stream or one of the tools; ARCH amd64, arm64 or armhf
set -euo pipefail
export LC_ALL=C
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/arch.sh
. "$root/scripts/arch.sh"

# What a board has room for; the trainer, which runs on hosts, has its engine and a backbone inside.
limit=$((20 << 20))
[[ ${1:-} != *xbm-train ]] || limit=$((32 << 20))
faults=0
fault() {
  printf 'checkbinary: %s: %s\n' "$file" "$*" >&2
  faults=$((faults + 1))
}

(($# == 2)) || {
  echo "checkbinary: it takes a file and an architecture" >&2
  exit 2
}
file=$1 arch=$2
tags=tflite libraries=(libtensorflowlite_c.so) libdir=xbm-tools
case ${file##*/} in
xbm-agent) libdir=xbm-agent ;; # OpenCV is for xbm-capture alone: it would take 65 MB of the agent
xbm-stream) tags="" libraries=() libdir=xbm-agent ;;
xbm-capture)
  tags=gocv_videoio libdir=xbm-agent
  libraries=(libopencv_core libopencv_imgproc libopencv_videoio libopencv_imgcodecs)
  ;;
esac

is=$(elf_machine "$file")
[[ $is == "$arch" ]] || fault "it is for $is, not for $arch"

needed=$(readelf -dW "$file" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
for library in "${libraries[@]}"; do
  grep -q "^$library" <<<"$needed" || fault "a part is missing: it is not linked against $library"
done
for library in $(grep '^libopencv' <<<"$needed" || true); do
  [[ " ${libraries[*]} " == *" ${library%%.*} "* ]] || fault "it is linked against $library, which is not used"
done
built=$(go version -m "$file" 2>/dev/null | sed -n 's/.*build[[:space:]]-tags=//p')
for tag in $tags; do
  [[ ",$built," == *",$tag,"* ]] || fault "a part is missing: it was built without the tag $tag"
done

runpath=$(readelf -dW "$file" 2>/dev/null | sed -n 's/.*(R.*PATH).*\[\(.*\)\]/\1/p')
# shellcheck disable=SC2016 # $ORIGIN is for the loader
[[ $runpath == '$ORIGIN/../lib/'$libdir || -z $runpath && ${#libraries[@]} == 0 ]] ||
  fault "it looks for libraries in ${runpath:-no folder of its own}, not in \$ORIGIN/../lib/$libdir"
for path in "$root" "$(go env GOMODCACHE)"; do
  ! grep -qaF "$path" "$file" || fault "it holds a path of this machine: $path"
done

! readelf -SW "$file" 2>/dev/null | grep -q '\.symtab' || fault "it is not stripped"
size=$(stat -c %s "$file")
((size <= limit)) || fault "it has $size bytes, more than $limit"

((faults == 0)) || exit 1
printf 'checkbinary: %s: %s, %d.%d MB, all parts\n' "$file" "$arch" $((size / 1000000)) $((size / 100000 % 10))
