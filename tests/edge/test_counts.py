import sys

import numpy as np
import pytest
from fakes import a_frame
from hypothesis import given
from hypothesis import strategies as st

from leukolite.classes import Classes
from leukolite.classifier import Latency, Verdict
from leukolite.edge.camera.source import Gap, Note
from leukolite.edge.counts import LatencyHistogram, SessionCounts
from leukolite.edge.events import FrameResult, RegionResult
from leukolite.edge.field.exclusion import Exclusion, ExclusionKind
from leukolite.edge.host.health import Health
from leukolite.evaluation import ImageVerdict, metrics_by_sigma
from leukolite.runtime import RuntimeInfo

LABELS = ("blast", "healthy")
CLASSES = Classes.of(LABELS, ("blast",))
SMALL = Exclusion.of(ExclusionKind.SMALL, "12 px")


@given(st.lists(st.floats(0.002, 1e6), min_size=1, max_size=300), st.sampled_from([50, 90, 99]))
def test_percentiles_are_within_half_a_percent(times, percent):
    counted = LatencyHistogram()
    for ms in times:
        counted.add(ms)
    exact = np.percentile(times, percent, method="inverted_cdf")
    assert counted.percentile(percent) == pytest.approx(exact, rel=0.0051)
    assert counted.mean == pytest.approx(np.mean(times))


@pytest.mark.parametrize("ms", [0.0, -1.0, 1e-9, 1e12])
def test_a_time_outside_the_histogram_is_counted_at_its_end(ms):
    times = LatencyHistogram()
    times.add(ms)
    assert times.n == 1
    assert times.percentile(99) > 0


def record(
    said: str | None,
    truth: int | None = None,
    *,
    sigma=0.0,
    excluded: Exclusion | None = None,
    skipped=0,
    health: Health | None = None,
) -> FrameResult:
    verdict = None
    if said is not None:
        index = None if said == "abstain" else LABELS.index(said)
        verdict = Verdict(index, said, 0.9, np.array([0.9, 0.1] if index == 0 else [0.1, 0.9]), Latency(1.0, 2.0, 3.0, 4.0))
    regions = () if excluded else (RegionResult((0, 0, 8, 8), sigma, verdict, None if verdict else SMALL),)
    runtime = RuntimeInfo(name="litert", version="2", threads=1)
    return FrameResult(a_frame(0), regions, excluded, truth, 5.0, 0.5, skipped, runtime, health or Health(), 0.0)


def counts_of(*events: object, sigmas=(0.0, 10.0)) -> SessionCounts:
    counts = SessionCounts(CLASSES, sigmas)
    for event in events:
        counts.take(event)
    return counts


def test_everything_is_counted_once():
    counts = counts_of(
        record("blast", skipped=3),
        record("abstain"),
        record(None),
        record(None, excluded=Exclusion.of(ExclusionKind.TOO_OLD, "812 ms, at most 500 ms")),
        record(None, excluded=Exclusion.of(ExclusionKind.TOO_OLD, "900 ms, at most 500 ms")),
        Gap(5, "x", "dark"),
        Gap(6, "x", "dark"),
        Note("x", "reopened"),
        Health(throttle_mask=4),
    )
    assert (counts.frames, counts.verdicts, counts.gaps, counts.skipped) == (5, 2, 2, 3)
    assert counts.excluded_frames == 2
    assert counts.excluded == {ExclusionKind.TOO_OLD: 2, ExclusionKind.SMALL: 1}
    assert counts.predicted == {"blast": 1, "healthy": 0, "abstain": 1}
    assert counts.first_gap == Gap(5, "x", "dark")
    assert counts._age.n == 3


def test_the_rates_are_those_of_the_full_metrics():
    said = [("blast", 0), ("blast", 1), ("healthy", 1), ("healthy", 0), ("healthy", 1), ("abstain", 0), ("blast", None)]
    records = [record(label, truth) for label, truth in said]
    (rates,) = counts_of(*records).rates()
    verdicts = [ImageVerdict("x", 0, 0.0, one.truth, one.regions[0].verdict) for one in records]
    (full,) = metrics_by_sigma(verdicts, CLASSES)
    assert (rates.n, rates.accuracy, rates.accuracy_interval) == (full.n, full.accuracy, full.accuracy_interval)
    assert (rates.positive.recall, rates.positive.specificity) == (full.recall, full.specificity)


def test_each_noise_level_has_its_own_rates():
    counts = counts_of(record("blast", 0), record("blast", 0, sigma=10.0), record("healthy", 0, sigma=10.0))
    assert [(rate.sigma, rate.accuracy) for rate in counts.rates()] == [(0.0, 1.0), (10.0, 0.5)]


def test_a_frame_in_which_noise_hid_every_cell_is_an_empty_field_at_that_level():
    hidden = record("blast", 0, sigma=10.0)
    assert counts_of(hidden, sigmas=(0.0, 10.0)).excluded == {ExclusionKind.EMPTY: 1}
    assert counts_of(hidden, sigmas=(10.0, 0.0)).excluded == {}
    assert counts_of(hidden).excluded_frames == 0, "the frame has verdicts at another level"


def test_the_hottest_and_the_throttled_are_kept():
    hot = Health(temperature_c=81.0, throttle_mask=4)
    counts = counts_of(record("blast", health=hot), record("blast", health=Health(temperature_c=60.0)))
    assert (counts.hottest_c, counts.throttled) == (81.0, 1)


def size(counts: SessionCounts) -> int:
    histograms = [counts._age, *(histogram for stages in counts._latency.values() for histogram in stages.values())]
    slide, collections = counts.slide, [counts.slides, counts.happened, counts.conditions, counts.runtimes]
    collections += [slide.predicted, slide.excluded, counts._latency, counts._confusion]
    return sum(map(sys.getsizeof, [*collections, *(histogram._counts for histogram in histograms)]))


def test_counts_are_as_large_after_many_frames_as_after_some():
    few, many = counts_of(*[record("blast", 0)] * 2), counts_of(*[record("blast", 0)] * 5000)
    assert size(few) == size(many)
    assert many.verdicts == 5000
