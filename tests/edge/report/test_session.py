import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console as RichConsole

from leukolite.bundle import Bundle
from leukolite.classes import Classes
from leukolite.classifier import Latency, Verdict
from leukolite.edge.camera.source import Frame, Gap, Note
from leukolite.edge.counts import Session, SessionCounts
from leukolite.edge.ending import EndedBy, Ending, asked_by
from leukolite.edge.events import FrameResult, RegionResult, SessionEnd
from leukolite.edge.field.exclusion import Exclusion, ExclusionKind
from leukolite.edge.host.health import Health
from leukolite.edge.report.console import VERDICT_HEADER, Console, closing_tables, frame_lines
from leukolite.edge.report.results import ResultCollector, session_csv, session_json
from leukolite.errors import SourceError
from leukolite.runtime import RuntimeInfo
from leukolite.shipped import find_bundle

LABELS = ("blast", "healthy")
CLASSES = Classes.of(LABELS, ("blast",))
STAGES = {"capture", "locate", "preprocess", "invoke", "total"}
IDLE = RuntimeInfo(name="idle", version="1", threads=1)
SMALL = Exclusion.of(ExclusionKind.SMALL)


def too_old(age_ms: int) -> Exclusion:
    return Exclusion.of(ExclusionKind.TOO_OLD, f"{age_ms} ms")


def said(
    label: str | None, probability: float = 0.9, *, sigma=0.0, excluded: Exclusion = SMALL, box=(0, 0, 8, 8)
) -> RegionResult:
    """A verdict with latencies of an hour's digits, the widest that are to be expected."""
    if label is None:
        return RegionResult(box, sigma, None, excluded)
    k = None if label == "abstain" else LABELS.index(label)
    probabilities = np.array([probability, 1 - probability] if k == 0 else [1 - probability, probability])
    latency = Latency(capture=1234.5, locate=234.5, preprocess=123.4, invoke=2345.6)
    return RegionResult(box, sigma, Verdict(k, label, probability, probabilities, latency), None)


def record(
    *regions: RegionResult,
    source="slides/a.png",
    index=0,
    truth: str | None = None,
    excluded: Exclusion | None = None,
    **fields: object,
) -> FrameResult:
    frame = Frame(np.zeros((8, 8, 3), np.uint8), index, 0, 1234.5, source, truth)
    known = LABELS.index(truth.lower()) if truth and truth.lower() in LABELS else None
    health = Health(throttle_mask=4)
    made = FrameResult(frame, regions, excluded, known, 1999.9, 12.5, 0, IDLE, health, 1e9)
    return replace(made, **fields)


def session(*events: object, stopped_by: str | None = None) -> tuple[Session, ResultCollector]:
    frames = [event for event in events if isinstance(event, FrameResult)]
    sigmas = sorted({region.sigma for frame in frames for region in frame.regions} or {0.0})
    counts, kept = SessionCounts(CLASSES, sigmas), ResultCollector(LABELS, sigmas)
    for event in events:
        counts.take(event)
        kept.take(event)
    return Session("slides", counts, (), 2.0, asked_by(stopped_by or EndedBy.SOURCE), stopped_by, None, IDLE, 0), kept


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(find_bundle(Path("synthetic-cells")))


def as_json(content: tuple[Session, ResultCollector], bundle: Bundle) -> dict:
    """Through text and back, with every number a number of JSON."""
    return json.loads(json.dumps(session_json(*content, bundle, 0, {}), allow_nan=False))


def printed(content: Session) -> str:
    console = RichConsole(file=io.StringIO(), width=80)
    console.print(closing_tables(content))
    return console.file.getvalue()


# lines


@pytest.mark.parametrize("truth", [None, "blast", "healthy"])
@pytest.mark.parametrize("label", ["blast", "healthy", "abstain"])
def test_a_verdict_of_a_short_name_fits_80_columns(label, truth):
    noisy = [said("healthy", 0.501, sigma=255.0), said("abstain", 0.501, sigma=12.5)]
    for line in frame_lines(record(said(label), *noisy, truth=truth)).splitlines():
        assert len(line) <= 80


def test_the_header_has_the_width_of_its_columns():
    assert len(VERDICT_HEADER) <= 80


