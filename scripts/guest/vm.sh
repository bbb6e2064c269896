#!/usr/bin/env bash
# Boots an arm64 Debian with systemd in an emulated machine, with a kernel that enforces all of the unit's sandbox, and
# makes the same checks as nspawn.sh with the arm64 package in dist/ (make deb-arm64), and with a V4L2 camera that the
# kernel's vivid driver plays. Needs root, qemu-system-arm, qemu-user-static, mmdebstrap, arch-test, e2fsprogs, kmod, cpio,
# and what the demo has made (make demo). Takes some ten minutes; the first time, some more to make the system.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/guest/common.sh
. scripts/guest/common.sh

[[ $(id -u) == 0 ]] || skip "needs root"
for program in qemu-system-aarch64:qemu-system-arm qemu-aarch64-static:qemu-user-static mmdebstrap:mmdebstrap arch-test:arch-test \
  mke2fs:e2fsprogs depmod:kmod cpio:cpio; do
  command -v "${program%:*}" >/dev/null || skip "${program%:*} is missing (Debian: apt-get install ${program#*:})"
done
for deb in dist/xbm-agent_*_arm64.deb; do :; done
[[ -f $deb ]] || skip "no package for arm64 in dist/ (make deb-arm64)"
[[ -f demo/out/things.gallery ]] || skip "no model and gallery in demo/out (make demo)"

# kernel FOLDER fetches Debian's kernel and a static busybox for the initrd, unpacked. (Installing the kernel's package
# would build an initrd in emulation, for very long.)
kernel() {
  [[ -e $1/bin/busybox ]] && return
  say "fetching a kernel (once)"
  rm -rf "$1" build/tmp/kernel
  mkdir -p "$1.new" build/tmp/kernel
  # shellcheck disable=SC2016 # the hook's variables
  TMPDIR=$PWD/build/tmp fetched=$PWD/build/tmp/kernel mmdebstrap --quiet --variant=custom --architectures=arm64 --format=null \
    --customize-hook='export APT_CONFIG=$MMDEBSTRAP_APT_CONFIG; cd "$fetched" && apt-get -q download busybox-static \
      $(apt-cache depends linux-image-arm64 | sed -n "s/.*Depends: \(linux-image-[0-9].*\)/\1/p" | head -n 1)' \
    bookworm - >build/kernel.log 2>&1 || die "no kernel: $(tail -n 3 build/kernel.log)"
  for package in build/tmp/kernel/*.deb; do dpkg-deb -x "$package" "$1.new"; done
  depmod -b "$1.new" "$(basename "$1.new"/lib/modules/*)"
  mv "$1.new" "$1"
}

# copy_modules KERNEL ROOT NAME... copies these modules, and those that they need, into a root.
copy_modules() {
  local kernel=$1 root=$2 version name
  version=$(basename "$kernel"/lib/modules/*)
  shift 2
  for name in "$@"; do
    modprobe -d "$kernel" -S "$version" --show-depends "$name" | sed -n "s|^insmod $kernel/*||p"
  done | sort -u | (cd "$kernel" && xargs cp --parents -t "$root" "lib/modules/$version"/modules.{order,builtin,builtin.modinfo})
  depmod -b "$root" "$version"
}

# initrd KERNEL FILE makes one that loads what the disk and the shared folders need, and goes over to the disk.
initrd() {
  local kernel=$1 tree=$work/initrd
  mkdir -p "$tree"/{bin,dev,proc,sys,disk}
  cp "$kernel/bin/busybox" "$tree/bin/"
  copy_modules "$kernel" "$tree" virtio_pci virtio_blk crc32c_generic ext4 9p 9pnet_virtio
  cat >"$tree/init" <<'END'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
for m in virtio_pci virtio_blk crc32c_generic ext4 9p 9pnet_virtio; do $b modprobe $m; done
$b sleep 1
$b mount -t ext4 /dev/vda /disk || exec $b poweroff -f
$b mount -t 9p -o trans=virtio,version=9p2000.L,ro in /disk/in
$b mount -t 9p -o trans=virtio,version=9p2000.L out /disk/out
$b umount /sys /proc
$b mount --move /dev /disk/dev
exec $b switch_root /disk /lib/systemd/systemd
END
  chmod +x "$tree/init"
  (cd "$tree" && find . | cpio --quiet -o -H newc | gzip -1) >"$2"
}

foreign arm64
# shellcheck disable=SC2046 # a list
make_root arm64 build/guest-arm64.tar $(depends "$deb")
kernel "$PWD/build/kernel-arm64"
work=$PWD/build/tmp/vm
rm -rf --one-file-system "$work"
mkdir -p "$work"
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root in=$work/in out=$PWD/build/guest-arm64
rm -rf "$out"
mkdir -p "$root" "$in" "$out"
tar -xf build/guest-arm64.tar -C "$root"
fill "$root" "$in" "$deb" 30 10
aarch64-linux-gnu-gcc -shared -fPIC -O2 -o "$in/hang.so" scripts/guest/hang.c -ldl # the compiler that built the package
copy_modules "$PWD/build/kernel-arm64" "$root" vivid
echo vivid >"$root/etc/modules-load.d/vivid.conf"
echo 'options vivid node_types=0x1 n_devs=1' >"$root/etc/modprobe.d/vivid.conf"
initrd "$PWD/build/kernel-arm64" "$work/initrd.gz"
mke2fs -q -t ext4 -d "$root" "$work/disk" 3G
rm -rf --one-file-system "$root"

say "booting (emulated: this takes minutes)"
timeout --kill-after=10 1500 qemu-system-aarch64 -M virt -cpu cortex-a72 -accel tcg,thread=multi -smp 2 -m 1536 \
  -nographic -nic none -kernel build/kernel-arm64/boot/vmlinuz-* -initrd "$work/initrd.gz" \
  -append "console=ttyAMA0 root=/dev/vda rw quiet systemd.show_status=0" \
  -drive file="$work/disk",if=virtio,format=raw,cache=unsafe \
  -virtfs local,path="$in",mount_tag=in,security_model=none,readonly=on \
  -virtfs local,path="$out",mount_tag=out,security_model=none >"$out/console" 2>&1 </dev/null || say "the machine ended with $?"
report "$out"
