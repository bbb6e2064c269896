#!/usr/bin/env bash
# Builds programs to be shipped, for another architecture or this one, into bin/ARCH: stripped, without any path of
# this machine, the same bytes in every folder. It first installs and makes what it needs.
#
#   scripts/cross.sh arm64                     bin/arm64/xbm-agent, and what it starts to read cameras: xbm-capture with OpenCV,
#                                              xbm-stream without
#   TFLITE_DIR=DIR scripts/cross.sh armhf      the same for armhf, with a TensorFlow Lite of yours (include/, lib/)
#   scripts/cross.sh amd64 tools               bin/amd64/xbm-train and bin/amd64/xbm-convert
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/arch.sh
. scripts/arch.sh

arch=${1:-}
known_arch "$arch" || {
  echo "cross: it takes an architecture: arm64, armhf or amd64" >&2
  exit 2
}
case ${2:-agent} in
agent) programs=(xbm-agent=./agent xbm-capture=./agent/xbm-capture xbm-stream=./agent/xbm-stream) libdir=../lib/xbm-agent ;;
tools) programs=(xbm-train=./training xbm-convert=./convert) libdir=../lib/xbm-tools ;;
*)
  echo "cross: $2 is none of agent and tools" >&2
  exit 2
  ;;
esac

scripts/setup.sh cross "$arch"
[[ $arch == "$(host_arch)" ]] || scripts/sysroot.sh "$arch"
version=$(scripts/version.sh)
export XBM_TARGET=$arch XBM_LIBDIR=$libdir
# shellcheck source=scripts/env.sh
. scripts/env.sh

mkdir -p "bin/$arch"
for program in "${programs[@]}"; do
  file=bin/$arch/${program%%=*}
  rm -f "$file.refused"
  echo "go build $file"
  go build -trimpath -buildvcs=false -buildmode=pie -ldflags "-s -w -buildid= -X xbmedge/internal/cli.version=$version" \
    -o "$file" "${program#*=}"
  scripts/checkbinary.sh "$file" "$arch" || {
    mv "$file" "$file.refused"
    exit 1
  }
done
