#!/usr/bin/env bash
# Installs what the programs are built and tested with: Debian packages, and the TensorFlow Lite C library with its
# headers in build/tflite. It may be run again at any time: what is there and whole is left alone.
#
#   scripts/setup.sh                       everything to build and test on this machine
#   scripts/setup.sh packages | tflite     only one of the two
#   scripts/setup.sh tflite arm64          the library for another architecture, in build/tflite-arm64
#   scripts/setup.sh cross arm64|armhf     everything to build for that architecture here, and only that
#   scripts/setup.sh xla [cuda]            XLA for the trainer on this processor, or on NVIDIA GPUs, in build/pjrt
#   scripts/setup.sh bench | vm            what the tests check packages and services with; what test-vm needs as well
#   TFLITE_DIR=/opt/tflite scripts/setup.sh   use that folder (include/ and lib/) instead of fetching a library;
#                                          scripts/env.sh needs TFLITE_DIR too
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/arch.sh
. scripts/arch.sh

# Both packages are pinned by their content, not only by their version.
readonly npm_package=tfjs-tflite-node@0.0.2
readonly npm_sha256=3be1632328a76a2475e5b6833253763c802c859433becb4d879ee1860e3b5284
readonly maven_artifact=org.tensorflow:tensorflow-lite:2.9.0:aar
readonly maven_sha256=11959d412411f34c52a17bc483061b15fc89d95e52e412b0920121ba45cfecd5
# XLA as a PJRT plugin. The first package repackages zml's build of OpenXLA, unmodified.
readonly xla_cpu_package=fastatomstruct-xla-cpu==2026.6.23
readonly xla_cpu_sha256=88b1c430b341b4bea40a37420311c9c75db6e22b46d2ff95b6986577bee6afe9
readonly xla_cuda_package='jax-cuda12-plugin[with-cuda]==0.10.2'

say() { printf 'setup: %s\n' "$*"; }
die() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

# packages [NAME…] installs these, by default those to build and test with, and what fetches the library.
packages() {
  local wanted=("$@") missing=() name
  if (($# == 0)); then
    wanted=(gcc g++ make pkg-config unzip libopencv-dev libjpeg-turbo-progs mosquitto mosquitto-clients python3-venv)
  fi
  # node and maven only fetch; whatever version is there already will do.
  command -v npm >/dev/null || wanted+=(npm)
  command -v mvn >/dev/null || wanted+=(maven)
  command -v dpkg-query >/dev/null || die "this is not a Debian system: install the equivalents of: ${wanted[*]}"
  for name in "${wanted[@]}"; do
    installed "$name" || missing+=("$name")
  done
  if ((${#missing[@]} == 0)); then
    say "packages: all there (${wanted[*]})"
    return
  fi
  say "packages: installing ${missing[*]}"
  local line="apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ${missing[*]}"
  if [[ $(id -u) == 0 ]]; then
    sh -c "$line"
  elif ! command -v sudo >/dev/null || ! sudo sh -c "$line"; then
    die "installing packages needs root; run this as root, then this script again:
  $line"
  fi
}

# check FILE SHA256 WHAT stops unless the file has that content.
check() {
  local got
  got=$(sha256sum "$1" | cut -d' ' -f1)
  [[ $got == "$2" ]] || die "$3 has sha256 $got instead of $2: it is not the file this script was written for"
}

# whole FOLDER tells whether a library folder is complete and unharmed.
whole() { [[ -f $1/SHA256SUMS ]] && (cd "$1" && sha256sum --check --quiet --strict SHA256SUMS >/dev/null 2>&1); }

# own_folder ARCH holds TFLITE_DIR to what a build for that architecture needs.
own_folder() {
  local is
  [[ -f $TFLITE_DIR/include/tensorflow/lite/c/c_api.h ]] ||
    die "TFLITE_DIR=$TFLITE_DIR has no include/tensorflow/lite/c/c_api.h"
  [[ -f $TFLITE_DIR/lib/libtensorflowlite_c.so ]] || die "TFLITE_DIR=$TFLITE_DIR has no lib/libtensorflowlite_c.so"
  is=$(elf_machine "$TFLITE_DIR/lib/libtensorflowlite_c.so")
  [[ $is == "$1" ]] || die "TFLITE_DIR=$TFLITE_DIR has a library for $is, not for $1: name a folder with one for $1"
  say "tflite: using $TFLITE_DIR; keep TFLITE_DIR set when scripts/env.sh is sourced"
}

# tflite [ARCH] makes build/tflite, or build/tflite-ARCH for another architecture than this machine's.
tflite() {
  local host arch target=build/tflite
  host=$(host_arch)
  arch=${1:-$host}
  if [[ -n ${TFLITE_DIR:-} ]]; then
    own_folder "$arch"
    return
  fi
  [[ $arch == "$host" ]] || target=build/tflite-$arch
  case $arch in
  amd64 | arm64) ;;
  *) die "there is no prebuilt TensorFlow Lite for ${arch:-$(uname -m)}: build libtensorflowlite_c.so for it, put it into
  DIR/lib and its headers into DIR/include/tensorflow, and set TFLITE_DIR=DIR" ;;
  esac
  mkdir -p build
  exec 9>build/.setup.lock # two set-ups at once: the second waits and then finds everything there
  flock 9
  if whole "$target"; then
    say "tflite: already in $target"
    return
  fi
  rm -rf build/.tflite-* # left by a set-up that was killed
  work=$(mktemp -d build/.tflite-XXXXXX)
  trap 'rm -rf "$work"' EXIT
  say "tflite: fetching $npm_package (library) and $maven_artifact (headers)"
  fetch "$work"

  local new=$work/new
  mkdir -p "$new/lib" "$new/include"
  tar -xzf "$work/package.tgz" -C "$work" "package/cc_deps/linux_$arch/libtensorflowlite_c.so"
  install -m 0755 "$work/package/cc_deps/linux_$arch/libtensorflowlite_c.so" "$new/lib/"
  unzip -q "$work/headers.aar" 'headers/*' -d "$work"
  cp -r "$work/headers/tensorflow" "$new/include/"
  (cd "$new" && find include lib -type f -print0 | sort -z | xargs -0 sha256sum >SHA256SUMS)
  rm -rf "$target"
  mv "$new" "$target"
  say "tflite: TensorFlow Lite 2.9 ($arch) is in $target"
}

# fetch FOLDER leaves the checked packages there as package.tgz and headers.aar.
fetch() {
  local dir
  dir=$(realpath "$1")
  npm pack --silent --pack-destination "$dir" "$npm_package" >/dev/null || die "npm could not fetch $npm_package"
  mv "$dir"/tfjs-tflite-node-*.tgz "$dir/package.tgz"
  check "$dir/package.tgz" "$npm_sha256" "$npm_package"
  (cd "$dir" && mvn -q -B dependency:copy -Dartifact="$maven_artifact" -DoutputDirectory="$dir") ||
    die "maven could not fetch $maven_artifact"
  mv "$dir"/tensorflow-lite-*.aar "$dir/headers.aar"
  check "$dir/headers.aar" "$maven_sha256" "$maven_artifact"
}

# cross ARCH installs what builds for that architecture; on a machine of that architecture, what builds at all.
cross() {
  local arch=$1 wanted=(make pkg-config unzip binutils)
  case $arch in
  "$(host_arch)") wanted+=(gcc g++ libopencv-dev) ;;
  arm64) wanted+=(mmdebstrap g++-aarch64-linux-gnu) ;;
  armhf) wanted+=(mmdebstrap g++-arm-linux-gnueabihf) ;;
  *) die "cross takes arm64 or armhf, or this machine's own architecture" ;;
  esac
  packages "${wanted[@]}"
  tflite "$arch"
}

