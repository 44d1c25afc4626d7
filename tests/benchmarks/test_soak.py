import json

import pytest
from fakes import a_frame

from leukolite.benchmarks.soak import Soak, Window, Windows
from leukolite.cli import main as leukolite
from leukolite.edge.events import FrameResult
from leukolite.edge.field.exclusion import Exclusion, ExclusionKind
from leukolite.edge.host.health import Health
from leukolite.runtime import RuntimeInfo

SECOND = 1_000_000_000
RUNTIME = RuntimeInfo(name="litert", version="2", threads=1)


def window(p99: float, memory: float | None) -> Window:
    return Window(1.0, 10, 0, {"p50": 1.0, "p90": 1.0, "p99": p99, "mean": 1.0}, memory)


def soak(*windows: Window) -> Soak:
    return Soak("m", RUNTIME, 60.0, windows, None)


def test_growth_is_counted_from_the_end_of_the_first_window():
    assert soak(window(9, 90.0), window(9, 97.0), window(9, 93.5)).memory_growth_mb == 3.5
    assert soak(window(9, None), window(9, 97.0)).memory_growth_mb is None
    assert soak(window(9, 90.0)).memory_growth_mb is None


def test_drift_is_later_over_earlier_without_the_first_window():
    assert soak(window(99, 1), window(10, 1), window(10, 1), window(20, 1), window(30, 1)).p99_drift == 2.5
    assert soak(window(99, 1), window(10, 1)).p99_drift is None


def record(age_ms: float, excluded: Exclusion | None = None) -> FrameResult:
    return FrameResult(a_frame(0), (), excluded, None, age_ms, 0.0, 2, RUNTIME, Health(), 0.0)


def test_windows_keep_to_their_grid_and_forget_what_was_in_them():
    now = 0
    sink = Windows(10, lambda: 50.0, lambda: now)
    for second, age in ((1, 5.0), (9, 5.0), (12, 5.0), (13, 50.0), (21, 50.0), (25, 50.0)):
        now = second * SECOND
        sink.take(record(age))
    sink.close()
    assert [(closed.seconds, closed.frames, closed.skipped) for closed in sink.closed] == [(12.0, 3, 6), (21.0, 2, 4)]
    assert [closed.age_ms["p50"] for closed in sink.closed] == pytest.approx([5.0, 50.0], rel=0.01)


@pytest.mark.parametrize(("seconds", "windows"), [(15, 1), (18.9, 1), (19.1, 2)])
def test_a_rest_counts_as_a_window_only_where_it_is_nearly_one(seconds, windows):
    now = 0.0
    sink = Windows(10, lambda: None, lambda: round(now))
    for now in (1 * SECOND, 11 * SECOND, 12 * SECOND, seconds * SECOND):  # read by the clock
        if now < seconds * SECOND:
            sink.take(record(5.0))
    sink.close()
    assert len(sink.closed) == windows


def test_excluded_frames_have_no_verdict_and_no_age():
    sink = Windows(10, lambda: None, lambda: 0)
    sink.take(record(5.0))
    sink.take(record(500.0, Exclusion.of(ExclusionKind.TOO_OLD, "500 ms, at most 100 ms")))
    sink.close()
    assert [closed.frames for closed in sink.closed] == [1]


def test_the_command_runs_the_live_camera_and_writes_every_window(call, tmp_path):
    out = tmp_path / "soak.json"
    result = call(leukolite, "soak", "synthetic-cells", "--minutes", 0.05, "--rate", 30, "--windows", 3, "--json", out)
    assert result.exit_code == 0, result.output
    content = json.loads(out.read_text())
    assert content["schema"] == {"name": "soak", "version": 2}
    assert content["runtime"].keys() == {"name", "version", "threads", "delegate"}
    assert 2 <= len(content["windows"]) <= 3  # a busy machine may stall for a whole second
    assert content["frames"] == sum(window["frames"] for window in content["windows"]) > 10
    assert all(window["memory_mb"] > 10 for window in content["windows"])
    assert "memory growth" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_a_missing_bundle_is_refused(refuses, tmp_path):
    assert "no such bundle" in refuses(leukolite, "soak", tmp_path / "nowhere", "--json", tmp_path / "soak.json")
    assert list(tmp_path.iterdir()) == []
