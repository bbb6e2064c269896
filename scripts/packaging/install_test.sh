#!/usr/bin/env bash
# Tests install.sh on a small package made here and on machines of all kinds, which commands put in front play: each
# bad one must be refused, with a message that says what to do, and with nothing changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
installer=$PWD/scripts/packaging/install.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

result() { # ok|FAILED CASE MESSAGE
  printf '%-6s  %s: %s\n' "$@"
  [[ $1 == ok ]] || failed=$((failed + 1))
}

# elf FILE MACHINE [TEXT] writes what looks like a program for a machine (b7: arm64, 28: armhf, 3e: amd64).
elf() {
  mkdir -p "${1%/*}"
  printf '%b' "\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x$2\0${3:-}" >"$1"
}

# package FOLDER [MACHINE-OF-LIBRARY] makes an archive there with its hashes beside it, and a .deb.
package() {
  local tree=$1/xbm-agent_1_linux_arm64
  elf "$tree/bin/xbm-agent" b7 GLIBC_2.34
  chmod 755 "$tree/bin/xbm-agent"
  elf "$tree/lib/xbm-agent/libtensorflowlite_c.so" "${2:-b7}" GLIBC_2.17
  mkdir -p "$tree/share/man/man1" "$tree/etc/xbm-agent"
  head -c 100000 /dev/urandom >"$tree/share/man/man1/xbm-agent.1.gz"
  echo 'node: ""' >"$tree/etc/xbm-agent/agent.yaml"
  (cd "$tree" && find . -type f ! -name SHA256SUMS -exec sha256sum {} + >"$1/sums" && mv "$1/sums" SHA256SUMS)
  tar -czf "$tree.tar.gz" -C "$1" "${tree##*/}"
  mkdir -p "$1/deb/DEBIAN"
  cp -r "$tree" "$1/deb/usr"
  printf 'Package: xbm-agent\nVersion: 1\nArchitecture: arm64\nMaintainer: x <x@x.org>\nDescription: x\n' >"$1/deb/DEBIAN/control"
  dpkg-deb --build --root-owner-group "$1/deb" "$1/xbm-agent_1_arm64.deb" >/dev/null
  rm -r "$tree" "$1/deb"
  (cd "$1" && sha256sum xbm-agent_1* >SHA256SUMS)
}

# machine makes a new board on which all is well: commands in $fakes, files in $board.
machine() {
  fakes=$work/fakes board=$work/board
  rm -rf "$fakes" "$board"
  mkdir -p "$fakes" "$board"/{dev,usr/local,var/lib,etc}
  elf "$board/bin/sh" b7
  touch "$board/dev/video0"
  fake uname 'echo aarch64'
  fake getconf 'echo glibc 2.36'
  fake ldd 'echo "	libopencv_core.so.406 => /lib/libopencv_core.so.406 (0x0)"'
  fake df 'printf "x\n/dev/root 9000000 1 8000000 1%% /\n"'
  fake id 'echo 0'
  fake getent 'echo video:x:44:'
}

fake() { # COMMAND SCRIPT
  printf '#!/bin/sh\n%s\n' "$2" >"$fakes/$1"
  chmod +x "$fakes/$1"
}

run() { PATH=$fakes:$PATH XBM_ROOT=$board "$installer" "$@" 2>&1; }
listing() { (cd "$board" && find . | sort); }

# refuses CASE MESSAGE FILE: neither looking nor installing goes on, and both say so.
refuses() {
  local output before line
  before=$(listing)
  for option in --check ''; do
    if output=$(run ${option:+"$option"} "$3"); then
      result FAILED "$1" "was not refused: $output"
      return
    fi
  done
  if [[ $(listing) != "$before" ]]; then
    result FAILED "$1" "something was changed"
  elif line=$(grep -e "^STOP.*$2" <<<"$output"); then
    result ok "$1" "$line"
  else
    result FAILED "$1" "not this: $2; but: $output"
  fi
}

# says CASE MESSAGE FILE: it goes on, and mentions it.
says() {
  local output line
  if output=$(run --check "$3") && line=$(grep -e "$2" <<<"$output" | tail -n1); then
    result ok "$1" "$line"
  else
    result FAILED "$1" "$output"
  fi
}

good=$work/good
mkdir -p "$good"
package "$good"
archive=$good/xbm-agent_1_linux_arm64.tar.gz deb=$good/xbm-agent_1_arm64.deb

