"""What a session amounts to, in counters: as large after a million frames as after one."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leukolite.classifier import Latency
from leukolite.edge.camera.source import Gap, Note
from leukolite.edge.events import Event, FrameResult
from leukolite.edge.field.view import kind_of
from leukolite.edge.host.health import Health
from leukolite.evaluation import LATENCY_STAGES
from leukolite.metrics import ClassMetrics, class_metrics, positive_label, wilson_interval

_LOWEST_MS, _STEP, _BINS = 1e-3, 1.01, 2100  # 1 microsecond to 20 minutes
_LOG_STEP = math.log(_STEP)


class LatencyHistogram:
    """Percentiles of a stream of milliseconds, within 0.5%, from a histogram with steps of 1%."""

    def __init__(self) -> None:
        self._counts = [0] * _BINS  # counted up one by one, ten times faster than an array's elements
        self._sum = 0.0
        self.n = 0

    def add(self, ms: float) -> None:
        place = int(math.log(ms / _LOWEST_MS) / _LOG_STEP) if ms > _LOWEST_MS else 0
        self._counts[min(place, _BINS - 1)] += 1
        self._sum += ms
        self.n += 1

    def percentile(self, percent: float) -> float:
        """The least time that `percent` of them do not exceed, within 0.5%; nan without any."""
        if self.n == 0:
            return math.nan
        place = int(np.searchsorted(np.cumsum(self._counts), math.ceil(self.n * percent / 100)))
        return _LOWEST_MS * _STEP ** (place + 0.5)

    @property
    def mean(self) -> float:
        return self._sum / self.n if self.n else math.nan

    def summary(self) -> dict[str, float]:
        """p50, p90, p99 and mean, milliseconds."""
        values = {"p50": self.percentile(50), "p90": self.percentile(90), "p99": self.percentile(99), "mean": self.mean}
        return {name: round(value, 4) for name, value in values.items()}


@dataclass(frozen=True)
class Rates:
    """How often the verdicts at one noise level were right; the counts are exact.

    Attributes:
        n: verdicts whose truth is known; abstentions are not among them.
        positive: of the positive class where there are two; None for more.
    """

    sigma: float
    n: int
    accuracy: float | None
    accuracy_interval: tuple[float, float] | None
    positive: ClassMetrics | None


class SessionCounts:
    """Counts a session's events. A `Sink`.

    Attributes:
        frames: frames with a record, excluded ones among them.
        verdicts: one an area and noise level, abstentions among them.
        excluded: areas and whole frames without a verdict, by reason.
        labels_said: verdicts by label and 'abstain', at the first noise level.
        gaps: frames that could not be had; `first_gap` is the first of them.
        skipped: frames of a live camera that a newer one overtook.
        throttled: frames judged while the machine was throttled.
        latency: by stage, of every verdict.
        locate: of every frame, quality gates and finding cells; `age`: from sensor to verdict.
    """

    def __init__(self, labels: Sequence[str], malignant: Sequence[str]) -> None:
        self._labels, self._malignant = labels, malignant
        self.frames = self.verdicts = self.gaps = self.skipped = self.throttled = 0
        self.excluded: Counter[str] = Counter()
        self.predicted_counts: Counter[str] = Counter()
        self.first_gap: Gap | None = None
        self.latency = {stage: LatencyHistogram() for stage in LATENCY_STAGES}
        self.age, self.locate = LatencyHistogram(), LatencyHistogram()
        self.hottest_c: float | None = None
        self._confusion: dict[float, np.ndarray] = {}

    def take(self, event: Event) -> None:
        match event:
            case FrameResult():
                self._count(event)
            case Gap():
                self.gaps += 1
                self.first_gap = self.first_gap or event
            case Note() | Health():
                pass

    def close(self) -> None:
        pass

    def rates(self) -> list[Rates]:
        """Of each noise level that met a known truth."""
        positive = positive_label(self._labels, self._malignant)
        found = []
        for sigma, confusion in self._confusion.items():
            n, correct = int(confusion.sum()), int(np.trace(confusion))
            k = None if positive is None else list(self._labels).index(positive)
            row = None if k is None else class_metrics(confusion, k, self._labels[k], None)
            found.append(Rates(sigma, n, correct / n if n else None, wilson_interval(correct, n), row))
        return found

    def latency_summary(self) -> dict[str, dict[str, float]]:
        """p50, p90, p99 and mean of each stage, milliseconds; empty without verdicts."""
        return {stage: times.summary() for stage, times in self.latency.items()} if self.verdicts else {}

    def _count(self, record: FrameResult) -> None:
        self.frames += 1
        self.skipped += record.skipped
        self.throttled += record.health.throttled is True
        if record.health.temperature_c is not None:
            self.hottest_c = max(record.health.temperature_c, self.hottest_c or -math.inf)
        if record.excluded is not None:
            self.excluded[kind_of(record.excluded)] += 1
            return
        self.age.add(record.age_ms)
        self.locate.add(record.locate_ms)
        for region in record.regions:
            if region.verdict is None:
                self.excluded[kind_of(region.excluded or "")] += 1
                continue
            self.verdicts += 1
            self._time(region.verdict.latency)
            if region.sigma == record.regions[0].sigma:
                self.predicted_counts[region.verdict.label] += 1
            if record.truth is not None:
                confusion = self._confusion.setdefault(region.sigma, np.zeros((len(self._labels),) * 2, np.int64))
                if region.verdict.index is not None:
                    confusion[record.truth, region.verdict.index] += 1

    def _time(self, latency: Latency) -> None:
        for stage, times in self.latency.items():
            times.add(getattr(latency, stage))
