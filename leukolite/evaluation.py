"""Many verdicts in one view: accuracy at each noise level beside the latency it took."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leukolite.classifier import Classifier, Verdict
from leukolite.errors import ImageError
from leukolite.images import read_rgb
from leukolite.manifest import NoiseMetrics
from leukolite.metrics import measure, positive_label
from leukolite.noise import add_gaussian_noise, noise_rng

LATENCY_STAGES = ("capture", "preprocess", "invoke", "total")


@dataclass(frozen=True, slots=True)
class ImageVerdict:
    """One verdict in its place.

    Attributes:
        source: the frame's file, camera or video.
        index: the frame's number in its source, from 0.
        sigma: standard deviation of the noise added, grey levels.
        truth: label index, where it is known.
    """

    source: str
    index: int
    sigma: float
    truth: int | None
    verdict: Verdict


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
) -> Iterator[ImageVerdict]:
    """One verdict a noise level on one capture, uint8 RGB; the noise is added at its native resolution."""
    for sigma in sigmas:
        noisy = add_gaussian_noise(pixels, sigma, noise_rng(seed, index, sigma)) if sigma else pixels
        yield ImageVerdict(source, index, sigma, truth, classifier(noisy, capture_ms=capture_ms))


def evaluate_files(
    classifier: Classifier,
    files: Sequence[tuple[Path, int]],
    sigmas: Sequence[float],
    *,
    seed: int,
    change: Callable[[np.ndarray], np.ndarray] = lambda pixels: pixels,
    on_image: Callable[[], None] = lambda: None,
) -> tuple[list[ImageVerdict], list[tuple[Path, ImageError]]]:
    """Judge labelled image files at every noise level.

    Args:
        files: each path with its label index.
        change: what is done to each capture, uint8 RGB, before the noise; nothing by default.
        on_image: called after each file, for a progress bar.

    Returns:
        The verdicts, files outermost, and the files that could not be read.
    """
    judged: list[ImageVerdict] = []
    unreadable: list[tuple[Path, ImageError]] = []
    for index, (path, truth) in enumerate(files):
        try:
            pixels = change(read_rgb(path))
        except ImageError as error:
            unreadable.append((path, error))
        else:
            judged.extend(classify_at_noise(classifier, pixels, sigmas, seed=seed, source=str(path), index=index, truth=truth))
        on_image()
    return judged, unreadable


def metrics_by_sigma(judged: Iterable[ImageVerdict], labels: Sequence[str], malignant: Sequence[str]) -> list[NoiseMetrics]:
    """Metrics at each noise level, over the verdicts whose truth is known; levels without any are left out."""
    levels: dict[float, list[ImageVerdict]] = {}
    for item in judged:
        if item.truth is not None:
            levels.setdefault(item.sigma, []).append(item)
    positive = positive_label(labels, malignant)
    rows = []
    for sigma, items in levels.items():
        truth = [item.truth for item in items if item.truth is not None]
        metrics = measure(
            truth,
            [item.verdict.index for item in items],
            np.array([item.verdict.probabilities for item in items]),
            labels,
            positive,
        )
        rows.append(NoiseMetrics(sigma=sigma, **dict(metrics)))
    return rows


def latency_summary(verdicts: Sequence[Verdict], stages: Sequence[str] = LATENCY_STAGES) -> dict[str, dict[str, float]]:
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
