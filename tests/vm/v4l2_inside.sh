#!/bin/bash
# What tests/vm/v4l2.sh runs inside the virtual machine.
set -euo pipefail
checkout=$1 python=$2 modules_root=$3 release=$4
export HOME=/tmp PATH=$modules_root/tools:/usr/sbin:/usr/bin:/sbin:/bin PYTHONPATH=$checkout PYTHONDONTWRITEBYTECODE=1
date -s "@$(stat -c %Y "$checkout")" > /dev/null
modprobe -d "$modules_root" -S "$release" vivid n_devs=1 node_types=0x1
for _ in $(seq 50); do [ -e /dev/video0 ] && break; sleep 0.1; done
ls -l /dev/video0
cd /tmp
exec "$python" "$checkout/tests/vm/v4l2_checks.py" -d "$modules_root" -S "$release"
