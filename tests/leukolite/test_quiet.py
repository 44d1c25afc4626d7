import os
import subprocess
import sys

import pytest

from leukolite.quiet import quiet

CHATTER = """
import os, sys
from leukolite.quiet import quiet
print("before")
with quiet():
    print("python")
    print("python", file=sys.stderr)
    os.write(1, b"below")
    os.write(2, b"below")
    os.system("echo a child")
print("after")
"""


def test_nothing_from_python_or_below_reaches_the_terminal():
    process = subprocess.run([sys.executable, "-c", CHATTER], capture_output=True, text=True, check=True)
    assert (process.stdout, process.stderr) == ("before\nafter\n", "")


def test_an_error_passes_through_and_the_terminal_is_back(capfd):
    with pytest.raises(ZeroDivisionError), quiet():
        os.write(2, bytes(1 // 0))
    os.write(1, b"out")
    os.write(2, b"err")
    assert capfd.readouterr() == ("out", "err")


def test_no_file_descriptor_is_left_open():
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    with quiet():
        pass
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208
