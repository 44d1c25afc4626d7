#!/usr/bin/env bash
# A real V4L2 camera, without one: a virtual machine whose kernel has the vivid driver runs this checkout's edge-run on /dev/video0.
#
#   tests/vm/v4l2.sh [PYTHON]      PYTHON: one that has leukolite's dependencies; default: .venv/bin/python
#
# For Debian on x86-64. Fetches 100 MB once into ~/.cache/leukolite-vm; two minutes; outside `make test`.
set -euo pipefail
checkout=$(cd "$(dirname "$0")/../.." && pwd)
python=$(realpath -s "${1:-$checkout/.venv/bin/python}")
. "$checkout/tests/vm/machine.sh"
fetch_machine
inside="lay_over /lower
chroot /new /bin/bash $checkout/tests/vm/v4l2_inside.sh $checkout $python $root \$release 2>&1"
run_machine "$root" max "$cache/v4l2.log"
