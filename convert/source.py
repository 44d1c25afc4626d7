"""A float model on its way to a device, and what a conversion must know of it, whoever trained it.

`source_of_run` makes one of a finished run, `leukolite.convert.external.source_of_keras` one of a Keras file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from leukolite.classes import Classes, choose_malignant
from leukolite.convert.provenance import recipe_of_run
from leukolite.errors import ConversionError
from leukolite.image_files import Unusable
from leukolite.manifest import Unit
from leukolite.network_input import NetworkInput
from leukolite.path_text import path_of_text
from leukolite.preprocess import InputSpec
from leukolite.train.augment import Augmentation
from leukolite.train.runs import SplitFile, load_model, load_run, load_run_split

if TYPE_CHECKING:
    import keras

    from leukolite.convert.examine import Examination


@dataclass(frozen=True)
class FineTuningSource:
    """What int8-qat needs of a run to train its model on; see `Recipe`."""

    run: Path
    augmentation: Augmentation
    balance: str
    batch_size: int


@dataclass(frozen=True)
class ConversionSource:
    """A float model and the labelled images that calibrate, gate and measure what it becomes.

    Attributes:
        origin: the run's folder or the model's file, which errors name.
        model: float32 Keras model on values `grey * spec.scale + spec.offset`, one probability per label.
        classes: in the order of its outputs.
        unit: what one image shows.
        spec: its input.
        root: folder of the images.
        split: the images of each of `PARTS`, by their place below `root` and their hash; train calibrates, validation gates
            and fits the decision, test is the holdout.
        dataset: name of the images' layout, as 'c-nmc'.
        dataset_fingerprint: SHA-256 of all images and labels.
        split_by: what no two parts share, as `Run.split_by`.
        counts: images of each part and class.
        seed: that the images were split by and, of a run, that it was trained by.
        versions: of Python and the libraries that trained the model; of an external one, of those that load it.
        seen_before: SHA-256 of images that the weights had seen before this split's training part.
        recipe: how it was trained, as the manifest records it.
        fine_tuning: None: it cannot be fine-tuned, because nobody knows how it was trained.
        network_input: what an external network takes, before what was put in front of it; None of a run.
        examination: what labelled images said of an external model when it was opened; None of a run.
        unusable: files of the data folder that take no part; of a run none, its record counts them.
        notes: what a person should know of how the data was read, a line each.
    """

    origin: Path
    model: "keras.Model"
    classes: Classes
    unit: Unit
    spec: InputSpec
    root: Path
    split: Mapping[str, Sequence[SplitFile]]
    dataset: str
    dataset_fingerprint: str
    split_by: str
    counts: Mapping[str, Mapping[str, int]]
    seed: int
    versions: Mapping[str, str]
    seen_before: Sequence[str]
    recipe: Mapping[str, object]
    fine_tuning: FineTuningSource | None
    network_input: NetworkInput | None = None
    examination: "Examination | None" = None
    unusable: Sequence[Unusable] = ()
    notes: Sequence[str] = ()

    @property
    def holdout_part(self) -> str:
        """The part that measures the bundle: 'test', or 'validation' where there is no other."""
        return "test" if self.split["test"] else "validation"


def declared_malignant(said: Sequence[str], labels: Sequence[str], default: Sequence[str], where: Path) -> tuple[str, ...]:
    """Which labels of a model mean leukaemia: what was said for this conversion, or else the default.

    Args:
        said: see `choose_malignant`; empty where nothing was said.
        default: what its run or the layout of its images says.
        where: the run or file that an error names.

    Raises:
        ConversionError: something was said that is no label, or nobody said it: the gate would hold no recall.
    """
    try:
        chosen = choose_malignant(said, labels) if said else tuple(default)
    except ValueError as error:
        raise ConversionError(f"{where}: {error}") from error
    if not said and not chosen:
        raise ConversionError(
            f"{where}: nobody said which of {', '.join(labels)} mean leukaemia, so no recall would be held by the gate; name"
            " them, or say that none does",
            advice="malignant",
        )
    return chosen


def source_of_run(folder: Path, data: Path | None = None, malignant: Sequence[str] | None = None) -> ConversionSource:
    """The source that a finished run is.

    Args:
        data: where the run's images are now; None: where they were when it was trained.
        malignant: those of its labels that mean leukaemia; None: what the run says, which may be none.

    Raises:
        TrainingError: the folder is not a finished run, or damaged.
    """
    run, split = load_run(folder), load_run_split(folder)
    recipe = run.recipe
    return ConversionSource(
        origin=folder,
        model=load_model(folder),
        classes=run.classes if malignant is None else Classes.of(run.labels, malignant),
        unit=run.unit,
        spec=run.input,
        root=data or path_of_text(run.data),
        split=split,
        dataset=run.dataset,
        dataset_fingerprint=run.dataset_fingerprint,
        split_by=Path(run.split_by).name,
        counts=run.split,
        seed=run.seed,
        versions=run.versions,
        seen_before=run.seen_before,
        recipe=recipe_of_run(recipe),
        fine_tuning=FineTuningSource(folder, recipe.augmentation, recipe.balance, recipe.batch_size),
    )