def test_a_long_name_is_cut_at_its_front_and_the_columns_stay():
    short, long = frame_lines(record(said("blast"))), frame_lines(record(said("blast"), source="x" * 90 + "end.png"))
    assert len(short) == len(long)
    assert "end.png" in long


def test_a_wrong_verdict_shows_the_truth_and_a_right_one_does_not():
    assert "truth healthy" in frame_lines(record(said("blast"), truth="healthy"))
    assert "truth" not in frame_lines(record(said("blast"), truth="Blast"))
    assert "truth" not in frame_lines(record(said("blast")))


def test_a_noise_level_shows_only_where_it_changed_the_verdict():
    changed = frame_lines(record(said("blast"), said("blast", sigma=5.0), said("healthy", sigma=10.0)))
    assert "sigma 10: healthy" in changed
    assert "sigma 5" not in changed


def test_an_excluded_frame_says_why_and_a_frame_of_several_cells_has_a_line_a_cell():
    assert frame_lines(record(excluded=too_old(9))).endswith("excluded: too old (9 ms)")
    lines = frame_lines(record(said("blast"), said(None), said("healthy"))).splitlines()
    words = ("3 cells, 1 excluded", "blast", "excluded: too small", "healthy")
    assert [word in line for word, line in zip(words, lines, strict=True)] == [True] * 4


def test_the_console_tells_verdicts_on_stdout_and_the_unusual_on_stderr():
    out: list[str] = []
    err: list[str] = []
    sink = Console(out.append, err.append)
    events = (
        record(said("blast")),
        Gap(3, "cam", "dark"),
        Note("cam", "reopened"),
        SessionEnd("cam", Ending(EndedBy.SOURCE)),
        Health(throttle_mask=1),
        Health(),
    )
    for event in events:
        sink.take(event)
    assert len(out) == 1
    assert err == ["cam: skipped: dark", "cam: reopened", "machine: under-voltage", "machine: well again"]


def test_a_quiet_console_still_tells_the_unusual():
    out: list[str] = []
    err: list[str] = []
    sink = Console(out.append, err.append, verdicts=False)
    sink.take(record(said("blast")))
    sink.take(Gap(3, "cam", "dark"))
    assert (out, err) == ([], ["cam: skipped: dark"])


# tables


def test_the_closing_tables_fit_80_columns():
    verdicts = (
        record(said("blast"), truth="blast"),
        record(said("healthy"), said("blast", sigma=10.0), index=1, truth="healthy"),
    )
    content, _ = session(*verdicts, record(excluded=Exclusion.of(ExclusionKind.TOO_OLD)), Gap(2, "x", "y"))
    assert max(map(len, printed(content).splitlines())) <= 80


def test_accuracy_is_shown_only_where_a_truth_is_known():
    assert "Accuracy" not in printed(session(record(said("blast")))[0])
    assert "100.0%" in printed(session(record(said("blast"), truth="blast"))[0])


def test_the_tables_tell_exclusions_throttling_and_restarts():
    content, _ = session(record(said("blast")), record(excluded=too_old(9)), record(excluded=too_old(8)))
    text = printed(replace(content, restarts=2))
    for line in ("excluded: too old 2", "the machine was throttled during 3 frames", "restarted 2 times"):
        assert line in text


# JSON and CSV


def test_json_has_what_machines_were_promised(bundle):
    verdicts = [
        record(said(label), said(label, sigma=10.0), index=i, truth=label, source="slides/a.png")
        for i, label in enumerate(LABELS)
    ]
    content = as_json(session(*verdicts), bundle)
    assert set(content["latency_ms"]) == STAGES | {"age"}
    assert all(set(values) == {"p50", "p90", "p99", "mean"} for values in content["latency_ms"].values())
    assert [row["sigma"] for row in content["results"]] == [0.0, 10.0]
    for row in content["results"]:
        assert {"accuracy", "precision", "recall", "specificity", "f1", "auc", "confusion"} <= set(row)
        assert set(row["latency_ms"]) == STAGES
        assert row["confusion"] == [[1, 0], [0, 1]]
    assert [(f["source"], f["index"], f["label"], f["probability"]) for f in content["frames"][::2]] == [
        ("slides/a.png", 0, "blast", 0.9),
        ("slides/a.png", 1, "healthy", 0.9),
    ]
    assert all(set(f["latency_ms"]) == STAGES for f in content["frames"])


