"""A Keras model that leukolite did not train, made ready for conversion on labelled images of the user's."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leukolite.classes import Classes
from leukolite.convert.examine import SAMPLE, Examination, Feeding, examine
from leukolite.convert.fold import fold_input, fold_sigmoid
from leukolite.convert.provenance import recipe_of_external
from leukolite.convert.quantise import pick_calibration
from leukolite.convert.source import ConversionSource
from leukolite.errors import ConversionError, DatasetError, first_line
from leukolite.images import read_rgb
from leukolite.manifest import Unit
from leukolite.network_input import NetworkInput
from leukolite.preprocess import Crop, InputSpec, crop_and_resize
from leukolite.progress import OnProgress
from leukolite.quiet import quiet
from leukolite.train.datasets import Dataset, load_images, open_dataset
from leukolite.train.duplicates import group, near_duplicates
from leukolite.train.fit import versions
from leukolite.train.runs import split_files
from leukolite.train.splits import PARTS, split_by_group

if TYPE_CHECKING:
    import keras

FRACTIONS = (0.4, 0.3, 0.3)  # calibration, validation (gate and decision), holdout
UNKNOWN_LAYER = ("Could not locate", "Unknown layer", "Lambda")  # what Keras says of a layer that it cannot or may not load


@dataclass(frozen=True)
class ExternalModel:
    """What the user says of such a model, because nothing of it is guessed.

    Attributes:
        model: .keras or .h5 file.
        labels: text file, one per line, in the order of the outputs.
        unit: what one image shows.
        wanted: the values and the order of the channels that the network takes.
        malignant: those of the labels that mean leukaemia; None: those of the data's layout.
        data: labelled images.
        crop: what of an image the network sees.
        positive: label that one sigmoid is the probability of; None: the images tell.
        allow_useless: take it although the images speak against it, or against what was said.
    """

    model: Path
    labels: Path
    unit: Unit
    wanted: NetworkInput
    malignant: Sequence[str] | None
    data: Path
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
    if unknown := [label for label in external.malignant or () if label not in labels]:
        raise ConversionError(
            f"{external.labels}: expected the malignant labels among {', '.join(labels)}, found {', '.join(unknown)}"
        )
    if external.positive is not None and external.positive.casefold() not in map(str.casefold, labels):
        raise ConversionError(
            f"{external.labels}: expected the sigmoid's label among {', '.join(labels)}, found {external.positive}"
        )
    model = load_keras(external.model)
    spec = check_model(model, labels, external)
    dataset = _in_order(open_dataset(external.data), labels)
    total = len(dataset.samples)
    done = iter(range(1, total + 1))
    dataset, pixels = load_images(dataset, spec, lambda: progress("images", next(done), total))
    classes = Classes.of(labels, dataset.malignant if external.malignant is None else external.malignant)
    found = _examine(model, external, classes, dataset, pixels, spec, seed, progress)
    model = fold_input(model if found.positive is None else fold_sigmoid(model, found.positive), external.wanted)
    hashes = [sample.sha256 for sample in dataset.samples]
    groups = group(len(hashes), near_duplicates(pixels), [hashes])
    split = split_by_group(dataset, groups, FRACTIONS, seed)
    return ConversionSource(
        model=model,
        classes=classes,
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
        network_input=external.wanted,
        notes=found.notes,
        objections=found.objections,
    )


def _examine(
    model: "keras.Model",
    external: ExternalModel,
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
    order = tuple(range(len(classes)))
    if model.outputs[0].shape[1] == 1 and external.positive is not None:
        order = (1, 0) if classes.labels[0].casefold() == external.positive.casefold() else (0, 1)

    def pictures(crop: Crop) -> np.ndarray:
        if crop == spec.crop:
            return pixels[chosen]
        other = spec.model_copy(update={"crop": crop})
        return np.stack([crop_and_resize(read_rgb(samples[k].path), other) for k in chosen])

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
    try:
        labels = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConversionError(f"{path}: labels cannot be read ({error}); expected a text file, one label a line") from error
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise ConversionError(f"{path}: expected two or more distinct labels, one per line, found {labels}")
    return labels


def load_keras(path: Path) -> "keras.Model":
    """Raises: ConversionError, if it is no Keras model, or one with layers that Keras does not know."""
    import keras

    if not path.is_file():
        raise ConversionError(f"{path}: no such file; expected a Keras model (.keras or .h5)")
    try:
        with quiet():
            return keras.models.load_model(path, compile=False)
    except (ValueError, OSError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        reason = first_line(error, 150)
        if any(words in str(error) for words in UNKNOWN_LAYER):
            raise ConversionError(
                f"{path}: has a layer that is not Keras' own ({reason}); build it of Keras' layers and save it again"
            ) from error
        raise ConversionError(f"{path}: no Keras model, or damaged ({reason})") from error


def check_model(model: "keras.Model", labels: Sequence[str], external: ExternalModel) -> InputSpec:
    """What the network expects by its shapes, and what was said.

    Raises:
        ConversionError: it takes or gives something else than one RGB image and one output per label, or one for two labels.
    """
    path = external.model
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ConversionError(f"{path}: expected one input and one output, found {len(model.inputs)} and {len(model.outputs)}")
    shape, answer = tuple(model.inputs[0].shape), tuple(model.outputs[0].shape)
    if len(shape) != 4 or shape[3] != 3:
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
