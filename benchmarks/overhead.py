"""What the edge runner adds to bare inference: the runner's loop against `invoke()` alone, in turns, in one process."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leukolite.bundle import Bundle
from leukolite.classifier import Classifier
from leukolite.edge.camera.source import Frame, Gap, Items
from leukolite.edge.events import Event, FrameResult
from leukolite.edge.field.quality import picture_gate
from leukolite.edge.field.view import QualityGate, Treatment
from leukolite.edge.host.health import HealthMonitor, read_health
from leukolite.edge.host.watchdog import RestartPolicy, WatchedRuntime, open_watched_classifier
from leukolite.edge.pipeline import FrameProcessing, run
from leukolite.preprocess import to_input
from leukolite.runtime import Runtime
from leukolite.synthetic import LABELS, render_cell

DISTINCT_FRAMES = 32


@dataclass(frozen=True)
class Overhead:
    """Median milliseconds a frame of each round: the runner's whole loop, and `invoke()` alone on the same inputs."""

    model: str
    runtime: str
    threads: int
    frame: tuple[int, int]
    frames_a_round: int
    runner_ms: tuple[float, ...]
    invoke_ms: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Median over the rounds of runner / invoke; 1.0 would be no overhead at all."""
        return float(np.median(np.array(self.runner_ms) / np.array(self.invoke_ms)))

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"ratio": self.ratio}


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


def measure_overhead(path: Path, *, threads: int, rounds: int, frames: int, size: int) -> Overhead:
    """Time the runner's loop and bare `invoke()` in alternating rounds on square synthetic frames.

    Args:
        frames: frames a round.
        size: side of the frames in pixels.

    Raises:
        BundleError: the bundle is not whole.
    """
    bundle = Bundle.load(path)
    classifier = open_watched_classifier(bundle, threads=threads, answer_s=RestartPolicy().answer_s)
    assert isinstance(classifier.runtime, WatchedRuntime)
    bare_runtime = classifier.runtime.watched
    pictures = [render_cell(np.random.default_rng(i), LABELS[i % 2], size=size) for i in range(DISTINCT_FRAMES)]
    batches = [to_input(picture, classifier.spec, classifier.table) for picture in pictures]
    gate = picture_gate(bundle.manifest, rendered=True)
    _time_invoke(bare_runtime, batches, frames)
    runner, bare = [], []
    for _ in range(rounds):
        bare.append(_time_invoke(bare_runtime, batches, frames))
        runner.append(_time_runner(classifier, gate, pictures, frames))
    return Overhead(
        model=bundle.manifest.name,
        runtime=f"{classifier.runtime.name} {classifier.runtime.version}",
        threads=threads,
        frame=(size, size),
        frames_a_round=frames,
        runner_ms=tuple(runner),
        invoke_ms=tuple(bare),
    )


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


def _time_runner(classifier: Classifier, gate: QualityGate | None, pictures: list[np.ndarray], frames: int) -> float:
    """Median time between one verdict and the next, milliseconds."""
    ends = _Ends()
    run(
        _Memory(pictures, frames),
        classifier,
        [ends],
        FrameProcessing(lambda pixels: Treatment(gate)),
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
