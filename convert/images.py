"""The images that a conversion is made and measured with, as the network gets them: of the source's split, unchanged since."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leukolite import synthetic
from leukolite.convert.quantise import pick_calibration
from leukolite.convert.source import ConversionSource
from leukolite.errors import DatasetError
from leukolite.images import read_rgb
from leukolite.manifest import Calibration
from leukolite.noise import add_gaussian_noise, noise_rng
from leukolite.path_text import path_of_text
from leukolite.preprocess import InputSpec, crop_and_resize
from leukolite.progress import OnProgress
from leukolite.train.runs import SplitFile

GOLDEN_FRAMES, GOLDEN_SIZE, GOLDEN_SEED = 4, 300, 20250101
CALIBRATION_SIGMAS = (0.0, 5.0, 10.0)  # what a camera adds at low and high gain, and none


@dataclass(frozen=True)
class Images:
    """Golden images and, at each noise level, labelled ones, in one file that another process can map.

    Attributes:
        file: .npy, uint8 RGB, shape (golden + sigmas * n, height, width, 3): the golden ones, then level by level.
        golden: how many golden images come first.
        names: the file of each labelled image, n.
        truth: class indices, shape (n,).
        sigmas: noise levels, grey levels.
    """

    file: Path
    golden: int
    names: tuple[Path, ...]
    truth: np.ndarray
    sigmas: tuple[float, ...]

    @property
    def levels(self) -> np.ndarray:
        """The labelled ones: uint8, shape (sigmas, n, height, width, 3), mapped and not read."""
        pixels = np.load(self.file, mmap_mode="r")[self.golden :]
        return pixels.reshape(len(self.sigmas), len(self.truth), *pixels.shape[1:])


def located(source: ConversionSource, part: str) -> list[tuple[Path, int]]:
    """The files of a part of the source's split, each with its label index.

    Raises:
        DatasetError: an image is not below the source's root, or has changed since it was split.
    """
    return _located(source, source.split[part])


def prepare(
    file: Path, files: Sequence[tuple[Path, int]], sigmas: tuple[float, ...], spec: InputSpec, seed: int, progress: OnProgress
) -> Images:
    """Write the golden images, and `files` with noise added at their native resolution, to `file`.

    The noise of image i is that which `leukolite.evaluation` gives it.

    Raises:
        ImageError: one cannot be read.
    """
    golden = [crop_and_resize(frame, spec) for frame in golden_frames()]
    shape = (len(golden) + len(sigmas) * len(files), spec.height, spec.width, 3)
    pixels = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    pixels[: len(golden)] = golden
    for i, (path, _) in enumerate(files):
        capture = read_rgb(path)
        for k, sigma in enumerate(sigmas):
            noisy = add_gaussian_noise(capture, sigma, noise_rng(seed, i, sigma))
            pixels[len(golden) + k * len(files) + i] = crop_and_resize(noisy, spec)
        progress("images", i + 1, len(files))
    pixels.flush()
    return Images(file, len(golden), tuple(path for path, _ in files), np.array([truth for _, truth in files]), sigmas)


def golden_frames() -> np.ndarray:
    """Synthetic captures, uint8 RGB; not square, so that a wrong crop or swapped axes cannot pass."""
    rng = np.random.default_rng(GOLDEN_SEED)
    labels = [synthetic.LABELS[i % len(synthetic.LABELS)] for i in range(GOLDEN_FRAMES)]
    frames = np.stack([synthetic.render_cell(rng, label, size=GOLDEN_SIZE) for label in labels])
    return np.ascontiguousarray(frames[:, : GOLDEN_SIZE - 40])


def calibration_images(source: ConversionSource, count: int, seed: int, progress: OnProgress) -> tuple[np.ndarray, Calibration]:
    """Training images to set the ranges of the activations: stratified by class, noise in equal parts within each class.

    Args:
        count: how many; where the training part has fewer, all of it.
        seed: of the choice and of the noise.

    Returns:
        uint8 RGB, shape (n, height, width, 3), of which any beginning is stratified too; and the record of them.

    Raises:
        DatasetError: an image is not below the source's root, or has changed since it was split.
        ImageError: one cannot be read.
    """
    entries = source.split["train"]
    chosen = pick_calibration([entry.label for entry in entries], count, seed)
    drawn: Counter[str] = Counter()
    pixels = []
    for i in chosen:
        entry = entries[i]
        sigma = CALIBRATION_SIGMAS[drawn[entry.label] % len(CALIBRATION_SIGMAS)]
        drawn[entry.label] += 1
        noisy = add_gaussian_noise(read_rgb(_found(source.root, entry)), sigma, noise_rng(seed, i, sigma))
        pixels.append(crop_and_resize(noisy, source.spec))
        progress("calibration", len(pixels), len(chosen))
    classes = {label: drawn[label] for label in source.classes.labels}
    return np.stack(pixels), Calibration(count=len(chosen), seed=seed, sigmas=list(CALIBRATION_SIGMAS), classes=classes)


def read_inputs(source: ConversionSource, entries: Sequence[SplitFile], progress: OnProgress) -> tuple[np.ndarray, np.ndarray]:
    """Images of the split as the network sees them: uint8 RGB, shape (n, height, width, 3), and the class of each.

    Raises:
        DatasetError: an image is not below the source's root, or has changed since it was split.
        ImageError: one cannot be read.
    """
    files, spec = _located(source, entries), source.spec
    pixels = np.empty((len(files), spec.height, spec.width, 3), np.uint8)
    for i, (path, _) in enumerate(files):
        pixels[i] = crop_and_resize(read_rgb(path), spec)
        progress("images", i + 1, len(files))
    return pixels, np.array([truth for _, truth in files])


def _located(source: ConversionSource, entries: Sequence[SplitFile]) -> list[tuple[Path, int]]:
    return [(_found(source.root, entry), source.classes.labels.index(entry.label)) for entry in entries]


def _found(root: Path, entry: SplitFile) -> Path:
    path = root / path_of_text(entry.path)
    if not path.is_file():
        raise DatasetError(f"{path}: an image of the run is not there", advice="data-moved")
    if hashlib.sha256(path.read_bytes()).hexdigest() != entry.sha256:
        raise DatasetError(f"{path}: the image has changed since the run was trained; restore it, or train again")
    return path
