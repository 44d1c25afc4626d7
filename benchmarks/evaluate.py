"""Accuracy under Gaussian noise beside latency, of a bundle or of a float run, on a labelled data folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from leukolite.benchmarks.occlusion import OCCLUSIONS, saliency_tiles
from leukolite.bundle import MANIFEST
from leukolite.classes import Classes
from leukolite.classifier import Classifier, open_classifier
from leukolite.copies import SIDE, detail, find_copies
from leukolite.errors import DatasetError, ImageError, LeukoliteError
from leukolite.evaluation import ImageVerdict, evaluate_files, latency_summary, metrics_by_sigma, result_row
from leukolite.image_files import Unusable
from leukolite.images import read_rgb
from leukolite.manifest import NoiseMetrics
from leukolite.names import look_alikes
from leukolite.noise import NoisePlace
from leukolite.places import problem_at
from leukolite.preprocess import crop_and_resize, picture_id
from leukolite.runtime import RuntimeOptions
from leukolite.sheets import encode_png, sheet
from leukolite.shipped import open_bundle
from leukolite.train.backend import import_keras
from leukolite.train.datasets import Dataset, open_dataset
from leukolite.train.duplicates import pairs_of, without_contradictions
from leukolite.train.label_table import LabelTable
from leukolite.train.runs import RUN
from leukolite.wording import count

SCHEMA = {"name": "evaluation", "version": 2}  # 2: runtime with its delegate, verdicts by_label; 1: first
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
    """

    name: str
    classifier: Classifier
    seen: frozenset[str]
    seen_pictures: frozenset[str] = frozenset()
    seen_hashes: tuple[str, ...] = ()

    @property
    def knows_copies(self) -> bool:
        """It records what knows changed copies of its images again."""
        return bool(self.seen_hashes)


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
        }


def open_model(path: Path, runtime: RuntimeOptions) -> EvaluatedModel:
    """A bundle or a run folder, ready to classify.

    Raises:
        LeukoliteError: `path` is neither, or damaged.
    """
    if (path / RUN).is_file():
        import_keras("evaluating a run")
        from leukolite.train.run_classifier import open_run_classifier
        from leukolite.train.runs import load_run_split

        split = load_run_split(path)
        entries = [entry for part in ("train", "validation") for entry in split[part]]
        seen = frozenset(entry.sha256[:12] for entry in entries)
        hashes = tuple(sorted({entry.picture_hash for entry in entries if entry.picture_hash is not None}))
        return EvaluatedModel(path.resolve().name, open_run_classifier(path), seen, seen_hashes=hashes)
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
        return EvaluatedModel(bundle.manifest.name, classifier, frozenset())
    seen, pictures, hashes = frozenset(training.seen), frozenset(training.seen_pictures), tuple(training.seen_hashes)
    return EvaluatedModel(bundle.manifest.name, classifier, seen, pictures, hashes)


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
    on_start: Callable[[int], None] = lambda _: None,
    on_image: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Classify a labelled data folder at each noise level; of one that folders split, the test part, else the validation part.

    Images whose copies stand in another class are set aside: no verdict on them would be right.

    Args:
        unseen_only: leave out the images that fitted or chose the model.
        noise_at: where the noise is put, see `NOISE_PLACES`.
        occlude: a key of `OCCLUSIONS`: cover that part of every picture.
        table: says the labels; None: folders and names do.
        on_start: called with the number of images, before they are compared and again before they are classified.

    Raises:
        DatasetError: the folder's classes are not the model's, or no image is left.
    """
    try:
        dataset = open_dataset(data, table)
    except DatasetError as error:
        labels = ", ".join(model.classifier.classes.labels)
        raise DatasetError(f"{error}; the classes of {model.name} are {labels}", advice=error.advice) from error
    part = next((name for name in ("test", "validation") if name in dataset.parts), None)
    if part is not None:
        dataset = replace(dataset, samples=tuple(sample for sample in dataset.samples if sample.part == part))
    index_of = _matching_labels(dataset, model.classifier.classes)
    on_start(len(dataset.samples))
    dataset, ways = _compared(model, dataset, on_image)
    files = [(sample.path, index_of[sample.label]) for sample in dataset.samples]
    chosen = [file for file, way in zip(files, ways, strict=True) if not (unseen_only and way is not None)]
    if not chosen:
        raise DatasetError(
            f"{data}: the model was trained with all of its {count(len(files), 'image')}; none is left to measure it by"
        )
    on_start(len(chosen))
    change = OCCLUSIONS[occlude] if occlude is not None else _as_it_is
    verdicts, unreadable = evaluate_files(
        model.classifier, chosen, sigmas, seed=seed, noise_at=noise_at, change=change, on_image=on_image
    )
    unusable = (*dataset.unusable, *(Unusable(path, error.reason) for path, error in unreadable))
    if not verdicts:
        raise DatasetError(f"{data}: not one image could be read ({unusable[0].path}: {unusable[0].reason})")
    return Evaluation(
        name=model.name,
        classifier=model.classifier,
        verdicts=tuple(verdicts),
        seen=0 if unseen_only else sum(way is not None for way in ways),
        dropped=len(files) - len(chosen),
        seen_by={way: ways.count(way) for way in WAYS_OF_SEEING},
        unusable=unusable,
        seed=seed,
        occlude=occlude,
        part=part,
        splits_by=dataset.splits_by,
        notes=dataset.notes,
        noise_at=noise_at,
    )


def _compared(model: EvaluatedModel, dataset: Dataset, on_image: Callable[[], None]) -> tuple[Dataset, list[str | None]]:
    """The dataset without contradictions, and how each of its images is known to have fitted or chosen the model, if it did.

    Raises:
        DatasetError: a class has no image left.
    """
    ways: list[str | None] = []
    details = np.zeros((len(dataset.samples), SIDE, SIDE), np.float32)
    for i, sample in enumerate(dataset.samples):
        way = "bytes" if sample.sha256[:12] in model.seen else None
        try:
            pixels = crop_and_resize(read_rgb(sample.path), model.classifier.spec)
        except ImageError:
            pass  # named when it is classified
        else:
            details[i] = detail(pixels)
            if way is None and picture_id(pixels) in model.seen_pictures:
                way = "pixels"
        ways.append(way)
        on_image()
    unknown = [i for i, way in enumerate(ways) if way is None]
    for k, _ in find_copies(details[unknown], model.seen_hashes):
        ways[unknown[k]] = "copy"
    clear = without_contradictions(dataset, pairs_of(details))
    return clear.dataset, [ways[i] for i in clear.kept]


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
