"""Many verdicts in one view: accuracy at each noise level beside the latency it took."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leukolite.classes import Classes
from leukolite.classifier import STAGES, Classifier, Verdict
from leukolite.decision import ABSTAIN
from leukolite.errors import ImageError
from leukolite.images import read_rgb
from leukolite.manifest import NoiseMetrics
from leukolite.metrics import compute_metrics
from leukolite.noise import NoisePlace, add_gaussian_noise, effective_sigma, noise_rng, pooled_sigma
from leukolite.usefulness import no_better_than_guessing


@dataclass(frozen=True, slots=True)
class ImageVerdict:
    """One verdict in its place.

    Attributes:
        source: the frame's file, camera or video.
        index: the frame's number in its source, from 0.
        sigma: standard deviation of the noise added, grey levels.
        truth: label index, where it is known.
        effective_sigma: of the noise that reached the network, measured on its picture; None: not measured.
    """

    source: str
    index: int
    sigma: float
    truth: int | None
    verdict: Verdict
    effective_sigma: float | None = None


def classify_at_noise(
    classifier: Classifier,
    pixels: np.ndarray,
    sigmas: Sequence[float],
    *,
    seed: int,
    source: str,
    index: int,
    truth: int | None,
    capture_ms: float = 0.0,
    noise_at: NoisePlace = "capture",
) -> Iterator[ImageVerdict]:
    """One verdict a noise level on one capture, uint8 RGB.

    Args:
        noise_at: 'capture' adds the noise at the capture's native resolution, 'input' to the network's picture of it.
    """
    clean, clean_ms = classifier.timed_shrink(pixels)
    for sigma in sigmas:
        square, shrink_ms, rng = clean, clean_ms, noise_rng(seed, index, sigma)
        if sigma and noise_at == "input":
            square = add_gaussian_noise(clean, sigma, rng)
        elif sigma:
            square, shrink_ms = classifier.timed_shrink(add_gaussian_noise(pixels, sigma, rng))
        verdict = classifier.classify(square, capture_ms=capture_ms, preprocess_ms=shrink_ms)
        yield ImageVerdict(source, index, sigma, truth, verdict, effective_sigma(square, clean) if sigma else 0.0)


def evaluate_files(
    classifier: Classifier,
    files: Sequence[tuple[Path, int]],
    sigmas: Sequence[float],
    *,
    seed: int,
    noise_at: NoisePlace = "capture",
    change: Callable[[np.ndarray], np.ndarray] = lambda pixels: pixels,
    on_image: Callable[[], None] = lambda: None,
) -> tuple[list[ImageVerdict], list[tuple[Path, ImageError]]]:
    """Classify labelled image files at every noise level.

    Args:
        files: each path with its label index.
        noise_at: see `classify_at_noise`.
        change: what is done to each capture, uint8 RGB, before the noise; nothing by default.
        on_image: called after each file, for a progress bar.

    Returns:
        The verdicts, files outermost, and the files that could not be read.
    """
    verdicts: list[ImageVerdict] = []
    unreadable: list[tuple[Path, ImageError]] = []
    for index, (path, truth) in enumerate(files):
        try:
            pixels = change(read_rgb(path))
        except ImageError as error:
            unreadable.append((path, error))
        else:
            levels = classify_at_noise(
                classifier, pixels, sigmas, seed=seed, source=str(path), index=index, truth=truth, noise_at=noise_at
            )
            verdicts.extend(levels)
        on_image()
    return verdicts, unreadable


def metrics_by_sigma(verdicts: Iterable[ImageVerdict], classes: Classes) -> list[NoiseMetrics]:
    """Metrics at each noise level, over the verdicts whose truth is known; levels without any are left out."""
    levels: dict[float, list[ImageVerdict]] = {}
    for item in verdicts:
        if item.truth is not None:
            levels.setdefault(item.sigma, []).append(item)
    rows = []
    for sigma, items in levels.items():
        truth = [item.truth for item in items if item.truth is not None]
        metrics = compute_metrics(
            truth, [item.verdict.index for item in items], np.array([item.verdict.probabilities for item in items]), classes
        )
        reached = pooled_sigma(item.effective_sigma for item in items)
        rows.append(NoiseMetrics(sigma=sigma, effective_sigma=reached, **dict(metrics)))
    return rows


def result_row(row: NoiseMetrics, classes: Classes, latency_ms: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """One noise level as every JSON has it: its metrics, verdicts by label, latency, and why they are no better than a guess."""
    predicted = [sum(column) for column in zip(*row.confusion, strict=True)]
    by_label = dict(zip((*classes.labels, ABSTAIN), (*predicted, row.abstained), strict=True))
    useless = no_better_than_guessing(np.array(row.confusion), classes)
    return row.model_dump() | {"by_label": by_label, "latency_ms": latency_ms, "no_better_than_guessing": useless}


def latency_summary(verdicts: Sequence[Verdict], stages: Sequence[str] = STAGES) -> dict[str, dict[str, float]]:
    """p50, p90, p99 and mean of each stage, milliseconds; empty without verdicts."""
    if not verdicts:
        return {}
    summary = {}
    for stage in stages:
        times = np.array([getattr(verdict.latency, stage) for verdict in verdicts])
        p50, p90, p99 = np.percentile(times, [50, 90, 99])
        values = {"p50": p50, "p90": p90, "p99": p99, "mean": times.mean()}
        summary[stage] = {name: round(float(value), 4) for name, value in values.items()}
    return summary
