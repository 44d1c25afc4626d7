"""The classes of a model: their labels in the order of its outputs, and which of them mean leukaemia."""

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from leukolite.frozen import Frozen
from leukolite.wording import is_utf8

# one line, whatever counts as a line's end: labels.txt has one label per line
_ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$"
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
        """Which label each name means, whatever its case.

        Returns:
            Name -> index of its label, and the names that are no label.
        """
        index_of = {label.casefold(): k for k, label in enumerate(self.labels)}
        known = {name: index_of[name.casefold()] for name in names if name.casefold() in index_of}
        return known, [name for name in names if name not in known]


def is_label(name: str) -> bool:
    """Whether a name, of a folder or in a file, can be a `Label`: UTF-8, and one line of at most `LONGEST_LABEL` characters."""
    return is_utf8(name) and len(name) <= LONGEST_LABEL and re.fullmatch(_ONE_LINE, name) is not None


def check_labels(labels: Sequence[str], malignant: Sequence[str]) -> None:
    """Raises: ValueError, where a label stands twice, or a malignant one is not among the labels."""
    if len(set(labels)) != len(labels):
        raise ValueError(f"labels must be distinct, found {list(labels)}")
    if unknown := [label for label in malignant if label not in labels]:
        raise ValueError(f"malignant names {unknown}, which are not among the labels {list(labels)}")
