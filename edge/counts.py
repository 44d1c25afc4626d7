"""The one count of a session, which page, summary, closing table and JSON read: as large after a million frames as after one.

It is counted from the pipeline's events, or from a journal's records, with the same figures.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from leukolite.classes import Classes
from leukolite.classifier import STAGES, Latency
from leukolite.decision import ABSTAIN
from leukolite.edge.camera.source import Gap, Note
from leukolite.edge.ending import Ending
from leukolite.edge.events import Event, FrameResult, SessionEnd
from leukolite.edge.field.exclusion import NO_WHITE_CELL, ExclusionKind
from leukolite.edge.host.health import Health
from leukolite.metrics import ClassMetrics, class_metrics, wilson_interval
from leukolite.runtime import RuntimeInfo

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

    def join(self, other: "LatencyHistogram") -> None:
        """Add all that another one holds."""
        self._counts = [mine + theirs for mine, theirs in zip(self._counts, other._counts, strict=True)]
        self._sum += other._sum
        self.n += other.n

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


@dataclass(frozen=True, slots=True)
class CountedRegion:
    """What is counted of a region: its verdict's label and latency, or the kind of its exclusion."""

    sigma: float
    label: str | None
    excluded: ExclusionKind | None
    latency: Latency | None


@dataclass
class SlideCounts:
    """One slide's counts, at the session's first noise level.

    Attributes:
        slide: salted id; None where none was given.
        frames: frames with a result, excluded ones among them; `excluded_frames` of them were refused whole.
        predicted: verdicts by label and 'abstain'.
        excluded: whole frames and regions without a verdict, by kind.
        skipped: frames of a live camera that a newer one overtook; `gaps`: frames that were not available.
    """

    slide: str | None
    frames: int = 0
    excluded_frames: int = 0
    predicted: Counter[str] = field(default_factory=Counter)
    excluded: Counter[ExclusionKind] = field(default_factory=Counter)
    skipped: int = 0
    gaps: int = 0

    def copy(self) -> "SlideCounts":
        return SlideCounts(
            self.slide,
            self.frames,
            self.excluded_frames,
            Counter(self.predicted),
            Counter(self.excluded),
            self.skipped,
            self.gaps,
        )

    def join(self, other: "SlideCounts") -> None:
        self.frames += other.frames
        self.excluded_frames += other.excluded_frames
        self.predicted += other.predicted
        self.excluded += other.excluded
        self.skipped += other.skipped
        self.gaps += other.gaps


