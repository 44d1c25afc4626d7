"""A head on fixed features: standardised, rotated to their main components, a logistic regression whose strength people choose.

The strength is chosen by cross-validation over groups, people where they are known: of the strengths whose loss is more than
the least by no more than one standard error of that difference over groups, the most regularised (after Breiman et al. 1984).
One data set's people share microscopes and days, so what fits them best fits others less well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leukolite.errors import TrainingError
from leukolite.train.recipes import Head

FLOOR = 1e-3  # of a feature's deviation: one that hardly varies is noise


@dataclass(frozen=True)
class StrengthTrial:
    """One strength in cross-validation.

    Attributes:
        losses: log loss of each group, its images' mean.
        accuracy: share of all images right.
        training_loss: mean log loss of the images that each fold fitted; `training_accuracy` their share right.
    """

    strength: float
    losses: tuple[float, ...]
    accuracy: float
    training_loss: float
    training_accuracy: float

    @property
    def loss(self) -> float:
        """Mean over groups."""
        return float(np.mean(self.losses))


@dataclass(frozen=True)
class FittedHead:
    """A dense layer before a softmax: logits are `features @ kernel + bias`.

    Attributes:
        kernel: float32, shape (features, classes).
        bias: float32, shape (classes,).
        trials: one a strength, in their order.
        chosen: index of the strength that was taken.
    """

    kernel: np.ndarray
    bias: np.ndarray
    trials: tuple[StrengthTrial, ...]
    chosen: int


def fit_head(features: np.ndarray, truth: np.ndarray, groups: np.ndarray, classes: int, head: Head, seed: int) -> FittedHead:
    """Fit a head.

    Standardisation and components are of all the images given, without their labels; each class weighs the same.

    Args:
        features: of each image's views, shape (n, views, features); the first view is the image as it is.
        truth: class of each image, int, shape (n,).
        groups: which images stay together in cross-validation, int, shape (n,); people where they are known.
        classes: number of classes, each with an image.
        seed: of folds and components.

    Raises:
        TrainingError: a class has too few groups to choose by.
    """
    from sklearn.decomposition import PCA

    n, views, d = features.shape
    rows = features.reshape(n * views, d).astype(np.float32)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0) + FLOOR
    rows = (rows - mean) / deviation
    components = PCA(min(head.components, n - 1, d), svd_solver="randomized", random_state=seed).fit(rows[::views]).components_
    rotated = (rows @ components.T).reshape(n, views, -1)
    trials = _cross_validate(rotated, truth, groups, classes, head, seed)
    chosen = most_regularised(trials)
    coefficients, intercepts = _fit(rotated, truth, classes, head.strengths[chosen])
    kernel = (coefficients @ components / deviation).T
    bias = intercepts - mean @ kernel
    return FittedHead(kernel.astype(np.float32), bias.astype(np.float32), tuple(trials), chosen)


def most_regularised(trials: Sequence[StrengthTrial]) -> int:
    """The first trial that is no more than one standard error worse than the best, over groups; strengths ascend."""
    best = min(trials, key=lambda trial: trial.loss)
    worse = [np.subtract(trial.losses, best.losses) for trial in trials]
    return next(k for k, by in enumerate(worse) if by.mean() <= by.std(ddof=1) / np.sqrt(len(by)))


def _cross_validate(
    rotated: np.ndarray, truth: np.ndarray, groups: np.ndarray, classes: int, head: Head, seed: int
) -> list[StrengthTrial]:
    from sklearn.model_selection import StratifiedGroupKFold

    of_class = [len(np.unique(groups[truth == k])) for k in range(classes)]
    folds = min(head.folds, *of_class)
    if folds < 2:
        raise TrainingError(
            "a head's strength is chosen over groups of images that belong together, and a class has fewer than two in the"
            " training part; add images of other people"
        )
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    parts = list(splitter.split(truth, truth, groups))
    trials = []
    for strength in head.strengths:
        losses, right = np.zeros(len(truth)), np.zeros(len(truth), dtype=bool)
        fitted: list[tuple[float, float]] = []
        for fit, judge in parts:
            coefficients, intercepts = _fit(rotated[fit], truth[fit], classes, strength)
            losses[judge], right[judge] = _judge(rotated[judge, 0] @ coefficients.T + intercepts, truth[judge])
            loss, hits = _judge(rotated[fit, 0] @ coefficients.T + intercepts, truth[fit])
            fitted.append((float(loss.mean()), float(hits.mean())))
        of_group = tuple(float(losses[groups == g].mean()) for g in np.unique(groups))
        training_loss, training_accuracy = np.mean(fitted, axis=0)
        trials.append(StrengthTrial(strength, of_group, float(right.mean()), float(training_loss), float(training_accuracy)))
    return trials


def _fit(rotated: np.ndarray, truth: np.ndarray, classes: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients, shape (classes, components), and intercepts, shape (classes,), of the logits."""
    from sklearn.linear_model import LogisticRegression

    n, views, k = rotated.shape
    weights = (n / (classes * np.bincount(truth, minlength=classes)))[truth] / views
    solver = "newton-cholesky" if classes == 2 else "lbfgs"
    regression = LogisticRegression(C=strength, solver=solver, max_iter=1000)
    regression.fit(rotated.reshape(n * views, k), np.repeat(truth, views), sample_weight=np.repeat(weights, views))
    coefficients, intercepts = regression.coef_, regression.intercept_
    if classes == 2:  # one logit of the second class: half of it for, half against
        return np.vstack([-coefficients, coefficients]) / 2, np.concatenate([-intercepts, intercepts]) / 2
    return coefficients, intercepts


def _judge(logits: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log loss of each image, and whether its verdict is right."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(truth)), truth]
    return losses, logits.argmax(axis=1) == truth
