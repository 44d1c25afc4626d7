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
    """Always the class of most of the images that fit, counted over all folds; of equal ones the first.

    Counted fold by fold, leaving one person out of as many of each class would always name the other class.

    Args:
        truth: class of every image, int.
    """
    fitted = np.concatenate([train for train, _ in folds]) if folds else np.zeros(0, dtype=int)
    always = np.eye(classes)[np.bincount(truth[fitted], minlength=classes).argmax()]
    indices = np.concatenate([test for _, test in folds]) if folds else np.zeros(0, dtype=int)
    found = np.tile(always, (len(indices), 1))
    return BaselineVerdicts(indices, found.argmax(axis=1), found)


def area_baseline(areas: np.ndarray, truth: np.ndarray, folds: Sequence[Fold], classes: int) -> BaselineVerdicts:
    """A logistic regression on the cell's area alone, standardised by the images that fit.

    Its verdicts are those of the plain fit, which gets most images right. Its probabilities, by which AUC ranks images of all
    folds together, are of a fit whose classes weigh the same: how many of which class were left out does not move them.
    Where the images that fit have one class only, it is always that one.

    Args:
        areas: of every image, `leukolite.train.cell_area.cell_area`; float.
        truth: class of every image, int.
    """
    from sklearn.linear_model import LogisticRegression

    indices, verdicts, probabilities = [], [], []
    for train, test in folds:
        centre, width = areas[train].mean(), max(float(areas[train].std()), 1e-9)
        standard = ((areas - centre) / width)[:, np.newaxis]
        found = np.zeros((len(test), classes))
        known = np.unique(truth[train])
        if len(known) < 2:
            found[:, known] = 1
            said = np.full(len(test), known[0])
        else:
            balanced = LogisticRegression(class_weight="balanced").fit(standard[train], truth[train])
            found[:, known] = balanced.predict_proba(standard[test])
            said = LogisticRegression().fit(standard[train], truth[train]).predict(standard[test])
        indices.append(test)
        verdicts.append(said)
        probabilities.append(found)
    return BaselineVerdicts(np.concatenate(indices), np.concatenate(verdicts), np.concatenate(probabilities))
