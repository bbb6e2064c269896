#!/bin/sh
# Installs xbm-agent on a Linux machine, from its archive under /usr/local or from its .deb, or removes it again. It
# looks first whether that can work, and changes nothing when it cannot.
#
#   install.sh [FILE.tar.gz|FILE.deb]   install; without a file, what lies beside this script
#   install.sh --check [FILE]           only look
#   install.sh --uninstall [--purge]    remove the program; with --purge also configuration, state and user
#
# XBM_ROOT=DIR puts everything below DIR, without making users or services.
set -eu
export LC_ALL=C
umask 022

root=${XBM_ROOT:-}
prefix=$root/usr/local
etc=$root/etc/xbm-agent
state=$root/var/lib/xbm-agent
manifest=$prefix/lib/xbm-agent/manifest
unit=/etc/systemd/system/xbm-agent.service
here=$(cd "$(dirname "$0")" && pwd)
work=""
stops=0

ok() { printf 'ok    %s\n' "$*"; }
note() { printf 'note  %s\n' "$*"; }
stop() {
  printf 'STOP  %s\n' "$*"
  stops=$((stops + 1))
}
die() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }
systemd() { [ -z "$root" ] && [ -d /run/systemd/system ]; }
packaged() { [ -z "$root" ] && has dpkg-query && dpkg-query -W -f '${Status}' xbm-agent 2>/dev/null | grep -q 'ok installed'; }

# elf FILE prints the architecture of a program or library, as Debian calls it; empty when it is neither.
elf() {
  [ "$(od -An -tx1 -N4 "$1" 2>/dev/null | tr -d ' ')" = 7f454c46 ] || return 0
  case $(od -An -tx1 -j18 -N2 "$1" | tr -d ' ') in
  3e00) echo amd64 ;;
  b700) echo arm64 ;;
  2800) echo armhf ;;
  *) echo unknown ;;
  esac
}

# existing PATH prints the nearest folder above it that is there.
existing() {
  path=$1
  while [ ! -d "$path" ]; do path=$(dirname "$path"); done
  echo "$path"
}

# find_package sets package to the file, or the unpacked folder, to install.
find_package() {
  package=$1
  if [ -z "$package" ] && [ -x "$here/bin/xbm-agent" ]; then
    package=$here
  fi
  if [ -z "$package" ]; then
    for package in "$here"/xbm-agent_*_linux_"$machine".tar.gz; do :; done
    [ -f "$package" ] || die "name the package to install: no xbm-agent_*_linux_$machine.tar.gz beside this script"
  fi
  [ -e "$package" ] || die "$package does not exist"
}

