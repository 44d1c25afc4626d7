"""What a folder is that leukolite made, or that holds pictures: for the errors of commands that take another kind."""

import os
from itertools import islice
from pathlib import Path

from leukolite.file_kinds import SUFFIXES

MOST_NAMES = 2_000  # of a folder and those in it, that are looked at

# the files that tell a kind -> what it is, and what to do with it; the first that fits
_KINDS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("journal-000000.jsonl",), "a recorded session: `leukolite journal` verifies and summarises it"),
    (("manifest.json", "model.tflite"), "a bundle: `leukolite info` says what it is, and `edge-run` classifies with it"),
    (("app/src/main/assets/manifest.json",), "an export for Android: the bundle in it is app/src/main/assets"),
    (("run.json",), "a training run: `leukolite convert` makes a bundle of it"),
    (("report.json", "verdicts.csv"), "the results of a session, not its record: its report.json is for programs"),
    (("summary.json", "summary.html"), "the summary of a session, not its record: open its summary.html"),
)
_MANY = {  # a file of each folder in it -> what they are
    "journal-000000.jsonl": "a folder of recorded sessions: give one of them, as {}",
    "manifest.json": "a folder of bundles: give one of them, as {}",
    "run.json": "a folder of training runs: give one of them, as {}",
}
_PICTURES = "a folder of pictures: `edge-run` classifies them, and `leukolite data` says what they are"


def what_folder(folder: Path) -> str | None:
    """What a folder is, and what to do with it, as a phrase; None where nobody can tell."""
    for names, what in _KINDS:
        if all((folder / name).is_file() for name in names):
            return what
    try:
        files, folders = _inside(folder)
        for name, what in _MANY.items():
            if first := next((path for path in folders if (path / name).is_file()), None):
                return what.format(first)
        are_there = _has_picture(files) or any(_has_picture(_inside(path)[0]) for path in folders)
    except OSError:  # closed to this user
        return None
    return _PICTURES if are_there else None


def _inside(folder: Path) -> tuple[list[Path], list[Path]]:
    """Its files and its folders. Raises: OSError."""
    with os.scandir(folder) as entries:
        found = sorted((entry.is_dir(), entry.path) for entry in islice(entries, MOST_NAMES))
    return [Path(path) for is_dir, path in found if not is_dir], [Path(path) for is_dir, path in found if is_dir]


def _has_picture(files: list[Path]) -> bool:
    return any(path.suffix.lower() in SUFFIXES for path in files)
