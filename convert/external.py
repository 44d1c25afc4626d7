"""A Keras model that leukolite did not train, made ready for conversion on labelled images of the user's."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leukolite.class_folders import PARTS
from leukolite.classes import LONGEST_LABEL, Classes, is_label, label_key, taken_meaning
from leukolite.convert.examine import SAMPLE, Examination, Feeding, examine
from leukolite.convert.fold import fold_input, fold_sigmoid
from leukolite.convert.load_keras import load_keras
from leukolite.convert.provenance import recipe_of_external
from leukolite.convert.quantise import pick_calibration
from leukolite.convert.source import ConversionSource, declared_malignant
from leukolite.errors import ConversionError, DatasetError
from leukolite.images import read_rgb
from leukolite.manifest import Unit
from leukolite.names import look_alikes
from leukolite.network_input import NetworkInput
from leukolite.path_text import text_of_path
from leukolite.preprocess import Crop, InputSpec, crop_and_resize
from leukolite.progress import OnProgress
from leukolite.textfiles import read_text
from leukolite.train.datasets import Dataset, open_dataset
from leukolite.train.fit import prepare_for, versions
from leukolite.train.label_table import LabelTable
from leukolite.train.runs import split_files
from leukolite.train.splits import split_by_folders, split_by_group

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
        wanted: the values and the order of the channels that the network takes.
        malignant: those of the labels that mean leukaemia, see `choose_malignant`; empty: those of the data's layout.
        data: labelled images.
        table: that says their labels; None: folders and names do.
        crop: what of an image the network sees.
        positive: label that one sigmoid is the probability of; None: the images tell.
        allow_useless: take it although the images speak against it, or against what was said.
    """

    model: Path
    labels: Path
    unit: Unit
    wanted: NetworkInput
    malignant: Sequence[str]
    data: Path
    table: LabelTable | None = None
    crop: Crop = "centre-square"
    positive: str | None = None
    allow_useless: bool = False


def source_of_keras(external: ExternalModel, seed: int, progress: OnProgress) -> ConversionSource:
    """The source that an external model is, its images split into those that calibrate, those that gate and fit, and a holdout.

    Args:
        seed: of the split.

    Raises:
        ConversionError: the file is no Keras model, has layers of its own, open shapes, other inputs or outputs than one RGB
            image and one probability per label, or the labels are not its own; or the images do not tell what its one sigmoid
            means.
        UselessModelError: the images speak against it, or against what was said of it.
        DatasetError: the images are of other classes, or too few.
    """
    labels = read_labels(external.labels)
    if odd := [label for label in labels if not is_label(label)]:
        raise ConversionError(
            f"{external.labels}: {odd[0]!r} cannot be a label: expected at most {LONGEST_LABEL} characters and none that"
            " controls a terminal or turns the direction of text"
        )
    if taken := taken_meaning(labels):
        raise ConversionError(f"{external.labels}: {taken}; rename it there and in the images' folders")
    if external.malignant:  # a slip of the pen is told before the work
        declared_malignant(external.malignant, labels, (), external.labels)
    positive = None if external.positive is None else Classes.of(labels).match([external.positive])[0].get(external.positive)
    if external.positive is not None and positive is None:
        raise ConversionError(
            f"{external.labels}: expected the sigmoid's label among {', '.join(labels)}, found {external.positive}"
        )
    model = load_keras(external.model)
    spec = check_model(model, labels, external)
    dataset = _in_order(open_dataset(external.data, external.table), labels)
    malignant = declared_malignant(external.malignant, labels, dataset.malignant, external.data)
    prepared = prepare_for(dataset, spec, progress)
    dataset, pixels, groups = prepared.dataset, prepared.pixels, prepared.copies
    classes = Classes.of(labels, malignant)
    found = _examine(model, external, positive, classes, dataset, pixels, spec, seed, progress)
    model = fold_input(model if found.positive is None else fold_sigmoid(model, found.positive), external.wanted)
    fractions = FRACTIONS
    if dataset.parts:
        split, _ = split_by_folders(dataset, groups, FRACTIONS, seed)
        n_train, n_validation, n_test = (len(split.part(part)) / len(dataset.samples) for part in PARTS)
        fractions = (n_train, n_validation, n_test)
    else:
        split = split_by_group(dataset, groups, FRACTIONS, seed)
    return ConversionSource(
        origin=external.model,
        model=model,
        classes=classes,
        unit=external.unit,
        spec=spec,
        root=dataset.root,
        split=split_files(dataset, split, groups),
        dataset=dataset.layout,
        dataset_fingerprint=dataset.fingerprint(),
        split_by="folders image" if dataset.parts else "image",
        counts={part: dataset.counts(split.part(part)) for part in PARTS},
        seed=seed,
        versions=versions(),
        seen_before=[],
        recipe=recipe_of_external(text_of_path(external.model.name), spec, fractions),
        fine_tuning=None,
        unusable=dataset.unusable,
        notes=dataset.notes,
        network_input=external.wanted,
        examination=found,
    )


