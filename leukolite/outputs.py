"""Where a command's results shall go: looked at together, and tried, before the work begins."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from leukolite.errors import LeukoliteError
from leukolite.file_kinds import SUFFIXES
from leukolite.files import check_new_file, check_replaceable, is_stdout, is_stream
from leukolite.terminal import warn


def check_outputs(
    *,
    force: bool,
    files: Iterable[Path | None] = (),
    folders: Mapping[Path | None, str | None] | None = None,
    journal: Path | None = None,
    inputs: Iterable[Path | None] = (),
    data: Iterable[Path | None] = (),
) -> None:
    """Refuse what could not be written at the end, and what would be lost by writing; a note where results lie among the inputs.

    Args:
        force: what an earlier call wrote may be replaced.
        files: to write; '-' is stdout, None none.
        folders: to write whole -> the file by which one of ours is known, see `leukolite.files.new_folder`.
        journal: a session's folder, which checks itself; it must not lie where a result goes.
        inputs: folders and files that are read.
        data: those of them whose files are listed, whatever they are called.

    Raises:
        LeukoliteError: names the place.
    """
    wanted_files = [path for path in files if path is not None]
    inputs = list(inputs)  # gone through twice
    wanted = {path: mark for path, mark in (folders or {}).items() if path is not None}
    for path in wanted_files:
        check_new_file(path, force=force)
    for path, mark in wanted.items():
        check_replaceable(path, mark, force=force)
    if sum(map(is_stdout, wanted_files)) > 1:
        raise LeukoliteError("-: two results cannot go to stdout; name a file for one of them")
    places = [path for path in (*wanted, *wanted_files, journal) if path is not None and not is_stream(path)]
    for k, first in enumerate(places):
        for second in places[k + 1 :]:
            _refuse_one_place(first, second, wanted)
    listed = [path for path in data if path is not None]
    for read in filter(None, (*inputs, *listed)):
        for path in wanted:
            if path.exists() and _real(read).is_relative_to(_real(path)):
                raise LeukoliteError(f"{path}: would be replaced, and {read} is read from there; choose another place")
    for read in filter(None, inputs):
        for path in wanted_files:
            if not is_stream(path) and path.exists() and _real(path).is_relative_to(_real(read)):
                raise LeukoliteError(f"{path}: would be replaced, and is part of {read}, which is read; choose another place")
    for read in listed:
        for path in wanted_files:
            is_read = _real(path) == _real(read) or path.suffix.lower() in SUFFIXES
            if is_read and path.is_file() and _real(path).is_relative_to(_real(read)):
                raise LeukoliteError(f"{path}: would be replaced, and is one of the files that are read; choose another place")
    for read in listed:
        for path in places:
            if read.is_dir() and _real(path).is_relative_to(_real(read)):
                warn(f"note: {path} lies in {read}: what is written there is found among its files the next time")


def _real(path: Path) -> Path:
    """Without links; a circle of links stays, where `Path.resolve` would raise."""
    return Path(os.path.realpath(path))


def _refuse_one_place(first: Path, second: Path, whole: Mapping[Path, str | None]) -> None:
    """Raises: LeukoliteError, if both are one place, or one is in a folder that is written whole."""
    one, other = _real(first), _real(second)
    if one == other:
        raise LeukoliteError(f"{first}: two results cannot go to one place; name another for one of them")
    for inner, outer, folder in ((one, other, second), (other, one, first)):
        if folder in whole and inner.is_relative_to(outer):
            raise LeukoliteError(
                f"{second if folder is first else first}: lies in {folder}, which is written as a whole; choose a place outside"
            )
