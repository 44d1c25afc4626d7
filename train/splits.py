"""Which images train, which choose the model, which measure it. What belongs together always stays on one side.

By image, as the papers split; by subject, so that nobody's blood is on two sides; in folds, of several people or of one each; as
the data's folders or a saved file say.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from leukolite.class_folders import PARTS
from leukolite.errors import DatasetError, TrainingError
from leukolite.train.datasets import Dataset
from leukolite.wording import count

BY_IMAGE, BY_SUBJECT, LEAVE_ONE_OUT = "image", "subject", "leave-one-subject-out"


@dataclass(frozen=True)
class Split:
    """Indices into a dataset's samples, ascending; no index is in two parts."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]

    def part(self, name: str) -> tuple[int, ...]:
        """The indices of 'train', 'validation' or 'test'."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]


def split_by_group(dataset: Dataset, groups: np.ndarray, fractions: Sequence[float], seed: int) -> Split:
    """Split each class, whole groups at a time.

    A class of n images gives floor(n * fraction) to training and to validation (at least one, where the fraction is
    not 0) and the rest to the test part: of C-NMC's fold 0, 1677/239/481 and 791/113/226 at 0.7, 0.1, 0.2, as in
    Table 1 of Makem et al. 2025. Groups go, largest first and else in random order, to the part with the most room, so
    these counts are exact wherever groups are small, and as near as whole groups allow where they are subjects.

    Args:
        groups: which images stay together, int, shape (n,); see `leukolite.train.duplicates.group`.
        fractions: of training, validation and test; they add up to 1.
        seed: of the shuffle.

    Raises:
        ValueError: the fractions do not add up to 1, or training has none.
        DatasetError: a class has too few images, or too few groups, for its parts.
    """
    if len(fractions) != 3 or abs(sum(fractions) - 1) > 1e-9 or min(fractions) < 0 or fractions[0] <= 0:
        raise ValueError(f"expected three fractions that add up to 1, the first above 0, found {tuple(fractions)}")
    truth = np.array([sample.label for sample in dataset.samples])
    classes = len(dataset.labels)
    room = np.array([_sizes(dataset, k, int((truth == k).sum()), fractions) for k in range(classes)]).T  # part, class
    counts = np.zeros((int(groups.max()) + 1, classes), dtype=int)
    np.add.at(counts, (groups, truth), 1)
    shuffled = np.random.default_rng(seed).permutation(len(counts))
    largest_first = shuffled[np.argsort(-counts[shuffled].sum(axis=1), kind="stable")]
    part_of = np.zeros(len(counts), dtype=int)
    for g in largest_first:
        part_of[g] = int(np.argmax((room * counts[g]).sum(axis=1)))
        room[part_of[g]] -= counts[g]
    _fill(part_of, counts, fractions)
    split = Split(*(tuple(int(i) for i in np.flatnonzero(part_of[groups] == p)) for p in range(3)))
    for name, fraction in zip(PARTS, fractions, strict=True):
        empty = [label for label, n in dataset.counts(split.part(name)).items() if n == 0]
        if fraction > 0 and empty:
            raise DatasetError(
                f"{dataset.root}: class {', '.join(empty)} has too few groups of images that belong together for a"
                f" {name} part; split by image, or add subjects"
            )
    return split


def _fill(part_of: np.ndarray, counts: np.ndarray, fractions: Sequence[float]) -> None:
    """Give each part that has no image of a class the smallest group of it from the part that can best spare one, in place.

    Of few large groups, such as people, the part with the most room takes all.

    Args:
        part_of: part of each group.
        counts: images of each group and class.
    """
    for _ in range(len(counts)):
        missing = [
            (p, k)
            for p, fraction in enumerate(fractions)
            for k in range(counts.shape[1])
            if fraction > 0 and not counts[part_of == p, k].sum()
        ]
        for p, k in missing:
            spare = [q for q in range(3) if np.count_nonzero(counts[part_of == q, k]) > 1]
            if spare:
                images = {q: int(counts[part_of == q, k].sum()) for q in spare}
                richest = max(images, key=images.__getitem__)
                own = np.flatnonzero((part_of == richest) & (counts[:, k] > 0))
                part_of[own[np.argmin(counts[own].sum(axis=1))]] = p
                break
        else:
            return


def k_folds(dataset: Dataset, groups: np.ndarray, folds: int, seed: int) -> list[Split]:
    """`folds` splits whose test parts are disjoint and cover the dataset; a tenth of the rest validates.

    Raises:
        DatasetError: a class has fewer groups than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    truth = np.array([sample.label for sample in dataset.samples])
    for k, label in enumerate(dataset.labels):
        if len(np.unique(groups[truth == k])) < folds:
            raise DatasetError(f"{dataset.root}: class {label} has fewer groups of images than {folds} folds; ask for fewer")
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    return [_held_out(dataset, groups, test, seed) for _, test in splitter.split(np.zeros(len(truth)), truth, groups)]


def leave_one_out(dataset: Dataset, groups: np.ndarray, seed: int) -> list[Split]:
    """One split a person, who alone tests it; a tenth of the others' images, whole people, validates.

    Args:
        groups: the person of each image, int, shape (n,).

    Raises:
        DatasetError: a class has fewer than three people: one tests, one validates, and nobody would train.
    """
    truth = np.array([sample.label for sample in dataset.samples])
    for k, label in enumerate(dataset.labels):
        if (n := len(np.unique(groups[truth == k]))) < 3:
            raise DatasetError(
                f"{dataset.root}: class {label} has {count(n, 'person', 'people')}, and to leave one out needs 3, for one"
                " tests, one validates and one trains; add people"
            )
    people = np.unique(groups)
    in_order = sorted(people, key=lambda person: int(np.flatnonzero(groups == person)[0]))
    return [_held_out(dataset, groups, np.flatnonzero(groups == person), seed) for person in in_order]


