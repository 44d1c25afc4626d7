"""Figures over people instead of pictures: cells of one person resemble each other, so a person is what counts as one.

Each figure's 95% interval comes from people drawn with replacement, with all of their cells (Efron 1979; the cluster bootstrap of
Field and Welsh 2007). Plain NumPy.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from leukolite.classes import Classes, label_key
from leukolite.metrics import Interval, balanced_accuracy, confusion_matrix, percentile_interval, weighted_f1
from leukolite.path_text import text_of_path

RESAMPLES = 1000
_HASH_ROUNDS = 5000  # some milliseconds an id, so that short ids are not simply tried through in a moment
_HASH_CHARACTERS = 16


def person_key(subject: str) -> str:
    """What two spellings of one person's id share: case, blanks around it and the Unicode form do not count."""
    return label_key(subject)


def hashed_person(subject: str, salt: str) -> str:
    """An id that a bundle may carry: 16 hex digits that say nothing to a reader who does not know the id.

    Whoever tries all possible ids finds a short one, so a bundle is no place to hide who took part.

    Args:
        salt: the fingerprint of the data that the id belongs to.
    """
    key = person_key(text_of_path(subject)).encode()
    return hashlib.pbkdf2_hmac("sha256", key, salt.encode(), _HASH_ROUNDS).hex()[:_HASH_CHARACTERS]


def hashed_people(subjects: Iterable[str | None], salt: str) -> list[str]:
    """`hashed_person` of every id that is known, sorted, each once."""
    keys = {person_key(subject) for subject in subjects if subject is not None}
    return sorted(hashed_person(key, salt) for key in keys)


def keeps_people_apart(split_by: str) -> bool:
    """Whether a split, as runs and bundles record it, has no person on two sides."""
    return split_by.endswith(("subject", "leave-one-subject-out"))


@dataclass(frozen=True)
class PersonRow:
    """One person's cells.

    Attributes:
        label: the class of most of the cells.
        cells: with a verdict.
        abstained: without one.
        right: cells whose verdict is right.
    """

    person: str
    label: str
    cells: int
    abstained: int
    right: int

    @property
    def share_right(self) -> float | None:
        return self.right / self.cells if self.cells else None

    @property
    def is_right_by_majority(self) -> bool:
        """More than half of the cells with a verdict are right."""
        return 2 * self.right > self.cells

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "share_right": self.share_right, "majority_right": self.is_right_by_majority}


@dataclass(frozen=True)
class Figure:
    """A figure with its 95% interval over people; None where it is not defined."""

    value: float | None
    interval: Interval | None


@dataclass(frozen=True)
class PeopleMetrics:
    """How a classifier did on the cells of several people.

    Attributes:
        auc: of the positive class of two, else the mean of each class against the rest.
        rows: one a person, in the order of their ids.
    """

    accuracy: Figure
    balanced_accuracy: Figure
    weighted_f1: Figure
    auc: Figure
    rows: tuple[PersonRow, ...]

    @property
    def right_by_majority(self) -> int:
        """How many people have more than half of their cells right."""
        return sum(row.is_right_by_majority for row in self.rows)

    def figures(self) -> dict[str, Figure]:
        """Each figure by its name."""
        names = ("accuracy", "balanced_accuracy", "weighted_f1", "auc")
        return {name: getattr(self, name) for name in names}

    def to_json(self) -> dict[str, Any]:
        """Without the rows; see docs/reference/json.md."""
        found: dict[str, Any] = {}
        for name, figure in self.figures().items():
            found |= {name: figure.value, f"{name}_interval": figure.interval}
        return found | {"right_by_majority": self.right_by_majority}


