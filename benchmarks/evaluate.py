"""Accuracy under Gaussian noise beside latency, of a bundle or of a float run, on a labelled data folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from leukolite.benchmarks.fold_runs import FoldRun, fold_places, open_classifier_of, open_folds, part_indices
from leukolite.benchmarks.occlusion import OCCLUSIONS, saliency_tiles
from leukolite.benchmarks.people_folds import check_split, is_given, measured_people, parts_given, said_of
from leukolite.benchmarks.people_seen import SeenPeople, describe_people_of, seen_of_bundle, seen_of_run
from leukolite.bundle import MANIFEST
from leukolite.classes import Classes
from leukolite.classifier import Classifier, open_classifier
from leukolite.copies import SIDE, detail, find_copies
from leukolite.errors import DatasetError, ImageError, LeukoliteError
from leukolite.evaluation import ImageVerdict, evaluate_files, latency_summary, metrics_by_sigma, result_row
from leukolite.image_files import Unusable
from leukolite.images import read_rgb
from leukolite.imports import require
from leukolite.manifest import NoiseMetrics, Unit
from leukolite.names import look_alikes
from leukolite.noise import NoisePlace
from leukolite.places import problem_at
from leukolite.preprocess import crop_and_resize, picture_id
from leukolite.runtime import RuntimeOptions
from leukolite.sheets import encode_png, sheet
from leukolite.shipped import open_bundle
from leukolite.train.backend import import_keras
from leukolite.train.cell_area import cell_area
from leukolite.train.datasets import Dataset, open_dataset, with_subjects
from leukolite.train.duplicates import pairs_of, without_contradictions
from leukolite.train.label_table import LabelTable
from leukolite.train.people import link_people
from leukolite.train.people_report import PeopleReport, report_people
from leukolite.train.runs import RUN
from leukolite.train.splits import refuse_nameless
from leukolite.train.subjects import SubjectPattern
from leukolite.wording import count

SCHEMA = {"name": "evaluation", "version": 3}  # 3: people; 2: runtime with its delegate, verdicts by_label; 1: first
STAGES = ("preprocess", "invoke", "total")
SALIENCY_PICTURES = 4
WAYS_OF_SEEING = {"bytes": "the same bytes", "pixels": "the same pixels", "copy": "turned, cropped or otherwise changed copies"}


@dataclass(frozen=True)
class EvaluatedModel:
    """What is evaluated: a bundle or a run, ready to classify.

    Attributes:
        seen: first 12 hex digits of the SHA-256 of each image that fitted or chose the model.
        seen_pictures: `picture_id` of each, which knows it in another encoding too.
        seen_hashes: `perceptual_hashes` of each, which know it turned, mirrored, cropped or brightened a little, or saved again;
            empty where an older bundle or run does not record them.
        seen_people: whose pictures those are, where that is recorded; None: nothing trained it, or nobody knows how.
        unit: what one image shows.
        folds: of a folder of folds, whose runs classify their own test parts; `classifier` is the first one's.
    """

    name: str
    classifier: Classifier
    seen: frozenset[str]
    seen_pictures: frozenset[str] = frozenset()
    seen_hashes: tuple[str, ...] = ()
    seen_people: SeenPeople | None = None
    unit: Unit = "cell"
    folds: tuple[FoldRun, ...] = ()

    @property
    def knows_copies(self) -> bool:
        """It records what knows changed copies of its images again."""
        return bool(self.seen_hashes or self.folds)


@dataclass(frozen=True)
class Evaluation:
    """Verdicts on a data folder at each noise level.

    Attributes:
        seen: images among those classified that had fitted or chosen the model; figures that include them flatter.
        dropped: images left out because the model had seen them.
        part: of the split that the data's folders make; None: they make none, and all was measured.
        splits_by: what makes the parts, in words.
        notes: what a person should know of how the data was read, a line each.
        seen_by: how those of both kinds are known: key of `WAYS_OF_SEEING` -> images.
        noise_at: where the noise was put, see `NOISE_PLACES`.
        people: figures over people; None where the data does not say whose blood it is.
    """

    name: str
    classifier: Classifier
    verdicts: tuple[ImageVerdict, ...]
    seen: int
    dropped: int
    seen_by: dict[str, int]
    unusable: tuple[Unusable, ...]
    seed: int
    occlude: str | None
    part: str | None = None
    splits_by: str = "its folders"
    notes: tuple[str, ...] = ()
    noise_at: NoisePlace = "capture"
    people: PeopleReport | None = None

    @cached_property  # a thousand bootstrap resamples a noise level
    def results(self) -> list[NoiseMetrics]:
        return metrics_by_sigma(self.verdicts, self.classifier.classes)

    @property
    def n(self) -> int:
        return len({item.index for item in self.verdicts})

    def latency(self, sigma: float) -> dict[str, dict[str, float]]:
        return latency_summary([item.verdict for item in self.verdicts if item.sigma == sigma], STAGES)

    def to_json(self) -> dict[str, Any]:
        """For machines; its fields are in docs/reference/json.md."""
        return {
            "schema": SCHEMA,
            "model": self.name,
            "labels": list(self.classifier.classes.labels),
            "malignant": list(self.classifier.classes.malignant),
            "n": self.n,
            "seen_in_training": self.seen,
            "left_out_as_seen": self.dropped,
            "seen_by": self.seen_by,
            "unusable": [{"source": str(item.path), "reason": item.reason} for item in self.unusable],
            "runtime": self.classifier.runtime.info.model_dump(),
            "seed": self.seed,
            "noise_at": self.noise_at,
            "occlude": self.occlude,
            "part": self.part,
            "results": [result_row(row, self.classifier.classes, self.latency(row.sigma)) for row in self.results],
            "people": None if self.people is None else self.people.to_json(),
        }


def open_model(path: Path, runtime: RuntimeOptions) -> EvaluatedModel:
    """A bundle, a run folder or a folder of folds, ready to classify.

    Raises:
        LeukoliteError: `path` is neither, or damaged.
    """
    if fold_places(path):
        import_keras("evaluating a run")
        folds = open_folds(path)
        first = folds[0]
        return EvaluatedModel(
            path.resolve().name, open_classifier_of(first), frozenset(), unit=first.run.unit, folds=tuple(folds)
        )
    if (path / RUN).is_file():
        import_keras("evaluating a run")
        from leukolite.train.run_classifier import open_run_classifier
        from leukolite.train.runs import load_run, load_run_split

        split, run = load_run_split(path), load_run(path)
        entries = [entry for part in ("train", "validation") for entry in split[part]]
        seen = frozenset(entry.sha256[:12] for entry in entries)
        hashes = tuple(sorted({entry.picture_hash for entry in entries if entry.picture_hash is not None}))
        people = seen_of_run(run, entries)
        name = path.resolve().name
        return EvaluatedModel(name, open_run_classifier(path), seen, seen_hashes=hashes, seen_people=people, unit=run.unit)
    if problem := problem_at(path, "file or folder", noun="bundle or run"):
        raise LeukoliteError(f"{path}: {problem}; expected a bundle (with {MANIFEST}) or a finished run (with {RUN})")
    if path.is_dir() and not (path / MANIFEST).is_file():
        inner = sorted({found.parent for name in (MANIFEST, RUN) for found in path.glob(f"*/{name}")})
        hint = f"; give one of those in it, as {inner[0]}" if inner else ""
        raise LeukoliteError(f"{path}: neither a bundle (with {MANIFEST}) nor a finished run (with {RUN}){hint}")
    bundle = open_bundle(path)
    training = bundle.manifest.training
    classifier = open_classifier(bundle, runtime)
    if training is None:
        return EvaluatedModel(bundle.manifest.name, classifier, frozenset(), unit=bundle.manifest.unit)
    seen, pictures, hashes = frozenset(training.seen), frozenset(training.seen_pictures), tuple(training.seen_hashes)
    return EvaluatedModel(
        bundle.manifest.name, classifier, seen, pictures, hashes, seen_of_bundle(training), unit=bundle.manifest.unit
    )


def evaluate(
    model: EvaluatedModel,
    data: Path,
    sigmas: Sequence[float],
    *,
    seed: int,
    unseen_only: bool,
    noise_at: NoisePlace = "capture",
    occlude: str | None = None,
    table: LabelTable | None = None,
    subject_from: SubjectPattern | None = None,
    split_by: str | None = None,
    folds: int | None = None,
    on_start: Callable[[int], None] = lambda _: None,
    on_image: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Classify a labelled data folder at each noise level; of one that folders split, the test part, else the validation part.

    Images whose copies stand in another class are set aside: no verdict on them would be right.

    Args:
        unseen_only: leave out the images that fitted or chose the model; where its split kept people apart, also every other
            image of those people.
        noise_at: where the noise is put, see `NOISE_PLACES`.
        occlude: a key of `OCCLUSIONS`: cover that part of every picture.
        table: says the labels; None: folders and names do.
        subject_from: says whose blood each picture is of; None: names or the table do.
        split_by: on which folds of the people's images baselines are fitted: 'leave-one-subject-out' (as None), 'subject' or
            'image' with `folds`; 'folders' or a run, whose test part is measured then.
        on_start: called with the number of images, before they are compared and again before they are classified.

    Raises:
        DatasetError: the folder's classes are not the model's, or no image is left.
        LeukoliteError: `split_by` does not go with the model or the data.
    """
    check_split(split_by, folds, has_folds=bool(model.folds))
    try:
        dataset = open_dataset(data, table)
    except DatasetError as error:
        labels = ", ".join(model.classifier.classes.labels)
        raise DatasetError(f"{error}; the classes of {model.name} are {labels}", advice=error.advice) from error
    recorded = model.folds[0].run.subject_from if model.folds else None
    if pattern := subject_from or (SubjectPattern(recorded) if recorded is not None else None):
        dataset = with_subjects(dataset, pattern)
    if any(sample.subject is not None for sample in dataset.samples):
        require("figures over people", "sklearn.linear_model", extra="report")
    part = next((name for name in ("test", "validation") if name in dataset.parts), None)
    if part is not None and not (model.folds or is_given(split_by)):
        dataset = replace(dataset, samples=tuple(sample for sample in dataset.samples if sample.part == part))
    index_of = _matching_labels(dataset, model.classifier.classes)
    on_start(len(dataset.samples))
    compared = _compared(model, dataset, on_image)
    dataset, ways = compared.dataset, compared.ways
    if split_by is not None and not is_given(split_by):
        refuse_nameless(dataset)
    fits: list[list[int]] = []
    tests: list[list[int]] = [list(range(len(dataset.samples)))]
    if model.folds:
        fits, tests = (list(part_indices(dataset, model.folds, parts)) for parts in (("train",), ("test",)))
    elif is_given(split_by):
        fit, test = parts_given(dataset, str(split_by))
        fits, tests = [fit], [test]
    files = [(sample.path, index_of[sample.label]) for sample in dataset.samples]
    candidates = [i for test in tests for i in test]
    person_seen = set() if model.seen_people is None else model.seen_people.among(dataset)
    apart = model.seen_people is not None and model.seen_people.keeps_apart
    of_people = [i for i in candidates if apart and ways[i] is None and dataset.samples[i].person in person_seen]
    left = {i for i in candidates if unseen_only and ways[i] is not None} | set(of_people if unseen_only else ())
    tests = [[i for i in test if i not in left] for test in tests]
    chosen = [i for test in tests for i in test]
    if not chosen:
        raise DatasetError(
            f"{data}: the model was trained with all of its {count(len(candidates), 'image')}"
            f"{', or with others of the same people' if of_people else ''}; none is left to measure it by"
        )
    on_start(len(chosen))
    change = OCCLUSIONS[occlude] if occlude is not None else _as_it_is
    verdicts: list[ImageVerdict] = []
    unreadable: list[tuple[Path, ImageError]] = []
    for k, test in enumerate(tests):
        classifier = model.classifier if k == 0 else open_classifier_of(model.folds[k])
        classified, refused = evaluate_files(
            classifier, [files[i] for i in test], sigmas, seed=seed, noise_at=noise_at, change=change, on_image=on_image
        )
        offset = sum(map(len, tests[:k]))
        verdicts += [replace(item, index=item.index + offset) for item in classified] if offset else classified
        unreadable += refused
    unusable = (*dataset.unusable, *(Unusable(path, error.reason) for path, error in unreadable))
    if not verdicts:
        raise DatasetError(f"{data}: not one image could be read ({unusable[0].path}: {unusable[0].reason})")
    measured = measured_people(
        dataset,
        np.array([index_of[sample.label] for sample in dataset.samples]),
        compared.areas if model.unit == "cell" else None,
        compared.copies,
        fits,
        tests,
        split_by=split_by,
        folds=folds,
        seed=seed,
    )
    people = None
    if measured is not None:
        gone = {dataset.samples[i].person for i in of_people} if unseen_only else set()
        people = report_people(
            said_of(verdicts, dataset),
            measured,
            model.classifier.classes,
            left_out_people=len(gone),
            left_out_images=len(of_people) if gone else 0,
        )
    notes = describe_people_of(
        model.name,
        dataset,
        chosen,
        people,
        seen=model.seen_people,
        people_seen=person_seen,
        folds_split_by=model.folds[0].run.split_by if model.folds else None,
        unseen_only=unseen_only,
    )
    if model.folds and len(dataset.samples) > len(candidates):
        notes.append(f"left out: {count(len(dataset.samples) - len(candidates), 'image')} that no fold of {model.name} tests")
    known = [ways[i] for i in candidates]
    return Evaluation(
        name=model.name,
        classifier=model.classifier,
        verdicts=tuple(verdicts),
        seen=0 if unseen_only else sum(way is not None for way in known),
        dropped=sum(way is not None for way in known) if unseen_only else 0,
        seen_by={way: known.count(way) for way in WAYS_OF_SEEING},
        unusable=unusable,
        seed=seed,
        occlude=occlude,
        part=part if split_by == "folders" or not (model.folds or is_given(split_by)) else None,
        splits_by=dataset.splits_by,
        notes=(*dataset.notes, *notes),
        noise_at=noise_at,
        people=people,
    )


