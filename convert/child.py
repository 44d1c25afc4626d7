"""Work in a process of its own: another interpreter, another Keras, or a runtime that may crash.

The child says on stdout how far it is, a line of JSON each: {"stage", "done", "total"}, then {"result"} or {"error"}.
"""

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from leukolite.errors import ConversionError, reason_of
from leukolite.progress import OnProgress


class ChildFailed(ConversionError):
    """The process ended without a result; its own words, in one line."""


class ChildDied(ChildFailed):
    """The process was ended by a signal, as a crash in a library's C code does."""


def run_child(
    command: Sequence[str], progress: OnProgress, *, environment: Mapping[str, str] | None = None, limit_s: float | None = None
) -> Any:
    """Run a child to its end. On an exception here, Ctrl-C too, it is ended.

    Args:
        environment: added to this process's own.
        limit_s: seconds after which it is ended; None: it may take as long as it likes.

    Returns:
        Its result.

    Raises:
        ChildFailed: it reports an error, crashes, or cannot be started.
    """
    with tempfile.TemporaryFile() as chatter:
        try:
            child = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=chatter,
                env=os.environ | dict(environment or {}),
                encoding="utf-8",
                errors="replace",
                start_new_session=limit_s is not None,
            )
        except OSError as error:
            raise ChildFailed(f"{command[0]} cannot be started ({reason_of(error)})") from error
        assert child.stdout is not None
        said: Any = {}
        late = threading.Event()
        limit = None if limit_s is None else threading.Timer(limit_s, _end_late, (child, late))
        if limit is not None:
            limit.start()
        try:
            for line in child.stdout:
                said = json.loads(line)
                if not isinstance(said, dict):
                    raise ValueError("no object")
                if "stage" in said:
                    progress(said["stage"], said["done"], said["total"])
            child.wait()
        except (ValueError, KeyError) as error:
            raise ChildFailed(f"{command[0]} answers {line.strip()[:80]!r}, not as it was asked to") from error
        finally:
            if limit is not None:
                limit.cancel()
            child.kill()  # does nothing to one that has ended
            child.wait()
            child.stdout.close()
        if late.is_set():
            raise ChildFailed(f"{command[0]} has not answered within {limit_s:g} s")
        if "result" in said and child.returncode == 0:
            return said["result"]
        if "error" in said:
            raise ChildFailed(" ".join(str(said["error"]).split())[:300])
        if child.returncode < 0:
            raise ChildDied(f"the process died ({signal.Signals(-child.returncode).name})")
        chatter.seek(0)
        lines = [line.strip() for line in chatter.read().decode(errors="replace").splitlines() if line.strip()]
        raise ChildFailed(lines[-1][:300] if lines else f"exit code {child.returncode}")


def _end_late(child: "subprocess.Popen[str]", late: threading.Event) -> None:
    """End a child and those that it started: one that is left would keep its stdout open."""
    late.set()
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
