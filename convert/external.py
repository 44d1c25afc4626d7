"""A Keras model that leukolite did not train, made ready for conversion on labelled images of the user's."""

import hashlib
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leukolite.bundle import Unit
from leukolite.convert.child import Progress
from leukolite.convert.trained import Settings, Trained
from leukolite.errors import ConversionError, DatasetError
from leukolite.preprocess import InputSpec
from leukolite.quiet import quiet
from leukolite.train.augment import Augmentation
from leukolite.train.batches import to_float
from leukolite.train.datasets import Dataset, load_images, open_dataset
from leukolite.train.duplicates import group, near_duplicates
from leukolite.train.fit import versions
from leukolite.train.recipes import FOREIGN, Recipe
from leukolite.train.runs import Run, SplitFile
from leukolite.train.splits import PARTS, split_by_group

if TYPE_CHECKING:
    import keras

FRACTIONS = (0.4, 0.3, 0.3)  # calibration, validation (gate and decision), judging


@dataclass(frozen=True)
class Foreign:
    """What leukolite must be told of such a model.

    Attributes:
        model: .keras or .h5 file.
        labels: text file, one a line, in the order of the outputs.
        unit: what one image shows.
        values: what black and white are to the network, as (0, 1), (-1, 1) or (0, 255).
        malignant: those of the labels; None: what the data's layout says.
        data: labelled images.
    """

    model: Path
    labels: Path
    unit: Unit
    values: tuple[float, float]
    malignant: Sequence[str] | None
    data: Path


@contextmanager
def open_foreign(foreign: Foreign, settings: Settings, progress: Progress) -> Iterator[Trained]:
    """The model with its images, split into those that calibrate, those that gate and fit, and those that judge.

    Raises:
        ConversionError: the file is no Keras model, has layers of its own, open shapes, other inputs or outputs than one RGB
            image and one probability a label, or the labels are not its own.
        DatasetError: the images are of other classes, or too few.
    """
    labels = read_labels(foreign.labels)
    model = _from_zero_to_one(load_foreign(foreign.model), foreign.values)
    spec = check_model(model, labels, foreign)
    dataset = _in_order(open_dataset(foreign.data), labels)
    total = len(dataset.samples)
    done = iter(range(1, total + 1))
    dataset, pixels = load_images(dataset, spec, lambda: progress("images", next(done), total))
    hashes = [sample.sha256 for sample in dataset.samples]
    groups = group(len(hashes), near_duplicates(pixels), [hashes])
    split = split_by_group(dataset, groups, FRACTIONS, settings.seed)
    files = {
        part: [
            SplitFile(
                path=dataset.samples[i].path.relative_to(dataset.root).as_posix(),
                label=labels[dataset.samples[i].label],
                sha256=dataset.samples[i].sha256,
                group=int(groups[i]),
                subject=dataset.samples[i].subject,
            )
            for i in split.part(part)
        ]
        for part in PARTS
    }
    malignant = dataset.malignant if foreign.malignant is None else foreign.malignant
    if unknown := [label for label in malignant if label not in labels]:
        raise ConversionError(f"--malignant names {', '.join(unknown)}, not among the labels {', '.join(labels)}")
    run = Run.model_construct(
        schema_version=1,
        recipe=_recipe(foreign, spec, settings),
        unit=foreign.unit,
        labels=list(labels),
        malignant=list(malignant),
        input=spec,
        dataset=dataset.layout,
        data=str(dataset.root.resolve()),
        dataset_fingerprint=dataset.fingerprint(),
        unusable=len(dataset.unusable),
        split_by="image",
        split={part: dataset.counts(split.part(part)) for part in PARTS},
        shown=None,
        seed=settings.seed,
        weights_sha256=hashlib.sha256(foreign.model.read_bytes()).hexdigest(),
        seen_before=[],
        versions=versions(),
        best_epoch=0,
        seconds=0.0,
        metrics={},
    )
    with tempfile.TemporaryDirectory(prefix="leukolite-convert-") as workplace:
        yield Trained(None, dataset.root, run, files, model, Path(workplace), settings, progress)


def read_labels(path: Path) -> list[str]:
    """One label a line. Raises: ConversionError, if there are fewer than two, or one twice."""
    try:
        labels = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConversionError(f"{path}: labels cannot be read ({error}); expected a text file, one label a line") from error
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise ConversionError(f"{path}: expected two or more distinct labels, one a line, found {labels}")
    return labels


