"""What a stdout or stderr that nobody reads can do to judging, recording and the end: python tests/attack/pipes.py

`edge-run` classifies and records the synthetic camera while its output goes where nobody reads: pipes, a terminal after Ctrl-S,
a socket as systemd's journal has it, a disk that is full. After some seconds SIGTERM asks it to end. For each case: frames per
second in the journal, how long the end took, the exit code, and whether the journal is whole.
"""

import argparse
import contextlib
import fcntl
import os
import pty
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from leukolite.edge.journal.format import read, verify
from leukolite.edge.journal.records import FrameRecord
from leukolite.errors import LeukoliteError

EDGE_RUN = "from leukolite.edge.start import main; main()"
F_SETPIPE_SZ = 1031
FPS = 100

Opened = Callable[[ExitStack], int | None]  # a descriptor for the child; None: closed


def read_on(closings: ExitStack) -> int:
    """A pipe that is read to its end."""
    ours, theirs = os.pipe()
    threading.Thread(target=_drain, args=(ours,), daemon=True).start()
    return theirs


def stuck(closings: ExitStack) -> int:
    """A pipe of 4 KiB that nobody reads."""
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, F_SETPIPE_SZ, 4096)
    closings.callback(os.close, ours)
    return theirs


def full(closings: ExitStack) -> int:
    """A pipe without any room from the beginning."""
    theirs = stuck(closings)
    os.set_blocking(theirs, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(theirs, bytes(4096))
    os.set_blocking(theirs, True)
    return theirs


def reader_left(closings: ExitStack) -> int:
    ours, theirs = os.pipe()
    os.close(ours)
    return theirs


def stopped_terminal(closings: ExitStack) -> int:
    """A terminal after Ctrl-S, whose window is still there."""
    ours, theirs = pty.openpty()
    os.write(ours, b"\x13")
    closings.callback(os.close, ours)
    return theirs


def stuck_socket(closings: ExitStack) -> int:
    """As systemd gives it to a service, with a journal that does not read."""
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    closings.callback(ours.close)
    return theirs.detach()


def full_disk(closings: ExitStack) -> int:
    return os.open("/dev/full", os.O_WRONLY)


def closed(closings: ExitStack) -> None:
    return None


CASES: dict[str, tuple[Opened, Opened, tuple[str, ...]]] = {
    "both are read": (read_on, read_on, ()),
    "stdout stuck": (stuck, read_on, ()),
    "stderr stuck": (read_on, stuck, ()),
    "both stuck": (stuck, stuck, ()),
    "both full from the beginning": (full, full, ()),
    "both closed": (closed, closed, ()),
    "the reader left": (reader_left, reader_left, ()),
    "a full disk": (full_disk, full_disk, ()),
    "a terminal after Ctrl-S": (stopped_terminal, stopped_terminal, ()),
    "a socket that nobody reads": (stuck_socket, stuck_socket, ()),
    "verdicts on a stuck stderr": (read_on, stuck, ("--json", "-")),
    "JSON to a stuck stdout": (stuck, read_on, ("--json", "-", "--quiet")),
}


def attempt(stdout: Opened, stderr: Opened, options: tuple[str, ...], number: int, seconds: float) -> str:
    """One session; returns a row of the table."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as closings:
        record = Path(folder) / "session"
        command = [sys.executable, "-c", EDGE_RUN, "--bundle", "synthetic-cells", "--camera", f"synthetic:{FPS}", "--every-frame"]
        command += ["--record", str(record), *options]
        given = [opened(closings) for opened in (stdout, stderr)]

        def close_what_is_closed() -> None:
            for descriptor, place in zip(given, (1, 2), strict=True):
                if descriptor is None:
                    os.close(place)

        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=given[0], stderr=given[1], preexec_fn=close_what_is_closed
        )
        for descriptor in given:
            if descriptor is not None:
                os.close(descriptor)
        try:
            deadline = time.monotonic() + 60
            while not n_frames(record) and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            began, before = time.monotonic(), n_frames(record)
            time.sleep(seconds)
            rate = (n_frames(record) - before) / (time.monotonic() - began)
            asked = time.monotonic()
            process.send_signal(number)
            try:
                process.wait(30)
                took = f"{time.monotonic() - asked:6.1f}"
            except subprocess.TimeoutExpired:
                took = "  NEVER"
        finally:
            process.kill()
            process.wait()
        try:
            found = verify(record)
            whole = "whole, ended" if found.ended else "whole, NOT ENDED"
        except LeukoliteError as error:
            whole = f"BROKEN: {error}"
    return f"{rate:>9.1f}{took:>8}{process.returncode:>6}  {whole}"


def n_frames(folder: Path) -> int:
    with contextlib.suppress(LeukoliteError, OSError):  # not begun, or a line that is just being written
        return sum(isinstance(entry.record, FrameRecord) for entry in read(folder))
    return 0


def _drain(descriptor: int) -> None:
    with os.fdopen(descriptor, "rb") as file:
        while file.read1(65536):
            pass


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each session, before it is asked to end")
    parser.add_argument("--signal", default="SIGTERM", choices=["SIGTERM", "SIGHUP", "SIGINT"])
    wanted = parser.parse_args()
    sys.stdout.write(f"{'':<32}frames/s  end s  code  journal\n")
    rows = []
    for name, case in CASES.items():
        rows.append(attempt(*case, signal.Signals[wanted.signal], wanted.seconds))
        sys.stdout.write(f"{name:<32}{rows[-1]}\n")
        sys.stdout.flush()
    return int(any(word in row for row in rows for word in ("NEVER", "NOT ENDED", "BROKEN")))


if __name__ == "__main__":
    raise SystemExit(main())
