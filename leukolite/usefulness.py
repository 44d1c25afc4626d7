"""Is a network of use, or no better than guessing? Arithmetic on confusion matrices.

Conversion asks `uselessness`; training, evaluation and the card ask it through `no_better_than_guessing`. Another guess that a
network may have to beat, as the area of a cell alone, needs verdicts of its own on the same pictures: it is compared where those
are made.
"""

import numpy as np

from leukolite.classes import Classes
from leukolite.metrics import balanced_accuracy, wilson_interval
from leukolite.wording import percent

INFORMED = 0.5  # share of the way from chance to always right, in balanced accuracy, that makes a model of use in any case
NEARLY_ALL = 0.95  # of a class's pictures, and of all others: a label that so many of both are given hardly depends on them


def accuracy_of(confusion: np.ndarray) -> float:
    """Share of the pictures that are right."""
    return float(np.trace(confusion) / confusion.sum())


def informedness(confusion: np.ndarray) -> float:
    """Balanced accuracy of the classes that have pictures, from chance (0) to always right (1); below 0: worse than chance."""
    chance = 1 / max(int(np.count_nonzero(confusion.sum(axis=1))), 2)
    return ((balanced_accuracy(confusion) or 0.0) - chance) / (1 - chance)


def uselessness(confusion: np.ndarray, classes: Classes) -> str | None:
    """Why a model is of no use on these pictures; None: it is of use, or there are no pictures.

    It is of none where it finds no picture of a malignant class, or none of all malignant ones; where it gives one label to
    nearly all pictures, those of the class and the others alike; and where it is no better than always saying the commonest
    class: the lower end of its accuracy's 95% interval (Wilson 1927) is not above that class's share. A model whose balanced
    accuracy is far above chance, and surely above it, is of use all the same: of very uneven classes always saying the commonest
    is right so often that a good model can lose to it; and of few pictures, where no interval is narrow, one that is right more
    often than that, and surely more often than by chance. Of pictures of one class alone more than chance is asked: one
    in as many as there are classes.

    Args:
        confusion: row truth, column verdict.
    """
    counts, n = confusion.sum(axis=1), int(confusion.sum())
    if not n:
        return None
    malignant = [k for k in classes.malignant_indices if counts[k]]
    missed = [f"0 of {counts[k]} pictures of {classes.labels[k]}" for k in malignant if not confusion[k, k]]
    found = int(confusion[np.ix_(malignant, classes.malignant_indices)].sum())
    right = f"is right on {percent(accuracy_of(confusion))} of {n} labelled pictures"
    if len(malignant) > 1 and not found:
        return f"{right} and gives 0 of {counts[malignant].sum()} pictures of malignant classes a malignant label"
    if missed:
        return f"{right} and recognises {' and '.join(missed)}"
    common = int(counts.argmax())
    if counts[common] == n:  # of one class alone, which always saying it beats whatever the model does
        chance = 1 / len(counts)
        return None if accuracy_of(confusion) > chance else f"{right}, which is not above the {percent(chance)} of chance"
    is_sure, right_more = _beats_chance(confusion), np.trace(confusion) - counts[common]
    is_better = (
        _lowest(int(np.trace(confusion)), n) > counts[common] / n
        or (informedness(confusion) >= INFORMED and (is_sure or right_more >= 0))
        or (is_sure and right_more > 0)
    )
    if not is_better:
        always = f"the {percent(counts[common] / n)} of always saying {classes.labels[common]}"
        return f"{right}, which is not more than chance above {always}"
    answer = _one_answer(confusion, classes)
    return None if answer is None else f"{right} and {answer}"


def no_better_than_guessing(confusion: np.ndarray, classes: Classes) -> str | None:
    """The reason of `uselessness` for people, after the one answer that the model gives, if it gives but one."""
    reason, answer = uselessness(confusion, classes), _one_answer(confusion, classes)
    return reason if reason is None or answer is None or reason.endswith(answer) else f"{answer}, {reason}"


def _one_answer(confusion: np.ndarray, classes: Classes) -> str | None:
    """What nearly all pictures are given, whatever they show, in words; None: there is none, or no other class has pictures."""
    of_class, given = confusion.sum(axis=1), confusion.sum(axis=0)
    k = int(given.argmax())
    others, others_given = of_class.sum() - of_class[k], given[k] - confusion[k, k]
    is_given = others > 0 and others_given >= NEARLY_ALL * others and confusion[k, k] >= NEARLY_ALL * of_class[k]
    return f"answers {classes.labels[k]} to {given[k]} of {given.sum()}" if is_given else None


def _beats_chance(confusion: np.ndarray) -> bool:
    """Whether more verdicts are right than where the same verdicts meet the pictures in any order, at 2.5%.

    Source: mean and variance of a linear permutation statistic, Hoeffding 1951; with a correction for continuity.
    """
    n, truths, verdicts = confusion.sum(), confusion.sum(axis=1), confusion.sum(axis=0)
    mean = float(truths @ verdicts / n)
    spread = np.eye(len(truths)) - verdicts[:, np.newaxis] / n - truths[np.newaxis] / n + mean / n
    variance = float((np.outer(truths, verdicts) * spread**2).sum() / (n - 1)) if n > 1 else 0.0
    return bool(np.trace(confusion) - mean - 0.5 > 1.96 * variance**0.5)


def _lowest(right: int, n: int) -> float:
    """Lower end of the 95% interval of a share; 0 of no picture."""
    interval = wilson_interval(right, n)
    return 0.0 if interval is None else interval[0]
