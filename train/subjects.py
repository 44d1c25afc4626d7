"""Whose blood a picture is of, told by a pattern in its file's path."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from leukolite.errors import DatasetError
from leukolite.people import person_key
from leukolite.wording import count, is_utf8


@dataclass(frozen=True)
class SubjectPattern:
    """A regular expression whose one group is the subject's id, searched in the path below the data folder, whatever its case.

    Raises:
        ValueError: it is no regular expression, or has not exactly one group.
    """

    pattern: str

    def __post_init__(self) -> None:
        if not is_utf8(self.pattern):
            raise ValueError(f"expected text in UTF-8, found {self.pattern!r}")
        try:
            groups = re.compile(self.pattern).groups
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{self.pattern!r} is no regular expression ({error})") from error
        if groups != 1:
            raise ValueError(
                f"expected a regular expression with exactly one group in brackets, which is the subject's id,"
                f" found {count(groups, 'group')} in {self.pattern!r}"
            )

    def subjects(self, paths: Sequence[Path], root: Path) -> list[str]:
        """The subject of each picture below `root`.

        Raises:
            DatasetError: a picture's path does not fit, or the group is empty in it.
        """
        search = re.compile(self.pattern, re.IGNORECASE).search
        places = [path.relative_to(root).as_posix() for path in paths]
        found = [search(place) for place in places]
        ids = [(match[1] or "").strip() if match is not None else "" for match in found]
        if missing := [place for place, subject in zip(places, ids, strict=True) if not subject]:
            raise DatasetError(
                f"{root}: {self.pattern!r} finds no subject in {len(missing):,} of {count(len(places), 'picture')}, as in"
                f" {missing[0]}; give a pattern that fits every path below the folder"
            )
        spelling = first_spelling(ids)
        return [spelling[person_key(subject)] for subject in ids]


def first_spelling(ids: Iterable[str]) -> dict[str, str]:
    """`person_key` of each id -> the id as it was spelt first; case and blanks around it make no other person."""
    first: dict[str, str] = {}
    for subject in ids:
        first.setdefault(person_key(subject), subject)
    return first
