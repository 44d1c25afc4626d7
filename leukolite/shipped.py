"""The bundles that come with the package, found by name."""

import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from leukolite.errors import BundleError
from leukolite.places import problem_at

if TYPE_CHECKING:
    from leukolite.bundle import Bundle


def shipped_bundles() -> list[str]:
    """Their names."""
    return sorted(path.parent.name for path in _folder().glob("*/manifest.json"))


def given_path(text: str | os.PathLike[str]) -> Path:
    """A bundle as it was given. `Path` alone forgets a `./`, which says that a folder here is meant and no shipped bundle."""
    path = Path(text)
    return Path.cwd() / path if len(path.parts) == 1 and os.sep in os.fspath(text) else path


def find_bundle(given: Path) -> Path:
    """`given` as it is or, where there is nothing, the shipped bundle of that name.

    Args:
        given: as `given_path` has it.

    Raises:
        BundleError: it is a name, and no shipped bundle has it; or a shipped one has it, and something in the working directory.
    """
    if len(given.parts) != 1:
        return given
    names = shipped_bundles()
    if given.name not in names:
        if os.access(given, os.R_OK):
            return given
        problem = problem_at(given, "file or folder", noun="bundle")
        raise BundleError(f"{given}: {problem}; expected a bundle's folder or zip, or a shipped one: {', '.join(names)}")
    shipped = shipped_path(given.name)
    if os.path.lexists(given) and not (given.exists() and given.samefile(shipped)):
        raise BundleError(
            f"{given}: a shipped bundle has this name, and so has what lies here; give .{os.sep}{given} for what lies here, or"
            f" {shipped} for the shipped one"
        )
    return shipped


def open_bundle(given: Path) -> "Bundle":
    """The bundle that a command was given; what is to be said of it goes to stderr.

    Raises:
        BundleError: see `find_bundle` and `Bundle.load`.
    """
    from leukolite.bundle import Bundle  # OpenCV and pydantic: not for who asks for a name
    from leukolite.terminal import warn

    bundle = Bundle.load(find_bundle(given))
    for note in bundle.notes:
        warn(f"note: {note}")
    return bundle


def shipped_path(name: str) -> Path:
    """Where a shipped bundle lies."""
    return _folder() / name


def is_shipped_model(model: bytes) -> bool:
    """Whether it is, byte by byte, a model that comes with the package."""
    try:
        same = (path for path in _folder().glob("*/*.tflite") if path.stat().st_size == len(model))
        return any(path.read_bytes() == model for path in same)
    except OSError:
        return False


def _folder() -> Path:
    return Path(str(files("leukolite.edge"))) / "bundles"