# xla PLATFORM makes build/pjrt/PLATFORM, with XLA as a PJRT plugin that the trainer loads.
xla() {
  local platform=$1 target=build/pjrt/$1 work
  [[ $(host_arch) == amd64 ]] || die "there is no prebuilt XLA plugin for $(host_arch): put pjrt_c_api_${platform}_plugin.so into a
  folder of PJRT_PLUGIN_LIBRARY_PATH and build with -tags xla"
  scripts/testbench.sh >/dev/null || die "xla needs pip: $(scripts/testbench.sh 2>&1 | tail -1)"
  if [[ -f $target/.complete ]]; then
    say "xla: already in $target"
    return
  fi
  mkdir -p build/pjrt
  work=$(mktemp -d build/pjrt/.new-XXXXXX)
  # shellcheck disable=SC2064 # its value now
  trap "rm -rf '$work'" EXIT
  case $platform in
  cpu)
    build/testbench/bin/pip download --quiet --disable-pip-version-check --no-deps --dest "$work" "$xla_cpu_package" ||
      die "pip could not fetch $xla_cpu_package"
    check "$(echo "$work"/*.whl)" "$xla_cpu_sha256" "$xla_cpu_package"
    unzip -q -j "$work"/*.whl '*/libpjrt_cpu.so' -d "$work"
    rm "$work"/*.whl
    mv "$work/libpjrt_cpu.so" "$work/pjrt_c_api_cpu_plugin.so"
    ;;
  cuda) # with the CUDA libraries it was built against, some 3 GB; they find one another beside it
    build/testbench/bin/pip install --quiet --disable-pip-version-check --target "$work" "$xla_cuda_package" ||
      die "pip could not fetch $xla_cuda_package"
    ln "$work"/jax_plugins/xla_cuda12/xla_cuda_plugin.so "$work/jax_plugins/xla_cuda12/pjrt_c_api_cuda_plugin.so"
    ;;
  *) die "xla takes cpu (the default) or cuda" ;;
  esac
  touch "$work/.complete"
  rm -rf "$target"
  mv "$work" "$target"
  say "xla: the plugin is in $target; make again to use it, and see xbm-train engines"
}

case ${1:-all} in
all)
  packages
  tflite
  ;;
packages) packages ;;
tflite) tflite "${2:-}" ;;
cross) cross "${2:-}" ;;
xla) xla "${2:-cpu}" ;;
bench) packages shellcheck minisign lintian mmdebstrap systemd-container qemu-user-static ;;
vm) packages mmdebstrap arch-test qemu-user-static qemu-system-arm e2fsprogs kmod cpio ;;
*) die "unknown argument $1; it takes packages, tflite [ARCH], cross ARCH, bench, xla [cuda], vm or nothing" ;;
esac
