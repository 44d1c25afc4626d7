"""A model that this machine has not opened before is opened first in a process of its own.

The runtimes are C++ that reads a .tflite file as it comes: a malformed one can crash the process that opens it. In a child that
is one line of error. What a child has opened is remembered, by the model's SHA-256 and the runtime's name and version, in
`opened-models.txt` of the user's cache; where nothing can be kept, the child is asked in each process. The models that come with
the package need none.
"""

import hashlib
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from leukolite import model_child
from leukolite.errors import BundleError, RuntimeUnavailable
from leukolite.regular_file import open_regular
from leukolite.shipped import is_shipped_model
from leukolite.user_cache import user_cache

LIMIT_S = 120.0  # a first import from a busy disk takes up to half a minute
CPU_LIMIT_S = 25  # of computing; the largest shipped model takes 0.1 s, on a Raspberry Pi Zero 2 some 2 s
MEMORY_BYTES, MEMORY_FACTOR = 350_000_000, 4  # the process and its libraries take 100 MB; the weights are kept up to four times
REMEMBERED = "opened-models.txt"
MOST_REMEMBERED_BYTES = 100_000  # a thousand models; then it begins again

_opened: set[str] = set()  # by this process


def open_elsewhere_first(model: bytes, module: str, runtime: str, version: str, threads: int) -> None:
    """Return if the model was opened before on this machine, or is opened now by a process of its own.

    Args:
        model: the .tflite file's bytes.
        module: of the runtime, with its `Interpreter`.
        runtime, version: the runtime's name and version.

    Raises:
        RuntimeError: the runtime refuses the model, in its own words.
        SystemError: the runtime itself is broken, in its own words.
        BundleError: the model crashes the runtime, or does not end.
        RuntimeUnavailable: there can be no such process.
    """
    import platform

    known = f"{hashlib.sha256(model).hexdigest()} {runtime} {version} {platform.machine()} {threads}"
    if known in _opened:
        return
    place = user_cache()
    if not (is_shipped_model(model) or (place is not None and known in _remembered(place / REMEMBERED))):
        _ask(model, module, f"{runtime} {version}", threads)
        if place is not None:
            _remember(place, known)
    _opened.add(known)


def _ask(model: bytes, module: str, runtime: str, threads: int) -> None:
    import subprocess

    job = {
        "path": _path(),
        "module": module,
        "threads": threads,
        "bytes": len(model),
        "memory": MEMORY_BYTES + MEMORY_FACTOR * len(model),
        "cpu_s": CPU_LIMIT_S,
    }
    command = [sys.executable, "-I", str(model_child.__file__)]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(job).encode() + b"\n" + model,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(_not_opened(f"{runtime} has not opened the model within {LIMIT_S:g} s")) from error
    except (OSError, ValueError) as error:  # ValueError: no interpreter is known
        raise RuntimeUnavailable(_no_process(getattr(error, "strerror", None) or str(error))) from error
    if done.returncode < 0:
        names = {int(one): one.name for one in signal.Signals}
        name = names.get(-done.returncode, f"signal {-done.returncode}")
        if name == "SIGXCPU":
            raise BundleError(_not_opened(f"{runtime} has not opened the model after computing for {CPU_LIMIT_S} s"))
        raise BundleError(_not_opened(f"the model crashes {runtime} ({name})"))
    try:
        answer = json.loads(done.stdout[:10_000])
        error_kind, text = answer["error"], answer.get("text", "")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise RuntimeUnavailable(_no_process(f"it ended with {done.returncode} and no answer")) from error
    if error_kind == model_child.BROKEN:
        raise SystemError(text)
    if error_kind is not None:
        raise RuntimeError(text)


def _not_opened(what: str) -> str:
    return f"{what}; a process of its own tried it, and it is not opened here: copy the bundle again, or do not use it"


def _no_process(reason: str) -> str:
    return f"a model that is new to this machine cannot be tried in a process of its own ({reason}); let Python be started there"


def _path() -> list[str]:
    """Where the child finds the libraries: where this process does, but not in the folder it was started in."""
    here = ""
    with suppress(OSError):
        here = str(Path.cwd())
    return [entry for entry in sys.path if os.path.isabs(entry) and os.path.realpath(entry) != here]  # noqa: PTH117


def _remembered(path: Path) -> frozenset[str]:
    """Its lines; none where it cannot be read, or another user could have written it."""
    try:
        with open_regular(path, follow_links=False) as file:
            status = os.fstat(file.fileno())
            if status.st_mode & 0o022 or (hasattr(os, "geteuid") and status.st_uid != os.geteuid()):
                return frozenset()
            return frozenset(file.read(2 * MOST_REMEMBERED_BYTES).decode("ascii", errors="replace").splitlines())
    except OSError:
        return frozenset()


def _remember(folder: Path, line: str) -> None:
    """Append a line; a cache that cannot be written costs a process the next time, and nothing else."""
    path = folder / REMEMBERED
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.stat().st_size > MOST_REMEMBERED_BYTES:
            path.unlink()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with os.fdopen(os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o600), "ab") as file:
            file.write(f"{line}\n".encode())