def test_each_frame_in_json_has_its_cells_its_age_and_what_computed_it(bundle):
    cells = (said("blast", box=(1, 2, 5, 6)), said(None, box=(0, 0, 2, 2)))
    (row,) = as_json(session(record(*cells, skipped=4)), bundle)["frames"]
    assert [(cell["box"], cell["label"], cell["probability"], cell["excluded"]) for cell in row["cells"]] == [
        ([1, 2, 5, 6], "blast", 0.9, None),
        ([0, 0, 2, 2], None, None, "too small"),
    ]
    assert (row["label"], row["probability"]) == (None, None), "several regions have no one verdict"
    assert (row["age_ms"], row["skipped"], row["throttled"]) == (1999.9, 4, True)
    assert row["runtime"] == {"name": "idle", "version": "1", "threads": 1, "delegate": None}


def test_an_excluded_frame_stays_in_json_without_a_verdict(bundle):
    content = as_json(session(record(excluded=too_old(9)), record(said("blast"), index=1)), bundle)
    assert [(row["label"], row["excluded"], len(row["cells"])) for row in content["frames"]] == [
        (None, "too old (9 ms)", 0),
        ("blast", None, 1),
    ]
    assert [row["excluded_kind"] for row in content["frames"]] == ["too old", None]
    counts = content["counts"]
    assert (counts["frames"], counts["excluded_frames"], counts["verdicts"], counts["excluded"]) == (2, 1, 1, {"too old": 1})


def test_a_cell_that_noise_hides_is_an_empty_field_at_that_level():
    kept = ResultCollector(LABELS, (0.0, 20.0))
    kept.take(record(said("blast", box=(1, 2, 5, 6))))
    assert [(row["sigma"], row["excluded"], len(row["cells"])) for row in kept.rows] == [
        (0.0, None, 1),
        (20.0, "empty field: no white cell stands out", 0),
    ]


def test_json_names_gaps_notes_and_counts(bundle):
    events = (record(said("blast")), Gap(1, "b.png", "empty"), Note("cam", "locked"), Health(throttle_mask=2))
    content = as_json(session(*events), bundle)
    assert content["gaps"] == [{"source": "b.png", "index": 1, "reason": "empty"}]
    assert [note["text"] for note in content["notes"]] == ["locked", "Arm frequency capped"]
    assert (content["counts"]["frames"], content["counts"]["verdicts"], content["verdicts_per_second"]) == (1, 1, 0.5)


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([], id="stopped before the first frame"),
        pytest.param([record(said("blast"))], id="no truth"),
        pytest.param([record(said("blast"), truth="blast")], id="one class, so no AUC"),
        pytest.param([record(said("abstain"), truth="blast")], id="no verdict, so no accuracy"),
        pytest.param([record(excluded=Exclusion.of(ExclusionKind.TOO_OLD))], id="nothing classified"),
    ],
)
def test_json_is_strict_where_figures_are_undefined(bundle, records):
    content = as_json(session(*records, stopped_by="SIGTERM"), bundle)
    assert (content["interrupted"], content["stopped_by"]) == (True, "SIGTERM")
    assert len(content["frames"]) == len(records)


def test_json_says_what_a_session_failed_of(bundle):
    content, kept = session(record(said("blast")))
    failed = replace(content, failure=SourceError("cam", "unplugged; given up after 10 reopenings"))
    assert as_json((failed, kept), bundle)["failure"] == "cam: unplugged; given up after 10 reopenings"
    assert as_json((content, kept), bundle)["failure"] is None


def test_csv_has_a_row_a_verdict_or_exclusion_even_for_names_with_commas():
    _, kept = session(
        record(said("blast", box=(1, 2, 3, 4)), source='slides/a,"b".png', truth="healthy"),
        record(said("abstain", 0.55), index=1),
        record(excluded=Exclusion.of(ExclusionKind.TOO_OLD), index=2),
    )
    rows = list(csv.DictReader(io.StringIO(session_csv(kept))))
    assert [(row["source"], row["truth"], row["box"], row["label"], row["probability"], row["excluded"]) for row in rows] == [
        ('slides/a,"b".png', "healthy", "1 2 3 4", "blast", "0.9", ""),
        ("slides/a.png", "", "0 0 8 8", "abstain", "0.55", ""),
        ("slides/a.png", "", "", "", "", "too old"),
    ]
    assert float(rows[0]["total_ms"]) == 3938.0
