"""On which folds of an evaluation's images the baselines are fitted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from leukolite.class_folders import PARTS
from leukolite.errors import DatasetError, LeukoliteError
from leukolite.train.baselines import Fold
from leukolite.train.datasets import Dataset
from leukolite.train.runs import load_split
from leukolite.train.splits import BY_IMAGE, BY_SUBJECT, LEAVE_ONE_OUT


def cross_validated(
    dataset: Dataset, chosen: Sequence[int], copies: np.ndarray, split_by: str, folds: int | None, seed: int
) -> tuple[list[Fold], str]:
    """Folds of the measured images themselves, and what they are in words.

    Args:
        chosen: indices of the measured samples.
        copies: group of each sample, of images that belong together.
        split_by: 'leave-one-subject-out'; with `folds` 'subject' or 'image'.

    Returns:
        Without folds where a class has fewer than two people.

    Raises:
        DatasetError: a class has fewer people, or images, than folds.
    """
    measured = np.array(chosen, dtype=int)
    samples = dataset.samples
    people = np.unique([str(samples[i].person) for i in measured], return_inverse=True)[1]
    truth = np.array([samples[i].label for i in measured])
    groups = copies[measured] if split_by == BY_IMAGE else people
    for k in np.unique(truth):
        n = len(np.unique(groups[truth == k]))
        if folds is None and n < 2:
            return [], ""
        if folds is not None and n < folds:
            raise DatasetError(
                f"{dataset.root}: class {dataset.labels[k]} has fewer groups of images than {folds} folds; ask for fewer"
            )
    if folds is None:
        held = [np.flatnonzero(people == one) for one in np.unique(people)]
        words = f"cross-validated on these images, {LEAVE_ONE_OUT}"
    else:
        from sklearn.model_selection import StratifiedGroupKFold

        splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        held = [test for _, test in splitter.split(np.zeros(len(truth)), truth, groups)]
        words = f"cross-validated on these images, {folds} folds by {split_by}"
    every = np.arange(len(measured))
    return [(measured[np.setdiff1d(every, test)], measured[test]) for test in held], words


def saved_parts(dataset: Dataset, place: Path) -> dict[str, list[int]]:
    """Indices of the samples in each part of a run's saved split.

    Raises:
        TrainingError: it is no split, or it leaks.
        DatasetError: images of its test part are not in the data.
    """
    saved = load_split(place)
    index_of: dict[str, list[int]] = {}
    for i, sample in enumerate(dataset.samples):
        index_of.setdefault(sample.sha256, []).append(i)
    if missing := [entry for entry in saved["test"] if entry.sha256 not in index_of]:
        raise DatasetError(
            f"{dataset.root}: {len(missing)} of the {len(saved['test'])} images of {place}'s test part are not here"
            f" ({missing[0].path}); give the folder that it was made of"
        )
    return {name: sorted({i for entry in saved[name] for i in index_of.get(entry.sha256, [])}) for name in PARTS}


def check_split(split_by: str | None, folds: int | None) -> None:
    """Raises: LeukoliteError, where a kind of split is named that leaves images unmeasured."""
    if split_by in (BY_IMAGE, BY_SUBJECT) and folds is None:
        raise LeukoliteError(f"split by {split_by}: here it fits baselines on folds of the measured images", advice="say-folds")
