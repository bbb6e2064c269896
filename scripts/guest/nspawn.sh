#!/usr/bin/env bash
# Boots Debian with systemd in a container, installs the package in dist/ for this machine, and sees the service start at
# boot, recognise, be restarted when it hangs, keep to its sandbox, and leave nothing when it is removed. Needs root,
# systemd-nspawn, mmdebstrap, the package (make packages) and what the demo has made (make demo).
#
#   SOAK=3600 scripts/guest/nspawn.sh   instead lets it run at full load for so many seconds: no restart, no growth
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/guest/common.sh
. scripts/guest/common.sh

[[ $(id -u) == 0 ]] || skip "needs root"
command -v systemd-nspawn >/dev/null || skip "systemd-nspawn is missing (Debian: apt-get install systemd-container)"
command -v mmdebstrap >/dev/null || skip "mmdebstrap is missing (Debian: apt-get install mmdebstrap)"
arch=$(dpkg --print-architecture)
for deb in dist/xbm-agent_*_"$arch".deb; do :; done
[[ -f $deb ]] || skip "no package for $arch in dist/ (make packages)"
[[ -f demo/out/things.gallery ]] || skip "no model and gallery in demo/out (make demo)"

# shellcheck disable=SC2046 # a list
make_root "$arch" "build/guest-$arch.tar" $(depends "$deb")
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root in=$work/in out=$PWD/build/guest-$arch${SOAK:+-soak}
rm -rf "$out"
mkdir -p "$root" "$in" "$out"
tar -xf "build/guest-$arch.tar" -C "$root"
fill "$root" "$in" "$deb" "$((${SOAK:-0} > 0 ? 30 : 9))" 1
gcc -shared -fPIC -O2 -o "$in/hang.so" scripts/guest/hang.c -ldl

# boot runs the system until it is switched off; systemd-nspawn ends with 133 when it wants to be started anew.
boot() {
  timeout --kill-after=10 $((400 + ${SOAK:-0})) systemd-nspawn --quiet --directory="$root" --machine="xbm-$$" --boot --keep-unit \
    --register=no --private-network --console=read-only --bind-ro="$in:/in" --bind="$out:/out" >>"$out/console" 2>&1 </dev/null
}
say "booting"
code=0
boot || code=$?
if ((code == 133)); then
  say "booting again"
  boot || say "the system ended with $?"
fi
report "$out"
