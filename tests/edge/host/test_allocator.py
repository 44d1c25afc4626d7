"""What is freed goes back to the system, so that one large picture's memory does not stand beside the next one's."""

import platform
import subprocess
import sys

import pytest

_SESSION = """
import numpy as np
from leukolite.edge.host.allocator import return_large_buffers
def held():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))
assert return_large_buffers()
before = held()
for _ in range(3):  # as Pillow's blocks: the first that is freed would raise glibc's threshold, and the next would stay
    blocks = [bytearray(b"x") * (16 << 20) for _ in range(4)]
    rest = bytearray(100_000)
    del blocks
print(held() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_pictures_are_given_back():
    result = subprocess.run([sys.executable, "-c", _SESSION], capture_output=True, text=True, check=True)
    assert int(result.stdout) < 8 * 1024  # KiB, of 64 MiB
