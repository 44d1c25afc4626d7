"""A process that prints where nobody reads goes on and ends: pipes, a terminal after Ctrl-S, a socket, libraries below Python."""

import contextlib
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PRINT = """
import os, signal, sys, time
from pathlib import Path
import click
import leukolite.outbox as outbox
import leukolite.unwaited as unwaited
from leukolite.files import new_file
from leukolite.streams import guard_streams
from leukolite.terminal import stdout, warn
unwaited.ASKED_PATIENCE_S, outbox.MOST_BYTES = 0.5, 100_000
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
what, lines = sys.argv[1], int(sys.argv[2])
guard_streams()
if os.environ.get("NOT_OURS"):  # as another user's terminal
    opens = os.open
    def refuse(path, *how, **kept):
        if str(path).startswith("/proc/self/fd"):
            raise PermissionError(13, "Permission denied")
        return opens(path, *how, **kept)
    os.open = refuse
with unwaited.unwaited_streams():
    unwaited.give_up_once(lambda: bool(asked))
    for k in range(lines):
        unwaited.print_passing(f"verdict {k}", sys.stdout)
        if k % 100 == 0:
            warn(f"note {k}")
    if what == "library":
        for _ in range(20):
            try:
                os.write(2, b"libjpeg: corrupt data\\n" * 40)
                os.write(1, b"something\\n" * 40)
            except BlockingIOError:
                pass  # a library drops it
    stdout().print("the closing table")
    Path("kept").write_text("the work went on")
    if what == "file":
        try:
            with new_file(Path("-")) as out:
                out.write(b"row\\n" * 100_000)
        except Exception as error:
            Path("failed").write_text(str(error))
    if what == "bug":
        raise ZeroDivisionError("a bug" * 3000)
"""

Run = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Run]:
    """Starts PRINT in `tmp_path`, with the given streams."""
    processes: list[subprocess.Popen[bytes]] = []
    (tmp_path / "code.py").write_text(PRINT)

    def run(what: str, lines: int, *options: str, **streams: object) -> "subprocess.Popen[bytes]":
        places = os.environ | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        command = [sys.executable, *options, "code.py", what, str(lines)]
        processes.append(subprocess.Popen(command, cwd=tmp_path, env=places, **streams))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.wait()


def went_on(folder: Path) -> bool:
    return (folder / "kept").read_text() == "the work went on"


@pytest.mark.parametrize("options", [(), ("-u",)])
def test_who_reads_gets_every_line_whole_and_in_order(begin, tmp_path, options):
    process = begin("lines", 5000, *options, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said, errors = process.communicate(timeout=30)
    assert (process.returncode, errors.decode().splitlines()) == (0, [f"note {k}" for k in range(0, 5000, 100)])
    assert said.decode().splitlines() == [*(f"verdict {k}" for k in range(5000)), "the closing table"]


def test_both_streams_in_one_pipe_keep_their_order(begin):
    process = begin("lines", 301, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = process.communicate(timeout=30)[0].decode().splitlines()
    assert said.index("note 200") == said.index("verdict 200") + 1


def test_a_slow_reader_gets_all(begin):
    process = begin("lines", 3000, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    said = b""
    while piece := os.read(process.stdout.fileno(), 3000):
        said += piece
        time.sleep(0.01)
    assert process.wait(10) == 0
    assert len(said.splitlines()) == 3001
    process.stdout.close()


@pytest.mark.parametrize("what", ["lines", "library"])
@pytest.mark.parametrize("streams", ["stdout", "stderr", "both"])
def test_what_nobody_reads_ends_nothing_and_is_waited_for_shortly(begin, tmp_path, stuck, what, streams):
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    how |= dict.fromkeys(["stdout", "stderr"] if streams == "both" else [streams], stuck)
    process = begin(what, 20_000, **how)
    said, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert went_on(tmp_path)
    if streams == "stdout":
        assert errors.decode().splitlines()[-1].endswith("lines were not shown on stdout, which nobody read")
    if streams == "stderr":
        assert said.decode().splitlines()[-1] == "the closing table"


def test_a_library_below_python_is_heard_where_somebody_reads(begin):
    process = begin("library", 1, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said, errors = process.communicate(timeout=20)
    assert b"libjpeg: corrupt data\n" in errors
    assert b"something\n" in said


def test_a_terminal_after_control_s_ends_nothing_and_shows_after_control_q_what_was_left_out(begin, tmp_path):
    ours, theirs = pty.openpty()
    os.write(ours, b"\x13")
    process = begin("lines", 20_000, stdout=theirs, stderr=theirs)
    os.close(theirs)
    while not (tmp_path / "kept").exists():
        assert process.poll() is None
        time.sleep(0.02)
    os.write(ours, b"\x11")
    shown = b""
    with contextlib.suppress(OSError):  # the other side has ended
        while True:
            shown += os.read(ours, 65536)
    os.close(ours)
    lines = shown.decode().splitlines()
    assert process.wait(10) == 0
    assert lines[-1] == "the closing table"
    assert any(line.endswith(" lines were not shown: nobody read them)") for line in lines)
    assert [f"note {k}" for k in range(0, 20_000, 100)] == [line for line in lines if line.startswith("note")]


def test_a_socket_that_nobody_reads_ends_nothing(begin, tmp_path):
    """As systemd gives it to a service."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = begin("library", 5000, stdout=theirs, stderr=theirs)
        assert process.wait(30) == 0
    assert went_on(tmp_path)


@pytest.mark.parametrize("opens_again", [True, False])
def test_a_pipe_that_other_processes_have_too_stays_as_it_was_for_them(begin, stuck, monkeypatch, opens_again):
    monkeypatch.setenv("NOT_OURS", "" if opens_again else "1")
    process = begin("lines", 2000, stdout=stuck, stderr=stuck)
    assert process.wait(20) == 0
    assert os.get_blocking(stuck)


def test_a_bug_is_shown_where_somebody_reads_and_ends_the_process_where_nobody_does(begin, stuck):
    process = begin("bug", 1, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.communicate(timeout=20)[1].decode().splitlines()[-1] == "ZeroDivisionError: " + "a bug" * 3000
    process = begin("bug", 1, stdout=stuck, stderr=stuck)
    assert process.wait(20) == 1


def test_a_file_on_stdout_waits_for_its_reader_until_the_process_is_asked_to_end(begin, tmp_path, stuck):
    process = begin("file", 0, stdout=stuck, stderr=subprocess.DEVNULL)
    while not (tmp_path / "kept").exists():
        time.sleep(0.02)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.2)  # more than it waits once asked
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert (tmp_path / "failed").read_text().startswith("stdout: not all could be written (nobody reads it)")


def test_a_file_on_a_slow_stdout_arrives_whole_though_the_process_is_asked_to_end(begin, tmp_path):
    process = begin("file", 0, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while not (tmp_path / "kept").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    got = b""
    while piece := os.read(process.stdout.fileno(), 8192):
        got += piece
        time.sleep(0.005)
    process.stdout.close()
    assert process.wait(10) == 0
    assert got == b"the closing table\n" + b"row\n" * 100_000
    assert not (tmp_path / "failed").exists()
