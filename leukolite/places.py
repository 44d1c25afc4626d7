"""What lies at a path that a user gave: why what is wanted cannot be read there, in words that lead to it.

One function for all commands, so that a folder is never called missing because it is a folder, nor a closed one empty.
"""

import difflib
import errno
import glob
import os
import stat
import unicodedata
from pathlib import Path
from typing import Literal

from leukolite.names import resembles
from leukolite.regular_file import kind_of

Wanted = Literal["file", "folder", "file or folder"]

MOST_NEIGHBOURS = 5_000  # names of a folder that are compared with a mistyped one
_PATTERN = frozenset("*?[")
_QUOTES = "'\"`\u2018\u2019\u201c\u201d"


def problem_at(path: Path, wanted: Wanted, *, noun: str | None = None) -> str | None:
    """Why there is no such thing to read at `path`, as a clause; None where there is one.

    A pipe, a socket or a device is no file: one hangs where nobody writes, another has no end.

    Args:
        noun: what is missing where nothing is there, as 'bundle'; None: `wanted`.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return f"no such {noun or wanted}{_hint(path)}"
    except PermissionError:
        return f"{_closed_above(path)} is closed to this user (permission denied)"
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        return _odd(path, error)
    is_folder = stat.S_ISDIR(mode)
    if is_folder and wanted == "file":
        return "a folder, not a file"
    if not is_folder and wanted == "folder":
        return "a file, not a folder"
    if not is_folder and not stat.S_ISREG(mode):
        return f"{kind_of(mode)}, not a {wanted}"
    if not os.access(path, os.R_OK | (os.X_OK if is_folder else 0)):
        return "this user may not read it (permission denied)"
    return None


def _odd(path: Path, error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return f"a link that leads back to itself{_target(path)}"
    return str((error.strerror if isinstance(error, OSError) else None) or error).lower()


def _closed_above(path: Path) -> Path:
    """The first folder on the way to `path` that may not be entered."""
    return next((parent for parent in reversed(path.parents) if not os.access(parent, os.X_OK)), path.parent)


def _target(path: Path) -> str:
    try:
        return f" (to {path.readlink()})"
    except OSError:
        return ""


def _hint(path: Path) -> str:
    """What may be wrong with a path where nothing is; empty where nobody can tell."""
    text = str(path)
    if path.is_symlink():
        return f": a link{_target(path)} whose target is gone"
    if ":/" in text:  # pathlib makes one slash of two
        return ": an address, not a path on this machine"
    if text.startswith("~"):
        return f": ~ was not expanded by the shell; give {_expanded(text)}"
    if "$" in text and os.path.expandvars(text) != text:
        return f": a variable was not expanded by the shell; give {os.path.expandvars(text)}"
    if _PATTERN & set(text):
        fitting = sorted(glob.glob(text))  # noqa: PTH207  # Path.glob takes no pattern of a whole path
        return f": a pattern, which fits {fitting[0]!r}; give names, not a pattern" if fitting else ": no name fits this pattern"
    nearest = next((parent for parent in path.parents if parent.exists()), Path())
    if not nearest.is_dir():
        return f": {nearest} is a file, not a folder"
    missing = nearest / path.relative_to(nearest).parts[0] if path.is_relative_to(nearest) else path
    beyond = f": there is no folder {missing}" if missing != path else ""
    neighbour = _neighbour(missing)
    return f"{beyond}{': ' if not beyond else '; '}did you mean {neighbour}?" if neighbour else beyond


def _expanded(text: str) -> str:
    try:
        return str(Path(text).expanduser())
    except RuntimeError:  # no such user
        return "the whole path"


def _neighbour(path: Path) -> str | None:
    """The name beside `path` that is most like its own; written out where the two look alike."""
    try:
        names = sorted(entry.name for entry in os.scandir(path.parent))[:MOST_NEIGHBOURS]
    except OSError:
        return None
    wanted = path.name.strip(_QUOTES)
    alike = [name for name in names if resembles(name, wanted)]
    near = alike or difflib.get_close_matches(wanted, names, n=1, cutoff=0.8)
    if not near:
        return None
    looks_the_same = unicodedata.normalize("NFC", near[0]) == unicodedata.normalize("NFC", path.name)
    return ascii(near[0]) if looks_the_same else repr(near[0])
