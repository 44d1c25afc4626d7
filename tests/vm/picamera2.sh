#!/usr/bin/env bash
# The real picamera2 and libcamera, without a Raspberry Pi: in a virtual machine on libcamera's virtual pipeline.
#
#   tests/vm/picamera2.sh [PYTHON]      PYTHON: one with pip, to fetch wheels; default: .venv/bin/python
#
# For Debian on x86-64. Fetches Debian 13's kernel, libcamera and Python 3.13 and some wheels (400 MB with those of machine.sh, once) into
# ~/.cache/leukolite-vm; a minute; outside `make test`. The virtual pipeline gives NV12 alone and no exposure: picamera2_checks.py
# says what is put in between.
set -euo pipefail
checkout=$(cd "$(dirname "$0")/../.." && pwd)
python=${1:-$checkout/.venv/bin/python}
. "$checkout/tests/vm/machine.sh"
. "$checkout/tests/debian_root.sh"
fetch_machine
place=$cache/debian13
system=$place/root

debian_root trixie amd64 "$place" python3-libcamera libcamera-ipa linux-image-amd64 bash
if [ ! -e "$place/complete" ]; then
  mkdir -p "$system"/{dev,proc,sys,tmp,host,site} "$system/usr/share/libcamera/pipeline/virtual"
  "$python" -m pip install -q --target "$system/site" --python-version 3.13 --only-binary=:all: \
    --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 --platform any \
    numpy opencv-python-headless pillow click pytest simplejpeg av jsonschema tqdm
  "$python" -m pip install -q --target "$system/site" --no-deps picamera2 piexif videodev2
  # what only Raspberry Pi OS has, or needs a compiler, and the camera does not use: displays, raw files, archives
  printf 'class _Any(type):\n    def __getattr__(cls, name): return name\nclass PixelFormat(metaclass=_Any): pass\n' > "$system/site/pykms.py"
  echo 'def set_name(name): pass' > "$system/site/prctl.py"
  echo > "$system/site/libarchive.py"
  mkdir -p "$system/site/pidng"
  echo 'class Picamera2Camera: pass' > "$system/site/pidng/camdefs.py"
  echo 'class PICAM2DNG: pass' > "$system/site/pidng/core.py"
  cat > "$system/usr/share/libcamera/pipeline/virtual/virtual.yaml" <<'YAML'
%YAML 1.1
---
"Virtual0":
  supported_formats:
  - width: 640
    height: 480
    frame_rates: [30, 60]
  test_pattern: "bars"
  location: "CameraLocationFront"
  model: "Virtual Video Device"
YAML
  touch "$place/complete"
fi

inside="lay_over /lower$system
ln -s system /new/dev/dma_heap/linux,cma
chroot /new /bin/bash -c 'export PYTHONPATH=/site:/host$checkout:/usr/lib/python3/dist-packages HOME=/tmp PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3.13 /host$checkout/tests/vm/picamera2_checks.py' 2>&1"
run_machine "$system" Haswell-noTSX "$cache/picamera2.log"  # qemu 7's 'max' is too new for this kernel
