"""What a data folder holds, before anybody trains on it: counts, sizes, copies, subjects, burnt-in marks."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from leukolite.class_folders import PARTS
from leukolite.copies import detail
from leukolite.errors import ImageError
from leukolite.files import write_file
from leukolite.image_files import Unusable
from leukolite.images import read_rgb
from leukolite.preprocess import InputSpec, crop_and_resize
from leukolite.sheets import encode_png, sheet
from leukolite.train.datasets import Dataset
from leukolite.train.duplicates import pairs_of, without_contradictions
from leukolite.train.people import link_people, links_of

SCHEMA = {"name": "data", "version": 3}  # 3: people and their linked ids; 2: schema with a name, images by_label; 1: first
CORNERS = ("top left", "top right", "bottom left", "bottom right")
CORNER_WIDTH, CORNER_HEIGHT = 0.16, 0.13  # of the image: Taleqani's scale bar with room
LEAST_MARK_SHARE, LEAST_MARK_RATIO = 0.1, 3.0  # a corner is marked if so many images have ink there, so often the other corners'
_SIDE = 128  # pixels of the pictures that are compared


@dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
        sizes: 'WIDTHxHEIGHT' -> images, most frequent first.
        exact_copies: groups of byte-identical files, names relative to the root.
        near_copies: pairs of one class that show the same thing and are not byte-identical.
        across_subjects: how many of the near-identical pairs join two subjects.
        subjects: class -> number of subjects' ids; empty where nobody says.
        people: linked ids counted as one person; 0 where nobody says.
        linked: subjects' ids under which one picture stands, so that they are one person.
        parts: images in each part that folders make; empty where they make none.
        marks: corner -> share of each class's images with black or red ink there; corners without a mark are left out.
    """

    layout: str
    unit: str | None
    counts: dict[str, int]
    malignant: tuple[str, ...]
    sizes: dict[str, int]
    unusable: tuple[Unusable, ...]
    exact_copies: tuple[tuple[str, ...], ...]
    near_copies: tuple[tuple[str, str], ...]
    across_subjects: int
    subjects: dict[str, int]
    people: int
    linked: tuple[tuple[str, ...], ...]
    parts: dict[str, int]
    marks: dict[str, dict[str, float]]
    fingerprint: str

    @property
    def imbalance(self) -> float:
        """Images of the largest class over those of the smallest."""
        return max(self.counts.values()) / max(1, min(self.counts.values()))

    def to_json(self) -> dict[str, Any]:
        """For machines; its fields are in docs/reference/json.md."""
        found = asdict(self)
        unusable = [{"source": str(item.path), "reason": item.reason} for item in self.unusable]
        by_label = found.pop("counts")
        return {"schema": SCHEMA, **found, "by_label": by_label, "unusable": unusable, "imbalance": round(self.imbalance, 3)}


