"""The run folder: what a training leaves for conversion, evaluation and for the person who asks how it was made.

model.keras     the float32 model
run.json        labels, input, the resolved recipe, dataset, seed, versions, metrics
split.json      each part's files, with class and SHA-256
history.csv, history.png, confusion.png
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from leukolite.bundle import Label, Unit
from leukolite.errors import TrainingError
from leukolite.metrics import Metrics
from leukolite.preprocess import InputSpec
from leukolite.train.datasets import Dataset
from leukolite.train.recipes import Recipe
from leukolite.train.splits import PARTS, Split

if TYPE_CHECKING:
    import keras

SCHEMA = 1
MODEL, RUN, SPLIT = "model.keras", "run.json", "split.json"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SplitFile(_Record):
    """One image of a split."""

    path: str
    label: str
    sha256: str


class Run(_Record):
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
    split: dict[str, dict[str, int]]
    seed: int
    versions: dict[str, str]
    best_epoch: int
    seconds: float
    metrics: dict[str, Metrics] = Field(description="of the float model, for each part that did not train it")


def split_record(dataset: Dataset, split: Split) -> str:
    """split.json's content: the files of each part, relative to the dataset's root."""
    parts = {
        name: [
            SplitFile(
                path=dataset.samples[i].path.relative_to(dataset.root).as_posix(),
                label=dataset.labels[dataset.samples[i].label],
                sha256=dataset.samples[i].sha256,
            ).model_dump()
            for i in split.part(name)
        ]
        for name in PARTS
    }
    return json.dumps(parts, indent=0) + "\n"


def load_run(folder: Path) -> Run:
    """Read a finished run's record.

    Raises:
        TrainingError: the folder is not a finished run, or its record is damaged.
    """
    if not (folder / RUN).is_file() or not (folder / MODEL).is_file():
        raise TrainingError(f"{folder}: not a finished run; expected {RUN} and {MODEL} as `leukolite train` leaves them")
    try:
        return Run.model_validate_json((folder / RUN).read_bytes())
    except (ValidationError, OSError) as error:
        raise TrainingError(
            f"{folder / RUN}: damaged, or of another version ({str(error).splitlines()[0]}); train again"
        ) from error


def load_split(folder: Path) -> dict[str, list[SplitFile]]:
    """The files of each part of a run.

    Raises:
        TrainingError: split.json is missing or damaged.
    """
    try:
        parts = json.loads((folder / SPLIT).read_bytes())
        return {name: [SplitFile.model_validate(entry) for entry in parts[name]] for name in PARTS}
    except (OSError, ValueError, KeyError, TypeError) as error:  # pydantic's ValidationError is a ValueError
        raise TrainingError(f"{folder / SPLIT}: missing or damaged ({str(error).splitlines()[0]}); train again") from error


def load_model(folder: Path) -> "keras.Model":
    """The run's float32 Keras model.

    Raises:
        TrainingError: the file is damaged.
    """
    import keras

    try:
        return keras.models.load_model(folder / MODEL, compile=False)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise TrainingError(f"{folder / MODEL}: damaged ({str(error).splitlines()[0][:120]}); train again") from error
