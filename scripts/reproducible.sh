#!/usr/bin/env bash
# Shows that packages depend on the commit alone: makes them twice, from clones of HEAD in two folders, the second time
# with nothing that Go has kept from before, and compares every byte. The fetched libraries in build/ are used if there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d "${TMPDIR:-/tmp}/reproducible.XXXXXX")
trap 'rm -rf "$work"' EXIT

# packages FOLDER clones HEAD there and makes the packages.
packages() {
  git clone --quiet --no-hardlinks . "$1"
  git -C "$1" checkout --quiet --detach "$commit"
  mkdir "$1/build"
  for kept in build/tflite build/tflite-arm64 build/sysroot-arm64 build/tools; do
    [[ ! -d $kept ]] || cp -a "$kept" "$1/build/"
  done
  make --no-print-directory -C "$1" packages >"$work/log" 2>&1 || {
    tail -20 "$work/log" >&2
    exit 1
  }
}

commit=$(git rev-parse HEAD)
[[ -z $(git status --porcelain) ]] || echo "reproducible: what is not committed is left out"
packages "$work/a"
GOCACHE=$work/cache packages "$work/another/folder"
diff <(cd "$work/a/dist" && sha256sum -- *) <(cd "$work/another/folder/dist" && sha256sum -- *) || {
  echo "reproducible: the files above differ between two builds of $commit" >&2
  exit 1
}
echo "reproducible: $(find "$work/a/dist" -type f | wc -l) files are the same, byte for byte, in two builds of $commit"
