"""A paper's tables reproduced: each fold trained by its protocol and without it, measured under noise, ours beside theirs.

Makem et al. 2025, Tables 6 to 9: metrics of each fold of C-NMC 2019 at sigma 0, 2, 5, 8 and 10, and the imbalanced set without
augmentation against the balanced, augmented one.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError
from rich.table import Table

from leukolite.benchmarks.evaluate import Evaluation
from leukolite.benchmarks.people_folds import said_of
from leukolite.benchmarks.plots import write_pictures
from leukolite.errors import DatasetError, LeukoliteError, TrainingError, first_line
from leukolite.evaluation import ImageVerdict, evaluate_files
from leukolite.files import check_replaceable, write_json
from leukolite.frozen import Frozen
from leukolite.manifest import NoiseMetrics
from leukolite.noise import NOISE_PLACES, NoisePlace
from leukolite.path_text import path_of_text
from leukolite.people import keeps_people_apart
from leukolite.progress import OnEpoch, OnProgress
from leukolite.schema import newer_schema
from leukolite.tables import results_table
from leukolite.textfiles import read_json
from leukolite.train.augment import Augmentation
from leukolite.train.datasets import FOLD_NAME, Dataset, open_dataset
from leukolite.train.people_report import PeopleReport, report_people
from leukolite.train.recipes import Recipe
from leukolite.train.runs import Run, fold_places_of, load_run, load_run_split
from leukolite.train.subjects import SubjectPattern
from leukolite.wording import percent

SETTINGS_VERSION = 1  # of the record by which a folder is known again
SCHEMA = {"name": "reproduction", "version": 3}  # 3: splits, people; 2: schema with a name, images_per_epoch; 1: first
SETTINGS, RESULT, TABLES = "reproduce.json", "tables.json", "tables.txt"

Arm = Literal["imbalanced", "balanced"]
ARMS: tuple[Arm, ...] = ("imbalanced", "balanced")
ROWS = {  # row of the tables -> our metric, and the paper's of that name in `Published`; None: the paper prints none like it
    "accuracy": ("accuracy", "accuracy"),
    "precision (macro)": ("macro_precision", "precision"),
    "recall (macro)": ("macro_recall", "recall"),
    "F1 (macro)": ("macro_f1", "f1"),
    # its precision, recall and F1 are macro averages, and its AUC is the mean of both recalls: worked out of Tables 6 to 9
    "balanced accuracy (printed there as AUC)": ("balanced_accuracy", "auc"),
    "spec. (of all)": ("specificity", "specificity"),
    "AUC of the curve": ("auc", None),
}
AGAINST = tuple(row for row in ROWS if row != "recall (macro)")  # which is the balanced accuracy
ALL_FOLDS = "mean"
TABLE_1 = {  # the paper's: images of each fold
    "fold_0": {"all": 2397, "hem": 1130},
    "fold_1": {"all": 2418, "hem": 1163},
    "fold_2": {"all": 2457, "hem": 1096},
}


class Published(Frozen):
    """One figure of the paper.

    Attributes:
        fold: as the data's folders are named, 'fold_0'; 'mean' over all folds.
        metric: as the paper prints it: precision, recall and f1 are macro averages, auc is balanced accuracy.
    """

    fold: str
    arm: Arm
    sigma: float = Field(ge=0)
    metric: Literal["accuracy", "precision", "recall", "specificity", "f1", "auc"]
    value: float = Field(ge=0, le=1)


# The figures that could be read without the journal's tables: the abstract's, and fold 0's accuracy with and without noise
KNOWN = (
    Published(fold=ALL_FOLDS, arm="balanced", sigma=0, metric="accuracy", value=0.9533),
    Published(fold=ALL_FOLDS, arm="balanced", sigma=0, metric="f1", value=0.95),
    Published(fold="fold_0", arm="balanced", sigma=0, metric="accuracy", value=0.96),
    Published(fold="fold_0", arm="balanced", sigma=10, metric="accuracy", value=0.95),
)


@dataclass(frozen=True)
class FoldResult:
    """One fold in one arm: the run that was trained and what it does on the fold's test part.

    Attributes:
        further: runs of a fold that was itself split into several, each tested on its own part; `results` are of all together.
        people: figures over people; None where the split is by image.
    """

    fold: str
    arm: Arm
    run: Run
    results: tuple[NoiseMetrics, ...]
    further: tuple[Run, ...] = ()
    people: PeopleReport | None = None

    def value(self, sigma: float, metric: str) -> float | None:
        row = next(row for row in self.results if row.sigma == sigma)
        found: float | None = getattr(row, metric)
        return found


def load_published(path: Path | None) -> tuple[Published, ...]:
    """The paper's figures: those of `KNOWN`, replaced and joined by a JSON list of `Published`.

    Raises:
        LeukoliteError: the file is missing or not such a list.
    """
    if path is None:
        return KNOWN
    try:
        given = TypeAdapter(list[Published]).validate_python(read_json(path, "the paper's figures as JSON"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise LeukoliteError(
            f'{path}: {where}: {first["msg"]}; expected a list of {{"fold": "fold_0", "arm": "balanced", "sigma": 0,'
            ' "metric": "accuracy", "value": 0.96}'
        ) from error
    cells = {(one.fold, one.arm, one.sigma, one.metric): one for one in (*KNOWN, *given)}
    return tuple(cells.values())


def reproduce(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    sigmas: Sequence[float],
    noise_at: NoisePlace = "input",
    split_by: str,
    seed: int,
    cache: Path | None,
    folds: int | None = None,
    subject_from: SubjectPattern | None = None,
    published: Sequence[Published],
    progress: OnProgress,
    on_epoch: OnEpoch,
    force: bool = False,
) -> list[FoldResult]:
    """Train and measure every fold of C-NMC 2019 in both arms, and leave runs, pictures and tables in `out`.

    What an earlier call with the same settings finished in `out` is not done again, and a training that was stopped goes on.

    Args:
        sigmas: noise levels, the first of them the clean one.
        noise_at: where the noise is put, see `NOISE_PLACES`; by the captions of its Figures 3 and 4 the paper's is at the input.
        split_by: 'image', as the paper, 'subject' or 'leave-one-subject-out'.
        folds: with image or subject: so many parts of each fold, each tested once; None: one split.
        subject_from: says whose blood each picture is of; None: C-NMC's names do.
        force: replace tables and pictures of other noise or other figures of the paper; a run that was trained stays.

    Raises:
        DatasetError: the data is not C-NMC 2019.
        TrainingError: the weights do not fit.
        LeukoliteError: `out` holds something else, or cannot be written.
    """
    from leukolite.train import fit
    from leukolite.train.people_of_runs import people_of_splits

    check_replaceable(out, SETTINGS, force=True)
    of_cnmc = folds_of(open_dataset(data, subject_from=subject_from))
    settings: dict[str, Any] = {
        "schema": SETTINGS_VERSION,
        "recipe": recipe.training_settings(),
        "folds": {name: fold.fingerprint() for name, fold in of_cnmc.items()},
        "split_by": split_by if folds is None else f"{folds} folds {split_by}",
        "seed": seed,
    }
    if subject_from is not None:
        settings["subject_from"] = subject_from.pattern
    _claim(out, settings)
    if not force:
        _refuse_other_tables(out / RESULT, sigmas, noise_at, published)
    measured = []
    for name, fold in of_cnmc.items():
        prepared = fit.prepare(fold, recipe, _named(progress, name), cache=cache)
        planned = fit.make_splits(prepared, recipe, split_by, seed, folds=folds)
        measured_people = people_of_splits(prepared, planned.splits) if keeps_people_apart(planned.by) else None
        for arm in ARMS:
            stage = _named(progress, f"{name} {arm}")
            places = fold_places_of(out / name / arm, len(planned.splits))
            for split, place in zip(planned.splits, places, strict=True):
                fit.train(
                    prepared,
                    in_arm(recipe, arm),
                    split,
                    place,
                    split_by=planned.by,
                    unit="cell",
                    malignant=fold.malignant,
                    seed=seed,
                    resume=fit.has_begun(place),
                    cache=cache,
                    progress=stage,
                    on_epoch=_named_epoch(on_epoch, f"{name} {arm}"),
                )
            evaluation = _evaluate(places, f"{name} {arm}", sigmas, noise_at, seed, stage)
            if measured_people is not None:
                people = report_people(
                    said_of(evaluation.verdicts, prepared.dataset), measured_people, evaluation.classifier.classes
                )
                evaluation = replace(evaluation, people=people)
            # what is there by now is of a call that was stopped, the same, or not wanted any more: so are the tables
            write_pictures(evaluation, out / name / f"{arm}-pictures", force=True)
            run, *further = map(load_run, places)
            measured.append(FoldResult(name, arm, run, tuple(evaluation.results), tuple(further), evaluation.people))
    write_json(out / RESULT, to_json(measured, settings, published, sigmas, noise_at), force=True)
    return measured


def folds_of(dataset: Dataset) -> dict[str, Dataset]:
    """Each fold by its folder's name, as a dataset of its own. Raises: DatasetError, if the data is not C-NMC 2019."""
    if dataset.layout != "c-nmc":
        raise DatasetError(f"{dataset.root}: expected C-NMC 2019 (fold_*/{{all,hem}}), found the layout {dataset.layout}")
    whose = {sample.path: _fold_of(sample.path) for sample in dataset.samples}
    if outside := [path for path, fold in whose.items() if fold is None]:
        raise DatasetError(f"{outside[0]}: lies in no fold; expected C-NMC 2019 as it comes (fold_*/{{all,hem}})")
    return {
        name: replace(dataset, samples=tuple(sample for sample in dataset.samples if whose[sample.path] == name))
        for name in sorted({fold for fold in whose.values() if fold is not None})
    }


