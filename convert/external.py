"""A Keras model that leukolite did not train, made ready for conversion on labelled images of the user's."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leukolite.classes import Classes
from leukolite.convert.load_keras import load_keras
from leukolite.convert.provenance import recipe_of_external
from leukolite.convert.source import ConversionSource, declared_malignant
from leukolite.errors import ConversionError, DatasetError
from leukolite.manifest import Unit
from leukolite.preprocess import InputSpec
from leukolite.progress import OnProgress
from leukolite.train.batches import to_float
from leukolite.train.datasets import Dataset, load_images, open_dataset
from leukolite.train.duplicates import group, near_duplicates
from leukolite.train.fit import versions
from leukolite.train.runs import split_files
from leukolite.train.splits import PARTS, split_by_group

if TYPE_CHECKING:
    import keras

FRACTIONS = (0.4, 0.3, 0.3)  # calibration, validation (gate and decision), holdout


@dataclass(frozen=True)
class ExternalModel:
    """What the user says of such a model, because nothing of it is guessed.

    Attributes:
        model: .keras or .h5 file.
        labels: text file, one per line, in the order of the outputs.
        unit: what one image shows.
        values: what black and white are to the network, as (0, 1), (-1, 1) or (0, 255).
        malignant: those of the labels that mean leukaemia, see `choose_malignant`; empty: those of the data's layout.
        data: labelled images.
    """

    model: Path
    labels: Path
    unit: Unit
    values: tuple[float, float]
    malignant: Sequence[str]
    data: Path


def source_of_keras(external: ExternalModel, seed: int, progress: OnProgress) -> ConversionSource:
    """The source that an external model is, its images split into those that calibrate, those that gate and fit, and a holdout.

    Args:
        seed: of the split.

    Raises:
        ConversionError: the file is no Keras model, has layers of its own, open shapes, other inputs or outputs than one RGB
            image and one probability per label, or the labels are not its own.
        DatasetError: the images are of other classes, or too few.
    """
    labels = read_labels(external.labels)
    if external.malignant:  # a slip of the pen is told before the work
        declared_malignant(external.malignant, labels, (), external.labels)
    model = _from_zero_to_one(load_keras(external.model), external.values)
    spec = check_model(model, labels, external)
    dataset = _in_order(open_dataset(external.data), labels)
    malignant = declared_malignant(external.malignant, labels, dataset.malignant, external.data)
    total = len(dataset.samples)
    done = iter(range(1, total + 1))
    dataset, pixels = load_images(dataset, spec, lambda: progress("images", next(done), total))
    hashes = [sample.sha256 for sample in dataset.samples]
    groups = group(len(hashes), near_duplicates(pixels), [hashes])
    split = split_by_group(dataset, groups, FRACTIONS, seed)
    return ConversionSource(
        model=model,
        classes=Classes.of(labels, malignant),
        unit=external.unit,
        spec=spec,
        root=dataset.root,
        split=split_files(dataset, split, groups),
        dataset=dataset.layout,
        dataset_fingerprint=dataset.fingerprint(),
        split_by="image",
        counts={part: dataset.counts(split.part(part)) for part in PARTS},
        seed=seed,
        versions=versions(),
        seen_before=[],
        recipe=recipe_of_external(external.model.name, spec, FRACTIONS),
        fine_tuning=None,
    )


def read_labels(path: Path) -> list[str]:
    """One label per line. Raises: ConversionError, if there are fewer than two, or one twice."""
    try:
        labels = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConversionError(f"{path}: labels cannot be read ({error}); expected a text file, one label a line") from error
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise ConversionError(f"{path}: expected two or more distinct labels, one per line, found {labels}")
    return labels


def _from_zero_to_one(model: "keras.Model", values: tuple[float, float]) -> "keras.Model":
    """The network with a layer before it, so that black is 0 and white 1: raw bytes then go into the int8 file as they are."""
    import keras

    black, white = values
    shape = tuple(model.inputs[0].shape[1:])
    if values == (0, 1) or len(model.inputs) != 1:
        return model
    image = keras.layers.Input(shape)
    return keras.Model(image, model(keras.layers.Rescaling(white - black, black)(image)))


def check_model(model: "keras.Model", labels: Sequence[str], external: ExternalModel) -> InputSpec:
    """What the network, of values from 0 to 1, expects by its shapes.

    Raises:
        ConversionError: it takes or gives something else than one RGB image and one probability per label.
    """
    path = external.model
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ConversionError(f"{path}: expected one input and one output, found {len(model.inputs)} and {len(model.outputs)}")
    shape, answer = tuple(model.inputs[0].shape), tuple(model.outputs[0].shape)
    if len(shape) != 4 or shape[3] != 3:
        raise ConversionError(f"{path}: expected RGB images (batch, height, width, 3), found an input of shape {shape}")
    if shape[1] is None or shape[2] is None:
        raise ConversionError(f"{path}: its input {shape} leaves height or width open; save it with a fixed size")
    if len(answer) != 2 or answer[1] != len(labels):
        raise ConversionError(f"{path}: expected one output per label ({len(labels)} in {external.labels}), found shape {answer}")
    spec = InputSpec(height=shape[1], width=shape[2], kernel="halve-linear")
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