# check_file looks whether the package is all there, and unpacks it to $tree.
check_file() {
  name=$(basename "$package")
  again="copy it again"
  if [ -d "$package" ]; then
    tree=$package
    if (cd "$tree" && sha256sum -c --quiet SHA256SUMS) >/dev/null 2>&1; then
      ok "package: every file is as it was packed"
    else
      stop "package: files in $tree are missing or changed; unpack the archive again"
    fi
    return
  fi
  sum=""
  [ ! -f "$(dirname "$package")/SHA256SUMS" ] ||
    sum=$(sed -n "s/^\([0-9a-f]*\) [ *]$name\$/\1/p" "$(dirname "$package")/SHA256SUMS")
  if [ -n "$sum" ] && [ "$(sha256sum "$package" | cut -d' ' -f1)" != "$sum" ]; then
    stop "package: $name is damaged or only partly there (its sha256 is not the one in SHA256SUMS); $again"
    return
  fi
  work=$(mktemp -d)
  case $name in
  *.deb)
    has dpkg-deb || die "$name is for Debian, and there is no dpkg here: use the .tar.gz"
    if ! dpkg-deb --info "$package" >/dev/null 2>&1 || ! dpkg-deb -x "$package" "$work" 2>/dev/null; then
      stop "package: $name is half a .deb; $again"
      return
    fi
    tree=$work/usr
    ;;
  *.tar.gz)
    if ! gzip -t "$package" 2>/dev/null || ! tar -xzf "$package" -C "$work" 2>/dev/null; then
      stop "package: $name is half an archive; $again"
      return
    fi
    for tree in "$work"/*/; do tree=${tree%/}; done
    if ! (cd "$tree" && sha256sum -c --quiet SHA256SUMS) >/dev/null 2>&1; then
      stop "package: files inside $name are not as they were packed; $again"
      return
    fi
    ;;
  *) die "$name is neither a .tar.gz nor a .deb" ;;
  esac
  if [ -n "$sum" ]; then ok "package: $name, sha256 as in SHA256SUMS"; else ok "package: $name is whole"; fi
}

# check_machine compares the package with this machine: processor, system, C library, OpenCV, clock.
check_machine() {
  is=$(elf "$tree/bin/xbm-agent")
  sh=$root/bin/sh
  [ -e "$sh" ] || sh=/bin/sh
  userland=$(elf "$sh")
  if [ "$machine" != "$userland" ] && [ "$machine" = arm64 ] && [ "$userland" = armhf ]; then
    stop "system: the kernel has 64 bits (aarch64), the system 32 (armhf); install a 64-bit system image, then the arm64 package"
  elif [ "$is" != "$machine" ]; then
    stop "architecture: this package is for ${is:-nothing known}, this machine is $machine; take the package for $machine"
  else
    ok "architecture: $machine"
  fi
  for library in "$tree"/lib/xbm-agent/*.so; do
    lib=$(elf "$library")
    if [ "$lib" != "$is" ]; then
      stop "library: $(basename "$library") in the package is for ${lib:-nothing known}, the program for $is; take another package"
    else
      ok "library: $(basename "$library") is for $lib"
    fi
  done

  need=$(grep -aoh 'GLIBC_2\.[0-9]*' "$tree/bin/xbm-agent" "$tree"/lib/xbm-agent/* | sed 's/GLIBC_//' | sort -Vu | tail -n1)
  have=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/glibc //')
  if [ -z "$have" ]; then
    stop "C library: not glibc, which the program needs ($need or newer); use Debian 12 or Raspberry Pi OS 12"
  elif [ "$(printf '%s\n' "$need" "$have" | sort -V | head -n1)" != "$need" ]; then
    stop "C library: glibc $have is older than $need; use Debian 12, Raspberry Pi OS 12 or newer"
  else
    ok "C library: glibc $have"
  fi

  case $package in
  *.deb) ok "OpenCV: comes with the package's dependencies" ;;
  *) [ "$is" != "$machine" ] || check_libraries ;;
  esac

  packed=$(stat -c %y "$tree/bin/xbm-agent" | cut -c1-4)
  year=$(date +%Y)
  if [ "$year" -lt "$packed" ]; then
    stop "clock: it says $year, and the package is of $packed; set it, e.g. with: timedatectl set-ntp true"
  else
    ok "clock: $year"
  fi
}

# check_libraries asks the loader which libraries are missing.
check_libraries() {
  missing=$(ldd "$tree/bin/xbm-agent" "$tree/lib/xbm-agent/"xbm-* 2>/dev/null | sed -n 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p' | sort -u)
  names=$(for library in $missing; do
    case $library in
    libopencv_*.so.406) echo "$library" | sed 's/libopencv_\(.*\)\.so\.406/libopencv-\1406/' ;;
    libstdc++.so.6) echo libstdc++6 ;;
    *) echo "$library" ;;
    esac
  done | tr '\n' ' ')
  if [ -n "$names" ]; then
    stop "OpenCV: libraries are missing; install them with: apt-get install ${names% }"
  else
    ok "OpenCV: its libraries are there"
  fi
}

# check_place looks at who runs this and where it would go.
check_place() {
  if [ "$(id -u)" = 0 ]; then ok "user: root"; else stop "user: not root; run this with sudo"; fi

  want=$(($(du -sk "$tree" | cut -f1) + 1024))
  for place in "$prefix $want" "$root/var 51200"; do
    path=$(existing "${place% *}")
    free=$(df -Pk "$path" | awk 'NR == 2 {print $4}')
    if [ "$free" -lt "${place##* }" ]; then
      stop "disk: ${place% *} has $((free / 1024)) MB free, $((${place##* } / 1024)) MB are needed; make room there"
    else
      ok "disk: ${place% *} has $((free / 1024)) MB free"
    fi
  done

  if getent group video >/dev/null 2>&1; then
    ok "cameras: group video"
  else
    note "cameras: there is no group video, so the service could not open a local camera; make it with: groupadd --system video"
  fi
  camera=""
  for device in "$root"/dev/video*; do [ ! -e "$device" ] || camera="$camera ${device#"$root"}"; done
  if [ -n "$camera" ]; then
    ok "cameras:$camera"
  else
    note "cameras: no /dev/video*; plug one in and enable it (raspi-config on a Raspberry Pi), or use a network camera"
  fi
  case $package in
  *.deb) [ ! -f "$manifest" ] || stop "installed: the archive is installed under /usr/local; first: $0 --uninstall" ;;
  *) ! packaged || stop "installed: the Debian package is installed; install the .deb, or first: apt-get remove xbm-agent" ;;
  esac
}

preflight() {
  machine=$(uname -m)
  case $machine in
  x86_64) machine=amd64 ;;
  aarch64) machine=arm64 ;;
  armv7l | armv8l) machine=armhf ;;
  esac
  find_package "$1"
  tree=""
  check_file
  if [ -n "$tree" ] && [ "$stops" = 0 ]; then
    check_machine
    check_place
  fi
  [ "$stops" = 0 ] || die "nothing was changed: $stops of the above must be put right first"
}

# make_dir MODE DIR makes a folder and those above it, and writes down which are new.
make_dir() {
  [ ! -d "$2" ] || return 0
  make_dir 755 "$(dirname "$2")"
  mkdir -m "$1" "$2"
  echo "d ${2#"$root"}" >>"$work/manifest"
}

# install_tree copies everything to names that nobody uses, and then renames all of it.
install_tree() {
  [ -n "$work" ] || work=$(mktemp -d)
  : >"$work/manifest"
  [ ! -f "$manifest" ] || grep '^d ' "$manifest" >"$work/manifest" || :
  (cd "$tree" && find bin lib share -type f | sort) >"$work/files"
  while IFS= read -r file; do
    make_dir 755 "$(dirname "$prefix/$file")"
    cp "$tree/$file" "$prefix/$file.xbm-new"
    echo "f /usr/local/$file" >>"$work/manifest"
  done <"$work/files"
  make_dir 755 "$etc"
  make_dir 700 "$etc/secrets"
  make_dir 750 "$state"
  if [ ! -e "$etc/agent.yaml" ]; then
    cp "$tree/etc/xbm-agent/agent.yaml" "$etc/agent.yaml.xbm-new"
    chmod 640 "$etc/agent.yaml.xbm-new"
    mv "$etc/agent.yaml.xbm-new" "$etc/agent.yaml"
  fi
  while IFS= read -r file; do mv -f "$prefix/$file.xbm-new" "$prefix/$file"; done <"$work/files"
  if [ -f "$manifest" ]; then # what an older version had and this one has not
    grep '^f ' "$manifest" | grep -vxFf "$work/manifest" | while read -r _ file; do rm -f "$root$file"; done
  fi
  cp "$work/manifest" "$manifest"
}

make_user() {
  id xbm-agent >/dev/null 2>&1 || useradd --system --user-group --home-dir /var/lib/xbm-agent --no-create-home \
    --shell /usr/sbin/nologin xbm-agent
  ! getent group video >/dev/null || usermod -a -G video xbm-agent
  chown root:xbm-agent "$etc/agent.yaml"
  chown xbm-agent:xbm-agent "$state"
}

install_package() {
  preflight "$1"
  case $package in
  *.deb)
    [ -z "$root" ] || die "a .deb goes into the running system: unset XBM_ROOT, or use the .tar.gz"
    case $package in /*) ;; *) package=$PWD/$package ;; esac
    if has apt-get; then apt-get install -y "$package"; else dpkg -i "$package"; fi
    return
    ;;
  esac
  install_tree
  if [ -n "$root" ]; then
    echo "installed under $root; no user and no service were made"
    return
  fi
  make_user
  if systemd; then
    /usr/local/bin/xbm-agent service install --exec /usr/local/bin/xbm-agent --config /etc/xbm-agent/agent.yaml ||
      die "the program is installed, its service is not: see above, and run this again"
    return
  fi
  note "service: there is no systemd here; start it yourself: xbm-agent run --config /etc/xbm-agent/agent.yaml"
  echo "xbm-agent is installed; put a model and a gallery in place, edit /etc/xbm-agent/agent.yaml, and see what is"
  echo "missing with \`xbm-agent check-config --config /etc/xbm-agent/agent.yaml\`"
}

uninstall() {
  [ "$(id -u)" = 0 ] || die "not root; run this with sudo"
  purge=no
  case ${1:-} in
  --purge) purge=yes ;;
  "") ;;
  *) die "--uninstall takes --purge or nothing, not $1" ;;
  esac
  if packaged; then
    if [ $purge = yes ]; then apt-get purge -y xbm-agent; else apt-get remove -y xbm-agent; fi
    return
  fi
  [ -f "$manifest" ] || [ $purge = yes ] || die "xbm-agent is not installed under /usr/local"
  if systemd && [ -e $unit ]; then
    systemctl disable --now xbm-agent.service || :
    rm -f $unit
    systemctl daemon-reload
  fi
  work=$(mktemp -d)
  : >"$work/manifest"
  [ ! -f "$manifest" ] || cp "$manifest" "$work/manifest"
  grep '^f ' "$work/manifest" | while read -r _ file; do rm -f "$root$file"; done
  rm -f "$manifest"
  if [ $purge = yes ]; then
    rm -rf "$etc" "$state"
    if [ -z "$root" ] && id xbm-agent >/dev/null 2>&1; then userdel xbm-agent; fi
  fi
  # Folders that the installation made and that are empty now, the deepest first; those of the user stay.
  sed -n 's/^d //p' "$work/manifest" | sort -r | while read -r dir; do
    case $dir in
    /etc/xbm-agent* | /var/lib/xbm-agent) [ $purge = yes ] || continue ;;
    esac
    rmdir "$root$dir" 2>/dev/null || :
  done
  echo "xbm-agent is removed"
  [ $purge = yes ] || echo "configuration and state are still in /etc/xbm-agent and /var/lib/xbm-agent; --purge removes them too"
}

finish() {
  code=$?
  if [ -n "$work" ]; then
    # A copy that was cut short leaves nothing.
    if [ $code != 0 ] && [ -f "$work/files" ]; then
      while IFS= read -r file; do rm -f "$prefix/$file.xbm-new"; done <"$work/files"
      [ -f "$manifest" ] || sed -n 's/^d //p' "$work/manifest" | sort -r |
        while read -r dir; do rmdir "$root$dir" 2>/dev/null || :; done
    fi
    rm -rf "$work"
  fi
  exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

case ${1:-} in
--check)
  preflight "${2:-}"
  echo "this machine is ready for $(basename "$package")"
  ;;
--uninstall) uninstall "${2:-}" ;;
-h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0" ;;
-*) die "unknown option $1; see --help" ;;
*) install_package "${1:-}" ;;
esac
