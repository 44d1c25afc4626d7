"""The classes of a model: their labels in the order of its outputs, and which of them mean leukaemia."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from leukolite.frozen import Frozen
from leukolite.lists import typed_list
from leukolite.names import skeleton
from leukolite.wording import is_utf8

NONE = "none"  # said in the place of the malignant labels: none of them means leukaemia

# in verdicts, counts and tables these stand where a label would
_TAKEN = {
    "abstain": "that a model gave no verdict",
    "abstained": "that a model gave no verdict",
    "abstains": "that a model gave no verdict",
    "abstention": "that a model gave no verdict",
    "excluded": "that a picture was not classified",
    "gap": "that a frame was not available",
    "gaps": "that a frame was not available",
    "skipped": "that a newer frame overtook it",
    "anymalignant": "all malignant labels together",
}

# one line, whatever counts as a line's end: labels.txt has one label per line
_ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$"
_DIRECTIONS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
LONGEST_LABEL = 100
Label = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_LABEL, pattern=_ONE_LINE)]


class Classes(Frozen):
    """Labels, of which some are malignant.

    Attributes:
        labels: two or more, distinct, in the order of the model's outputs.
        malignant: those of them that mean leukaemia; empty where nobody said.

    Raises:
        ValueError: fewer than two labels, one twice, or a malignant one that is not among them.
    """

    labels: tuple[Label, ...] = Field(min_length=2, max_length=1000)
    malignant: tuple[Label, ...] = ()

    @model_validator(mode="after")
    def _are_consistent(self) -> "Classes":
        check_labels(self.labels, self.malignant)
        return self

    @classmethod
    def of(cls, labels: Sequence[str], malignant: Sequence[str] = ()) -> "Classes":
        """From any two sequences."""
        return cls(labels=tuple(labels), malignant=tuple(malignant))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def malignant_indices(self) -> tuple[int, ...]:
        """Where the malignant labels stand among the labels."""
        return tuple(self.labels.index(label) for label in self.malignant)

    @property
    def positive(self) -> str | None:
        """The class that counts as positive: of two the malignant one, else the second; None where macro averages are due."""
        if len(self.labels) != 2:
            return None
        return self.malignant[0] if len(self.malignant) == 1 else self.labels[1]

    def match(self, names: Sequence[str]) -> tuple[dict[str, int], list[str]]:
        """Which label each name means, by `label_key`.

        Returns:
            Name -> index of its label, and the names that are no label.
        """
        index_of = {label_key(label): k for k, label in enumerate(self.labels)}
        known = {name: index_of[label_key(name)] for name in names if label_key(name) in index_of}
        return known, [name for name in names if name not in known]


def is_label(name: str) -> bool:
    """Whether a name, of a folder or in a file, can be a label: UTF-8, one line of at most `LONGEST_LABEL` characters, and none
    that turns the direction of what stands beside it. (Manifests made before may have the last.)"""
    is_one_line = len(name) <= LONGEST_LABEL and re.fullmatch(_ONE_LINE, name) is not None
    return is_utf8(name) and is_one_line and _DIRECTIONS.search(name) is None


def label_key(name: str) -> str:
    """What two spellings of one class share: case, spaces around it and the Unicode form of its accents do not matter."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name.strip()).casefold())


def taken_meaning(labels: Sequence[str]) -> str | None:
    """What speaks against the first label that means something else in leukolite's outputs; None: none does.

    Case, accents' form, width, spaces, punctuation and another script's letters of the same look do not tell two of them apart.
    """
    for label in labels:
        letters = "".join(char for char in skeleton(label) if char.isalnum())
        if meaning := _TAKEN.get(letters):
            return f"{label!r} cannot be a label: in verdicts and counts it says {meaning}"
    return None


def check_labels(labels: Sequence[str], malignant: Sequence[str]) -> None:
    """Raises: ValueError, where a label stands twice, or a malignant one is not among the labels."""
    if len(set(labels)) != len(labels):
        raise ValueError(f"labels must be distinct, found {list(labels)}")
    if unknown := [label for label in malignant if label not in labels]:
        raise ValueError(f"malignant names {unknown}, which are not among the labels {list(labels)}")


def choose_malignant(said: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
    """The labels that a person says mean leukaemia, whatever their case.

    Args:
        said: each a label, or labels as a line of CSV (one with a comma in its name stands in quotes), or `NONE` alone.
        labels: those of the model.

    Returns:
        In the order said, as the model spells them; empty for `NONE`.

    Raises:
        ValueError: something else was said; names the labels.
    """
    if [one.strip().casefold() for one in said] == [NONE] and not _matching(NONE, labels):
        return ()
    chosen: list[str] = []
    for one in said:
        for name in [one] if _matching(one, labels) else typed_list(one) or [one]:
            matching = _matching(name, labels)
            if len(matching) != 1:
                what = f"{name!r} is several of them" if matching else f"found {name!r}"
                raise ValueError(
                    f"expected the malignant labels among {', '.join(map(repr, labels))}, or {NONE}, {what}; one with a comma in"
                    " its name stands in quotes"
                )
            chosen += matching
    return tuple(dict.fromkeys(chosen))


def _matching(name: str, labels: Sequence[str]) -> list[str]:
    """The label of that very name, or those that are the same by `label_key`."""
    name = name.strip()
    return [label for label in labels if label == name] or [label for label in labels if label_key(label) == label_key(name)]
