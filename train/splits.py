"""Which images train, which choose the model, which judge it. Copies of one image always stay on one side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leukolite.errors import DatasetError
from leukolite.train.datasets import Dataset

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Indices into a dataset's samples, ascending; no index is in two parts."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]

    def part(self, name: str) -> tuple[int, ...]:
        """The indices of 'train', 'validation' or 'test'."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]


def split_by_image(dataset: Dataset, fractions: Sequence[float], seed: int) -> Split:
    """Split each class by image, as the papers do; byte-identical files stay on one side.

    A class of n images gives floor(n * fraction) to training and to validation (at least one, where the fraction is
    not 0) and the rest to the test part: of C-NMC's fold 0, 1677/239/481 and 791/113/226 at 0.7, 0.1, 0.2, as in
    Table 1 of Makem et al. 2025.

    Args:
        fractions: of training, validation and test; they add up to 1.
        seed: of the shuffle.

    Raises:
        ValueError: the fractions do not add up to 1, or training has none.
        DatasetError: a class has too few images for its parts.
    """
    if len(fractions) != 3 or abs(sum(fractions) - 1) > 1e-9 or min(fractions) < 0 or fractions[0] <= 0:
        raise ValueError(f"expected three fractions that add up to 1, the first above 0, found {tuple(fractions)}")
    rng = np.random.default_rng(seed)
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for label, name in enumerate(dataset.labels):
        members = [i for i, sample in enumerate(dataset.samples) if sample.label == label]
        room = _sizes(len(members), fractions)
        if min(room[k] for k in range(3) if fractions[k] > 0) < 1:
            raise DatasetError(
                f"{dataset.root}: class {name} has {len(members)} image{'s' if len(members) != 1 else ''},"
                f" too few for a {'/'.join(f'{f:.0%}' for f in fractions)} split; add images"
            )
        last = max(k for k in range(3) if fractions[k] > 0)
        groups = _copies_together(dataset, members)
        for g in rng.permutation(len(groups)):
            k = next((k for k in range(3) if room[k] >= len(groups[g])), last)
            parts[k].extend(groups[g])
            room[k] -= len(groups[g])
    return Split(*(tuple(sorted(part)) for part in parts))


def _sizes(n: int, fractions: Sequence[float]) -> list[int]:
    train, validation = (max(int(n * f + 1e-9), 1 if f > 0 else 0) for f in fractions[:2])
    if fractions[2] == 0:
        return [n - validation, validation, 0]
    return [train, validation, n - train - validation]


def _copies_together(dataset: Dataset, members: list[int]) -> list[list[int]]:
    groups: dict[str, list[int]] = {}
    for i in members:
        groups.setdefault(dataset.samples[i].sha256, []).append(i)
    return list(groups.values())
