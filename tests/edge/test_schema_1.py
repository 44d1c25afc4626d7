"""A session that a version before recorded, with journal schema 1: the commands take it as one of now."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from journals import write_sealed
from PIL import Image

from leukolite.cli import main as leukolite
from leukolite.edge.cli import main as edge_run
from leukolite.edge.field.exclusion import Exclusion
from leukolite.edge.journal.format import file_name, read
from leukolite.edge.journal.records import EventRecord, FrameRecord
from leukolite.synthetic import LABELS, render_cell

PICTURES, RECORDED = 9, 5  # the first of them too dark to classify
DECISION_MS = 0.0078125  # schema 1 timed the decision in the total alone


def as_schema_1(record: dict) -> dict:
    """A record in the shape that schema 1 gave it."""
    old = dict(record)
    if old["kind"] == "start":
        old |= {"schema_version": 1, **old.pop("classes")}
        runtime = old.pop("runtime")
        old |= {"runtime": runtime["name"], "threads": runtime["threads"]}
    if old["kind"] == "event":
        del old["by"]
    if old.get("excluded") is not None:
        old["excluded"] = str(Exclusion.model_validate(old["excluded"]))
    if old.get("latency_ms") is not None:
        latency = {stage: old["latency_ms"][stage] for stage in ("capture", "preprocess", "invoke")}
        old["latency_ms"] = latency | {"total": sum(latency.values()) + DECISION_MS}
    return old


@pytest.fixture
def recorded(call, tmp_path: Path) -> list[dict]:
    """The records of a session that stopped after some of a folder's pictures, as schema 1 wrote them."""
    folder = tmp_path / "pictures"
    (folder / LABELS[0]).mkdir(parents=True)
    Image.new("RGB", (96, 96)).save(folder / LABELS[0] / "00.png")
    for i in range(1, PICTURES):
        Image.fromarray(render_cell(np.random.default_rng(i), LABELS[0])).save(folder / LABELS[0] / f"{i:02}.png")
    command = ("--bundle", "synthetic-cells", "--source", folder, "--frames", RECORDED, "--noise", "0,5", "--quiet")
    assert call(edge_run, *command, "--journal", tmp_path / "of now").exit_code == 0
    return [as_schema_1(entry.record.model_dump(mode="json")) for entry in read(tmp_path / "of now")]


@pytest.fixture
def session(recorded: list[dict], tmp_path: Path) -> Path:
    write_sealed(tmp_path / "session", recorded)
    return tmp_path / "session"


def test_its_lines_have_the_shapes_of_before(recorded):
    began, dark, frame, verdict = recorded[:4]
    assert (began["schema_version"], began["labels"], began["malignant"]) == (1, ["blast", "healthy"], ["blast"])
    assert (began["runtime"], began["threads"]) == ("litert", 1)
    assert "classes" not in began
    assert dark["excluded"].startswith("underexposed (light 0, ")
    assert frame["excluded"] is None
    assert list(verdict["latency_ms"]) == ["capture", "preprocess", "invoke", "total"]


def test_it_verifies(call, session, recorded):
    result = call(leukolite, "journal", "verify", session)
    assert result.exit_code == 0, result.output
    assert f"{len(recorded)} records in 1 file, each checked" in result.stdout


def test_it_is_summarised_as_it_was_recorded(call, session, recorded, tmp_path):
    result = call(leukolite, "journal", "summary", session, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    labels = [record["label"] for record in recorded if record["kind"] == "verdict" and record["sigma"] == 0]
    assert summary["counts"]["frames"] == RECORDED
    assert summary["counts"]["verdicts"] == 2 * (RECORDED - 1)
    assert summary["counts"]["by_label"] == {label: labels.count(label) for label in (*LABELS, "abstain")}
    assert summary["counts"]["excluded"] == {"underexposed": 1}
    assert summary["slides"][0]["blasts"]["n"] == RECORDED - 1
    assert (summary["start"]["schema_version"], summary["start"]["classes"]["malignant"]) == (3, ["blast"])
    totals = [record["latency_ms"]["total"] for record in recorded if record["kind"] == "verdict"]
    means = {stage: values["mean"] for stage, values in summary["latency_ms"].items()}
    assert means["total"] == pytest.approx(np.mean(totals), abs=2e-4)
    assert means["total"] == pytest.approx(sum(means[s] for s in ("capture", "locate", "preprocess", "invoke")), abs=5e-4)
    assert means["locate"] == 0


def test_it_is_exported_as_csv_and_json(call, session, recorded, tmp_path):
    result = call(leukolite, "journal", "export", session, "--csv", tmp_path / "s.csv", "--json", tmp_path / "s.json")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader((tmp_path / "s.csv").read_text().splitlines()))
    said = [(record["label"], record["excluded"]) for record in recorded if record["kind"] == "verdict"]
    assert [(row["label"], row["excluded"]) for row in rows[1:]] == [(label, excluded or "") for label, excluded in said]
    assert rows[0]["excluded"] == recorded[1]["excluded"], "the sentence of before"
    records = [entry["record"] for entry in json.loads((tmp_path / "s.json").read_text())["records"]]
    assert [record["kind"] for record in records] == [record["kind"] for record in recorded]
    assert records[0]["classes"] == {"labels": list(LABELS), "malignant": ["blast"]}
    assert records[1]["excluded"]["kind"] == "underexposed"
    for latency in (record["latency_ms"] for record in records if record["kind"] == "verdict"):
        assert latency["total"] == pytest.approx(sum(ms for stage, ms in latency.items() if stage != "total"), abs=1e-4)


def test_it_is_replayed_to_the_last_verdict(call, session):
    result = call(leukolite, "journal", "replay", session)
    assert result.exit_code == 0, result.output
    assert f"{RECORDED - 1} frames classified again, {2 * (RECORDED - 1)} verdicts compared, 0 differ" in result.stdout


def test_it_goes_on_where_it_was_left_and_its_old_lines_stay(call, session, tmp_path):
    before = (session / file_name(0)).read_bytes()
    result = call(edge_run, "--resume", session, "--quiet", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert (session / file_name(0)).read_bytes().startswith(before)
    records = [entry.record for entry in read(session)]
    assert [record.index for record in records if isinstance(record, FrameRecord)] == list(range(PICTURES))
    assert "resumed" in [record.event for record in records if isinstance(record, EventRecord)]
    assert call(leukolite, "journal", "verify", session).exit_code == 0
    repeated = call(leukolite, "journal", "replay", session)
    assert f"{2 * (PICTURES - 1)} verdicts compared, 0 differ" in repeated.stdout
    assert call(leukolite, "journal", "summary", session, "--out", tmp_path / "later").exit_code == 0
    now, then = (json.loads((tmp_path / folder / "summary.json").read_text()) for folder in ("out", "later"))
    assert now["counts"] == then["counts"]
    for stage, values in now["latency_ms"].items():
        assert values == pytest.approx(then["latency_ms"][stage], abs=1.5e-4)
    assert now["counts"]["frames"] == PICTURES
