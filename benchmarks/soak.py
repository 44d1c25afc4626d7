"""Does a session stay as it began? The runner on the live synthetic camera for long: age of the verdicts, and memory."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leukolite.classifier import Classifier
from leukolite.edge.camera.synthetic import SyntheticCamera
from leukolite.edge.classify import FrameProcessing
from leukolite.edge.control import Control
from leukolite.edge.counts import LatencyHistogram
from leukolite.edge.events import Event, FrameResult
from leukolite.edge.field.quality import square_gate
from leukolite.edge.field.view import Treatment
from leukolite.edge.host.health import Health, HealthMonitor, read_health
from leukolite.edge.host.watchdog import RestartPolicy, open_watched_classifier
from leukolite.edge.pipeline import Limits, run
from leukolite.edge.report.console import Console
from leukolite.errors import LeukoliteError
from leukolite.runtime import RuntimeInfo, RuntimeOptions
from leukolite.shipped import open_bundle

MEMORY_GROWTH_GOAL_MB = 5.0
SCHEMA = {"name": "soak", "version": 2}  # 2: runtime as everywhere; 1: first


@dataclass(frozen=True)
class Window:
    """A stretch of the session.

    Attributes:
        seconds: since the start, at its end.
        frames, skipped: classified, and overtaken by a newer one.
        age_ms: p50, p90, p99 and mean of frame to verdict.
        memory_mb: resident, at its end; None where the machine does not tell.
    """

    seconds: float
    frames: int
    skipped: int
    age_ms: dict[str, float]
    memory_mb: float | None


@dataclass(frozen=True)
class Soak:
    """A long session in windows. The first holds the warm-up: growth and drift are counted from its end."""

    model: str
    runtime: RuntimeInfo
    rate: float
    windows: tuple[Window, ...]
    stopped_by: str | None

    @property
    def frames(self) -> int:
        return sum(window.frames for window in self.windows)

    @property
    def memory_growth_mb(self) -> float | None:
        """Between the ends of the first and the last window; None without two readings."""
        first, last = self.windows[0].memory_mb, self.windows[-1].memory_mb
        return None if first is None or last is None or len(self.windows) < 2 else last - first

    @property
    def p99_drift(self) -> float | None:
        """Median p99 of the later half of the windows over that of the earlier half; 1.0 is steady. The first is left out."""
        p99 = [window.age_ms["p99"] for window in self.windows[1:]]
        half = len(p99) // 2
        return float(np.median(p99[-half:]) / np.median(p99[:half])) if half else None

    def to_json(self) -> dict[str, Any]:
        derived = {"frames": self.frames, "memory_growth_mb": self.memory_growth_mb, "p99_drift": self.p99_drift}
        return {"schema": SCHEMA, **asdict(self), "runtime": self.runtime.model_dump(), **derived}


class Windows:
    """A sink that closes a window every `width_s`, and forgets what was in it but its figures."""

    def __init__(self, width_s: float, memory_mb: Callable[[], float | None], clock: Callable[[], int]) -> None:
        self._width_ns, self._memory_mb, self._clock = round(width_s * 1e9), memory_mb, clock
        self._started = self._opened = clock()
        self._age, self._skipped = LatencyHistogram(), 0
        self.closed: list[Window] = []

    def take(self, event: Event) -> None:
        if isinstance(event, FrameResult) and event.excluded is None:
            self._age.add(event.age_ms)
            self._skipped += event.skipped
        if self._clock() - self._opened >= self._width_ns and self._age.n:
            self._close_window()

    def close(self) -> None:
        nearly_full = self._clock() - self._opened >= 0.9 * self._width_ns
        if self._age.n and (nearly_full or not self.closed):  # a shorter rest is not to be compared with whole windows
            self._close_window()

    def _close_window(self) -> None:
        now = self._clock()
        seconds = (now - self._started) / 1e9
        self.closed.append(Window(round(seconds, 1), self._age.n, self._skipped, self._age.summary(), self._memory_mb()))
        self._opened += self._width_ns  # not `now`: the windows keep to the grid
        self._age, self._skipped = LatencyHistogram(), 0


def soak(
    path: Path,
    options: RuntimeOptions,
    *,
    minutes: float,
    rate: float,
    window_s: float,
    control: Control,
    on_second: Callable[[], None] = lambda: None,
) -> Soak:
    """Run the edge runner on the live synthetic camera.

    Args:
        rate: frames per second of the camera.
        window_s: seconds per window.
        on_second: called about once a second, for a progress bar.

    Raises:
        BundleError: the bundle is not whole.
        LeukoliteError: not one window was filled.
    """
    bundle = open_bundle(path)

    def read() -> Health:
        on_second()
        return read_health()

    def open_classifier() -> Classifier:
        return open_watched_classifier(bundle, options, answer_s=RestartPolicy().answer_s)

    classifier = open_classifier()
    camera = SyntheticCamera(bundle.manifest.unit, bundle.manifest.labels, seed=0, rate=rate)
    windows = Windows(window_s, _resident_mb, time.perf_counter_ns)
    monitor = HealthMonitor(read, time.perf_counter_ns, period_s=1.0)
    lines = Console(_nowhere, _nowhere)  # what a person would read is made, too
    treatment = Treatment(classifier.shrink, square_gate(bundle.manifest, rendered=True))
    limits, steps = Limits(seconds=60 * minutes), FrameProcessing(lambda pixels: treatment)
    session = run(camera, classifier, [windows, lines], steps, limits, control=control, health=monitor, reopen=open_classifier)
    if session.failure is not None:
        raise session.failure
    if not windows.closed:
        raise LeukoliteError(f"{bundle.manifest.name}: stopped before one window of {window_s:g} s was full; give it longer")
    return Soak(bundle.manifest.name, session.runtime, rate, tuple(windows.closed), session.stopped_by)


def _resident_mb() -> float | None:
    return read_health().memory_mb


def _nowhere(line: str) -> None:
    pass
