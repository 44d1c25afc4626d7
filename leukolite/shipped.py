"""The bundles that come with the package, found by name."""

import os
from importlib.resources import files
from pathlib import Path

from leukolite.errors import BundleError
from leukolite.places import problem_at


def shipped_bundles() -> list[str]:
    """Their names."""
    return sorted(path.parent.name for path in _folder().glob("*/manifest.json"))


def find_bundle(given: Path) -> Path:
    """`given` as it is or, where there is nothing, the shipped bundle of that name.

    Raises:
        BundleError: it is a name, and no shipped bundle has it.
    """
    if len(given.parts) != 1 or os.access(given, os.R_OK):
        return given
    names = shipped_bundles()
    if given.name not in names:
        problem = problem_at(given, "file or folder", noun="bundle")
        raise BundleError(f"{given}: {problem}; expected a bundle's folder or zip, or a shipped one: {', '.join(names)}")
    return _folder() / given.name


def is_shipped_model(model: bytes) -> bool:
    """Whether it is, byte by byte, a model that comes with the package."""
    try:
        same = (path for path in _folder().glob("*/*.tflite") if path.stat().st_size == len(model))
        return any(path.read_bytes() == model for path in same)
    except OSError:
        return False


def _folder() -> Path:
    return Path(str(files("leukolite.edge"))) / "bundles"
