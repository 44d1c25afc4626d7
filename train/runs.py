"""The run folder: what a training leaves for conversion, evaluation and for the person who asks how it was made.

model.keras     the float32 model
run.json        labels, input, the resolved recipe, dataset, seed, versions, metrics
split.json      each part's files, with class and SHA-256
history.csv, history.png, confusion.png
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from leukolite.class_folders import PARTS
from leukolite.classes import Classes, Label
from leukolite.errors import TrainingError, first_line
from leukolite.folder_kinds import what_folder
from leukolite.frozen import Frozen
from leukolite.manifest import PictureHash, Unit
from leukolite.metrics import Metrics
from leukolite.path_text import path_of_text, text_of_path
from leukolite.people import keeps_people_apart, person_key
from leukolite.places import problem_at
from leukolite.preprocess import InputSpec
from leukolite.schema import newer_than
from leukolite.strict_json import parse_json_text
from leukolite.textfiles import read_json, read_text
from leukolite.train.datasets import Dataset
from leukolite.train.keras_config import check_config, read_keras_archive
from leukolite.train.keras_weights import check_archive
from leukolite.train.recipes import Recipe
from leukolite.train.splits import Split
from leukolite.zip_members import DAMAGED

if TYPE_CHECKING:
    import keras

SCHEMA = 1
MODEL, RUN, SPLIT = "model.keras", "run.json", "split.json"


class SplitFile(Frozen):
    """One image of a split.

    Images of one `group` show the same thing, `subject` is whose blood it is, where known, `person` the same where pictures link
    several ids into one person.

    Attributes:
        path: below the data folder, as `leukolite.path_text.text_of_path` writes it.
        picture_hash: as of `leukolite.copies.perceptual_hashes`; None for a flat picture and in the records of older runs.
    """

    path: str
    label: str
    sha256: str
    group: int | None = None
    subject: str | None = None
    person: str | None = None
    picture_hash: PictureHash | None = None


class Run(Frozen):
    """A finished training run."""

    schema_version: Literal[1]
    recipe: Recipe
    unit: Unit
    labels: Annotated[list[Label], Field(min_length=2)]
    malignant: list[Label]
    input: InputSpec
    dataset: str
    data: str
    dataset_fingerprint: str
    unusable: int
    labels_csv: str | None = Field(default=None, description="the table that said the labels; null: folders and names did")
    csv_columns: dict[str, str] = Field(default={}, description="columns of that table, where they were named")
    subject_from: str | None = Field(default=None, description="the pattern that said whose blood is whose, if one did")
    split_by: str = Field(
        default="image",
        description="what no two parts share: image or subject; with 'N folds' or folders before it; or leave-one-subject-out",
    )
    split: dict[str, dict[str, int]]
    shown: int | None = Field(default=None, description="images an epoch shows, copies that balance the classes included")
    seed: int
    weights_sha256: str | None = Field(default=None, description="of the file that training started from")
    seen_before: list[str] = Field(default=[], description="SHA-256 of images that trained or chose those weights")
    versions: dict[str, str]
    best_epoch: int
    seconds: float
    metrics: dict[str, Metrics] = Field(description="of the float model, for each part that did not train it")

    @property
    def classes(self) -> Classes:
        """Labels and malignant ones together."""
        return Classes.of(self.labels, self.malignant)

    @property
    def keeps_subjects_apart(self) -> bool:
        """Its split claims that no subject is in two parts."""
        return keeps_people_apart(self.split_by)


@dataclass(frozen=True)
class Ancestry:
    """What the weights that a training starts from have seen, by the images' SHA-256; nothing where no run is known."""

    trained: frozenset[str] = frozenset()
    chosen: frozenset[str] = frozenset()

    @property
    def seen(self) -> frozenset[str]:
        return self.trained | self.chosen


def ancestry(weights: str) -> Ancestry:
    """Of a weights file that lies in a run folder. Raises: TrainingError, if the run's record or split is damaged."""
    folder = path_of_text(weights).parent
    if not path_of_text(weights).is_file() or not (folder / RUN).is_file():
        return Ancestry()
    split = load_run_split(folder)
    trained = {entry.sha256 for entry in split["train"]} | set(load_run(folder).seen_before)
    return Ancestry(frozenset(trained), frozenset(entry.sha256 for entry in split["validation"]))


def split_files(dataset: Dataset, split: Split, groups: np.ndarray, hashes: Sequence[str] = ()) -> dict[str, list[SplitFile]]:
    """The files of each part, relative to the dataset's root, with what belongs together and each one's perceptual hash."""
    return {
        name: [
            SplitFile(
                path=text_of_path(dataset.samples[i].path.relative_to(dataset.root).as_posix()),
                label=dataset.labels[dataset.samples[i].label],
                sha256=dataset.samples[i].sha256,
                group=int(groups[i]),
                subject=dataset.samples[i].subject,
                person=dataset.samples[i].linked,
                picture_hash=(hashes[i] or None) if hashes else None,
            )
            for i in split.part(name)
        ]
        for name in PARTS
    }


