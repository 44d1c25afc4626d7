import os
import sys

import pytest

from leukolite.quiet import quiet


def test_nothing_from_python_or_below_reaches_the_terminal(capfd):
    with quiet():
        print("python")  # noqa: T201
        print("python", file=sys.stderr)  # noqa: T201
        os.write(1, b"below\n")
        os.write(2, b"below\n")
        os.system("echo a child")
    assert capfd.readouterr() == ("", "")


def test_afterwards_the_terminal_is_back(capfd):
    with quiet():
        pass
    os.write(1, b"out")
    os.write(2, b"err")
    assert capfd.readouterr() == ("out", "err")


def test_an_error_passes_through_and_the_terminal_is_back(capfd):
    with pytest.raises(ZeroDivisionError), quiet():
        os.write(2, b"chatter")
        raise ZeroDivisionError
    os.write(2, b"err")
    assert capfd.readouterr() == ("", "err")


def test_what_was_printed_before_is_not_lost(capfd):
    print("before", end="")  # noqa: T201
    with quiet():
        pass
    assert capfd.readouterr().out == "before"


def test_no_file_descriptor_is_left_open():
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    with quiet():
        pass
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208
