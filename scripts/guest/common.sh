# shellcheck shell=bash
# Sourced by nspawn.sh and vm.sh: a Debian with systemd, a broker and what the agent's package depends on, and the folder
# /in with what scripts/guest/checks.sh needs.

say() { printf 'guest: %s\n' "$*"; }
skip() {
  printf 'skipped %s: %s\n' "${0##*/}" "$*"
  exit 0
}
die() {
  printf 'guest: %s\n' "$*" >&2
  exit 1
}

# foreign ARCH lets this kernel run programs of another architecture through qemu, as mmdebstrap needs it.
foreign() {
  local name=qemu-aarch64 table=/proc/sys/fs/binfmt_misc
  [[ $(dpkg --print-architecture) != "$1" ]] || return 0
  [[ $1 == arm64 ]] || die "no recipe for $1"
  [[ -e $table/register ]] || mount -t binfmt_misc binfmt_misc $table || die "the kernel has no binfmt_misc: boot.sh needs it"
  [[ -e $table/$name ]] || cat /usr/lib/binfmt.d/$name.conf >$table/register
}

# make_root ARCH FILE.tar PACKAGE... makes the root, unless it is there and holds the same packages.
make_root() {
  local arch=$1 tar=$2
  shift 2
  local packages="systemd systemd-sysv dbus udev kmod mosquitto mosquitto-clients procps $*"
  if [[ -f $tar && $(cat "$tar.packages" 2>/dev/null) == "$packages" ]]; then return; fi
  say "making $tar (once)"
  mkdir -p build/tmp
  TMPDIR=$PWD/build/tmp mmdebstrap --quiet --variant=minbase --architectures="$arch" --include="${packages// /,}" bookworm "${tar%.tar}.new.tar" \
    >"$tar.log" 2>&1 || die "mmdebstrap failed: $(tail -n 3 "$tar.log")"
  mv "${tar%.tar}.new.tar" "$tar"
  echo "$packages" >"$tar.packages"
}

# depends DEB prints the packages that one depends on.
depends() { dpkg-deb -f "$1" Depends | sed 's/([^)]*)//g; s/|[^,]*//g; s/,/ /g' | xargs; }

# fill ROOT IN DEB WATCHDOG SLOW prepares the root for the checks and the folder that they find as /in.
fill() {
  local root=$1 in=$2 deb=$3
  cp "$deb" "$in/xbm-agent.deb"
  local archive
  archive=dist/$(basename "$deb" .deb | sed 's/_\([^_]*\)$/_linux_\1/').tar.gz
  if [[ -f $archive ]]; then cp "$archive" "$in/xbm-agent.tar.gz"; fi
  cp dist/install.sh "$in/"
  cp demo/out/model.tflite demo/out/things.gallery demo/out/clip/clip.mjpeg "$in/"
  cp scripts/guest/checks.sh scripts/guest/probe.sh scripts/guest/agent.yaml "$in/"
  printf 'WATCHDOG=%s\nSLOW=%s\nSOAK=%s\n' "$4" "$5" "${SOAK:-0}" >"$in/environment"
  chmod -R a+rX "$in"
  mkdir -p "$root/in" "$root/out"
  cat >"$root/etc/systemd/system/xbm-checks.service" <<END
[Unit]
After=multi-user.target mosquitto.service
RequiresMountsFor=/in /out
[Service]
Type=simple
ExecStart=/bin/bash /in/checks.sh
[Install]
WantedBy=graphical.target multi-user.target
END
  mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
  ln -sf ../xbm-checks.service "$root/etc/systemd/system/multi-user.target.wants/"
  echo board >"$root/etc/hostname"
}

# report OUT prints the results and fails when one has, or when they are not whole.
report() {
  local out=$1
  cat "$out/results" 2>/dev/null || true
  if ! grep -q '^finished$' "$out/results" 2>/dev/null || grep -q '^FAILED' "$out/results"; then
    tail -n 60 "$out/log" "$out/journal" 2>/dev/null || true
    die "the checks failed or did not finish; everything they said is in $out"
  fi
  say "$(grep -c '^ok ' "$out/results") checks passed"
}
