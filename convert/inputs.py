"""What every variant of a model is converted and measured with: images and the float model's outputs, each computed once."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from leukolite.convert.appearance import ranges_of_files
from leukolite.convert.gate import GATE_SIGMAS
from leukolite.convert.images import Images, calibration_images, located, prepare
from leukolite.convert.quantise import to_tflite
from leukolite.convert.settings import ConversionSettings
from leukolite.convert.source import ConversionSource
from leukolite.convert.variants import VARIANTS
from leukolite.copies import detail, perceptual_hashes
from leukolite.images import read_rgb
from leukolite.manifest import AppearanceRanges, Calibration
from leukolite.metrics import confusion_matrix
from leukolite.preprocess import crop_and_resize, picture_id
from leukolite.progress import OnProgress
from leukolite.train.fit import predict
from leukolite.usefulness import uselessness

BATCH = 32  # images at a time through the float model


@dataclass(frozen=True)
class SeenPictures:
    """What knows again the images that trained or chose a model, sorted.

    Attributes:
        ids: `picture_id` of each.
        hashes: `perceptual_hashes` of each that is not flat.
    """

    ids: list[str]
    hashes: list[str]


@dataclass(frozen=True)
class ConversionInputs:
    """A source under the settings of one conversion; each property is computed when it is first asked for.

    Attributes:
        workplace: folder for decoded images, which other processes map.
    """

    source: ConversionSource
    settings: ConversionSettings
    workplace: Path
    progress: OnProgress

    @cached_property
    def validation(self) -> Images:
        """The part that gates the conversion and fits the decision, at the gate's noise levels."""
        return self._prepared("validation", GATE_SIGMAS)

    @cached_property
    def floats(self) -> np.ndarray:
        """The float Keras model's probabilities of the validation part, shape (sigmas, n, classes)."""
        return np.stack([self._predict(level) for level in self.validation.levels])

    @cached_property
    def objections(self) -> tuple[str, ...]:
        """What labelled images say against the float model: of an external one those that it was opened with, of a run its
        validation part."""
        if self.source.examination is not None:
            return self.source.examination.objections
        classes, truth = self.source.classes, self.validation.truth
        useless = uselessness(confusion_matrix(truth, self.floats[0].argmax(axis=1), len(classes)), classes)
        return () if useless is None else (f"on its validation part the run's float model {useless}",)

    @cached_property
    def holdout(self) -> list[tuple[Path, int]]:
        """The files of the part that measures the bundle, each with its label index."""
        return located(self.source, self.source.holdout_part)

    @cached_property
    def holdout_floats(self) -> np.ndarray:
        """The float Keras model's probabilities of the holdout at sigma 0, shape (n, classes)."""
        if self.source.holdout_part == "validation":
            return self.floats[0]
        return self._predict(self._prepared(self.source.holdout_part, (0.0,)).levels[0])

    @cached_property
    def calibration(self) -> tuple[np.ndarray, Calibration]:
        """See `calibration_images`."""
        return calibration_images(self.source, self.settings.calibration, self.settings.seed, self.progress)

    @cached_property
    def seen_pictures(self) -> SeenPictures:
        """The images that trained or chose the model."""
        files = [file for part in ("train", "validation") for file in located(self.source, part)]
        ids, details = set(), []
        for i, (path, _) in enumerate(files):
            pixels = crop_and_resize(read_rgb(path), self.source.spec)
            ids.add(picture_id(pixels))
            details.append(detail(pixels))
            self.progress("seen images", i + 1, len(files))
        return SeenPictures(sorted(ids), sorted({text for text in perceptual_hashes(np.stack(details)) if text}))

    @cached_property
    def appearance(self) -> AppearanceRanges | None:
        """The ranges that the training part's pictures allow others; None where they are too few."""
        files = [file for file, _ in located(self.source, "train")]
        return ranges_of_files(files, self.source.spec, self.settings.seed, partial(self.progress, "appearance"))

    @cached_property
    def float_tflite(self) -> bytes:
        """The model as a float32 .tflite file: what quantisation, and it alone, changes is seen beside it."""
        return to_tflite(self.source.model, VARIANTS["float32"], self.source.spec)

    def _prepared(self, part: str, sigmas: tuple[float, ...]) -> Images:
        file = self.workplace / f"{part}.npy"
        return prepare(file, located(self.source, part), sigmas, self.source.spec, self.settings.seed, self.progress)

    def _predict(self, pixels: np.ndarray) -> np.ndarray:
        outputs = []
        for start in range(0, len(pixels), BATCH):
            outputs.append(predict(self.source.model, pixels[start : start + BATCH], self.source.spec, BATCH))
            self.progress("float model", min(start + BATCH, len(pixels)), len(pixels))
        return np.concatenate(outputs)


@contextmanager
def open_inputs(source: ConversionSource, settings: ConversionSettings, progress: OnProgress) -> Iterator[ConversionInputs]:
    """A conversion's inputs, with a temporary folder for its decoded images."""
    with tempfile.TemporaryDirectory(prefix="leukolite-convert-") as workplace:
        yield ConversionInputs(source, settings, Path(workplace), progress)