@dataclass(frozen=True)
class _Compared:
    """A dataset without contradictions, its people linked.

    Attributes:
        ways: how each image is known to have fitted or chosen the model; None: it did not.
        copies: group of each image, of those that belong together.
        areas: `cell_area` of each, nan where it cannot be read.
    """

    dataset: Dataset
    ways: list[str | None]
    copies: np.ndarray
    areas: np.ndarray


def _compared(model: EvaluatedModel, dataset: Dataset, on_image: Callable[[], None]) -> _Compared:
    """The dataset without contradictions, and how each of its images is known to have fitted or chosen the model, if it did.

    Raises:
        DatasetError: a class has no image left.
    """
    ways: list[str | None] = []
    details = np.zeros((len(dataset.samples), SIDE, SIDE), np.float32)
    areas = np.full(len(dataset.samples), np.nan)
    has_areas = model.unit == "cell" and any(sample.subject is not None for sample in dataset.samples)
    for i, sample in enumerate(dataset.samples):
        way = "bytes" if sample.sha256[:12] in model.seen else None
        try:
            capture = read_rgb(sample.path)
            pixels = crop_and_resize(capture, model.classifier.spec)
        except ImageError:
            pass  # named when it is classified
        else:
            areas[i] = cell_area(capture) if has_areas else np.nan
            details[i] = detail(pixels)
            if way is None and picture_id(pixels) in model.seen_pictures:
                way = "pixels"
        ways.append(way)
        on_image()
    unknown = [i for i, way in enumerate(ways) if way is None]
    for k, _ in find_copies(details[unknown], model.seen_hashes):
        ways[unknown[k]] = "copy"
    people = link_people(dataset, pairs_of(details))
    clear = without_contradictions(people.dataset, people.pairs)
    return _Compared(clear.dataset, [ways[i] for i in clear.kept], clear.copies, areas[clear.kept])


