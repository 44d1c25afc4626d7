"""Libraries that are missing or do not load: one line that names the library, the reason and the remedy.

Imports nothing but the standard library and what does the same, since any other may be the one that is broken.
"""

import importlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from types import ModuleType, TracebackType

from leukolite.errors import LeukoliteError, first_line

# modules whose package has another name
PACKAGES = {
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "pydantic_core": "pydantic",
    "yaml": "pyyaml",
    "google": "protobuf",
}
_OF_PACKAGES = ("site-packages", "dist-packages")


def package_of(module: str) -> str:
    """The package that a module comes with, as pip calls it."""
    top = module.partition(".")[0]
    return PACKAGES.get(top, top.replace("_", "-"))


def failed_import(error: BaseException) -> str | None:
    """What to say of an exception that another library's import ended with: the library, the reason, the remedy.

    Returns:
        None for an exception of another kind, which is a programming error or has its own words.
    """
    if isinstance(error, ModuleNotFoundError) and error.name is not None and not _is_ours(error.name):
        package = package_of(error.name)
        broken = _library_at(error.__traceback__)
        if broken is None or broken == error.name.partition(".")[0]:
            return f"{package} is not installed; pip install {package}"
        return f"{package_of(broken)} needs {package}, which is not installed; pip install {package}"
    if isinstance(error, SyntaxError) and error.filename and (damaged := _library_of(error.filename)):
        return f"{package_of(damaged)} does not load ({first_line(error)}); {_remedy(damaged, str(error))}"
    library = _library_at(error.__traceback__)
    if library is None or not isinstance(error, Exception):
        return None
    if not isinstance(error, ImportError) and not _is_in_import(error.__traceback__):
        return None
    return f"{package_of(library)} does not load ({first_line(error)}); {_remedy(library, str(error))}"


def require(needed_for: str, *modules: str, extra: str) -> None:
    """Load the libraries of an extra before work begins that ends with them.

    Args:
        needed_for: the command or option, which begins the error.
        modules: to import.
        extra: of leukolite, that brings them.

    Raises:
        LeukoliteError: one is missing or does not load.
    """
    if any(module.startswith("matplotlib.") for module in modules):
        _hush_matplotlib()
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # what a library raises that was built for another one is not foreseen
            if isinstance(error, ModuleNotFoundError) and error.name is not None and not _is_ours(error.name):
                missing = f"{needed_for} needs {package_of(error.name)}, which is not installed"
                raise LeukoliteError(f"{missing}; pip install 'leukolite[{extra}]'") from error
            if (reason := failed_import(error)) is None:
                raise
            raise LeukoliteError(f"{needed_for}: {reason}") from error


@contextmanager
def explained() -> Iterator[None]:
    """Ends the program with one line where an import in the block fails because of another library.

    Raises:
        SystemExit: with code 1, after the line.
    """
    said = io.StringIO()  # NumPy prints a page before the error of a library that was built for another one
    try:
        with redirect_stderr(said):
            yield
    except Exception as error:
        line = failed_import(error)
        if line is None:
            _say(said.getvalue())
            raise
        _say(f"Error: {line}\n")
        raise SystemExit(1) from error
    _say(said.getvalue())


def _say(text: str) -> None:
    """On stderr, which may be closed or full: its guard is imported here too."""
    if text and sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.write(text)


def import_explained(module: str) -> ModuleType:
    """A module of ours, as `importlib.import_module`; see `explained`."""
    with explained():
        return importlib.import_module(module)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "leukolite"


def _frames(traceback: TracebackType | None) -> Iterator[tuple[str, str]]:
    """File and function of each frame, outermost first."""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        yield code.co_filename, code.co_name
        traceback = traceback.tb_next


def _library_of(file: str) -> str | None:
    parts = file.split(os.sep)  # noqa: PTH206  # pathlib would load before Ctrl-C is provided for
    place = next((i for i, part in enumerate(parts) if part in _OF_PACKAGES), None)
    if place is None or place + 1 >= len(parts) or _is_ours(parts[place + 1]):
        return None
    return parts[place + 1].partition(".")[0]


def _library_at(traceback: TracebackType | None) -> str | None:
    """The library, not of ours, that was being imported: the outermost whose code ran."""
    found = (_library_of(file) for file, _ in _frames(traceback))
    return next((library for library in found if library is not None and library not in _LOADERS), None)


_LOADERS = frozenset({"click", "rich_click", "_pytest", "pluggy"})  # call us, and so stand further out


def _is_in_import(traceback: TracebackType | None) -> bool:
    return any(name == "<module>" and _library_of(file) is not None for file, name in _frames(traceback))


def _hush_matplotlib() -> None:
    """Without a home that can be written it keeps its fonts in a temporary folder, and need not say so."""
    import logging

    logging.getLogger("matplotlib").setLevel(logging.ERROR)


def _remedy(library: str, reason: str) -> str:
    package = package_of(library)
    if "MPLCONFIGDIR" in reason:  # nor a temporary folder
        return "set the variable MPLCONFIGDIR, or TMPDIR, to a folder that can be written"
    if library == "cv2" and ".so" in reason:
        return "pip uninstall -y opencv-python, then pip install --force-reinstall opencv-python-headless, which needs no display"
    if library != "numpy" and any(word in reason.lower() for word in ("numpy", "multiarray", "_array_api", "dtype size changed")):
        return f"it was built for another NumPy: pip install --force-reinstall numpy {package}"
    return f"pip install --force-reinstall {package}"