def _fold_of(path: Path) -> str | None:
    """'fold_0' of a file anywhere below such a folder, whatever its case."""
    found = (FOLD_NAME.match(name) for name in reversed(path.resolve().parts[:-1]))
    return next((f"fold_{int(match[1])}" for match in found if match is not None), None)


def departures(measured: Iterable[FoldResult]) -> list[str]:
    """Where the images are not those of the paper's Table 1; one line per fold."""
    lines = []
    for one in measured:
        counts = {label: sum(part.get(label, 0) for part in one.run.split.values()) for label in one.run.labels}
        paper = TABLE_1.get(one.fold)
        if one.arm == ARMS[0] and counts != paper:
            theirs = _counts(paper) if paper else "no such fold"
            lines.append(
                f"{one.fold} holds {_counts(counts)} images, the paper's Table 1: {theirs}; its figures are of other images"
            )
    return lines


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {label}" for label, n in counts.items())


def in_arm(recipe: Recipe, arm: Arm) -> Recipe:
    """The recipe as it is, or without balance and augmentation."""
    if arm == "balanced":
        return recipe
    return recipe.model_copy(update={"balance": "none", "augmentation": Augmentation()})


def to_json(
    measured: Iterable[FoldResult],
    settings: Mapping[str, Any],
    published: Iterable[Published],
    sigmas: Sequence[float],
    noise_at: NoisePlace,
) -> dict[str, Any]:
    """For machines: the settings, what was measured, and the paper's figures."""
    return {
        **settings,
        "schema": SCHEMA,
        "sigmas": list(sigmas),
        "noise_at": noise_at,
        "measured": [
            {
                "fold": one.fold,
                "arm": one.arm,
                "folds": 1 + len(one.further),
                "split": one.run.split,
                "images_per_epoch": one.run.shown,
                "best_epoch": one.run.best_epoch,
                "seconds": sum(run.seconds for run in (one.run, *one.further)),
                "versions": one.run.versions,
                "results": [row.model_dump() for row in one.results],
                "people": None if one.people is None else one.people.to_json(),
            }
            for one in measured
        ],
        "published": [one.model_dump() for one in published],
    }


