# shellcheck shell=bash
# Sourced by scripts that build for other machines. Architectures have Debian's names: amd64, arm64, armhf.

# host_arch prints this machine's architecture, empty when it is none of the three. Debian's own word goes first: a
# 64-bit kernel may carry a 32-bit system.
host_arch() {
  case $(dpkg --print-architecture 2>/dev/null || uname -m) in
  amd64 | arm64 | armhf) dpkg --print-architecture ;;
  x86_64) echo amd64 ;;
  aarch64) echo arm64 ;;
  armv7l) echo armhf ;;
  esac
}

# elf_machine FILE prints the architecture that a program or library is for, or what readelf calls another one.
elf_machine() {
  local machine
  machine=$(LC_ALL=C readelf -h "$1" 2>/dev/null | sed -n 's/^ *Machine: *//p')
  case $machine in
  'Advanced Micro Devices X86-64') echo amd64 ;;
  AArch64) echo arm64 ;;
  ARM) echo armhf ;;
  '') echo "no program or library" ;;
  *) echo "$machine" ;;
  esac
}

# known_arch ARCH tells whether it is one of the three.
known_arch() { [[ $1 == amd64 || $1 == arm64 || $1 == armhf ]]; }