def saliency_sheet(evaluation: Evaluation) -> bytes:
    """Up to `SALIENCY_PICTURES` classified pictures per class beside what their true class's probability depends on, as a PNG."""
    classifier = evaluation.classifier
    blocks = []
    for k, label in enumerate(classifier.classes.labels):
        files = list(dict.fromkeys(Path(item.source) for item in evaluation.verdicts if item.truth == k))
        chosen = np.random.default_rng(evaluation.seed).permutation(len(files))[:SALIENCY_PICTURES]
        blocks.append((label, saliency_tiles(classifier, [files[i] for i in chosen], k)))
    return encode_png(sheet(blocks, columns=2 * SALIENCY_PICTURES, side=classifier.spec.height))


def _as_it_is(pixels: np.ndarray) -> np.ndarray:
    return pixels


def _matching_labels(dataset: Dataset, classes: Classes) -> dict[int, int]:
    """Dataset label index -> model label index, by name, whatever its case."""
    known, unknown = classes.match(dataset.labels)
    if unknown:
        raise DatasetError(
            f"{dataset.root}: its classes are {', '.join(dataset.labels)}, the model's labels {', '.join(classes.labels)};"
            f" evaluate it on data of its own classes{look_alikes(unknown, classes.labels)}"
        )
    return {k: known[label] for k, label in enumerate(dataset.labels)}