machine
says "a good board" "ready for" "$archive"
says "a good board, .deb" "ready for" "$deb"
fake uname 'echo x86_64'
elf "$board/bin/sh" 3e
refuses "another processor" "this package is for arm64, this machine is amd64" "$archive"
refuses "another processor, .deb" "this package is for arm64, this machine is amd64" "$deb"
machine
elf "$board/bin/sh" 28
refuses "a 32-bit system on a 64-bit kernel" "the system 32 (armhf); install a 64-bit system" "$archive"
machine
fake getconf 'echo glibc 2.31'
refuses "an old C library" "glibc 2.31 is older than 2.34" "$archive"
fake getconf 'exit 1'
refuses "another C library" "not glibc" "$archive"
machine
fake ldd 'printf "\tlibopencv_core.so.406 => not found\n\tlibopencv_videoio.so.406 => not found\n\tlibc.so.6 => /x (0x0)\n"'
refuses "no OpenCV" "apt-get install libopencv-core406 libopencv-videoio406$" "$archive"
machine
fake getent 'exit 2'
says "no group video" "no group video.*groupadd" "$archive"
machine
rm "$board/dev/video0"
says "no camera" "no /dev/video.*network camera" "$archive"
machine
fake df 'printf "x\n/dev/root 9000000 1 900 1%% /\n"'
refuses "a full disk" "/usr/local has 0 MB free" "$archive"
machine
fake date 'echo 1970'
refuses "a clock in 1970" "it says 1970.*timedatectl" "$archive"
machine
fake id 'echo 1000'
refuses "not root" "sudo" "$archive"

machine
bad=$work/bad
mkdir "$bad"
for file in "$archive" "$deb"; do
  kind="half a .${file##*_arm64.}"
  rm -f "$bad"/*
  head -c "$(($(stat -c %s "$file") / 2))" "$file" >"$bad/${file##*/}"
  refuses "$kind" "is half a.*copy it again" "$bad/${file##*/}"
  cp "$good/SHA256SUMS" "$bad/"
  refuses "$kind beside its hash" "sha256 is not the one in SHA256SUMS" "$bad/${file##*/}"
done
rm -f "$bad"/*
package "$bad" 3e
refuses "a library for another machine inside" "libtensorflowlite_c.so in the package is for amd64, the program for arm64" \
  "$bad/xbm-agent_1_linux_arm64.tar.gz"

# Installing, again, and removing.
machine
before=$(listing)
run "$archive" >"$work/log"
if [[ -x $board/usr/local/bin/xbm-agent && -f $board/usr/local/lib/xbm-agent/libtensorflowlite_c.so &&
  $(stat -c %a "$board/etc/xbm-agent/agent.yaml" "$board/etc/xbm-agent/secrets" "$board/var/lib/xbm-agent") == $'640\n700\n750' ]]; then
  result ok install "$(tail -n1 "$work/log")"
else
  result FAILED install "$(cat "$work/log"; listing)"
fi
echo 'node: mine' >"$board/etc/xbm-agent/agent.yaml"
echo "f /usr/local/share/gone" >>"$board/usr/local/lib/xbm-agent/manifest" # of an older version
touch "$board/usr/local/share/gone" "$board/usr/local/share/another's"
run "$archive" >"$work/log"
if [[ $(<"$board/etc/xbm-agent/agent.yaml") == 'node: mine' && ! -e $board/usr/local/share/gone ]]; then
  result ok upgrade "the configuration stays, a file of the older version goes"
else
  result FAILED upgrade "$(listing)"
fi
run --uninstall >"$work/log"
left=$(cd "$board" && find . -type f | sort | tr '\n' ' ')
if [[ $left == "./bin/sh ./dev/video0 ./etc/xbm-agent/agent.yaml ./usr/local/share/another's " ]]; then
  result ok uninstall "$(tail -n1 "$work/log")"
else
  result FAILED uninstall "left: $left"
fi
rm -r "$board/usr/local/share"
run "$archive" >/dev/null
touch "$board/var/lib/xbm-agent/things.gallery"
run --uninstall --purge >"$work/log"
if [[ $(listing) == "$before" ]]; then
  result ok "uninstall --purge" "nothing is left"
else
  result FAILED "uninstall --purge" "$(diff <(echo "$before") <(listing) || true)"
fi
# shellcheck disable=SC2016 # for the fake itself
fake cp 'case $1 in *libtensorflow*) echo "cp: No space left on device" >&2; exit 1 ;; esac; exec /bin/cp "$@"'
if ! run "$archive" >"$work/log" && [[ $(listing) == "$before" ]]; then
  result ok "a disk that fills while copying" "nothing is left ($(tail -n1 "$work/log"))"
else
  result FAILED "a disk that fills while copying" "$(diff <(echo "$before") <(listing) || true)"
fi

((failed == 0)) || {
  echo "install_test: $failed cases failed" >&2
  exit 1
}