def survey(dataset: Dataset, on_image: Callable[[], None] = lambda: None) -> Survey:
    """Read every image of a dataset once and say what it holds.

    Args:
        on_image: called after each file, for a progress bar.
    """
    spec = InputSpec(height=_SIDE, width=_SIDE)
    details, read, inks, unusable = [], [], [], list(dataset.unusable)
    sizes: Counter[str] = Counter()
    for sample in dataset.samples:
        try:
            pixels = read_rgb(sample.path)
        except ImageError as error:
            unusable.append(Unusable(sample.path, error.reason))
        else:
            read.append(sample)
            sizes[f"{pixels.shape[1]}x{pixels.shape[0]}"] += 1
            inks.append([has_ink(corner) for corner in corners(pixels)])
            details.append(detail(crop_and_resize(pixels, spec)))
        on_image()
    dataset = replace(dataset, samples=tuple(read), unusable=tuple(unusable))
    pairs: list[tuple[int, int]] = []
    people = link_people(dataset, pairs_of(np.stack(details)) if details else [])
    dataset = people.dataset
    if pairs := people.pairs:
        clear = without_contradictions(dataset, pairs)
        dataset, pairs, inks = clear.dataset, clear.pairs, [inks[i] for i in clear.kept]
    kept = dataset.samples
    ink = np.zeros((len(dataset.labels), len(CORNERS)))
    for sample, marked in zip(kept, inks, strict=True):
        ink[sample.label] += marked
    names = [sample.path.relative_to(dataset.root).as_posix() for sample in kept]
    copies: dict[str, list[str]] = {}
    for sample, name in zip(kept, names, strict=True):
        copies.setdefault(sample.sha256, []).append(name)
    near = [(i, j) for i, j in pairs if kept[i].sha256 != kept[j].sha256]
    per_class = Counter(sample.label for sample in kept)
    subjects = {
        label: len({sample.subject for sample in kept if sample.label == k and sample.subject is not None})
        for k, label in enumerate(dataset.labels)
    }
    return Survey(
        layout=dataset.layout,
        unit=dataset.unit,
        counts={label: per_class[k] for k, label in enumerate(dataset.labels)},
        malignant=dataset.malignant,
        sizes=dict(sizes.most_common()),
        unusable=dataset.unusable,
        exact_copies=tuple(tuple(group) for group in copies.values() if len(group) > 1),
        near_copies=tuple((names[i], names[j]) for i, j in near),
        across_subjects=sum(kept[i].subject != kept[j].subject for i, j in near),
        subjects=subjects if any(subjects.values()) else {},
        people=len({sample.person for sample in kept if sample.person is not None}),
        linked=links_of(dataset),
        parts={part: n for part in PARTS if (n := sum(sample.part == part for sample in kept))},
        marks=_marks(ink, [per_class[k] for k in range(len(dataset.labels))], dataset.labels),
        fingerprint=dataset.fingerprint(),
    )


def corners(pixels: np.ndarray) -> list[np.ndarray]:
    """The four corners of an image, in the order of `CORNERS`; views."""
    height, width = max(1, round(pixels.shape[0] * CORNER_HEIGHT)), max(1, round(pixels.shape[1] * CORNER_WIDTH))
    return [pixels[:height, :width], pixels[:height, -width:], pixels[-height:, :width], pixels[-height:, -width:]]


def has_ink(corner: np.ndarray) -> bool:
    """True if the corner has black or red print on a light ground: what no stained smear shows.

    Args:
        corner: uint8 RGB. Nuclei are blue or purple, so their blue channel stays bright where print is dark.
    """
    red, green, blue = (corner[..., k].astype(int) for k in range(3))
    black = np.maximum(np.maximum(red, green), blue) < 90
    print_red = (red > 150) & (green < 110) & (blue < 110)
    light = np.minimum(np.minimum(red, green), blue) > 180
    return bool((black | print_red).sum() >= 4 and light.mean() > 0.2)


def contact_sheet(
    dataset: Dataset, path: Path, *, columns: int = 10, rows_a_class: int = 2, side: int = 96, seed: int = 0, force: bool = False
) -> None:
    """Random images of each class, one block of rows a class, as a PNG.

    Args:
        force: replace a file at `path`.

    Raises:
        LeukoliteError: a file is there, or the place cannot be written.
    """
    rng = np.random.default_rng(seed)
    spec = InputSpec(height=side, width=side)
    blocks = []
    for k in range(len(dataset.labels)):
        members = [sample for sample in dataset.samples if sample.label == k]
        chosen = [members[i] for i in rng.permutation(len(members))[: columns * rows_a_class]]
        tiles = []
        for sample in chosen:
            try:
                tiles.append(crop_and_resize(read_rgb(sample.path), spec))
            except ImageError:
                continue  # named by the survey itself
        blocks.append((f"{dataset.labels[k]} ({len(members)})", tiles))
    write_file(path, encode_png(sheet(blocks, columns=columns, side=side)), force=force)


def _marks(ink: np.ndarray, counts: Sequence[int], labels: Sequence[str]) -> dict[str, dict[str, float]]:
    share = ink.sum(axis=0) / max(1, sum(counts))
    marks = {}
    for c, corner in enumerate(CORNERS):
        others = np.median(np.delete(share, c))
        if share[c] >= LEAST_MARK_SHARE and share[c] >= LEAST_MARK_RATIO * max(others, 1e-9):
            marks[corner] = {label: round(float(ink[k, c] / max(1, counts[k])), 3) for k, label in enumerate(labels)}
    return marks
