#!/usr/bin/env bash
# Makes what is shipped, in dist/: .deb packages, archives for other systems, bills of materials, the installer and the
# hashes of all. The same commit gives the same bytes, in whatever folder.
#
#   scripts/package.sh all          the agent for amd64 and arm64, the tools for amd64
#   scripts/package.sh ARCH deb     only the agent's .deb for amd64, arm64 or (with TFLITE_DIR) armhf
#   XBM_DEBIAN=13 scripts/package.sh arm64 deb   the same for Debian 13 in the place of 12
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/arch.sh
. scripts/arch.sh
umask 022

readonly nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
readonly work=build/package

say() { printf 'package: %s\n' "$*"; }
die() {
  printf 'package: %s\n' "$*" >&2
  exit 1
}

# tools builds what is run here while packaging: nfpm, our own lister, and the programs, which print their own manuals.
tools() {
  if [[ ! -x build/tools/nfpm || $(cat build/tools/nfpm.version 2>/dev/null) != "$nfpm" ]]; then
    say "building $nfpm"
    GOBIN=$PWD/build/tools GOFLAGS='' go install "$nfpm"
    echo "$nfpm" >build/tools/nfpm.version
  fi
  local program
  for program in "$@"; do
    CGO_ENABLED=0 GOFLAGS=-buildvcs=false go build -o "$work/native/${program%%=*}" "${program#*=}"
  done
}

# generated PROGRAM USR writes what the program says of itself: manual pages and completions for shells.
generated() {
  local program=$work/native/$1 usr=$2
  mkdir -p "$usr"/share/{man/man1,bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d}
  "$program" man --out "$usr/share/man/man1"
  find "$usr/share/man" -type f ! -name '*.gz' -exec gzip -9n {} +
  printed "$usr/share/bash-completion/completions/$1" "$program" completion bash
  printed "$usr/share/zsh/vendor-completions/_$1" "$program" completion zsh
  printed "$usr/share/fish/vendor_completions.d/$1.fish" "$program" completion fish
}

# unit FILE EXEC writes the agent's systemd unit.
unit() {
  mkdir -p "${1%/*}"
  printed "$1" "$work/native/xbm-agent" service unit --exec "$2" --config /etc/xbm-agent/agent.yaml --devices yes
}

# printed FILE COMMAND… writes what the command prints.
printed() {
  local file=$1
  shift
  "$@" >"$file"
}

# library ARCH prints where the TensorFlow Lite for it is.
library() {
  local dir=build/tflite-$1
  [[ $1 != "$(host_arch)" ]] || dir=build/tflite
  echo "${TFLITE_DIR:-$dir}/lib/libtensorflowlite_c.so"
}

