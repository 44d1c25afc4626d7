"""The ranges that a bundle's training pictures allow others: fitted when a bundle is made, or added to an older one.

    python -m leukolite.convert.appearance edge/bundles/mobilenet_m-cnmc DATA/C-NMC_Leukemia

gives a bundle that was made before the quality gates the ranges of its training pictures, without converting it again. The
pictures are those of the data folder that the manifest's `training.seen` names by their hashes: what fitted or chose the
model. Manifest and card are written again; model, labels and golden outputs stay as they are.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from leukolite.appearance import ImageStats, measure
from leukolite.bundle import Bundle, write_bundle
from leukolite.convert.card import model_card
from leukolite.errors import DatasetError, LeukoliteError
from leukolite.images import read_rgb
from leukolite.manifest import AppearanceRanges, Manifest, Range
from leukolite.preprocess import InputSpec, crop_and_resize
from leukolite.train.datasets import open_dataset

SEED = 0  # of the choice, where there are more pictures than are measured
SAMPLE = 2000  # training pictures that are measured
LEAST_SAMPLE = 50  # training pictures; fewer do not tell what is usual
PERCENTILES = (0.2, 99.8)
MARGIN = 0.35  # of the distance between median and percentile, beyond the percentile
ONE_SIDED = 99.5  # percent of the training pictures on one side of 0: swapped pictures differ

_RED = ImageStats._fields.index("red_over_blue")


def sampled(count: int, seed: int) -> list[int]:
    """Indices of the training pictures that are measured, of `count`, in order: at most `SAMPLE`, by chance."""
    return sorted(np.random.default_rng(seed).permutation(count)[:SAMPLE].tolist())


def fit_ranges(looks: Sequence[ImageStats]) -> AppearanceRanges | None:
    """The ranges that a bundle's training pictures allow others; None where they are fewer than `LEAST_SAMPLE`.

    A range is open where more is no fault (noise and a better lens raise the focus) or less (nothing need be blown out).
    """
    if len(looks) < LEAST_SAMPLE:
        return None
    table = np.array(looks)
    low, middle, high = np.percentile(table, (PERCENTILES[0], 50, PERCENTILES[1]), axis=0)
    mostly_low, mostly_high = np.percentile(table[:, _RED], (100 - ONE_SIDED, ONE_SIDED))
    lowest = ImageStats(*(low - np.maximum(MARGIN * (middle - low), _least_margins(low))).tolist())
    highest = ImageStats(*(high + np.maximum(MARGIN * (high - middle), _least_margins(high))).tolist())
    red = lowest.red_over_blue, highest.red_over_blue
    if mostly_high < 0:  # where swapped pictures lie, no margin reaches
        red = red[0], min(red[1], 0.0)
    elif mostly_low > 0:
        red = max(red[0], 0.0), red[1]
    return AppearanceRanges(
        images=len(looks),
        percentiles=PERCENTILES,
        margin=MARGIN,
        lit=_range(max(lowest.lit, 0.0), min(highest.lit, 1.0)),
        light=_range(lowest.light, min(highest.light, 255.0)),
        blown=_range(None, min(highest.blown, 1.0)),
        stain=_range(lowest.stain, highest.stain),
        red_over_blue=_range(*red),
        focus=_range(lowest.focus, None),
    )


def ranges_of_files(
    files: Sequence[Path], spec: InputSpec, seed: int, on_look: Callable[[int, int], None] = lambda done, total: None
) -> AppearanceRanges | None:
    """The ranges that training pictures allow others, from at most `SAMPLE` of their files; None where they are too few.

    Args:
        seed: of the choice, where there are more than are measured.
        on_look: called with how many of how many were measured.

    Raises:
        ImageError: one cannot be read.
    """
    chosen = sampled(len(files), seed)
    looks = []
    for i in chosen:
        looks.append(measure(crop_and_resize(read_rgb(files[i]), spec)))
        on_look(len(looks), len(chosen))
    return fit_ranges(looks)


def seen_appearance(manifest: Manifest, data: Path) -> AppearanceRanges:
    """The ranges of the pictures that a model was trained with.

    Raises:
        DatasetError: the data folder holds too few of them.
        ImageError: one cannot be read.
    """
    seen = set() if manifest.training is None else set(manifest.training.seen)
    files = [sample.path for sample in open_dataset(data).samples if sample.sha256[:12] in seen]
    found = ranges_of_files(files, manifest.input, SEED)
    if found is None:
        raise DatasetError(
            f"{data}: holds {len(files)} of the pictures that {manifest.name} was trained with, {LEAST_SAMPLE} are needed"
        )
    return found


def add_appearance(path: Path, data: Path) -> AppearanceRanges:
    """Write a bundle's folder again, whole or not at all, with its training pictures' ranges.

    Raises:
        LeukoliteError: `path` is no bundle's folder, cannot be written, or `data` is not what it was trained with.
    """
    bundle = Bundle.load(path)
    appearance = seen_appearance(bundle.manifest, data)
    manifest = bundle.manifest.model_copy(update={"appearance": appearance})
    write_bundle(
        path, manifest, bundle.model, bundle.golden, model_card(manifest, len(bundle.model)), bundle.compiled, force=True
    )
    return appearance


def _range(low: float | None, high: float | None) -> Range:
    return None if low is None else round(low, 4), None if high is None else round(high, 4)


def _least_margins(ends: np.ndarray) -> np.ndarray:
    """Where all training pictures are alike: a lamp or a camera's gain is never set to the very same light."""
    light = 0.15 * float(ImageStats(*ends.tolist()).light)
    return np.array(ImageStats(lit=0.1, light=light, blown=0.05, contrast=0.0, stain=0.03, red_over_blue=0.03, focus=0.1))


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{add_appearance(Path(sys.argv[1]), Path(sys.argv[2])).model_dump_json()}\n")
    except LeukoliteError as error:
        sys.exit(f"Error: {error}")
