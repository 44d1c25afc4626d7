"""Copies of one image: byte-identical files, and the same scene or cell photographed, turned, cropped or saved twice.

A pair of them on two sides of a split makes a network look better than it is; in two classes it can teach and measure nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from leukolite.copies import detail, find_copies, perceptual_hashes
from leukolite.image_files import Unusable
from leukolite.train.datasets import Dataset, refuse_empty_classes


@dataclass(frozen=True)
class ClearImages:
    """A dataset without the images whose copies stand in another class.

    Attributes:
        dataset: the images that contradict each other joined its `unusable`.
        kept: index of each sample in the dataset before.
        copies: group of each sample, int, shape (n,): images of the same bytes or the same picture share one.
        pairs: those of the samples that are one picture, ascending index pairs (i, j), i < j.
    """

    dataset: Dataset
    kept: list[int]
    copies: np.ndarray
    pairs: list[tuple[int, int]]


def without_contradictions(dataset: Dataset, pairs: Sequence[tuple[int, int]]) -> ClearImages:
    """Set aside the images whose copies stand in two classes: nobody can learn or measure by them.

    Args:
        pairs: of `near_duplicates`, indices of the dataset's samples.

    Raises:
        DatasetError: a class has no image left.
    """
    samples = dataset.samples
    groups = group(len(samples), pairs, [[sample.sha256 for sample in samples]])
    members: dict[int, list[int]] = {}
    for i, k in enumerate(groups.tolist()):
        members.setdefault(k, []).append(i)
    contrary: dict[int, int] = {}
    for together in members.values():
        for i in together:
            others = [j for j in together if samples[j].label != samples[i].label]
            if others:
                contrary[i] = others[0]
    for i, j in pairs:  # where the other class has several, the one that looks the same
        for one, other in ((i, j), (j, i)):
            if samples[one].label != samples[other].label:
                contrary[one] = other
    kept = [i for i in range(len(samples)) if i not in contrary]
    aside = tuple(Unusable(samples[i].path, _contradiction(dataset, other)) for i, other in sorted(contrary.items()))
    clear = replace(dataset, samples=tuple(samples[i] for i in kept), unusable=(*dataset.unusable, *aside))
    refuse_empty_classes(clear)
    place = {i: k for k, i in enumerate(kept)}
    rest = [(place[i], place[j]) for i, j in pairs if i in place and j in place]
    return ClearImages(clear, kept, np.unique(groups[kept], return_inverse=True)[1], rest)


def near_duplicates(pixels: np.ndarray, on_picture: Callable[[], None] = lambda: None) -> list[tuple[int, int]]:
    """Pairs of images that show the same thing: saved again, turned, mirrored, cropped or brightened a little.

    Args:
        pixels: uint8 RGB, shape (n, height, width, 3).
        on_picture: called after each image, for a progress bar.

    Returns:
        Index pairs (i, j), i < j, ascending. A flat picture is in none, not even with one of the same bytes.
    """
    if len(pixels) == 0:
        return []
    details = np.stack([detail(image) for image in pixels])
    return pairs_of(details, on_picture)


def pairs_of(details: np.ndarray, on_picture: Callable[[], None] = lambda: None) -> list[tuple[int, int]]:
    """As `near_duplicates`, of the images' `detail`, shape (n, SIDE, SIDE)."""
    found = find_copies(details, perceptual_hashes(details), on_picture, both_ways=True)
    return sorted({(min(pair), max(pair)) for pair in found if pair[0] != pair[1]})


def group(n: int, pairs: Sequence[tuple[int, int]], keys: Sequence[Sequence[str | None]] = ()) -> np.ndarray:
    """Which of `n` images must stay together.

    Args:
        pairs: images that belong together.
        keys: for each kind of key (a hash, a subject) one a image; images of the same key belong together, None joins none.

    Returns:
        Group numbers, int, shape (n,): the transitive closure of all that belongs together.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = list(pairs)
    for kind in keys:
        first: dict[str, int] = {}
        for i, key in enumerate(kind):
            if key is not None:
                links.append((first.setdefault(key, i), i))
    rows, columns = (np.array([link[k] for link in links], dtype=int) for k in (0, 1))
    graph = coo_array((np.ones(len(links), dtype=bool), (rows, columns)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1])


def _contradiction(dataset: Dataset, other: int) -> str:
    sample = dataset.samples[other]
    name = sample.path.relative_to(dataset.root).as_posix()
    return f"copy of a picture in another class ({name} in {dataset.labels[sample.label]})"
