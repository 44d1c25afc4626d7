"""A finished run on its way to a device: its float model, its images, and the .tflite file of each variant."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leukolite.bundle import Appearance, Calibration, CellPicture, FineTuning, Gate
from leukolite.convert.appearance import ranges_of_files
from leukolite.convert.child import Progress
from leukolite.convert.gate import GATE_SIGMAS, gate_level
from leukolite.convert.images import Images, calibration_images, located, prepare, read_inputs
from leukolite.convert.qat import Job, fine_tune
from leukolite.convert.quantise import to_tflite
from leukolite.convert.variants import VARIANTS, Variant
from leukolite.errors import ConversionError
from leukolite.images import read_rgb
from leukolite.preprocess import crop_and_resize, picture_id
from leukolite.train.fit import predict
from leukolite.train.runs import Run, SplitFile, load_model, load_run, load_run_split

if TYPE_CHECKING:
    import keras

BATCH = 32  # images at a time through the float model


@dataclass(frozen=True)
class Settings:
    """How runs are converted.

    Attributes:
        variants: keys of `VARIANTS`; with `auto` tried in order until one passes the gate.
        sigmas: noise levels at which a bundle is measured; 0 is added if missing.
        calibration: images for the activations' ranges.
        seed: of the choice of images, of the noise and of fine-tuning.
        max_drop: points of accuracy that a variant may lose against the float model, at each of `GATE_SIGMAS`.
        max_recall_drop: points of any malignant class's recall.
        target_error: share of wrong verdicts outside the abstain band.
        abstains: put the band in force.
        qat_epochs: of fine-tuning, for int8-qat.
        prove_with: other Python interpreters, whose TFLite runtimes are tried too.
        dense_per_channel: a scale a unit in the weights of dense layers, which the Edge TPU's compiler does not know.
        cell: how the training pictures show a cell; None takes the published layout's, if it is one.
    """

    variants: tuple[str, ...] = ("int8",)
    auto: bool = False
    sigmas: tuple[float, ...] = (0.0,)
    calibration: int = 200
    seed: int = 0
    max_drop: float = 0.5
    max_recall_drop: float = 0.5
    target_error: float = 0.01
    abstains: bool = False
    qat_epochs: int = 1
    prove_with: tuple[Path, ...] = ()
    dense_per_channel: bool = True
    cell: CellPicture | None = None


@dataclass(frozen=True)
class Trained:
    """A finished run with its model and its split's files, found and unchanged, and what the float model says of them."""

    folder: Path | None  # None: of a model that leukolite did not train
    root: Path
    run: Run
    split: dict[str, list[SplitFile]]
    model: "keras.Model"
    workplace: Path
    settings: Settings
    progress: Progress

    @cached_property
    def validation(self) -> Images:
        """The part that judges the conversion, at the gate's noise levels."""
        files = located(self.root, self.split["validation"], self.run)
        return prepare(self.workplace / "validation.npy", files, GATE_SIGMAS, self.run.input, self.settings.seed, self.progress)

    @cached_property
    def kept_part(self) -> str:
        """The part kept for judging: 'test', or 'validation' where the run has no other."""
        return "test" if self.split["test"] else "validation"

    @cached_property
    def kept(self) -> list[tuple[Path, int]]:
        return located(self.root, self.split[self.kept_part], self.run)

    @cached_property
    def seen_pictures(self) -> list[str]:
        """`picture_id` of the images that trained or chose the model, sorted."""
        files = [file for part in ("train", "validation") for file in located(self.root, self.split[part], self.run)]
        found = set()
        for i, (path, _) in enumerate(files):
            found.add(picture_id(crop_and_resize(read_rgb(path), self.run.input)))
            self.progress("seen images", i + 1, len(files))
        return sorted(found)

    @cached_property
    def appearance(self) -> Appearance | None:
        """What pictures of the training part look like; None where they are too few to tell."""
        files = [file for file, _ in located(self.root, self.split["train"], self.run)]
        return ranges_of_files(files, self.run.input, self.settings.seed, partial(self.progress, "appearance"))

    @cached_property
    def floats(self) -> np.ndarray:
        """The float Keras model's probabilities of the validation part, shape (sigmas, n, classes)."""
        return np.stack([self._predict(level) for level in self.validation.levels])

    @cached_property
    def kept_floats(self) -> np.ndarray:
        """The same of the part kept for judging, at sigma 0, shape (n, classes)."""
        if self.kept_part == "validation":
            return self.floats[0]
        images = prepare(self.workplace / "kept.npy", self.kept, (0.0,), self.run.input, self.settings.seed, self.progress)
        return self._predict(images.levels[0])

    @cached_property
    def calibration(self) -> tuple[np.ndarray, Calibration]:
        settings = self.settings
        return calibration_images(self.root, self.split["train"], settings.calibration, self.run, settings.seed, self.progress)

    @cached_property
    def float_tflite(self) -> bytes:
        return to_tflite(self.model, VARIANTS["float32"], self.run.input)

    def _predict(self, pixels: np.ndarray) -> np.ndarray:
        outputs = []
        for start in range(0, len(pixels), BATCH):
            outputs.append(predict(self.model, pixels[start : start + BATCH], self.run.input, BATCH))
            self.progress("float model", min(start + BATCH, len(pixels)), len(pixels))
        return np.concatenate(outputs)