def tables(
    measured: Sequence[FoldResult], published: Sequence[Published], sigmas: Sequence[float], noise_at: NoisePlace
) -> list[Table]:
    """One table a fold over the noise levels, then imbalanced against balanced; each cell is ours|the paper's."""
    paper: dict[tuple[str, str, float, str | None], float] = {
        (one.fold, one.arm, one.sigma, one.metric): one.value for one in published
    }
    folds = list(dict.fromkeys(one.fold for one in measured))
    made = []
    for one in measured:
        if one.arm == "balanced":
            title = (
                f"{one.fold}, balanced and augmented, n {one.results[0].n}, noise {NOISE_PLACES[noise_at]}: ours|the paper's, %"
            )
            made.append(_table(title, [f"sigma {sigma:g}" for sigma in sigmas]))
            for name, (ours, theirs) in ROWS.items():
                cells = [_cell(one.value(sigma, ours), paper.get((one.fold, one.arm, sigma, theirs))) for sigma in sigmas]
                made[-1].add_row(name, *cells)
    first = sigmas[0]
    against = _table(f"Imbalanced without augmentation against balanced, sigma {first:g}: ours|the paper's, %", AGAINST)
    for fold in (*folds, *([ALL_FOLDS] if set(folds) == TABLE_1.keys() else [])):
        for arm in ARMS:
            of_arm = [one for one in measured if one.arm == arm and fold in (one.fold, ALL_FOLDS)]
            cells = [
                _cell(_mean(of_arm, first, ours), paper.get((fold, arm, first, theirs)))
                for ours, theirs in map(ROWS.__getitem__, AGAINST)
            ]
            against.add_row(f"{fold} {arm}", *cells)
    return [*made, against]