def split_record(dataset: Dataset, split: Split, groups: np.ndarray, hashes: Sequence[str] = ()) -> str:
    """split.json's content."""
    parts = split_files(dataset, split, groups, hashes)
    return json.dumps({name: [file.model_dump() for file in files] for name, files in parts.items()}, indent=0) + "\n"


def fold_places_of(out: Path, n: int) -> list[Path]:
    """Where the runs of `n` splits go: `out`, or of several `out`/fold-K."""
    return [out] if n == 1 else [out / f"fold-{k}" for k in range(n)]


def load_run(folder: Path) -> Run:
    """Read a finished run's record.

    Raises:
        TrainingError: the folder is not a finished run, or its record is damaged.
    """
    if problem := problem_at(folder, "folder", noun="run") or _why_no_run(folder):
        raise TrainingError(f"{folder}: {problem}; expected a run of `leukolite train`, with {RUN} and {MODEL}")
    text = read_text(folder / RUN, "a run's record", TrainingError)
    try:
        return Run.model_validate(parse_json_text(text))
    except ValueError as error:  # pydantic's ValidationError is one
        if is_newer := newer_than(text, SCHEMA):
            raise TrainingError(f"{folder / RUN}: {is_newer}") from error
        raise TrainingError(f"{folder / RUN}: damaged, or of another version ({first_line(error)}); train again") from error


def _why_no_run(folder: Path) -> str | None:
    """What a folder is that is no finished run; None for one that is."""
    if (folder / RUN).is_file() and (folder / MODEL).is_file():
        return None
    if (folder / RUN).is_file():
        return "not a finished run"
    what = what_folder(folder)
    return f"not a finished run but {what}" if what else "not a finished run"


def load_run_split(folder: Path) -> dict[str, list[SplitFile]]:
    """The split of a finished run, checked to keep apart what the run says it does.

    Raises:
        TrainingError: the folder is not a finished run, or its split is missing, damaged or leaks.
    """
    return load_split(folder, by_subject=load_run(folder).keeps_subjects_apart)


def load_saved_split(place: Path) -> dict[str, list[SplitFile]]:
    """The split of a run folder or of a split.json; where its run says that it keeps people apart, checked to do so.

    Raises:
        TrainingError: it is missing, damaged or leaks.
    """
    folder = place if place.is_dir() else place.parent
    is_run = (folder / RUN).is_file() and (folder / MODEL).is_file() and (place.is_dir() or place.name == SPLIT)
    return load_split(place, by_subject=is_run and load_run(folder).keeps_subjects_apart)


def load_split(place: Path, *, by_subject: bool = False) -> dict[str, list[SplitFile]]:
    """The files of each part of a split, checked not to leak.

    Args:
        place: a run folder, or the split.json of one.
        by_subject: it claims that no subject is on two sides; check that too.

    Raises:
        TrainingError: split.json is missing or damaged, or images that belong together are on two sides.
    """
    path = place / SPLIT if place.is_dir() else place
    raw = read_json(path, f"a run's {SPLIT}", TrainingError)
    try:
        parts = {name: [SplitFile.model_validate(entry) for entry in raw[name]] for name in PARTS}
    except (ValueError, KeyError, TypeError) as error:  # pydantic's ValidationError is a ValueError
        raise TrainingError(f"{path}: no split, or damaged ({first_line(error)}); expected a run's {SPLIT}") from error
    _refuse_leaks(path, parts, ("sha256", "group", "subject", "person") if by_subject else ("sha256", "group"))
    return parts


def _refuse_leaks(path: Path, parts: dict[str, list[SplitFile]], keys: Sequence[str]) -> None:
    """Raises: TrainingError, where images of the same hash, group, subject or person are in two parts."""
    for key in keys:
        part_of: dict[object, tuple[str, str]] = {}
        for name in PARTS:
            for entry in parts[name]:
                value = getattr(entry, key)
                if value is None:
                    continue
                value = person_key(value) if key in ("subject", "person") else value
                other, other_path = part_of.setdefault(value, (name, entry.path))
                if other != name:
                    raise TrainingError(
                        f"{path}: the split leaks: {other_path} ({other}) and {entry.path} ({name}) have one {key};"
                        " split before anything is balanced or augmented, and train again"
                    )


def load_model(folder: Path) -> "keras.Model":
    """The run's float32 Keras model.

    Raises:
        ConversionError: the file holds code, or names other files.
        TrainingError: it is damaged.
    """
    import keras

    try:
        if check_config(folder / MODEL, read_keras_archive(folder / MODEL)[1]):
            raise ValueError("a network in it was compiled by itself, which training leaves nowhere")
        check_archive(folder / MODEL)
        return keras.models.load_model(folder / MODEL, compile=False)
    except (ValueError, OSError, KeyError, TypeError, *DAMAGED) as error:
        raise TrainingError(f"{folder / MODEL}: damaged ({first_line(error, 120)}); train again") from error
