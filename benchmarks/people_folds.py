"""Who is measured in an evaluation, and on which folds of the images the baselines beside it are fitted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from leukolite.class_folders import PARTS
from leukolite.errors import DatasetError, LeukoliteError
from leukolite.evaluation import ImageVerdict
from leukolite.places import problem_at
from leukolite.train.baselines import Fold
from leukolite.train.datasets import Dataset
from leukolite.train.people_report import MeasuredPeople, SaidOfImages
from leukolite.train.runs import load_saved_split
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
    saved = load_saved_split(place)
    index_of: dict[str, list[int]] = {}
    for i, sample in enumerate(dataset.samples):
        index_of.setdefault(sample.sha256, []).append(i)
    if missing := [entry for entry in saved["test"] if entry.sha256 not in index_of]:
        raise DatasetError(
            f"{dataset.root}: {len(missing)} of the {len(saved['test'])} images of {place}'s test part are not here"
            f" ({missing[0].path}); give the folder that it was made of"
        )
    return {name: sorted({i for entry in saved[name] for i in index_of.get(entry.sha256, [])}) for name in PARTS}


def is_given(split_by: str | None) -> bool:
    """Whether a split says by itself which images are measured: folders, or a run."""
    return split_by not in (None, LEAVE_ONE_OUT, BY_IMAGE, BY_SUBJECT)


def parts_given(dataset: Dataset, split_by: str) -> tuple[list[int], list[int]]:
    """Indices of the samples that fit baselines and of those that are measured, as folders or a run's split say.

    Raises:
        DatasetError: folders make no such parts, or images of the run's test part are not in the data.
        LeukoliteError: there is no such run.
    """
    if split_by == "folders":
        parts = dataset.parts
        measured = next((parts[name] for name in ("test", "validation") if name in parts), ())
        if not measured or "train" not in parts:
            found = f"only {' and '.join(parts)}" if parts else "no train, validation or test"
            raise DatasetError(f"{dataset.root}: expected a training part and one to measure, there is {found}")
        return list(parts["train"]), list(measured)
    if problem := problem_at(Path(split_by), "file or folder", noun="run or split.json"):
        kinds = f"{LEAVE_ONE_OUT}, {BY_SUBJECT} or {BY_IMAGE}, folders, a run or its split.json"
        raise LeukoliteError(f"{split_by}: {problem}; expected {kinds}")
    saved = saved_parts(dataset, Path(split_by))
    if not saved["test"]:
        raise DatasetError(f"{split_by}: the split has no test part, so nothing could be measured")
    return saved["train"], saved["test"]


def check_split(split_by: str | None, folds: int | None, *, has_folds: bool) -> None:
    """Raises: LeukoliteError, where a split does not go with the model, or leaves images unmeasured.

    Args:
        has_folds: the model is a folder of folds.
    """
    if has_folds and split_by is not None:
        raise LeukoliteError(f"split by {split_by}: the folds of this model say already who is measured by which network")
    if split_by in (BY_IMAGE, BY_SUBJECT) and folds is None:
        raise LeukoliteError(f"split by {split_by}: here it fits baselines on folds of the measured images", advice="say-folds")


def measured_people(
    dataset: Dataset,
    truth: np.ndarray,
    areas: np.ndarray | None,
    copies: np.ndarray,
    fits: list[list[int]],
    tests: list[list[int]],
    *,
    split_by: str | None,
    folds: int | None,
    seed: int,
) -> MeasuredPeople | None:
    """The people among the measured images, with the folds for baselines; None where nobody says whose blood some are of.

    Args:
        truth: class of each sample in the model's order.
        areas: the cell's area of each; None: fields.
        copies: group of each, of images that belong together.
        fits: samples that fit baselines, for each of `tests`; empty: these are cross-validated among themselves.
        tests: measured samples.
        split_by: as of `cross_validated`; what gave the fits, None where a folder of folds did.
    """
    chosen = [i for test in tests for i in test]
    if any(dataset.samples[i].subject is None for i in chosen):
        return None
    if fits:
        pairs: list[Fold] = [(np.array(fit, dtype=int), np.array(test, dtype=int)) for fit, test in zip(fits, tests, strict=True)]
        protocol = "fitted on the same folds" if split_by is None else f"fitted on the training part of {split_by}"
    else:
        pairs, protocol = cross_validated(dataset, chosen, copies, split_by or LEAVE_ONE_OUT, folds, seed)
    return MeasuredPeople(dataset, truth, areas, pairs, protocol)


def said_of(verdicts: Sequence[ImageVerdict], dataset: Dataset) -> dict[float, SaidOfImages]:
    """The verdicts at each noise level, by the images' places in the dataset; their sources may be below its resolved root."""
    root = dataset.root.resolve()
    place = {str(root / sample.path.relative_to(dataset.root)): i for i, sample in enumerate(dataset.samples)}
    place |= {str(sample.path): i for i, sample in enumerate(dataset.samples)}
    levels: dict[float, list[ImageVerdict]] = {}
    for item in verdicts:
        levels.setdefault(item.sigma, []).append(item)
    return {
        sigma: SaidOfImages(
            [place[item.source] for item in items],
            [item.verdict.index for item in items],
            np.array([item.verdict.probabilities for item in items]),
        )
        for sigma, items in levels.items()
    }