def _examine(
    model: "keras.Model",
    external: ExternalModel,
    positive: int | None,
    classes: Classes,
    dataset: Dataset,
    pixels: np.ndarray,
    spec: InputSpec,
    seed: int,
    progress: OnProgress,
) -> Examination:
    """What the labelled images say of the model as the user takes it."""
    samples = dataset.samples
    chosen = pick_calibration([classes.labels[sample.label] for sample in samples], SAMPLE, seed)
    order = (1, 0) if positive == 0 else tuple(range(len(classes)))

    def pictures(crop: Crop, indices: Sequence[int]) -> np.ndarray:
        other = spec.model_copy(update={"crop": crop})
        return np.stack([crop_and_resize(read_rgb(samples[k].path), other) for k in indices])

    return examine(
        model,
        external.model,
        classes,
        Feeding(external.wanted, external.crop, order),
        pixels,
        np.array([sample.label for sample in samples]),
        chosen,
        pictures,
        positive=external.positive,
        insists=external.allow_useless,
        progress=progress,
    )


def read_labels(path: Path) -> list[str]:
    """One label per line. Raises: ConversionError, if there are fewer than two, or one twice."""
    text = read_text(path, "a text file, one label a line", ConversionError)
    labels = [line.strip() for line in text.splitlines() if line.strip()]
    if listed := next((label for label in labels if label.endswith(",") or (len(labels) == 1 and "," in label)), None):
        raise ConversionError(f"{path}: expected one label a line, without commas between them, found {listed!r}")
    if len(labels) < 2 or len({label_key(label) for label in labels}) != len(labels):
        raise ConversionError(f"{path}: expected two or more distinct labels, whatever their case, one per line, found {labels}")
    return labels


def check_model(model: "keras.Model", labels: Sequence[str], external: ExternalModel) -> InputSpec:
    """What the network expects by its shapes, and what was said.

    Raises:
        ConversionError: it takes or gives something else than one RGB image and one output per label, or one for two labels.
    """
    path = external.model
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ConversionError(f"{path}: expected one input and one output, found {len(model.inputs)} and {len(model.outputs)}")
    shape, answer = tuple(model.inputs[0].shape), tuple(model.outputs[0].shape)
    if shape[3] != 3:  # of other ranks none is loaded
        raise ConversionError(f"{path}: expected RGB images (batch, height, width, 3), found an input of shape {shape}")
    if shape[1] is None or shape[2] is None:
        raise ConversionError(f"{path}: its input {shape} leaves height or width open; save it with a fixed size")
    if len(answer) != 2 or answer[1] not in ({len(labels), 1} if len(labels) == 2 else {len(labels)}):
        raise ConversionError(f"{path}: expected one output per label ({len(labels)} in {external.labels}), found shape {answer}")
    if external.positive is not None and answer[1] != 1:
        raise ConversionError(f"{path}: has an output per label, so no sigmoid stands for {external.positive}; leave that out")
    return InputSpec(height=shape[1], width=shape[2], crop=external.crop, kernel="halve-linear")


def _in_order(dataset: Dataset, labels: Sequence[str]) -> Dataset:
    """The dataset with its classes numbered as the model's outputs. Raises: DatasetError, if they are others."""
    number, unknown = Classes.of(labels).match(dataset.labels)
    if unknown or len({*number.values()}) != len(labels):
        raise DatasetError(
            f"{dataset.root}: its classes are {', '.join(dataset.labels)}, the model's labels {', '.join(labels)};"
            f" they must be the same{look_alikes(dataset.labels, labels)}"
        )
    numbered = [number[label] for label in dataset.labels]
    malignant = tuple(labels[number[label]] for label in dataset.malignant)
    samples = tuple(replace(sample, label=numbered[sample.label]) for sample in dataset.samples)
    return replace(dataset, labels=tuple(labels), malignant=malignant, samples=samples)
