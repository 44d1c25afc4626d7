# Sourced by the scripts here: a virtual machine out of the distribution's own packages; no root, no KVM, nothing installed.
# It sees this system's files read-only by 9p and what the script lays over them.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/leukolite-vm
root=$cache/root # qemu, Debian's kernel with its modules, busybox, kmod
export PATH=$root/tools:$PATH

fetch_machine() { # once, about 100 MB
  [ -e "$cache/fetched" ] && return
  mkdir -p "$cache/apt/archives/partial" "$root/tools"
  apt-get -q -y -o Dir::Cache="$cache/apt" -o Debug::NoLocking=1 --no-install-recommends --download-only \
    install qemu-system-x86 linux-image-amd64 busybox-static
  for package in "$cache"/apt/archives/*.deb; do dpkg -x "$package" "$root"; done
  for tool in depmod modprobe; do ln -sf "$(ls "$root/bin/kmod" /bin/kmod 2>/dev/null | head -1)" "$root/tools/$tool"; done
  touch "$cache/fetched"
}

# run_machine MODULES_ROOT CPU LOG: boots the kernel below MODULES_ROOT, mounts this system at /lower, then runs $inside, which
# finds its own root at /new once it has called lay_over LOWER. 0 if it said "inside: exit code 0".
run_machine() {
  local modules_root=$1 cpu=$2 log=$3 kernel release boot number=10 module file name
  kernel=$(ls "$modules_root"/boot/vmlinuz-* | tail -1)
  release=${kernel##*/vmlinuz-}
  boot=$cache/boot
  rm -rf "$boot" && mkdir -p "$boot"/{bin,modules}
  cp "$root"/bin/busybox "$boot/bin/busybox"
  depmod -b "$modules_root" "$release"
  for module in virtio_pci 9pnet_virtio 9p overlay; do
    for file in $(modprobe -d "$modules_root" -S "$release" --show-depends "$module" | awk '$1 == "insmod" {print $2}'); do
      name=$(basename "$file" .xz)
      ls "$boot"/modules/*-"$name" >/dev/null 2>&1 && continue
      case $file in
        *.xz) xz -dc "$file" > "$boot/modules/$number-$name" ;;
        *) cp "$file" "$boot/modules/$number-$name" ;;
      esac
      number=$((number + 1))
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
lay_over() {
  mount -t overlay -o lowerdir=\$1,upperdir=/upper/data,workdir=/upper/work none /new
  mkdir -p /new/host
  mount -o bind /lower /new/host
  mount -t proc none /new/proc; mount -t sysfs none /new/sys; mount -t devtmpfs none /new/dev; mount -t tmpfs none /new/tmp
  ip link set lo up
}
release=$release
$inside
echo "inside: exit code \$?"
poweroff -f
INIT
  chmod +x "$boot/init"
  (cd "$boot" && find . | bin/busybox cpio -o -H newc 2>/dev/null | gzip -1) > "$cache/boot.gz"
  LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu timeout "${LIMIT_S:-400}" \
    "$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" -accel tcg,thread=multi -cpu "$cpu" \
    -smp 2 -m 2048 -nographic -no-reboot -net none -kernel "$kernel" -initrd "$cache/boot.gz" \
    -append "console=ttyS0 quiet panic=-1 rdinit=/init" \
    -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap < /dev/null 2>&1 | tee "$log"
  grep -q "inside: exit code 0" "$log"
}
