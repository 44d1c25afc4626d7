"""What the edge runner adds to bare inference: the runner's loop against `invoke()` alone, in turns, in one process."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leukolite.classifier import Classifier
from leukolite.edge.camera.source import Frame, Gap, Items
from leukolite.edge.classify import FrameProcessing
from leukolite.edge.events import Event, FrameResult
from leukolite.edge.field.quality import square_gate
from leukolite.edge.field.view import Treatment
from leukolite.edge.host.health import HealthMonitor, read_health
from leukolite.edge.host.watchdog import RestartPolicy, WatchedRuntime, open_watched_classifier
from leukolite.edge.pipeline import run
from leukolite.preprocess import Kernel, to_batch
from leukolite.runtime import Runtime, RuntimeInfo, RuntimeOptions
from leukolite.shipped import open_bundle
from leukolite.synthetic import LABELS, render_cell

DISTINCT_FRAMES, DISTINCT_PIXELS = 32, 20_000_000  # the fewer, the larger
SCHEMA = {"name": "overhead", "version": 2}  # 2: gate and classifier apart from the loop; 1: first


@dataclass(frozen=True)
class Overhead:
    """Median milliseconds per frame of each round, on the same frames.

    Attributes:
        frame: width and height, pixels.
        kernel: that shrinks the frames.
        invoke_ms: `invoke()` alone.
        classify_ms: the frame shrunk once, the quality gate, the classifier.
        runner_ms: edge-run's whole loop, capture and sinks left out.
    """

    model: str
    runtime: RuntimeInfo
    frame: tuple[int, int]
    kernel: str
    frames_per_round: int
    invoke_ms: tuple[float, ...]
    classify_ms: tuple[float, ...]
    runner_ms: tuple[float, ...]

    @property
    def classify_ratio(self) -> float:
        """Median over the rounds of gate and classifier / invoke; 1.0 would be no overhead at all."""
        return float(np.median(np.array(self.classify_ms) / np.array(self.invoke_ms)))

    @property
    def ratio(self) -> float:
        """Median over the rounds of runner / invoke."""
        return float(np.median(np.array(self.runner_ms) / np.array(self.invoke_ms)))

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            **asdict(self),
            "runtime": self.runtime.model_dump(),
            "classify_ratio": self.classify_ratio,
            "ratio": self.ratio,
        }


class _Memory:
    """Frames that are in memory already, so that nothing but the runner is timed."""

    name = "memory"
    truths: tuple[str, ...] = LABELS
    live = False

    def __init__(self, pictures: list[np.ndarray], count: int) -> None:
        self._pictures, self._count = pictures, count

    def frames(self) -> Items:
        for index in range(self._count):
            yield Frame(self._pictures[index % len(self._pictures)], index, time.perf_counter_ns(), 0.0, "memory", LABELS[0])


def measure_overhead(
    path: Path,
    options: RuntimeOptions,
    *,
    rounds: int,
    frames: int,
    size: tuple[int, int],
    kernel: Kernel | None = None,
    on_round: Callable[[], None] = lambda: None,
) -> Overhead:
    """Time bare `invoke()`, gate and classifier, and the runner's loop in alternating rounds on synthetic frames.

    Args:
        frames: frames per round.
        size: width and height of the frames in pixels.
        kernel: shrinks the frames in the place of the bundle's own; None: its own.

    Raises:
        BundleError: the bundle is not whole.
    """
    bundle = open_bundle(path)
    watched = open_watched_classifier(bundle, options, answer_s=RestartPolicy().answer_s)
    assert isinstance(watched.runtime, WatchedRuntime)
    manifest, bare = bundle.manifest, watched.runtime.watched
    spec = manifest.input if kernel is None else manifest.input.model_copy(update={"kernel": kernel})
    classifier = Classifier(watched.runtime, manifest.classes, spec, decision=manifest.decision)
    treatment = Treatment(classifier.shrink, square_gate(manifest, rendered=True))
    pictures = _pictures(size, classifier, treatment)
    batches = [to_batch(classifier.shrink(picture), classifier.table) for picture in pictures]
    _time_invoke(bare, batches, frames)
    invoke, classify, runner = [], [], []
    for _ in range(rounds):
        invoke.append(_time_invoke(bare, batches, frames))
        classify.append(_time_classify(classifier, treatment, pictures, frames))
        runner.append(_time_runner(classifier, treatment, pictures, frames))
        on_round()
    return Overhead(
        model=manifest.name,
        runtime=bare.info,
        frame=size,
        kernel=spec.kernel,
        frames_per_round=frames,
        invoke_ms=tuple(invoke),
        classify_ms=tuple(classify),
        runner_ms=tuple(runner),
    )


def _pictures(size: tuple[int, int], classifier: Classifier, treatment: Treatment) -> list[np.ndarray]:
    """Rendered frames that the gate lets pass, so that each is classified; as many as there are of `DISTINCT_FRAMES`."""
    width, height = size
    count = max(4, min(DISTINCT_FRAMES, DISTINCT_PIXELS // (width * height)))
    pictures = []
    for i in range(count):
        cell = render_cell(np.random.default_rng(i), LABELS[i % 2], size=min(width, height))
        rest = (max(height - cell.shape[0], 0), max(width - cell.shape[1], 0))
        pads = [(part // 2, part - part // 2) for part in rest]
        pictures.append(np.ascontiguousarray(np.pad(cell, (*pads, (0, 0)), mode="reflect")))
    return [picture for picture in pictures if treatment.inspect(picture, time.perf_counter_ns).excluded is None] or pictures


class _Ends:
    """A sink that reads the clock when a frame's record comes."""

    def __init__(self) -> None:
        self.times: list[int] = []

    def take(self, event: Event) -> None:
        if isinstance(event, FrameResult):
            self.times.append(time.perf_counter_ns())
        elif isinstance(event, Gap):
            raise AssertionError(f"frames in memory have no gaps: {event}")

    def close(self) -> None:
        pass


def _time_classify(classifier: Classifier, treatment: Treatment, pictures: list[np.ndarray], frames: int) -> float:
    times = []
    for index in range(frames):
        picture = pictures[index % len(pictures)]
        started = time.perf_counter_ns()
        inspection = treatment.inspect(picture, time.perf_counter_ns)
        if inspection.excluded is None and inspection.square is not None:
            classifier.classify(inspection.square)
        times.append(time.perf_counter_ns() - started)
    return float(np.median(times)) / 1e6


def _time_runner(classifier: Classifier, treatment: Treatment, pictures: list[np.ndarray], frames: int) -> float:
    """Median time between one verdict and the next, milliseconds."""
    ends = _Ends()
    run(
        _Memory(pictures, frames),
        classifier,
        [ends],
        FrameProcessing(lambda pixels: treatment),
        health=HealthMonitor(read_health, time.perf_counter_ns),
    )
    return float(np.median(np.diff(ends.times))) / 1e6


def _time_invoke(runtime: Runtime, batches: list[np.ndarray], frames: int) -> float:
    times = []
    for index in range(frames):
        started = time.perf_counter_ns()
        runtime.invoke(batches[index % len(batches)])
        times.append(time.perf_counter_ns() - started)
    return float(np.median(times)) / 1e6
