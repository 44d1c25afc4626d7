"""Why a frame or a region of it is not classified: a kind of a closed set, by which it is counted, and the figures behind it."""

from enum import StrEnum
from typing import Any

from pydantic import model_validator

from leukolite.frozen import Frozen


class ExclusionKind(StrEnum):
    """Every reason there is; `OTHER` is for journals of a version that knew more."""

    TOO_OLD = "too old"
    FUTURE = "time stamp in the future"
    UNDEREXPOSED = "underexposed"
    DARKER = "darker than the training pictures"
    OVEREXPOSED = "overexposed"
    BRIGHTER = "brighter than the training pictures"
    EMPTY = "empty field"
    NO_COLOUR = "no colour"
    UNSTAINED = "no stained nucleus"
    BLURRED = "blurred"
    BACKGROUND = "background unlike training"
    STAIN = "stain out of range"
    NOT_MOVED = "stage not moved"
    CUT = "cut by the frame's edge"
    LARGE = "larger than a cell"
    SMALL = "too small"
    SIZE_UNKNOWN = "size unknown"
    DIAMETER = "cell diameter contradicts the field"
    NOT_A_FIELD = "not a field of cells"
    WHOLE_FIELD = "a whole field, not one cell"
    OTHER = "other reasons"


class Exclusion(Frozen):
    """A reason.

    Attributes:
        kind: what is wrong.
        detail: the figures, or a clause, for people; empty where the kind says it all.
    """

    kind: ExclusionKind
    detail: str = ""

    @model_validator(mode="before")
    @classmethod
    def _of_a_later_version(cls, data: Any) -> Any:
        """A kind that this version does not know is kept in the detail."""
        if not isinstance(data, dict) or not isinstance(data.get("kind"), str) or data["kind"] in set(ExclusionKind):
            return data
        detail = f"{data['kind']} ({data['detail']})" if data.get("detail") else data["kind"]
        return data | {"kind": ExclusionKind.OTHER, "detail": detail}

    @classmethod
    def of(cls, kind: ExclusionKind, detail: str = "") -> "Exclusion":
        return cls(kind=kind, detail=detail)

    def __str__(self) -> str:
        """'blurred (focus 1.2, at least 2.0)': figures stand in brackets, a clause behind a colon."""
        if not self.detail:
            return str(self.kind)
        has_figures = any(char.isdigit() for char in self.detail)
        return f"{self.kind} ({self.detail})" if has_figures else f"{self.kind}: {self.detail}"

    @classmethod
    def parse(cls, text: str) -> "Exclusion":
        """From the sentence that journals held before they held the kind (schema 1)."""
        for kind in ExclusionKind:
            for start in (kind, *_BEFORE.get(kind, ())):
                rest = text.removeprefix(start)
                if rest != text and (not rest or rest.startswith((" (", ": "))):
                    return cls(kind=kind, detail=rest[2:].removesuffix(")") if rest.startswith(" (") else rest[2:])
        return cls(kind=ExclusionKind.OTHER, detail=text)


_BEFORE = {ExclusionKind.DIAMETER: ("--cell-diameter contradicts the field",)}

GREY = "grey or infra-red picture"  # the clause of `NO_COLOUR`
SWAPPED = "; are red and blue swapped?"
NO_WHITE_CELL = Exclusion.of(ExclusionKind.EMPTY, "no white cell stands out")