def load_foreign(path: Path) -> "keras.Model":
    """Raises: ConversionError, if it is no Keras model, or one with layers that Keras does not know."""
    import keras

    if not path.is_file():
        raise ConversionError(f"{path}: no such file; expected a Keras model (.keras or .h5)")
    try:
        with quiet():
            return keras.models.load_model(path, compile=False)
    except (ValueError, OSError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        if "Could not locate" in reason or "Unknown layer" in reason or "Lambda" in reason:
            raise ConversionError(
                f"{path}: has a layer that is not Keras' own ({reason[:150]}); build it of Keras' layers and save it again"
            ) from error
        raise ConversionError(f"{path}: no Keras model, or damaged ({reason[:150]})") from error


def _from_zero_to_one(model: "keras.Model", values: tuple[float, float]) -> "keras.Model":
    """The network with a layer before it, so that black is 0 and white 1: raw bytes then go into the int8 file as they are."""
    import keras

    black, white = values
    shape = tuple(model.inputs[0].shape[1:])
    if values == (0, 1) or len(model.inputs) != 1:
        return model
    image = keras.layers.Input(shape)
    return keras.Model(image, model(keras.layers.Rescaling(white - black, black)(image)))


def check_model(model: "keras.Model", labels: Sequence[str], foreign: Foreign) -> InputSpec:
    """What the network, of values from 0 to 1, expects by its shapes.

    Raises:
        ConversionError: it takes or gives something else than one RGB image and one probability a label.
    """
    path = foreign.model
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ConversionError(f"{path}: expected one input and one output, found {len(model.inputs)} and {len(model.outputs)}")
    shape, answer = tuple(model.inputs[0].shape), tuple(model.outputs[0].shape)
    if len(shape) != 4 or shape[3] != 3:
        raise ConversionError(f"{path}: expected RGB images (batch, height, width, 3), found an input of shape {shape}")
    if shape[1] is None or shape[2] is None:
        raise ConversionError(f"{path}: its input {shape} leaves height or width open; save it with a fixed size")
    if len(answer) != 2 or answer[1] != len(labels):
        raise ConversionError(f"{path}: expected one output a label ({len(labels)} in {foreign.labels}), found shape {answer}")
    spec = InputSpec(height=shape[1], width=shape[2])
    noise = np.random.default_rng(0).integers(0, 256, (4, spec.height, spec.width, 3), dtype=np.uint8)
    outputs = np.asarray(model.predict_on_batch(to_float(noise, spec)))
    if not (np.isfinite(outputs).all() and outputs.min() >= -1e-4 and np.allclose(outputs.sum(axis=1), 1, atol=1e-2)):
        raise ConversionError(f"{path}: its outputs are no probabilities that add up to 1; end it in a softmax and save it again")
    return spec


def _in_order(dataset: Dataset, labels: Sequence[str]) -> Dataset:
    """The dataset with its classes numbered as the model's outputs. Raises: DatasetError, if they are others."""
    number = {label.casefold(): k for k, label in enumerate(labels)}
    if {label.casefold() for label in dataset.labels} != number.keys():
        raise DatasetError(
            f"{dataset.root}: its classes are {', '.join(dataset.labels)}, the model's labels {', '.join(labels)};"
            " they must be the same"
        )
    numbered = [number[label.casefold()] for label in dataset.labels]
    malignant = tuple(labels[number[label.casefold()]] for label in dataset.malignant)
    samples = tuple(replace(sample, label=numbered[sample.label]) for sample in dataset.samples)
    return replace(dataset, labels=tuple(labels), malignant=malignant, samples=samples)


def _recipe(foreign: Foreign, spec: InputSpec, settings: Settings) -> Recipe:
    """The record of a training that leukolite knows nothing of."""
    fields: dict[str, Any] = {
        "model": FOREIGN,
        "source": f"{foreign.model.name}, a Keras model that leukolite did not train",
        "side": spec.height,
        "crop_fraction": 1.0,
        "weights": foreign.model.name,
        "dropout": 0.0,
        "split": FRACTIONS,
        "balance": "none",
        "augmentation": Augmentation(),
        "batch_size": 1,
        "epochs": 0,
        "learning_rate": 0.0,
        "schedule": "constant",
        "early_stop": None,
        "monitor": "val_loss",
        "precision": "float32",
    }
    return Recipe.model_construct(**fields)