def refuse_nameless(dataset: Dataset) -> None:
    """Raises: TrainingError, where nobody says whose blood some pictures are of."""
    nameless = [sample.path for sample in dataset.samples if sample.subject is None]
    if not nameless:
        return
    n = len(dataset.samples)
    which = (
        "no subjects" if len(nameless) == n else f"no subject of {len(nameless):,} of {count(n, 'image')} ({nameless[0].name})"
    )
    raise TrainingError(f"{dataset.root}: the layout {dataset.layout} names {which}", advice="split-image")


def _held_out(dataset: Dataset, groups: np.ndarray, test: np.ndarray, seed: int) -> Split:
    """A split whose test part is given; a tenth of the rest validates."""
    held = {int(i) for i in test}
    rest = np.array([i for i in range(len(groups)) if i not in held])
    inner = split_by_group(_subset(dataset, rest), _renumbered(groups[rest]), (0.9, 0.1, 0.0), seed)
    training, validation = (tuple(int(rest[i]) for i in inner.part(name)) for name in PARTS[:2])
    return Split(training, validation, tuple(sorted(held)))


def split_from_hashes(dataset: Dataset, groups: np.ndarray, parts: dict[str, set[str]]) -> tuple[Split, int]:
    """A saved split on a dataset, by the images' SHA-256, wherever the files lie now.

    Images that it does not name are left out. Where images that belong together are on two sides, as in splits made
    without a look at copies, those that validate or test are moved to the training part.

    Args:
        groups: which images belong together, int, shape (n,).
        parts: each part's hashes, 64 hex digits.

    Returns:
        The split, and how many images were moved.

    Raises:
        DatasetError: images of the split are not in the dataset, or nothing would be left to validate.
    """
    present = {sample.sha256 for sample in dataset.samples}
    missing = sum(len(hashes - present) for hashes in parts.values())
    if missing:
        raise DatasetError(
            f"{dataset.root}: not in this folder: {count(missing, 'image')} of the saved split; give the folder it was made of"
        )
    saved = [next((name for name in PARTS if sample.sha256 in parts[name]), None) for sample in dataset.samples]
    split, moved = _together(saved, groups)
    if not split.train or not split.validation:
        raise DatasetError(f"{dataset.root}: the saved split leaves nothing to train or to validate with")
    return split, moved


def split_by_folders(dataset: Dataset, groups: np.ndarray, fractions: Sequence[float], seed: int) -> tuple[Split, int]:
    """The parts that the data's folders, or its table, make. Images that belong together all train, as in `split_from_hashes`.

    Args:
        groups: which images belong together, int, shape (n,).
        fractions: of training, validation and test; the first two say what is split off the training part where no folder
            validates.
        seed: of that.

    Returns:
        The split, and how many images were moved.

    Raises:
        DatasetError: no folder trains, or a class has nothing to train or too little to validate with.
    """
    if "train" not in dataset.parts:
        found = f"only {' and '.join(dataset.parts)}" if dataset.parts else "no train, validation or test"
        raise DatasetError(f"{dataset.root}: {dataset.splits_by} make no training part, there is {found}")
    split, moved = _together([sample.part for sample in dataset.samples], groups)
    empty = [label for label, n in dataset.counts(split.train).items() if n == 0]
    if empty:
        raise DatasetError(f"{dataset.root}: class {', '.join(empty)} has no image in the training part of {dataset.splits_by}")
    if not split.validation:
        chosen = np.array(split.train)
        share = fractions[1] / (fractions[0] + fractions[1])
        inner = split_by_group(_subset(dataset, chosen), _renumbered(groups[chosen]), (1 - share, share, 0.0), seed)
        training, validation = (tuple(int(chosen[i]) for i in inner.part(name)) for name in PARTS[:2])
        split = replace(split, train=training, validation=validation)
    return split, moved


def _together(sides: Sequence[str | None], groups: np.ndarray) -> tuple[Split, int]:
    """A split by each image's part, or None; what belongs together and is on two sides all trains. And how many were moved."""
    of_group: dict[int, set[str]] = {}
    for i, name in enumerate(sides):
        if name is not None:
            of_group.setdefault(int(groups[i]), set()).add(name)
    moved = {i for i, name in enumerate(sides) if name not in (None, "train") and len(of_group[int(groups[i])]) > 1}
    kept = ["train" if i in moved else name for i, name in enumerate(sides)]
    return Split(*(tuple(i for i, name in enumerate(kept) if name == part) for part in PARTS)), len(moved)


def _sizes(dataset: Dataset, label: int, n: int, fractions: Sequence[float]) -> list[int]:
    train, validation = (max(int(n * f + 1e-9), 1 if f > 0 else 0) for f in fractions[:2])
    sizes = [n - validation, validation, 0] if fractions[2] == 0 else [train, validation, n - train - validation]
    if min(size for size, fraction in zip(sizes, fractions, strict=True) if fraction > 0) < 1:
        raise DatasetError(
            f"{dataset.root}: class {dataset.labels[label]} has {count(n, 'image')},"
            f" too few for a {'/'.join(f'{f:.0%}' for f in fractions)} split; add images"
        )
    return sizes


def _subset(dataset: Dataset, indices: np.ndarray) -> Dataset:
    return replace(dataset, samples=tuple(dataset.samples[i] for i in indices))


def _renumbered(groups: np.ndarray) -> np.ndarray:
    return np.unique(groups, return_inverse=True)[1]
