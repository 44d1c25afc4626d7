"""What a classifier must beat on the same folds: the most frequent class, and the cell's area alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Fold = tuple[np.ndarray, np.ndarray]  # indices of the images that fit and of those that are measured


@dataclass(frozen=True)
class BaselineVerdicts:
    """What a baseline says of the images that its folds measure.

    Attributes:
        indices: of those images, shape (n,).
        verdicts: class indices, shape (n,).
        probabilities: shape (n, classes).
    """

    indices: np.ndarray
    verdicts: np.ndarray
    probabilities: np.ndarray


def majority_baseline(truth: np.ndarray, folds: Sequence[Fold], classes: int) -> BaselineVerdicts:
    """Always the class of most of the images that fit; of equal ones the first.

    Args:
        truth: class of every image, int.
    """
    return _pooled([(test, _always(truth[train], len(test), classes)) for train, test in folds], classes)


def area_baseline(areas: np.ndarray, truth: np.ndarray, folds: Sequence[Fold], classes: int) -> BaselineVerdicts:
    """A logistic regression on the cell's area alone, standardised by the images that fit.

    Where those have one class only, that class.

    Args:
        areas: of every image, `leukolite.train.cell_area.cell_area`; float.
        truth: class of every image, int.
    """
    return _pooled([(test, _by_area(areas, truth, train, test, classes)) for train, test in folds], classes)


def _by_area(areas: np.ndarray, truth: np.ndarray, train: np.ndarray, test: np.ndarray, classes: int) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(truth[train])) < 2:
        return _always(truth[train], len(test), classes)
    centre, width = areas[train].mean(), max(float(areas[train].std()), 1e-9)
    standard = ((areas - centre) / width)[:, np.newaxis]
    fitted = LogisticRegression().fit(standard[train], truth[train])
    found = np.zeros((len(test), classes))
    found[:, fitted.classes_] = fitted.predict_proba(standard[test])
    return found


def _always(truth: np.ndarray, n: int, classes: int) -> np.ndarray:
    return np.tile(np.eye(classes)[np.bincount(truth, minlength=classes).argmax()], (n, 1))


def _pooled(parts: Sequence[tuple[np.ndarray, np.ndarray]], classes: int) -> BaselineVerdicts:
    indices = np.concatenate([test for test, _ in parts]) if parts else np.zeros(0, dtype=int)
    found = np.concatenate([one for _, one in parts]) if parts else np.zeros((0, classes))
    return BaselineVerdicts(indices, found.argmax(axis=1), found)
