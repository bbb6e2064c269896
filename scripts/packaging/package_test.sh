#!/usr/bin/env bash
# Installs what is in dist/ in a clean Debian 12 and removes it again: the .deb by apt, the archive by install.sh. The
# program must run with all its parts, and nothing may be left. Needs root and mmdebstrap; the clean root, with the
# dependencies fetched, is kept as build/root-ARCH.tar.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/arch.sh
. scripts/arch.sh

skip() {
  printf 'skipped package_test: %s\n' "$*"
  exit
}
die() {
  printf 'package_test: %s\n' "$*" >&2
  exit 1
}
pass() { printf 'ok      %s\n' "$*"; }

arch=$(host_arch)
[[ $(id -u) == 0 ]] || skip "needs root"
command -v mmdebstrap >/dev/null || skip "mmdebstrap is missing (Debian: apt-get install mmdebstrap)"
for deb in dist/xbm-agent_*_"$arch".deb; do :; done
for archive in dist/xbm-agent_*_linux_"$arch".tar.gz; do :; done
[[ -f $deb && -f $archive ]] || skip "no packages for $arch in dist/ (make packages)"
depends=$(dpkg-deb -f "$deb" Depends | sed 's/([^)]*)//g; s/,//g')

base=build/root-$arch.tar
if [[ ! -f $base || $(cat "$base.depends" 2>/dev/null) != "$depends" ]]; then
  echo "making $base"
  # shellcheck disable=SC2016 # the variables are the hook's
  mmdebstrap --quiet --variant=minbase --skip=cleanup/apt,cleanup/tmp \
    --customize-hook='APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -qq install -y --no-install-recommends --download-only '"$depends" \
    bookworm "${base%.tar}.new.tar" >build/root.log 2>&1 || die "mmdebstrap failed: $(tail -n3 build/root.log)"
  mv "${base%.tar}.new.tar" "$base"
  echo "$depends" >"$base.depends"
fi

work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root
mkdir "$root"
tar -xf "$base" -C "$root"
install -D -t "$root/srv" "$deb" "$archive" dist/install.sh dist/SHA256SUMS
tools=$(find dist -name "xbm-tools_*_$arch.deb")
[[ -z $tools ]] || install -t "$root/srv" "$tools"
echo 'APT::Install-Recommends "false";' >"$root/etc/apt/apt.conf.d/no-recommends"

# inside COMMAND runs a command in the root, and shows what it said only when it fails.
inside() {
  # shellcheck disable=SC2016 # the variables are the inner shell's
  unshare --mount --pid --fork --kill-child sh -c 'mount -t proc proc "$1/proc" && exec chroot "$1" sh -ec "$2"' sh "$root" \
    "export DEBIAN_FRONTEND=noninteractive PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; cd /srv; $1" \
    >"$work/log" 2>&1 || {
    tail -30 "$work/log" >&2
    die "failed: $1"
  }
}

# listing prints what is there, but for logs, caches, locks, the books of apt and dpkg, and copies that adduser keeps.
listing() {
  (cd "$root" && find . -xdev \( -path ./var/log -o -path ./var/cache -o -path ./var/lib/apt -o -path ./var/lib/dpkg \
    -o -path ./proc -o -path ./tmp -o -path ./run -o -path './etc/*-' \) -prune -o -printf '%M %U %p -> %l\n' | sort -k3)
  grep -H xbm "$root"/etc/{passwd,group,shadow,gshadow,subuid,subgid} || true
  grep -A1 '^Package: xbm' "$root/var/lib/dpkg/status" || true
}

parts() {
  inside 'xbm-agent version --json'
  [[ $(<"$work/log") == *'"tflite":"'[0-9]*'OpenCV 4'* ]] || die "a part is missing: $(<"$work/log")"
  pass "$1: $(<"$work/log")"
}

nothing_left() {
  local difference
  difference=$(diff <(echo "$before") <(listing)) || die "$1 leaves or takes away: $(head -20 <<<"$difference")"
  pass "$1: nothing is left"
}

inside "apt-get -qq install -y $depends"
before=$(listing)

inside "apt-get install -y ./${deb##*/}"
grep -q '1 newly installed' "$work/log" || die "more than the package itself was installed: $(<"$work/log")"
grep -q 'put a model and a gallery in place' "$work/log" || die "does not say that it must be configured: $(<"$work/log")"
[[ $(stat -c '%a %U' "$root/etc/xbm-agent/secrets") == '700 root' ]] || die "secrets: $(ls -ld "$root/etc/xbm-agent/secrets")"
inside 'stat -c "%a %U:%G" /etc/xbm-agent/agent.yaml /var/lib/xbm-agent; id xbm-agent'
[[ $(<"$work/log") == $'640 root:xbm-agent\n750 xbm-agent:xbm-agent\n'*'(video)'* ]] || die "owners: $(<"$work/log")"
parts "the .deb"
[[ -L $root/etc/systemd/system/multi-user.target.wants/xbm-agent.service ]] || die "the service is not enabled"
inside "apt-get install -y --reinstall ./${deb##*/}; apt-get remove -y xbm-agent"
left=$(cd "$root" && find etc usr var/lib/xbm-agent \( -name 'xbm*' -o -name '_xbm*' -o -name 'libtensorflow*' \) \
  ! -path 'etc/systemd/*' 2>/dev/null | tr '\n' ' ') || true
[[ $left == 'etc/xbm-agent ' ]] || die "remove leaves: $left"
pass "remove: only the configuration is left"
inside "apt-get purge -y xbm-agent"
nothing_left purge

if [[ -n $tools ]]; then
  inside "apt-get install -y ./${tools##*/}; xbm-train version; xbm-convert version"
  pass "the tools: $(tail -n2 "$work/log" | tr '\n' ' ')"
  inside "apt-get purge -y xbm-tools"
  nothing_left "purge of the tools"
fi

inside "./install.sh ${deb##*/}; xbm-agent version; ./install.sh --uninstall --purge"
nothing_left "install.sh with the .deb, and --uninstall --purge"
inside "./install.sh ${archive##*/}; cat /etc/passwd | grep xbm-agent"
parts "the archive"
inside "./install.sh ${archive##*/}; ./install.sh --uninstall --purge"
nothing_left "install.sh --uninstall --purge"
