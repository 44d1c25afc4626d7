"""Training: dataset -> split -> balance -> augment -> fit -> evaluate -> run folder, written whole at the end."""

import hashlib
import importlib.metadata
import platform
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leukolite.class_folders import PARTS
from leukolite.classes import Classes
from leukolite.copies import detail, perceptual_hashes
from leukolite.csv_file import CsvWriter
from leukolite.errors import TrainingError
from leukolite.files import check_replaceable, new_folder
from leukolite.manifest import Unit
from leukolite.metrics import Metrics, compute_metrics
from leukolite.path_text import path_of_text, text_of_path
from leukolite.places import problem_at
from leukolite.preprocess import InputSpec
from leukolite.progress import OnEpoch, OnProgress, no_epoch, no_progress
from leukolite.train import checkpoint, frozen_fit, loop, runs
from leukolite.train.balance import doubled
from leukolite.train.batches import EpochItem, to_float
from leukolite.train.cache import load_cached
from leukolite.train.datasets import Dataset
from leukolite.train.duplicates import group, pairs_of, without_contradictions
from leukolite.train.people import link_people
from leukolite.train.plots import plot_confusion, plot_history
from leukolite.train.recipes import CROP_FRACTION, Recipe
from leukolite.train.runs import Run, split_record
from leukolite.train.splits import (
    BY_IMAGE,
    BY_SUBJECT,
    LEAVE_ONE_OUT,
    Split,
    k_folds,
    leave_one_out,
    refuse_nameless,
    split_by_folders,
    split_by_group,
    split_from_hashes,
)
from leukolite.wording import count, shown_json

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Prepared:
    """A dataset decoded once, with what of it belongs together.

    Attributes:
        pixels: uint8 RGB, shape (n, height, width, 3), in the samples' order.
        copies: group of each image: byte-identical images and copies of one picture share one.
        families: the same, people joined too.
        hashes: of each image, as `leukolite.copies.perceptual_hashes`.
    """

    dataset: Dataset
    spec: InputSpec
    pixels: np.ndarray
    copies: np.ndarray
    families: np.ndarray
    hashes: Sequence[str] = ()


def prepare(dataset: Dataset, recipe: Recipe, progress: OnProgress = no_progress, *, cache: Path | None = None) -> Prepared:
    """Decode a dataset for a recipe's network and find what belongs together.

    Args:
        cache: where decoded images are kept; None: decode them all.

    Images whose copies stand in another class are set aside.

    Raises:
        DatasetError: a class has no image that can be decoded, or none left.
    """
    return prepare_for(dataset, input_spec(dataset, recipe), progress, cache=cache)


def prepare_for(dataset: Dataset, spec: InputSpec, progress: OnProgress = no_progress, *, cache: Path | None = None) -> Prepared:
    """As `prepare`, for any network's input."""
    total = len(dataset.samples)
    done = iter(range(1, total + 1))
    readable, pixels = load_cached(dataset, spec, cache, lambda: progress("images", next(done), total))
    looked = iter(range(1, len(pixels) + 1))
    details = np.stack([detail(image) for image in pixels])
    pairs = pairs_of(details, lambda: progress("copies", next(looked), len(details)))
    people = link_people(readable, pairs)
    clear = without_contradictions(people.dataset, people.pairs)
    if len(clear.kept) < len(pixels):
        pixels = pixels[clear.kept]
    persons = [sample.person for sample in clear.dataset.samples]
    families = group(len(persons), [], [[str(k) for k in clear.copies], persons])
    return Prepared(clear.dataset, spec, pixels, clear.copies, families, perceptual_hashes(details[clear.kept]))


def input_spec(dataset: Dataset, recipe: Recipe) -> InputSpec:
    """The network's input for a dataset: the recipe's crop, else what suits the layout; resized by `halve-linear`."""
    crop = recipe.crop_fraction or CROP_FRACTION.get(dataset.layout, 1.0)
    return InputSpec(height=recipe.side, width=recipe.side, crop_fraction=crop, kernel="halve-linear")


@dataclass(frozen=True)
class SplitPlan:
    """Who trains, validates and tests.

    Attributes:
        splits: one, or one a fold.
        by: what no two parts share, 'image' or 'subject'; with 'N folds ' before it for folds, 'folders ' for the data's own; or
            'leave-one-subject-out'.
        moved: images of a saved split, or of one by folders, that were moved to training, as copies of images there.
        left_out: images of the dataset that a saved split does not name.
    """

    splits: tuple[Split, ...]
    by: str
    moved: int = 0
    left_out: int = 0