def people_metrics(
    people: Sequence[str],
    truth: Sequence[int],
    verdicts: Sequence[int | None],
    probabilities: np.ndarray,
    classes: Classes,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> PeopleMetrics:
    """All figures over people of one set of verdicts.

    Args:
        people: whose each cell is, length n.
        truth: class indices, length n.
        verdicts: class indices, length n; None where the classifier abstained: counted, and left out of the rest.
        probabilities: shape (n, classes).
        seed: of the resamples of people.
    """
    names = sorted(set(people), key=natural_key)
    of_cell = np.array([names.index(name) for name in people], dtype=int)
    every_truth = np.array(truth, dtype=int)
    decided = np.array([verdict is not None for verdict in verdicts], dtype=bool)
    found = np.array([verdict if verdict is not None else -1 for verdict in verdicts], dtype=int)
    n = len(classes)
    rows = []
    for k, name in enumerate(names):
        own = of_cell == k
        label = classes.labels[int(np.bincount(every_truth[own], minlength=n).argmax())]
        right = int((own & decided & (found == every_truth)).sum())
        rows.append(PersonRow(name, label, int((own & decided).sum()), int((own & ~decided).sum()), right))
    person, known, said = of_cell[decided], every_truth[decided], found[decided]
    scores = np.asarray(probabilities, dtype=float).reshape(len(of_cell), n)[decided]
    confusions = np.zeros((len(names), n, n), dtype=np.int64)
    np.add.at(confusions, (person, known, said), 1)
    areas = _Areas(person, known, scores, classes)
    draws = _draws(len(names), resamples, seed)
    drawn = [np.tensordot(weights, confusions, axes=1) for weights in draws]
    whole = confusion_matrix(known, said, n)
    rates: dict[str, Callable[[np.ndarray], float | None]] = {
        "accuracy": _accuracy,
        "balanced_accuracy": balanced_accuracy,
        "weighted_f1": weighted_f1,
    }
    figures = {name: Figure(rate(whole), percentile_interval(map(rate, drawn))) for name, rate in rates.items()}
    area = Figure(areas.value(np.ones(len(names), dtype=int)), percentile_interval(map(areas.value, draws)))
    return PeopleMetrics(**figures, auc=area, rows=tuple(rows))


def _draws(people: int, resamples: int, seed: int) -> list[np.ndarray]:
    """How often each person is in each resample, int, shape (people,)."""
    rng = np.random.default_rng(seed)
    return [np.bincount(rng.integers(0, people, people), minlength=people) for _ in range(resamples)] if people else []


def _accuracy(confusion: np.ndarray) -> float | None:
    total = int(confusion.sum())
    return int(np.trace(confusion)) / total if total else None


class _Areas:
    """The area under the ROC curve where each person's cells count as often as the person was drawn; cells are sorted once."""

    def __init__(self, person: np.ndarray, truth: np.ndarray, scores: np.ndarray, classes: Classes) -> None:
        positive = classes.positive
        chosen = range(len(classes)) if positive is None else [classes.labels.index(positive)]
        self._person = person
        self._sides = []
        for k in chosen:
            _, place = np.unique(scores[:, k], return_inverse=True)
            self._sides.append((truth == k, place))

    def value(self, times: np.ndarray) -> float | None:
        """Args: times: how often each person counts, int, shape (people,)."""
        weights = times[self._person]
        areas = [_weighted_auc(is_positive, place, weights) for is_positive, place in self._sides]
        defined = [area for area in areas if area is not None]
        return float(np.mean(defined)) if defined else None


def _weighted_auc(is_positive: np.ndarray, place: np.ndarray, weights: np.ndarray) -> float | None:
    """`leukolite.metrics.auc` of cells that count several times, or not at all.

    Args:
        place: of each cell's score among the different scores, ascending.
    """
    above = np.bincount(place, weights * is_positive)
    below = np.bincount(place, weights * ~is_positive)
    positives, negatives = above.sum(), below.sum()
    if not positives or not negatives:
        return None
    return float((above * (np.cumsum(below) - below / 2)).sum() / (positives * negatives))


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """By which ids are sorted: '9' before '17'."""
    parts, digits = [], ""
    for char in f"{name}\0":
        if char.isascii() and char.isdigit():
            digits += char
            continue
        if digits:
            parts.append((0, int(digits), ""))
            digits = ""
        parts.append((1, 0, char))
    return tuple(parts)
