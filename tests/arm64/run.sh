#!/usr/bin/env bash
# 64-bit Arm, without one: the wheel of this checkout and its Arm dependencies in a Debian arm64 root, where qemu-user runs edge-run
# with every shipped bundle; the same here; then both are compared. Fails where they differ by more than a bundle's golden tolerance.
#
#   tests/arm64/run.sh [PYTHON]      PYTHON: one that has leukolite's dependencies; default: .venv/bin/python
#
#   RELEASE=trixie      Debian release, as of Raspberry Pi OS: trixie (Python 3.13) or bookworm (Python 3.11)
#   PIP_ALSO=...        further requirements, such as "numpy==1.24.2" on bookworm
#   CPUS="cortex-a72 cortex-a76"   processors of the Raspberry Pi 4 and 5
#   FRAMES=4            frames a bundle and processor, each without noise and at sigma 10; from the camera, then from files
#
# Any user on x86-64 Debian or Ubuntu; no root, no binfmt. Fetches 110 MB from Debian's mirror into ~/.cache/leukolite-arm64, once (delete it
# when done), and about 70 MB from the package index each time; all else is removed at the end. Twelve minutes
# with FRAMES=4 on two busy cores; outside `make test`. Its result is in docs/evidence/arm64.md.
set -euo pipefail
refuse() { echo "$*" >&2; exit 2; }

[ $# -le 1 ] || refuse "usage: tests/arm64/run.sh [PYTHON]"
checkout=$(cd "$(dirname "$0")/../.." && pwd)
python=$(realpath -s "${1:-$checkout/.venv/bin/python}")
release=${RELEASE:-trixie} frames=${FRAMES:-4}
read -ra also <<< "${PIP_ALSO:-}"
read -ra cpus <<< "${CPUS:-cortex-a72 cortex-a76}"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/leukolite-arm64
. "$checkout/tests/debian_root.sh"

[[ $frames =~ ^[1-9][0-9]*$ ]] || refuse "FRAMES: expected a number of frames, found $frames"
[ "$(uname -m)" = x86_64 ] || refuse "expected x86-64, found $(uname -m); on 64-bit Arm leukolite needs no emulation: make test"
PYTHONPATH=$checkout "$python" -c "import leukolite.edge.cli, pip" 2> /dev/null ||
  refuse "$python has not leukolite's dependencies and pip: make install, or give another Python"
mkdir -p "$cache" && [ -w "$cache" ] || refuse "$cache: cannot be written to; set XDG_CACHE_HOME"

say() { echo "$(date +%T) $*" >&2; }

say "Debian $release for arm64, and qemu"
debian_root trixie amd64 "$cache/qemu" qemu-user  # not older: qemu 7.2 computes int8 wrongly, or LiteRT crashes in it
debian_root "$release" arm64 "$cache/$release" python3 python3-pip-whl libstdc++6 ca-certificates
qemu=$cache/qemu/root/usr/bin/qemu-aarch64
find "${qemu%/*}" -name 'qemu-*' ! -name qemu-aarch64 -delete

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/source"
(cd "$checkout" && cp -r pyproject.toml README.md LICENSE NOTICE leukolite train convert edge benchmarks "$work/source")
say "the wheel, installed by the Arm Python's own pip"
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$work" "$work/source"
export QEMU_LD_PREFIX=$cache/$release/root
arm_python=$work/arm/bin/python
"$qemu" "$QEMU_LD_PREFIX/usr/bin/python3" -m venv --without-pip "$work/arm"
PYTHONPATH=$(ls "$QEMU_LD_PREFIX"/usr/share/python-wheels/pip-*.whl) "$qemu" "$arm_python" -m pip install -qq \
  --disable-pip-version-check --no-compile --no-cache-dir --only-binary :all: "$work"/leukolite-*.whl "${also[@]}"

say "edge-run on both"
cd "$work"  # and from the copy, so that both run the same files whatever is edited meanwhile
status=0
PYTHONPATH=$work/source "$python" "$checkout/tests/arm64/compare.py" "$qemu" "$arm_python" "$frames" "${cpus[@]}" || status=$?
[ $status = 0 ] && say "alike" || say "NOT alike, or failed"
exit $status
