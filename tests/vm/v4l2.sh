#!/usr/bin/env bash
# A real V4L2 camera, without one: a virtual machine whose kernel has the vivid module runs this checkout's edge-run on /dev/video0.
#
#   tests/vm/v4l2.sh [PYTHON]      PYTHON: one that has leukolite's dependencies; default: .venv/bin/python
#
# Debian or Raspberry Pi OS on x86-64; no root, no KVM. Fetches qemu, a kernel and busybox from the distribution's mirror (100 MB, once)
# into ~/.cache/leukolite-vm. The machine sees this system's files read-only. About a minute; outside `make test`.
set -euo pipefail
checkout=$(cd "$(dirname "$0")/../.." && pwd)
python=$(realpath -s "${1:-$checkout/.venv/bin/python}")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/leukolite-vm
root=$cache/root
export PATH=$root/tools:$PATH
limit_s=${LIMIT_S:-400}

if [ ! -e "$cache/fetched" ]; then
  mkdir -p "$cache/apt/archives/partial" "$root"
  apt-get -q -y -o Dir::Cache="$cache/apt" -o Debug::NoLocking=1 --no-install-recommends --download-only \
    install qemu-system-x86 linux-image-amd64 busybox-static
  for package in "$cache"/apt/archives/*.deb; do dpkg -x "$package" "$root"; done
  mkdir -p "$root/tools"
  for tool in depmod modprobe; do ln -sf "$(ls "$root/bin/kmod" /bin/kmod 2>/dev/null | head -1)" "$root/tools/$tool"; done
  touch "$cache/fetched"
fi
kernel=$(ls "$root"/boot/vmlinuz-* | tail -1)
release=${kernel##*/vmlinuz-}
modules=$root/lib/modules/$release

# an initial file system that mounts this system's root by 9p, then goes there
boot=$cache/boot
rm -rf "$boot" && mkdir -p "$boot"/{bin,mnt,proc,modules}
cp "$root"/bin/busybox "$boot/bin/busybox"
depmod -b "$root" "$release"
needed() { modprobe -d "$root" -S "$release" --show-depends "$1" | awk '$1 == "insmod" {print $2}'; }
number=10
for module in virtio_pci 9pnet_virtio 9p overlay; do
  for file in $(needed "$module"); do
    name=$(basename "$file")
    ls "$boot"/modules/*-"$name" >/dev/null 2>&1 || { cp "$file" "$boot/modules/$number-$name"; number=$((number + 1)); }
  done
done
cat > "$boot/init" <<INIT
#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install /bin
for module in /modules/*; do insmod \$module; done
mkdir -p /lower /upper /new
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,ro,cache=loose host /lower
mount -t tmpfs none /upper
mkdir /upper/data /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work none /new
mount -t proc none /new/proc; mount -t sysfs none /new/sys; mount -t devtmpfs none /new/dev; mount -t tmpfs none /new/tmp
ip link set lo up
chroot /new /bin/bash "$checkout/tests/vm/v4l2_inside.sh" "$checkout" "$python" "$root" "$release" 2>&1
echo "inside: exit code \$?"
poweroff -f
INIT
chmod +x "$boot/init"
(cd "$boot" && find . | bin/busybox cpio -o -H newc 2>/dev/null | gzip -1) > "$cache/boot.gz"

log=$cache/v4l2.log
LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu timeout "$limit_s" \
  "$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" -accel tcg,thread=multi -cpu max \
  -smp 2 -m 2048 -nographic -no-reboot -net none -kernel "$kernel" -initrd "$cache/boot.gz" \
  -append "console=ttyS0 quiet panic=-1 rdinit=/init" \
  -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap < /dev/null | tee "$log"
grep -q "inside: exit code 0" "$log"
