import sys

import numpy as np
import pytest
from fakes import a_frame
from hypothesis import given
from hypothesis import strategies as st

from leukolite.classifier import Latency, Verdict
from leukolite.edge.camera.source import Gap, Note
from leukolite.edge.counts import LatencyHistogram, SessionCounts
from leukolite.edge.events import FrameResult, RegionResult
from leukolite.edge.host.health import Health
from leukolite.evaluation import ImageVerdict, metrics_by_sigma
from leukolite.runtime import RuntimeInfo

LABELS = ("blast", "healthy")


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
    said: str | None, truth: int | None = None, *, sigma=0.0, excluded: str | None = None, skipped=0, health: Health | None = None
) -> FrameResult:
    verdict = None
    if said is not None:
        index = None if said == "abstain" else LABELS.index(said)
        verdict = Verdict(index, said, 0.9, np.array([0.9, 0.1] if index == 0 else [0.1, 0.9]), Latency(1, 2, 3, 6))
    regions = () if excluded else (RegionResult((0, 0, 8, 8), sigma, verdict, None if verdict else "debris (12 px)"),)
    runtime = RuntimeInfo("litert", "2", 1, None)
    return FrameResult(a_frame(0), regions, excluded, truth, 5.0, 0.5, skipped, runtime, health or Health(), 0.0)


def tally_of(*events: object) -> SessionCounts:
    tally = SessionCounts(LABELS, ("blast",))
    for event in events:
        tally.take(event)
    return tally


def test_everything_is_counted_once():
    tally = tally_of(
        record("blast", skipped=3),
        record("abstain"),
        record(None),
        record(None, excluded="too old (812 ms, at most 500 ms)"),
        record(None, excluded="too old (900 ms, at most 500 ms)"),
        Gap(5, "x", "dark"),
        Gap(6, "x", "dark"),
        Note("x", "reopened"),
        Health(throttle_mask=4),
    )
    assert (tally.frames, tally.verdicts, tally.gaps, tally.skipped) == (5, 2, 2, 3)
    assert tally.excluded == {"too old": 2, "debris": 1}
    assert tally.predicted_counts == {"blast": 1, "abstain": 1}
    assert tally.first_gap == Gap(5, "x", "dark")
    assert tally.age.n == 3


def test_the_rates_are_those_of_the_full_metrics():
    said = [("blast", 0), ("blast", 1), ("healthy", 1), ("healthy", 0), ("healthy", 1), ("abstain", 0), ("blast", None)]
    records = [record(label, truth) for label, truth in said]
    (rates,) = tally_of(*records).rates()
    judged = [ImageVerdict("x", 0, 0.0, one.truth, one.regions[0].verdict) for one in records]
    (full,) = metrics_by_sigma(judged, LABELS, ("blast",))
    assert (rates.n, rates.accuracy, rates.accuracy_interval) == (full.n, full.accuracy, full.accuracy_interval)
    assert (rates.positive.recall, rates.positive.specificity) == (full.recall, full.specificity)


def test_each_noise_level_has_its_own_rates():
    tally = tally_of(record("blast", 0), record("blast", 0, sigma=10.0), record("healthy", 0, sigma=10.0))
    assert [(rate.sigma, rate.accuracy) for rate in tally.rates()] == [(0.0, 1.0), (10.0, 0.5)]


def test_the_hottest_and_the_throttled_are_kept():
    hot = Health(temperature_c=81.0, throttle_mask=4)
    tally = tally_of(record("blast", health=hot), record("blast", health=Health(temperature_c=60.0)))
    assert (tally.hottest_c, tally.throttled) == (81.0, 1)


def size(tally: SessionCounts) -> int:
    counters = [tally.excluded, tally.predicted_counts, tally.latency, tally._confusion]
    return sum(sys.getsizeof(counter) for counter in counters) + sum(
        sys.getsizeof(times._counts) for times in tally.latency.values()
    )


def test_a_tally_is_as_large_after_many_frames_as_after_some():
    few, many = tally_of(*[record("blast", 0)] * 2), tally_of(*[record("blast", 0)] * 5000)
    assert size(few) == size(many)
    assert many.verdicts == 5000