class SessionCounts:
    """Counts a session's events. A `Sink`.

    Args:
        classes: of the model.
        sigmas: noise levels; slides are counted at the first of them.
        slide: salted id of the slide that lies under the lens at the start.

    Attributes:
        slides: in their order; the last one is under the lens.
        verdicts: one per region and noise level, abstentions among them.
        throttled: frames while the machine was throttled; `throttle_known`: frames of which the machine could tell.
        first_gap: the first frame that was not available.
        conditions: of the machine, all that occurred.
        runtimes: all that computed, in their order.
        happened: what was done to the session or happened to it, by name.
    """

    def __init__(self, classes: Classes, sigmas: Iterable[float] = (0.0,), slide: str | None = None) -> None:
        self._classes, self._first_sigma = classes, next(iter(sigmas))
        self.slides = [SlideCounts(slide)]
        self.verdicts = self.throttled = self.throttle_known = 0
        self.hottest_c: float | None = None
        self.conditions: set[str] = set()
        self.runtimes: dict[RuntimeInfo, None] = {}
        self._last_runtime: RuntimeInfo | None = None
        self.happened: Counter[str] = Counter()
        self.first_gap: Gap | None = None
        self._latency: dict[float, dict[str, LatencyHistogram]] = {}
        self._age = LatencyHistogram()
        self._confusion: dict[float, np.ndarray] = {}

    @property
    def slide(self) -> SlideCounts:
        """The one under the lens."""
        return self.slides[-1]

    @property
    def frames(self) -> int:
        """Frames with a result, excluded ones among them."""
        return sum(slide.frames for slide in self.slides)

    @property
    def excluded_frames(self) -> int:
        return sum(slide.excluded_frames for slide in self.slides)

    @property
    def skipped(self) -> int:
        return sum(slide.skipped for slide in self.slides)

    @property
    def gaps(self) -> int:
        return sum(slide.gaps for slide in self.slides)

    @property
    def excluded(self) -> Counter[ExclusionKind]:
        return sum((slide.excluded for slide in self.slides), Counter[ExclusionKind]())

    @property
    def predicted(self) -> dict[str, int]:
        """Verdicts by label and 'abstain', at the first noise level; labels that never came are 0."""
        total = sum((slide.predicted for slide in self.slides), Counter[str]())
        return {label: total[label] for label in (*self._classes.labels, ABSTAIN)}

    def take(self, event: Event) -> None:
        match event:
            case FrameResult():
                self.add_frame(
                    regions=[
                        CountedRegion(
                            region.sigma,
                            None if region.verdict is None else region.verdict.label,
                            None if region.excluded is None else region.excluded.kind,
                            None if region.verdict is None else region.verdict.latency,
                        )
                        for region in event.regions
                    ],
                    excluded=None if event.excluded is None else event.excluded.kind,
                    truth=event.truth,
                    age_ms=event.age_ms,
                    skipped=event.skipped,
                    throttled=event.health.throttled,
                    temperature_c=event.health.temperature_c,
                    runtime=event.runtime,
                )
            case Gap():
                self.add_gap()
                self.first_gap = self.first_gap or event
            case Note():
                self.add_happening(event.event, event.slide)
            case Health():
                self.add_health(event.conditions, event.temperature_c)
            case SessionEnd():
                pass  # the session's own state says how it ended

    def close(self) -> None:
        pass

    def add_frame(
        self,
        *,
        regions: Iterable[CountedRegion],
        excluded: ExclusionKind | None,
        truth: int | None,
        age_ms: float,
        skipped: int,
        throttled: bool | None,
        temperature_c: float | None,
        runtime: RuntimeInfo,
    ) -> None:
        """Count a frame; the arguments are those of a `FrameResult`."""
        slide = self.slide
        slide.frames += 1
        slide.skipped += skipped
        self.throttled += throttled is True
        self.throttle_known += throttled is not None
        self._note_temperature(temperature_c)
        if runtime is not self._last_runtime:  # hashed once, not for every frame
            self.runtimes[runtime] = None
            self._last_runtime = runtime
        if excluded is not None:
            slide.excluded_frames += 1
            slide.excluded[excluded] += 1
            return
        self._age.add(age_ms)
        has_any = has_first = False
        for region in regions:
            self._add_region(region, truth, slide)
            has_any, has_first = True, has_first or region.sigma == self._first_sigma
        if has_any and not has_first:  # noise hid what was found at another level
            slide.excluded[NO_WHITE_CELL.kind] += 1

    def add_gap(self) -> None:
        """Count a frame that was not available."""
        self.slide.gaps += 1

    def add_happening(self, name: str, slide: str | None = None) -> None:
        """Count something that was done to the session; a new slide is counted by itself from then on."""
        self.happened[name] += 1
        if name == "new slide":
            self.slides.append(SlideCounts(slide))

    def add_health(self, conditions: Iterable[str], temperature_c: float | None) -> None:
        self.conditions.update(conditions)
        self._note_temperature(temperature_c)

    def join(self, later: "SessionCounts") -> None:
        """Add what was counted after this: its first slide is this one's last."""
        first, *others = later.slides
        self.slide.join(first)
        self.slides += others
        self.verdicts += later.verdicts
        self.throttled += later.throttled
        self.throttle_known += later.throttle_known
        self._note_temperature(later.hottest_c)
        self.conditions |= later.conditions
        self.runtimes |= later.runtimes
        self.happened += later.happened
        self.first_gap = self.first_gap or later.first_gap
        self._age.join(later._age)
        for sigma, stages in later._latency.items():
            mine = self._stages(sigma)
            for stage, histogram in stages.items():
                mine[stage].join(histogram)
        for sigma, confusion in later._confusion.items():
            self._confusion[sigma] = self._confusion.get(sigma, 0) + confusion

    def rates(self) -> list[Rates]:
        """Of each noise level that met a known truth."""
        labels, positive = self._classes.labels, self._classes.positive
        found = []
        for sigma, confusion in self._confusion.items():
            n, correct = int(confusion.sum()), int(np.trace(confusion))
            k = None if positive is None else labels.index(positive)
            row = None if k is None else class_metrics(confusion, k, labels[k], None)
            found.append(Rates(sigma, n, correct / n if n else None, wilson_interval(correct, n), row))
        return found

    def latency_ms(self, sigma: float | None = None) -> dict[str, dict[str, float]]:
        """p50, p90, p99 and mean of each stage of every verdict, and of the frames' age at their last verdict; milliseconds.

        Args:
            sigma: of one noise level, without the age; None: of all together. Empty without verdicts.
        """
        levels = [stages for level, stages in self._latency.items() if sigma in (None, level)]
        if not levels:
            return {} if sigma is not None or not self._age.n else {"age": self._age.summary()}
        together = {stage: LatencyHistogram() for stage in STAGES}
        for stages in levels:
            for stage, histogram in stages.items():
                together[stage].join(histogram)
        summary = {stage: histogram.summary() for stage, histogram in together.items()}
        return summary if sigma is not None else summary | {"age": self._age.summary()}

    def to_json(self) -> dict[str, Any]:
        """The counts as every JSON has them."""
        return {
            "frames": self.frames,
            "excluded_frames": self.excluded_frames,
            "verdicts": self.verdicts,
            "gaps": self.gaps,
            "skipped": self.skipped,
            "throttled": self.throttled if self.throttle_known else None,
            "by_label": self.predicted,
            "excluded": by_kind(self.excluded),
        }

    def _add_region(self, region: CountedRegion, truth: int | None, slide: SlideCounts) -> None:
        is_counted = region.sigma == self._first_sigma
        if region.label is None or region.latency is None:
            if is_counted:
                slide.excluded[region.excluded or ExclusionKind.OTHER] += 1
            return
        self.verdicts += 1
        stages = self._stages(region.sigma)
        for stage in STAGES:
            stages[stage].add(getattr(region.latency, stage))
        if is_counted:
            slide.predicted[region.label] += 1
        if truth is not None:
            size = len(self._classes.labels)
            confusion = self._confusion.setdefault(region.sigma, np.zeros((size, size), np.int64))
            if region.label != ABSTAIN:
                confusion[truth, self._classes.labels.index(region.label)] += 1

    def _stages(self, sigma: float) -> dict[str, LatencyHistogram]:
        if sigma not in self._latency:
            self._latency[sigma] = {stage: LatencyHistogram() for stage in STAGES}
        return self._latency[sigma]

    def _note_temperature(self, temperature_c: float | None) -> None:
        if temperature_c is not None:
            self.hottest_c = temperature_c if self.hottest_c is None else max(temperature_c, self.hottest_c)


def by_kind(excluded: Mapping[ExclusionKind, int]) -> dict[str, int]:
    """Exclusions by kind, the most frequent first."""
    return {str(kind): n for kind, n in sorted(excluded.items(), key=lambda item: -item[1])}


@dataclass(frozen=True)
class Session:
    """How a run of the edge runner went.

    Attributes:
        counts: of all its frames.
        unknown_truths: class folders that are none of the model's labels.
        seconds: wall clock, from the first frame asked for to the last verdict.
        ending: what ended it.
        stopped_by: who asked it to end early; None where nobody did.
        failure: what it failed by: a camera that was lost for good, a runtime that hung too often, a bug.
        runtime: what computed the last verdict.
        restarts: runtimes that were given up.
    """

    source: str
    counts: SessionCounts
    unknown_truths: tuple[str, ...]
    seconds: float
    ending: Ending
    stopped_by: str | None
    failure: BaseException | None
    runtime: RuntimeInfo
    restarts: int

    @property
    def verdicts_per_second(self) -> float:
        return round(self.counts.verdicts / self.seconds, 2) if self.seconds > 0 else 0.0