# stage PACKAGE ARCH PROGRAM… fills build/package/PACKAGE_ARCH/usr and writes the bill of materials beside it.
stage() {
  local package=$1 arch=$2 dir=$work/$1_$2 also="" program programs=()
  [[ $package == xbm-tools ]] || also=adduser # for the scripts of the package
  shift 2
  local usr=$dir/usr doc=$dir/usr/share/doc/$package
  rm -rf "$dir"
  mkdir -p "$usr/bin" "$usr/lib/$package" "$doc/examples"
  for program in "$@"; do
    if [[ $program == xbm-capture || $program == xbm-stream ]]; then # which nobody but the agent calls
      install -m 0755 "bin/$arch/$program" "$usr/lib/$package/"
      programs+=("$usr/lib/$package/$program")
      continue
    fi
    install -m 0755 "bin/$arch/$program" "$usr/bin/"
    programs+=("$usr/bin/$program")
    generated "$program" "$usr"
  done
  install -m 0644 "$(library "$arch")" "$usr/lib/$package/"
  depends=$(scripts/packaging/depends.sh "${programs[@]}" "$usr/lib/$package"/*.so)
  "$work/native/sbom" --name "$package" --version "$version" --arch "$arch" --depends "$depends${also:+, $also}" \
    --library "$usr/lib/$package/libtensorflowlite_c.so" --library-version "${TFLITE_VERSION:-2.9.0}" \
    --out "$dir/sbom.json" --licenses "$doc/third-party-notices" "${programs[@]}"
  install -m 0644 scripts/packaging/copyright NOTICE "$doc/"
  scripts/packaging/changelog.sh "$package" "$version" >"$doc/changelog"
  gzip -9n "$doc/changelog" "$doc/third-party-notices"
  if [[ -f scripts/packaging/$package.lintian-overrides ]]; then
    install -D -m 0644 "scripts/packaging/$package.lintian-overrides" "$usr/share/lintian/overrides/$package"
  fi
}

# dated FOLDER gives everything in it the time of the commit.
dated() { find "$1" -print0 | xargs -0 touch -h -d "@$SOURCE_DATE_EPOCH"; }

# sums FOLDER lists the hashes of all files in it, in SHA256SUMS.
sums() {
  rm -f "$1/SHA256SUMS"
  (cd "$1" && find . -type f -printf '%P\0' | sort -z | xargs -0 sha256sum) >"$work/sums"
  install -m 0644 "$work/sums" "$1/SHA256SUMS"
}

# deb PACKAGE ARCH packs what was staged.
deb() {
  local stage=$work/$1_$2
  dated "$stage"
  STAGE=$stage ARCH=$2 VERSION=$version DEPENDS=$depends build/tools/nfpm package --packager deb \
    --config "scripts/packaging/$1.yaml" --target "$new/$1_${version}_$2.deb" >"$work/nfpm.log" 2>&1 ||
    die "$(cat "$work/nfpm.log")"
  cp "$stage/sbom.json" "$new/$1_${version}_$2.cdx.json"
}

# agent ARCH stages the agent and packs its .deb.
agent() {
  scripts/cross.sh "$1"
  stage xbm-agent "$1" xbm-agent xbm-capture xbm-stream
  local dir=$work/xbm-agent_$1
  install -m 0644 configs/mosquitto.conf configs/mosquitto-house.conf configs/mosquitto.acl "$dir/usr/share/doc/xbm-agent/examples/"
  install -D -m 0640 configs/agent.yaml "$dir/etc/xbm-agent/agent.yaml"
  unit "$dir/usr/lib/systemd/system/xbm-agent.service" /usr/bin/xbm-agent
  deb xbm-agent "$1"
}

# archive ARCH packs what agent staged for systems without .deb, with its installer.
archive() {
  local name=xbm-agent_${version}_linux_$1 from=$work/xbm-agent_$1
  local dir=$work/$name
  rm -rf "$dir"
  mkdir "$dir"
  cp -r "$from/usr/bin" "$from/usr/lib" "$from/usr/share" "$from/etc" "$dir/"
  rm -rf "$dir/lib/systemd" "$dir/share/lintian" "$dir/share/doc/xbm-agent/copyright"
  mkdir -p "$dir/share/zsh/site-functions" # where /usr/local has them
  mv "$dir"/share/zsh/vendor-completions/* "$dir/share/zsh/site-functions/"
  rmdir "$dir/share/zsh/vendor-completions"
  install -m 0755 scripts/packaging/install.sh "$dir/"
  install -m 0644 LICENSE NOTICE "$dir/"
  sums "$dir"
  tar --create --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu \
    --directory "$work" "$name" | gzip -9n >"$new/$name.tar.gz"
}

(($# > 0)) || set -- all
arch=$1
[[ $arch == all || (${2:-} == deb && $# == 2) ]] || die "it takes all, or an architecture and deb"
version=$(scripts/version.sh)
if [[ ${XBM_DEBIAN:-12} != 12 ]]; then # only a sysroot has the libraries of another release
  [[ $arch != all && $arch != "$(host_arch)" ]] ||
    die "XBM_DEBIAN=$XBM_DEBIAN takes a .deb for another architecture, such as: XBM_DEBIAN=$XBM_DEBIAN scripts/package.sh arm64 deb"
  version+=+deb$XBM_DEBIAN
fi
SOURCE_DATE_EPOCH=$(scripts/version.sh epoch)
export SOURCE_DATE_EPOCH LC_ALL=C
depends="" # of what was staged last
mkdir -p "$work/native" dist
exec 7>build/.package.lock
flock 7
new=$work/dist
rm -rf "$new"
mkdir "$new"
if [[ $arch == all ]]; then
  tools sbom=./scripts/sbom xbm-agent=./agent xbm-train=./training xbm-convert=./convert
  for arch in amd64 arm64; do
    agent "$arch"
    archive "$arch"
  done
  scripts/cross.sh amd64 tools
  stage xbm-tools amd64 xbm-train xbm-convert
  install -m 0644 configs/train*.yaml "$work/xbm-tools_amd64/usr/share/doc/xbm-tools/examples/"
  deb xbm-tools amd64
  rm -f dist/*
else
  tools sbom=./scripts/sbom xbm-agent=./agent
  agent "$arch"
  rm -f dist/xbm-agent_*_"$arch".* # of other versions
fi
install -m 0755 scripts/packaging/install.sh "$new/"
mv "$new"/* dist/
sums dist
say "dist/ has:"
(cd dist && du -h --apparent-size -- *)