def make_splits(prepared: Prepared, recipe: Recipe, split_by: str, seed: int, *, folds: int | None = None) -> SplitPlan:
    """Split a dataset.

    Args:
        split_by: 'image', 'subject', 'leave-one-subject-out', 'folders', or the path of a run folder or split.json whose split is
            repeated.
        folds: with image or subject: so many splits whose test parts cover the data, stratified by class; None: one split.

    Raises:
        DatasetError: the dataset cannot be split so.
        TrainingError: the saved split is missing, damaged or leaks.
    """
    dataset = prepared.dataset
    if split_by in (BY_SUBJECT, LEAVE_ONE_OUT):
        refuse_nameless(dataset)
    if split_by == LEAVE_ONE_OUT:
        return SplitPlan(tuple(leave_one_out(dataset, prepared.families, seed)), LEAVE_ONE_OUT)
    if split_by in (BY_IMAGE, BY_SUBJECT):
        groups = prepared.copies if split_by == BY_IMAGE else prepared.families
        if folds is None:
            return SplitPlan((split_by_group(dataset, groups, recipe.split, seed),), split_by)
        return SplitPlan(tuple(k_folds(dataset, groups, folds, seed)), f"{folds} folds {split_by}")
    if split_by == "folders":
        split, moved = split_by_folders(dataset, prepared.copies, recipe.split, seed)
        return SplitPlan((split,), f"folders {_apart(dataset, split)}", moved)
    if problem := problem_at(Path(split_by), "file or folder", noun="run or split.json"):
        raise TrainingError(
            f"{split_by}: {problem}; expected image, subject, leave-one-subject-out, folders, a run or its split.json"
        )
    saved = runs.load_saved_split(Path(split_by))
    split, moved = split_from_hashes(dataset, prepared.copies, {name: {entry.sha256 for entry in saved[name]} for name in PARTS})
    left_out = len(dataset.samples) - sum(len(split.part(name)) for name in PARTS)
    return SplitPlan((split,), _apart(dataset, split), moved, left_out)


def _apart(dataset: Dataset, split: Split) -> str:
    """What no two parts of a split that was given share: 'subject' where all are named and none is on two sides, else 'image'."""
    parts = [{dataset.samples[i].person for i in split.part(name)} for name in PARTS]
    together = set[str | None]().union(*parts)
    return "subject" if None not in together and sum(map(len, parts)) == len(together) else "image"


def train(
    prepared: Prepared,
    recipe: Recipe,
    split: Split,
    out: Path,
    *,
    split_by: str,
    unit: Unit,
    malignant: Sequence[str],
    seed: int,
    resume: bool = False,
    force: bool = False,
    cache: Path | None = None,
    progress: OnProgress = no_progress,
    on_epoch: OnEpoch = no_epoch,
) -> Run:
    """Train by a recipe and leave a run folder at `out`.

    Args:
        split: from `make_splits`.
        split_by: what no two parts share; see `Planned`.
        unit: what one image shows.
        malignant: those of the dataset's labels that mean leukaemia.
        seed: of weights, order and augmentation.
        resume: go on where an earlier call with the same settings was stopped; a run that is finished is not made again.
        force: replace a run at `out`.
        cache: where a frozen network's features are kept; None: compute them.

    Raises:
        TrainingError: the weights do not fit or have seen what shall measure them, there is nothing to resume, or a stopped
            training would be lost.
        LeukoliteError: `out` is taken, or cannot be written.
    """
    check_replaceable(out, runs.RUN, force=force or resume)
    started = time.monotonic()
    dataset, spec, pixels = prepared.dataset, prepared.spec, prepared.pixels
    truth = np.array([sample.label for sample in dataset.samples])
    shown = [EpochItem(i) for i in split.train]
    if recipe.balance == "desaturate":
        shown += [EpochItem(i, is_copy=True) for i in doubled(truth, split.train)]
    settings: dict[str, Any] = {
        "recipe": recipe.training_settings(),
        "dataset": dataset.fingerprint(),
        "split": [[dataset.samples[i].sha256 for i in split.part(name)] for name in PARTS],
        "seed": seed,
        "input": spec.model_dump(mode="json"),  # a training begun with another resize kernel is another training
    }
    checkpoints = checkpoint.resume_folder(out)
    if resume and (finished := _finished(out, recipe, settings)) is not None:
        return finished
    if not resume and (epochs := checkpoint.epochs_kept(checkpoints)):
        raise TrainingError(
            f"{checkpoints}: a training stopped after {count(epochs, 'epoch')}; go on with it, or delete that folder",
            advice="resume",
        )
    ancestry = runs.ancestry(recipe.weights)
    _refuse_seen(recipe.weights, ancestry, settings["split"])
    if recipe.head is not None:
        model, history, best_epoch = frozen_fit.fit(
            recipe,
            recipe.head,
            spec,
            pixels,
            truth,
            prepared.families,
            len(dataset.labels),
            split.train,
            seed=seed,
            cache=cache,
            progress=progress,
        )
    else:
        model, history, best_epoch = loop.fit(
            recipe,
            spec,
            pixels,
            truth,
            len(dataset.labels),
            shown,
            split.validation,
            seed=seed,
            resume_folder=checkpoints,
            settings=settings,
            resume=resume,
            progress=progress,
            on_epoch=on_epoch,
        )
    with new_folder(out, replace_if_holds=runs.RUN, force=force) as folder:
        model.save(folder / runs.MODEL)
        metrics = {part: _measure(model, prepared, truth, split.part(part), malignant) for part in PARTS[1:] if split.part(part)}
        run = Run(
            schema_version=1,
            recipe=recipe,
            unit=unit,
            labels=list(dataset.labels),
            malignant=list(malignant),
            input=spec,
            dataset=dataset.layout,
            data=text_of_path(dataset.root.resolve()),
            dataset_fingerprint=dataset.fingerprint(),
            unusable=len(dataset.unusable),
            labels_csv=None if dataset.table is None else text_of_path(dataset.table.path.resolve()),
            csv_columns={} if dataset.table is None else dict(dataset.table.columns),
            subject_from=None if dataset.subject_from is None else dataset.subject_from.pattern,
            split_by=split_by,
            split={part: dataset.counts(split.part(part)) for part in PARTS},
            shown=len(shown),
            seed=seed,
            weights_sha256=_sha256_of(recipe.weights),
            seen_before=sorted(ancestry.seen),
            versions=versions(),
            best_epoch=best_epoch,
            seconds=round(time.monotonic() - started, 1),
            metrics=metrics,
        )
        (folder / runs.RUN).write_text(shown_json(run.model_dump_json(indent=1)) + "\n", encoding="utf-8")
        (folder / runs.SPLIT).write_text(split_record(dataset, split, prepared.copies, prepared.hashes), encoding="utf-8")
        _write_history(folder / "history.csv", history)
        plot_history(history, folder / "history.png", "epoch" if recipe.head is None else "strength, from the most regularised")
        measured = "test" if "test" in metrics else "validation"
        plot_confusion(metrics[measured], dataset.labels, f"{measured} part", folder / "confusion.png")
    checkpoint.discard(checkpoints)
    return run


