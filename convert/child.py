"""Work in a process of its own: another interpreter, another Keras, or a runtime that may crash.

The child says on stdout how far it is, a line of JSON each: {"stage", "done", "total"}, then {"result"} or {"error"}.
"""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from leukolite.errors import ConversionError

OnProgress = Callable[[str, int, int], None]


def no_progress(stage: str, done: int, total: int) -> None:
    """A `Progress` that shows nothing."""


class ChildFailed(ConversionError):
    """The process ended without a result; its own words, in one line."""


class ChildDied(ChildFailed):
    """The process was ended by a signal, as a crash in a library's C code does."""


def run_child(command: Sequence[str], progress: OnProgress, *, environment: Mapping[str, str] | None = None) -> Any:
    """Run a child to its end. On an exception here, Ctrl-C too, it is ended.

    Args:
        environment: added to this process's own.

    Returns:
        Its result.

    Raises:
        ChildFailed: it reports an error, crashes, or cannot be started.
    """
    with tempfile.TemporaryFile() as chatter:
        try:
            child = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=chatter, env=os.environ | dict(environment or {}), text=True
            )
        except OSError as error:
            raise ChildFailed(f"{command[0]} cannot be started ({error.strerror or error})") from error
        assert child.stdout is not None
        said: dict[str, Any] = {}
        try:
            for line in child.stdout:
                said = json.loads(line)
                if "stage" in said:
                    progress(said["stage"], said["done"], said["total"])
            child.wait()
        except ValueError as error:
            raise ChildFailed(f"{command[0]} answers {line[:80]!r}, no JSON") from error
        finally:
            child.kill()  # does nothing to one that has ended
            child.wait()
            child.stdout.close()
        if "result" in said and child.returncode == 0:
            return said["result"]
        if "error" in said:
            raise ChildFailed(" ".join(str(said["error"]).split())[:300])
        if child.returncode < 0:
            raise ChildDied(f"the process died ({signal.Signals(-child.returncode).name})")
        chatter.seek(0)
        lines = [line.strip() for line in chatter.read().decode(errors="replace").splitlines() if line.strip()]
        raise ChildFailed(lines[-1][:300] if lines else f"exit code {child.returncode}")
