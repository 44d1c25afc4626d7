"""The bundles that come with the package, found by name."""

from importlib.resources import files
from pathlib import Path


def shipped_bundles() -> list[str]:
    """Their names."""
    return sorted(path.parent.name for path in _folder().glob("*/manifest.json"))


def find_bundle(given: Path) -> Path:
    """`given` as it is or, where there is nothing, the shipped bundle of that name."""
    if not given.exists() and len(given.parts) == 1 and given.name in shipped_bundles():
        return _folder() / given.name
    return given


def _folder() -> Path:
    return Path(str(files("leukolite.edge"))) / "bundles"