def has_begun(out: Path) -> bool:
    """True if a run is at `out`, finished or stopped in the middle."""
    return (out / runs.RUN).is_file() or checkpoint.epochs_kept(checkpoint.resume_folder(out)) > 0


def _finished(out: Path, recipe: Recipe, settings: dict[str, Any]) -> Run | None:
    """The run at `out`, if it was made by these settings. Raises: TrainingError, if it was made by others."""
    if not (out / runs.RUN).is_file():
        return None
    run, split = runs.load_run(out), runs.load_run_split(out)
    made_by = {
        "recipe": run.recipe.training_settings(),
        "dataset": run.dataset_fingerprint,
        "split": [[entry.sha256 for entry in split[name]] for name in PARTS],
        "seed": run.seed,
        "input": run.input.model_dump(mode="json"),
    }
    changed = sorted(key for key in settings if made_by[key] != settings[key])
    if changed:
        raise TrainingError(f"{out}: a finished run of another {', '.join(changed)}", advice="no-resume-replaces")
    return run


def _refuse_seen(weights: str, ancestry: runs.Ancestry, split: list[list[str]]) -> None:
    """Raises: TrainingError, if images that trained (or chose) the weights would now choose (or measure) the model."""
    _, validation, test = map(set, split)
    seen = len((validation | test) & ancestry.trained | test & ancestry.chosen)
    if seen:
        raise TrainingError(
            f"{weights}: made by {count(seen, 'image')} of this split's validation and test parts;"
            f" repeat the split of {path_of_text(weights).parent}",
            advice="split-of-run",
        )


def _sha256_of(weights: str) -> str | None:
    path = path_of_text(weights)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def versions() -> dict[str, str]:
    """Python's and the libraries' versions, and the backend's name."""
    import keras

    backend = keras.backend.backend()
    found = {"python": platform.python_version(), "backend": backend}
    for name in ("leukolite", "keras", "numpy", "opencv-python-headless", "pillow", backend):
        with suppress(importlib.metadata.PackageNotFoundError):  # OpenCV and TensorFlow come under several names
            found[name] = importlib.metadata.version(name)
    return found


def predict(model: "keras.Model", pixels: np.ndarray, spec: InputSpec, batch_size: int = 32) -> np.ndarray:
    """Probabilities of resized images: uint8 of shape (n, height, width, 3) in, float32 of shape (n, classes) out."""
    batches = [pixels[i : i + batch_size] for i in range(0, len(pixels), batch_size)]
    return np.concatenate([np.asarray(model.predict_on_batch(to_float(batch, spec))) for batch in batches])


def _measure(
    model: "keras.Model", prepared: Prepared, truth: np.ndarray, indices: Sequence[int], malignant: Sequence[str]
) -> Metrics:
    chosen = list(indices)
    probabilities = predict(model, prepared.pixels[chosen], prepared.spec)
    verdicts = [int(k) for k in probabilities.argmax(axis=1)]
    classes = Classes.of(prepared.dataset.labels, malignant)
    return compute_metrics([int(k) for k in truth[chosen]], verdicts, probabilities, classes)


def _write_history(path: Path, history: list[dict[str, float]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = CsvWriter(file)
        writer.write_row(history[0])
        for row in history:
            writer.write_row(row.values())
