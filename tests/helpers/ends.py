"""Sessions of `edge-run` in processes of their own, each ended by one cause, and what they leave: tests and tests/attack/ends.py.

Called as a program, `ends.py FAULT OPTION...` is an `edge-run` in which the fault happens with the frame `AT`.
"""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AT = 4  # number of the frame, from 0

CAMERA, PICTURES = "camera", "pictures"


@dataclass(frozen=True)
class Cause:
    """What ends a session.

    Attributes:
        source: what it classifies.
        codes: exit codes that are right.
        options: further ones.
    """

    name: str
    source: str
    codes: tuple[int, ...]
    options: tuple[str, ...] = ()


CAUSES = (
    Cause("source end", PICTURES, (0,)),
    Cause("Ctrl-C", CAMERA, (0,)),
    Cause("SIGTERM", CAMERA, (0,)),
    Cause("SIGHUP", CAMERA, (0,)),
    Cause("driver exception", CAMERA, (1,)),
    Cause("decoder exception", PICTURES, (0, 1)),  # a gap, where decoders are guarded
    Cause("traceback on purpose", CAMERA, (1,)),
    Cause("EMFILE", CAMERA, (1,), ("--keep-frames",)),
    Cause("dead disk", CAMERA, (1,)),
    Cause("full disk", CAMERA, (1,)),
    Cause("stuck runtime", CAMERA, (1,), ("--no-answer", "1")),
    Cause("kill -9", CAMERA, (-9,)),
)


@dataclass(frozen=True)
class Left:
    """What a session left behind.

    Attributes:
        code: of the exit; the negative signal of a process that one ended.
        last: the journal's last record.
        verify: what `leukolite journal verify` says of the end.
        json, out: the two results, None where there is none.
    """

    code: int
    last: dict[str, Any]
    verify: str
    json: dict[str, Any] | None
    out: dict[str, Any] | None
    stdout: str
    stderr: str


def run(cause: Cause, place: Path, pictures: Path) -> Left:
    """Hold a session in `place` and let `cause` end it.

    Args:
        pictures: a folder of more than `AT` of them.
    """
    from leukolite.edge.journal.folder import is_recorded_now
    from leukolite.edge.journal.format import read, verify
    from leukolite.edge.journal_cli import how_it_ended

    source = ("--source", pictures) if cause.source == PICTURES else ("--camera", "synthetic", "--every-frame")
    files = ("--journal", place / "session", "--json", place / "o.json", "--out", place / "out")
    command = [sys.executable, __file__, cause.name, "--bundle", "synthetic-cells", *source, "--quiet", *cause.options, *files]
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=90, check=False, preexec_fn=_take_signals
    )
    assert (place / "session").is_dir(), done.stderr
    *_, last = read(place / "session")
    said = how_it_ended(verify(place / "session"), is_recorded_now(place / "session"))
    results = [json.loads(path.read_text()) if path.exists() else None for path in (place / "o.json", place / "out/report.json")]
    return Left(done.returncode, last.record.model_dump(mode="json"), said, results[0], results[1], done.stdout, done.stderr)


# --- in the child


def _take_signals() -> None:
    """As from a terminal: a shell ignores some of what it starts in the background, nohup others."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _raise(error: BaseException) -> None:
    raise error


def _send(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def _take_descriptors() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 256), hard))
    try:
        while True:
            os.dup(0)
    except OSError:
        return


def _is_of_session(fd: int) -> bool:
    return "/session" in str(Path(f"/proc/self/fd/{fd}").readlink())


def _break_disk(code: int, *, syncs_too: bool) -> None:
    """The session's disk fails; that of the results does not."""
    from leukolite.edge.journal.writer import Journal

    write, fsync = os.write, os.fsync

    def failing_write(fd: int, data: bytes) -> int:
        if _is_of_session(fd) and (syncs_too or len(data) > 350):  # on a full disk the reserve has room for the last word
            raise OSError(code, os.strerror(code))
        return write(fd, data)

    def failing_sync(fd: int) -> None:
        if syncs_too and _is_of_session(fd):
            raise OSError(code, os.strerror(code))
        fsync(fd)

    os.write = failing_write
    for journal in _journals(Journal):
        journal._sync_file = failing_sync


def _journals(kind: type) -> list[Any]:
    import gc

    return [one for one in gc.get_objects() if isinstance(one, kind)]


def _hang_runtime() -> None:
    from leukolite.edge.host.watchdog import WatchedRuntime

    for watched in _journals(WatchedRuntime):
        watched.watched.__class__.invoke = lambda self, batch: time.sleep(600)


FAULTS: dict[str, Callable[[], None]] = {
    "source end": lambda: None,
    "Ctrl-C": _send(signal.SIGINT),
    "SIGTERM": _send(signal.SIGTERM),
    "SIGHUP": _send(signal.SIGHUP),
    "traceback on purpose": lambda: _raise(ZeroDivisionError("on purpose")),
    "EMFILE": _take_descriptors,
    "dead disk": lambda: _break_disk(errno.EIO, syncs_too=True),
    "full disk": lambda: _break_disk(errno.ENOSPC, syncs_too=False),
    "stuck runtime": _hang_runtime,
    "kill -9": _send(signal.SIGKILL),
}


def main() -> None:
    name = sys.argv.pop(1)
    from leukolite.edge import pipeline
    from leukolite.edge.camera import folder, synthetic

    if name == "driver exception":
        rendered = synthetic.SyntheticCamera.frames

        def frames(self: object) -> Any:
            for item in rendered(self):
                if item.index >= AT:
                    raise RuntimeError("the driver broke")
                yield item

        synthetic.SyntheticCamera.frames = frames
    elif name == "decoder exception":
        decode, seen = folder.read_rgb, []

        def read_rgb(path: Path) -> Any:
            seen.append(path)
            if len(seen) == AT + 1:
                raise RuntimeError("the decoder broke")
            return decode(path)

        folder.read_rgb = read_rgb
    else:
        classify = pipeline.classify_frame

        def classify_frame(frame: Any, *rest: Any) -> Any:
            if frame.index == AT:
                FAULTS[name]()
            return classify(frame, *rest)

        pipeline.classify_frame = classify_frame
    from leukolite.edge.start import main as edge_run

    edge_run()


if __name__ == "__main__":
    main()
