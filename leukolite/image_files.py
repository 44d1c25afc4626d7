"""The one list of files: which pictures lie below a folder, in the order of their names, and why every other file is none."""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from leukolite.errors import reason_of
from leukolite.file_kinds import why_folder_skipped, why_skipped
from leukolite.wording import count

SYNTHETIC_MARK = "synthetic.json"  # lies beside rendered cells, is ours, and is not worth a line
NAMED = 10  # skipped files that are named where people read; all are counted


@dataclass(frozen=True)
class Unusable:
    """A file that is not used, and why.

    Attributes:
        path: of the file; of a folder that is not looked into, the folder's.
        reason: why, without the name; what comes before the first '; ' or ' (' is the kind that files are counted by.
        files: how many it stands for.
    """

    path: Path
    reason: str
    files: int = 1

    @property
    def kind(self) -> str:
        return self.reason.partition("; ")[0].partition(" (")[0]


@dataclass(frozen=True)
class ImageList:
    """What lies below a folder: every file but `SYNTHETIC_MARK` is in `images` or `skipped`, or below a folder in `skipped`.

    Attributes:
        images: to be tried as pictures, in the order of their names; a damaged one is for the decoder to refuse.
        skipped: all others, in the order of their names.
        folders: that were looked into, below the root, in the order of their names.
    """

    root: Path
    images: tuple[Path, ...]
    skipped: tuple[Unusable, ...]
    folders: tuple[Path, ...]


def list_images(root: Path) -> ImageList:
    """List a folder and all below it, through links too; nothing but the first bytes of regular files is read.

    A link to a folder above it is a loop and is not followed. No folder is listed twice below one entry of `root`.

    Raises:
        OSError: `root` itself cannot be read.
    """
    walk = _Walk()
    walk.look_into(root)
    return ImageList(
        root, tuple(sorted(walk.images)), tuple(sorted(walk.skipped, key=lambda item: item.path)), tuple(sorted(walk.folders))
    )


def without_second_names(images: Sequence[Path]) -> tuple[list[Path], list[Unusable]]:
    """Leave out a file that was listed by another name already, as links give it; its own place goes before a link to it.

    Returns:
        The others in their order, and those left out.
    """
    names: dict[tuple[int, int], list[Path]] = {}
    for path in images:
        try:
            state = path.stat()
        except OSError:
            continue  # gone meanwhile: the decoder says so
        if state.st_ino:  # some network drives number no file
            names.setdefault((state.st_dev, state.st_ino), []).append(path)
    second: dict[Path, Path] = {}
    for paths in names.values():
        if len(paths) > 1:
            own = min(paths, key=lambda path: (_is_by_link(path), path))
            second |= {path: own for path in paths if path != own}
    left_out = [Unusable(path, f"the same file by another name ({known})") for path, known in sorted(second.items())]
    return [path for path in images if path not in second], left_out


def describe_unusable(unusable: Iterable[Unusable], limit: int = NAMED) -> list[str]:
    """Lines for the terminal: how many files were skipped, by their kinds, and each one's name and reason, up to `limit`."""
    listed = list(unusable)
    if not listed:
        return []
    lines = [f"{count(sum(item.files for item in listed), 'file')} skipped: {by_kind_of_file(listed)}"]
    lines += [f"  {item.path}: {item.reason}" for item in listed[:limit]]
    rest = sum(item.files for item in listed[limit:])
    return lines + ([f"  ... and {rest:,} more"] if rest else [])


def by_kind_of_file(unusable: Iterable[Unusable], limit: int = NAMED) -> str:
    """'hidden 2, PDF 1': how many of each kind, the most frequent first."""
    kinds: Counter[str] = Counter()
    for item in unusable:
        kinds[item.kind] += item.files
    common = kinds.most_common(limit)
    rest = kinds.total() - sum(n for _, n in common)
    return ", ".join([*(f"{kind} {n:,}" for kind, n in common), *([f"other reasons {rest:,}"] if rest else [])])


class _Walk:
    """Collects what lies below a folder."""

    def __init__(self) -> None:
        self.images: list[Path] = []
        self.skipped: list[Unusable] = []
        self.folders: list[Path] = []

    def look_into(self, root: Path) -> None:
        """Each entry of the root with a memory of its own: a folder may be linked into several classes, not twice into one."""
        state = root.stat()
        above = {(state.st_dev, state.st_ino)}
        for path in self._entries(root, is_root=True):
            if not self._is_folder(path):
                self._take(path)
                continue
            seen: set[tuple[int, int]] = set()
            waiting, links = [(path, frozenset(above))], list[tuple[Path, frozenset[tuple[int, int]]]]()
            while waiting or links:  # what lies there itself before what links lead to
                folder, higher = waiting.pop() if waiting else links.pop(0)
                identity = self._identity(folder, higher, seen)
                if identity is None:
                    continue
                for child in self._entries(folder):
                    if not self._is_folder(child):
                        self._take(child)
                    elif child.is_symlink():
                        links.append((child, higher | {identity}))
                    else:
                        waiting.append((child, higher | {identity}))

    def _entries(self, folder: Path, *, is_root: bool = False) -> list[Path]:
        try:
            with os.scandir(folder) as entries:
                return sorted(folder / entry.name for entry in entries)
        except OSError as error:
            if is_root:
                raise
            self.skipped.append(Unusable(folder, f"folder cannot be read ({reason_of(error)})"))
            return []

    def _identity(self, folder: Path, higher: frozenset[tuple[int, int]], seen: set[tuple[int, int]]) -> tuple[int, int] | None:
        """Of a folder to look into; None where it is left out, with the reason noted."""
        if (reason := why_folder_skipped(folder.name)) is not None:
            if files := _files_below(folder):
                self.skipped.append(Unusable(folder, f"{reason} ({count(files, 'file')})", files))
            return None
        try:
            state = folder.stat()
        except OSError as error:
            self.skipped.append(Unusable(folder, f"folder cannot be read ({reason_of(error)})"))
            return None
        identity = (state.st_dev, state.st_ino)
        if identity in higher:
            self.skipped.append(Unusable(folder, "link to a folder above it"))
            return None
        if identity in seen:
            self.skipped.append(Unusable(folder, "second link to the same folder"))
            return None
        seen.add(identity)
        self.folders.append(folder)
        return identity

    def _is_folder(self, path: Path) -> bool:
        try:
            return stat.S_ISDIR(path.stat().st_mode)
        except OSError:
            return False

    def _take(self, path: Path) -> None:
        if path.name == SYNTHETIC_MARK:
            return
        reason = why_skipped(path)
        if reason is None:
            self.images.append(path)
        else:
            self.skipped.append(Unusable(path, reason))


def _files_below(folder: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))


def _is_by_link(path: Path) -> bool:
    return path.is_symlink() or any(parent.is_symlink() for parent in path.parents)
