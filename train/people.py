"""Who is one person: pictures that are surely the same under two ids link those ids.

The search for copies (`leukolite.copies`) is made to miss few, and takes small dark cells of different people for copies now and
then. A false link would merge two people, so what joins two ids is checked a second time: the pictures are laid over each other
(Evangelidis and Psarakis 2008), and must agree inside the cell, coarse and fine.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from leukolite.errors import ImageError
from leukolite.images import read_rgb
from leukolite.people import natural_key
from leukolite.train.datasets import Dataset
from leukolite.wording import count

# C-NMC's four pairs of one cell under two ids: 0.955 to 0.977 and 0.92 to 0.97; 19 pairs that resemble: 0.81 and 0.63 at the most
LEAST_AGREEMENT, LEAST_FINE_AGREEMENT = 0.9, 0.8
_SIDE = 128  # pixels of the pictures that are laid over each other
_DARKEST = 8  # grey level of a cut-out's background
_FINE = 6.0  # pixels, sigma: what is finer than this
_RIM = 7  # pixels that are left out around the cell
_LEAST_INSIDE = 200  # pixels
_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-5)


@dataclass(frozen=True)
class People:
    """Who is who in a dataset.

    Attributes:
        dataset: its samples say which person they are of.
        pairs: the pairs of copies without those that would join two people by a mere resemblance.
    """

    dataset: Dataset
    pairs: list[tuple[int, int]]


def link_people(dataset: Dataset, pairs: Sequence[tuple[int, int]]) -> People:
    """Link the subject ids under which one picture stands: files of the same bytes, and copies that are surely the same picture.

    Args:
        pairs: of `leukolite.train.duplicates.pairs_of`, indices of the samples that may be copies.
    """
    samples = dataset.samples
    parent = {sample.subject: sample.subject for sample in samples if sample.subject is not None}

    def whose(subject: str) -> str:
        while parent[subject] != subject:
            subject = parent[subject]
        return subject

    first: dict[str, int] = {}
    same_bytes = [(first.setdefault(sample.sha256, i), i) for i, sample in enumerate(samples)]
    for i, j in [*same_bytes, *pairs]:
        one, other = samples[i].subject, samples[j].subject
        if one is None or other is None or whose(one) == whose(other):
            continue
        if samples[i].sha256 == samples[j].sha256 or is_same_picture(samples[i].path, samples[j].path):
            parent[whose(other)] = whose(one)
    groups: dict[str, list[str]] = {}
    for subject in sorted(parent, key=natural_key):
        groups.setdefault(whose(subject), []).append(subject)
    name = {one: "=".join(ids) for one, ids in groups.items() if len(ids) > 1}
    linked = tuple(
        sample if sample.subject is None else replace(sample, linked=name.get(whose(sample.subject))) for sample in samples
    )

    def is_between_people(i: int, j: int) -> bool:
        one, other = linked[i].person, linked[j].person
        return one is not None and other is not None and one != other

    return People(replace(dataset, samples=linked), [pair for pair in pairs if not is_between_people(*pair)])


def links_of(dataset: Dataset) -> tuple[tuple[str, ...], ...]:
    """The subject ids that are one person, of a dataset that `link_people` went over; each group sorted."""
    ids: dict[str, set[str]] = {}
    for sample in dataset.samples:
        if sample.linked is not None and sample.subject is not None:
            ids.setdefault(sample.linked, set()).add(sample.subject)
    return tuple(tuple(sorted(ids[name], key=natural_key)) for name in sorted(ids, key=natural_key))


def describe_people(dataset: Dataset) -> list[str]:
    """Which ids were linked, in a line; none where no picture joins two ids, or nobody is named."""
    links = links_of(dataset)
    if not links:
        return []
    ids = {sample.subject for sample in dataset.samples if sample.subject is not None}
    people = {sample.person for sample in dataset.samples if sample.person is not None}
    named = "; ".join(" and ".join(group) for group in links)
    return [
        f"linked: {named}: pictures of theirs are the same, so they count as one person;"
        f" {count(len(ids), 'subject id')}, {count(len(people), 'person', 'people')}"
    ]


def is_same_picture(one: Path, other: Path) -> bool:
    """True if two files surely show the same cell or scene, whether saved again, turned, mirrored, shifted or cut out anew.

    A flat picture is the same as no other. So is a file that cannot be read.
    """
    try:
        pictures = [cv2.cvtColor(read_rgb(path), cv2.COLOR_RGB2GRAY) for path in (one, other)]
    except ImageError:
        return False
    first, second = (cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) for grey in pictures)
    if min(float(first.std()), float(second.std())) < 1:
        return False
    turned = max(_symmetries(second), key=lambda picture: _correlation(first, picture))
    everywhere = np.full((_SIDE, _SIDE), 255, np.uint8)
    try:
        _, warp = cv2.findTransformECC(first, turned, np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE, _STEPS, everywhere, 5)
    except cv2.error:  # it found no way to lay one over the other
        return False
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(turned, warp, (_SIDE, _SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    both = ((first > _DARKEST) & (laid > _DARKEST)).astype(np.uint8)
    inside = cv2.erode(both, np.ones((_RIM, _RIM), np.uint8)) > 0
    if int(inside.sum()) < _LEAST_INSIDE:
        return False
    if _correlation(first[inside], laid[inside]) < LEAST_AGREEMENT:
        return False
    return _correlation(_fine(first, inside), _fine(laid, inside)) >= LEAST_FINE_AGREEMENT


def _symmetries(picture: np.ndarray) -> list[np.ndarray]:
    """The eight ways to turn and mirror a square."""
    ways = [way for turned in (picture, picture.T) for way in (turned, turned[::-1], turned[:, ::-1], turned[::-1, ::-1])]
    return [np.ascontiguousarray(way) for way in ways]


def _fine(picture: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """What is finer than `_FINE`, of the pixels inside."""
    filled = np.where(inside, picture, np.median(picture[inside])).astype(np.float32)
    return np.asarray((filled - cv2.GaussianBlur(filled, (0, 0), _FINE))[inside])


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    a, b = one - one.mean(), other - other.mean()
    return float((a * b).sum() / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-9))