@contextmanager
def open_trained(folder: Path, data: Path | None, settings: Settings, progress: Progress) -> Iterator[Trained]:
    """A run ready to be converted, with a temporary folder for its decoded images.

    Args:
        data: where the run's images are now; None: where they were when it was trained.

    Raises:
        TrainingError: the folder is not a finished run.
    """
    run, split = load_run(folder), load_run_split(folder)
    with tempfile.TemporaryDirectory(prefix="leukolite-convert-") as workplace:
        yield Trained(folder, data or Path(run.data), run, split, load_model(folder), Path(workplace), settings, progress)


@dataclass(frozen=True)
class Made:
    """A .tflite file, and the record of the images that calibrated or fine-tuned it."""

    content: bytes
    calibration: Calibration | None = None
    fine_tuning: FineTuning | None = None


def make(trained: Trained, variant: Variant) -> Made:
    """Convert to a variant.

    Raises:
        ConversionError: it cannot be made.
    """
    run, settings = trained.run, trained.settings
    if variant.is_trained and trained.folder is None:
        raise ConversionError(f"{variant.name} fine-tunes a run of `leukolite train`, not a model that it did not train")
    if variant.is_trained and trained.folder is not None:
        pixels, truth = read_inputs(trained.root, trained.split["train"], run, trained.progress)
        job = Job(
            spec=run.input,
            augmentation=run.recipe.augmentation,
            balance=run.recipe.balance,
            batch_size=run.recipe.batch_size,
            epochs=settings.qat_epochs,
            seed=settings.seed,
        )
        content = fine_tune(job, trained.folder, pixels, truth, trained.progress)
        record = FineTuning(images=len(truth), epochs=job.epochs, learning_rate=job.learning_rate, seed=job.seed)
        return Made(content, fine_tuning=record)
    if not variant.is_calibrated:
        return Made(to_tflite(trained.model, variant, run.input))
    pixels, calibration = trained.calibration
    trained.progress(variant.name, 0, 0)
    content = to_tflite(trained.model, variant, run.input, pixels, dense_per_channel=settings.dense_per_channel)
    return Made(content, calibration)


def measure_gate(trained: Trained, outputs: np.ndarray) -> Gate:
    """The float model beside a converted one on the validation part.

    Args:
        outputs: the converted model's probabilities, shape (sigmas, n, classes).
    """
    run, settings, images = trained.run, trained.settings, trained.validation
    levels = [
        gate_level(sigma, images.truth, trained.floats[k], outputs[k], run.labels, run.malignant)
        for k, sigma in enumerate(images.sigmas)
    ]
    return Gate(part="validation", max_drop=settings.max_drop, max_recall_drop=settings.max_recall_drop, levels=levels)