def _mean(measured: Sequence[FoldResult], sigma: float, metric: str) -> float | None:
    values = [one.value(sigma, metric) for one in measured]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def _cell(ours: float | None, theirs: float | None) -> str:
    return f"{percent(ours).rstrip('%')}|{percent(theirs).rstrip('%')}"


def _table(title: str, headings: Iterable[str]) -> Table:
    table = results_table(title)
    table.add_column("")
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _evaluate(
    places: Sequence[Path], name: str, sigmas: Sequence[float], noise_at: NoisePlace, seed: int, progress: OnProgress
) -> Evaluation:
    """Each run on its own test part, pooled."""
    from leukolite.train.run_classifier import open_run_classifier

    pooled: list[ImageVerdict] = []
    for place in places:
        classifier, run = open_run_classifier(place), load_run(place)
        root = path_of_text(run.data)
        files = [(root / path_of_text(entry.path), run.labels.index(entry.label)) for entry in load_run_split(place)["test"]]
        show = _each(progress, len(files))
        verdicts, unreadable = evaluate_files(classifier, files, sigmas, seed=seed, noise_at=noise_at, on_image=show)
        if unreadable:
            raise TrainingError(f"{unreadable[0][1]}; the image was there when {place} was trained: restore it")
        offset = len(pooled) // len(sigmas)
        pooled += [replace(item, index=item.index + offset) for item in verdicts]
    return Evaluation(
        name, classifier, tuple(pooled), seen=0, dropped=0, seen_by={}, unusable=(), seed=seed, occlude=None, noise_at=noise_at
    )


def _each(progress: OnProgress, total: int) -> Callable[[], None]:
    """Shows one image more at each call."""
    done = iter(range(1, total + 1))
    return lambda: progress("test images", next(done), total)


def _claim(out: Path, settings: Mapping[str, Any]) -> None:
    """Make `out` the place of these settings. Raises: LeukoliteError, if it holds other things or those of other settings."""
    record = out / SETTINGS
    if not record.is_file():
        write_json(record, dict(settings))
        return
    try:
        before = read_json(record, "the settings of a reproduction")
    except LeukoliteError as error:
        raise LeukoliteError(f"{record}: damaged ({first_line(error)})", advice="other-out") from error
    if not isinstance(before, dict):
        raise LeukoliteError(f"{record}: damaged (no JSON object)", advice="other-out")
    if is_newer := newer_schema(before, SETTINGS_VERSION):
        raise LeukoliteError(f"{out}: a reproduction {is_newer}", advice="or-other-out")
    # through JSON, which knows no tuples
    changed = [key for key, value in json.loads(json.dumps(settings)).items() if before.get(key) != value]
    if changed:
        raise LeukoliteError(f"{out}: holds a reproduction with another {', '.join(changed)}", advice="other-out")


def _refuse_other_tables(path: Path, sigmas: Sequence[float], noise_at: NoisePlace, published: Sequence[Published]) -> None:
    """Raises: LeukoliteError, if tables are there that this call would not make again."""
    try:
        before = read_json(path, "tables") if path.is_file() else None
    except LeukoliteError:  # whatever it is, it is not this call's
        before = {}
    now = {"sigmas": list(sigmas), "noise_at": noise_at, "published": [one.model_dump() for one in published]}
    if isinstance(before, dict):
        before = {"noise_at": "capture"} | before  # where tables of before `noise_at` was recorded had their noise
    if before is not None and any(not isinstance(before, dict) or before.get(key) != value for key, value in now.items()):
        raise LeukoliteError(
            f"{path}: exists, with other noise levels, noise put elsewhere or other figures of the paper; choose another place",
            advice="force",
        )


def _named(progress: OnProgress, name: str) -> OnProgress:
    return lambda stage, done, total: progress(f"{name}: {stage}", done, total)


def _named_epoch(on_epoch: OnEpoch, name: str) -> OnEpoch:
    return lambda stage, values: on_epoch(f"{name}: {stage}", values)
