"""How surely copies are known again, and how often other pictures are taken for copies.

    python -m leukolite.benchmarks.copies DATA CELLS

DATA holds the data sets in their native layouts, CELLS is what `leukolite synthetic --count 200` made. It prints the figures of
docs/evidence/copies.md: of every second picture a changed copy, sought as `--unseen` seeks it; and the pairs that are found in
each whole set.
"""

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np

from leukolite.benchmarks.gates import FOLDERS
from leukolite.copies import detail, find_copies, perceptual_hashes
from leukolite.errors import ImageError
from leukolite.images import read_rgb
from leukolite.metrics import wilson_interval
from leukolite.preprocess import InputSpec, crop_and_resize
from leukolite.train.datasets import Dataset, load_images, open_dataset
from leukolite.train.duplicates import group, near_duplicates, without_contradictions
from leukolite.train.recipes import CROP_FRACTION
from leukolite.wording import percent_with_interval

SIDE = 224  # of the networks that are shipped
PICTURES = 200  # of each set, at most

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def turned(pixels: np.ndarray, symmetry: int) -> np.ndarray:
    return np.ascontiguousarray(np.rot90(pixels if symmetry < 4 else pixels[:, ::-1], symmetry % 4))


def saved(pixels: np.ndarray, quality: int) -> np.ndarray:
    decoded = cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    assert decoded is not None, "OpenCV reads what it has written"
    return decoded


def lit(pixels: np.ndarray, contrast: float, brightness: float = 0.0) -> np.ndarray:
    return np.clip(np.rint(pixels * contrast + brightness), 0, 255).astype(np.uint8)


def cropped(pixels: np.ndarray, shares: Iterable[float]) -> np.ndarray:
    """`shares` of the sides that go at the left, top, right and bottom."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = shares
    return pixels[round(height * top) : height - round(height * bottom), round(width * left) : width - round(width * right)]


def resized(pixels: np.ndarray, factor: float) -> np.ndarray:
    return cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)


CHANGES: dict[str, Change] = {
    "turned or mirrored": lambda p, rng: turned(p, int(rng.integers(1, 8))),
    "JPEG of quality 95": lambda p, rng: saved(p, 95),
    "JPEG of quality 75": lambda p, rng: saved(p, 75),
    "JPEG of quality 60": lambda p, rng: saved(p, 60),
    "brightness x0.7": lambda p, rng: lit(p, 0.7),
    "brightness x1.1": lambda p, rng: lit(p, 1.1),
    "brightness x1.2": lambda p, rng: lit(p, 1.2),
    "brightness +25": lambda p, rng: lit(p, 1.0, 25),
    "contrast x0.8": lambda p, rng: lit(p, 0.8, 25),
    "gamma 1.3": lambda p, rng: np.rint(255 * (p / 255) ** 1.3).astype(np.uint8),
    "grey": lambda p, rng: np.repeat(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY)[..., np.newaxis], 3, axis=2),
    "half the size": lambda p, rng: resized(p, 0.5),
    "half as large again": lambda p, rng: resized(p, 1.5),
    "blurred, sigma 1": lambda p, rng: cv2.GaussianBlur(p, (0, 0), 1),
    "noise of sigma 10": lambda p, rng: np.clip(np.rint(p + rng.normal(0, 10, p.shape)), 0, 255).astype(np.uint8),
    "cropped 2% a side": lambda p, rng: cropped(p, [0.02] * 4),
    "cropped 5% a side": lambda p, rng: cropped(p, [0.05] * 4),
    "cropped 8% a side": lambda p, rng: cropped(p, [0.08] * 4),
    "cropped 0 to 5% a side, each by chance": lambda p, rng: cropped(p, rng.uniform(0, 0.05, 4)),
    "cropped 5% on one side, stretched": lambda p, rng: cv2.resize(cropped(p, (0.05, 0, 0, 0)), p.shape[1::-1]),
    "turned, JPEG 80, x1.15": lambda p, rng: lit(saved(turned(p, int(rng.integers(1, 8))), 80), 1.15),
    "cropped 0 to 4% a side, turned, JPEG 75, x1.1": lambda p, rng: lit(
        saved(turned(cropped(p, rng.uniform(0, 0.04, 4)), int(rng.integers(1, 8))), 75), 1.1
    ),
}


def share(hits: int, n: int) -> str:
    return f"{hits} of {n}: {percent_with_interval(hits / n, wilson_interval(hits, n))}"


def details_of(pictures: Iterable[np.ndarray], spec: InputSpec) -> np.ndarray:
    return np.stack([detail(crop_and_resize(pixels, spec)) for pixels in pictures])


def recall(dataset: Dataset, spec: InputSpec) -> dict[str, str]:
    """Change -> how many of the changed copies are known by their originals' hashes."""
    odd = dataset.samples[1::2]
    chosen = sorted(np.random.default_rng(1).permutation(len(odd))[:PICTURES].tolist())
    pictures = [read_rgb(odd[i].path) for i in chosen]
    hashes = perceptual_hashes(details_of(pictures, spec))
    found = {}
    for name, change in CHANGES.items():
        rng = np.random.default_rng(2)
        pairs = find_copies(details_of((change(pixels, rng) for pixels in pictures), spec), hashes)
        found[name] = share(len({i for i, j in pairs if i == j}), len(pictures))
    return found


def pairs_line(name: str, dataset: Dataset, spec: InputSpec) -> str:
    """What is found in a whole set, and how long it takes."""
    dataset, pixels = load_images(dataset, spec)
    started = time.perf_counter()
    pairs = near_duplicates(pixels)
    seconds = time.perf_counter() - started
    samples = dataset.samples
    hashes = [sample.sha256 for sample in samples]
    same = sum(hashes[i] == hashes[j] for i, j in pairs)
    across = sum(samples[i].label != samples[j].label for i, j in pairs)
    subjects = sum(samples[i].subject != samples[j].subject for i, j in pairs)
    per_class = list(dataset.counts().values())
    other_class = (len(samples) ** 2 - sum(n * n for n in per_class)) // 2
    groups = len(np.unique(group(len(samples), pairs, [hashes])))
    aside = len(samples) - len(without_contradictions(dataset, pairs).kept)
    interval = wilson_interval(across, other_class)
    upper = interval[1] if interval is not None else 1.0
    return (
        f"| {name} | {len(samples)} | {same} | {len(pairs) - same} | {subjects} | {across} of {other_class} (to {upper:.1e}) |"
        f" {aside} | {groups} | {seconds:.0f} |"
    )


def lines(data: Path, cells: Path) -> Iterable[str]:
    places = {name: data / folder for name, folder in FOLDERS.items()} | {"synthetic": cells}
    sets, found = {}, {}
    for name, place in places.items():
        spec = InputSpec(height=SIDE, width=SIDE, crop_fraction=CROP_FRACTION.get(name, 1.0), kernel="halve-linear")
        sets[name] = open_dataset(place), spec
        found[name] = recall(*sets[name])
    yield f"| change | {' | '.join(sets)} |\n|---|{'---|' * len(sets)}"
    for change in CHANGES:
        yield f"| {change} | {' | '.join(found[name][change] for name in sets)} |"
    yield "\n| set | images | pairs of the same bytes | further pairs | across subjects | across classes | aside | groups | s |"
    yield f"|{'---|' * 9}"
    for name, (dataset, spec) in sets.items():
        yield pairs_line(name, dataset, spec)


if __name__ == "__main__":
    try:
        for line in lines(Path(sys.argv[1]), Path(sys.argv[2])):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    except ImageError as error:
        sys.exit(f"Error: {error}")
