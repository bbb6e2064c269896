#!/usr/bin/env bash
# Makes build/sysroot-ARCH: Debian 12's C and C++ libraries and OpenCV for another architecture, unpacked, not
# installed, for a cross-compiler's --sysroot. What is there and whole is kept; a run that was killed is begun anew.
#
#   scripts/sysroot.sh arm64|armhf|amd64
#   XBM_DEBIAN=13 scripts/sysroot.sh arm64   those of Debian 13, in build/sysroot-arm64-debian13
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/arch.sh
. scripts/arch.sh

say() { printf 'sysroot: %s\n' "$*"; }
die() {
  printf 'sysroot: %s\n' "$*" >&2
  exit 1
}

arch=${1:-}
known_arch "$arch" || die "it takes an architecture: arm64, armhf or amd64"
debian=${XBM_DEBIAN:-12}
case $debian in
12) suite=bookworm target=build/sysroot-$arch ;;
13) suite=trixie target=build/sysroot-$arch-debian13 ;;
*) die "XBM_DEBIAN=$debian is none of 12 and 13" ;;
esac
# The stamp says how it was made and of how many files it is, and is written last.
readonly recipe="$suite $arch libopencv-dev,libstdc++-12-dev,libc6-dev 2"

count() { find "$1" -xdev -path "$1/.complete" -prune -o -print | wc -l; }
whole() { [[ -f $target/.complete && $(<"$target/.complete") == "$recipe, $(count "$target") files" ]]; }

mkdir -p build
exec 8>"build/.sysroot-$arch.lock" # two at once: the second waits and then finds it there
flock 8
if whole; then
  say "already in $target"
  exit
fi
command -v mmdebstrap >/dev/null || die "mmdebstrap is missing: scripts/setup.sh cross $arch installs it"
rm -rf --one-file-system build/.sysroot-"$arch"-* # left by a run that was killed
work=$(mktemp -d "build/.sysroot-$arch-XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
say "unpacking Debian $debian's libraries for $arch (about half a minute)"
read -r _ _ packages _ <<<"$recipe"
# The release alone, without its updates: programs linked against it run on every system of that release, and it changes
# only with a point release.
# shellcheck disable=SC2016 # $1 is the hook's
mmdebstrap --quiet --variant=extract --arch="$arch" --include="$packages" \
  --setup-hook='sed -i "/-security\|-updates/d" "$1/etc/apt/sources.list"' "$suite" "$work/root" 8>&- ||
  die "mmdebstrap failed: is Debian's archive reachable, and its key ring (debian-archive-keyring) installed?"

# What an absolute link leads to would be looked for on this machine.
while IFS= read -r -d '' link; do
  ln -snfr "$work/root$(readlink "$link")" "$link"
done < <(find "$work/root" -xdev -type l -lname '/*' -print0)
# The links that installing, not unpacking, makes: BLAS and LAPACK are chosen among alternatives.
for name in blas lapack; do
  for library in "$work"/root/usr/lib/*/"$name"/lib"$name".so.3; do
    [[ ! -e $library ]] || ln -snfr "$library" "${library%/*/*}/lib$name.so.3"
  done
done
[[ -e $work/root/lib ]] || ln -s usr/lib "$work/root/lib" # since Debian 13 base-files makes it
rm -rf "$work/root/dev" "$work/root/var/cache" "$work/root/tmp"

echo "$recipe, $(count "$work/root") files" >"$work/root/.complete"
rm -rf --one-file-system "$target"
mv "$work/root" "$target"
say "$target is made ($(du -sh "$target" | cut -f1))"
