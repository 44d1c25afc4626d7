"""The figures of one session are the same wherever they are read, and what a stage took is counted once."""

import csv
import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("uvicorn")

from live_pages import PageAddress

from leukolite.cli import main as leukolite
from leukolite.edge import run
from leukolite.edge.cli import main as edge_run
from leukolite.edge.journal.format import read
from leukolite.edge.journal.open import resume_journal
from leukolite.edge.journal.records import EventRecord, VerdictRecord
from leukolite.edge.page import server
from leukolite.edge.page.listen import Listener
from leukolite.edge.page.server import PageServer
from leukolite.edge.report.console import VERDICT_HEADER
from leukolite.synthetic import LABELS, render_cell

PERCENTILES = ("p50", "p90", "p99", "mean")
STAGES = ("capture", "locate", "preprocess", "invoke")
DIGITS = 1e-4  # of a latency's last digit, milliseconds


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cells in class folders, one picture too dark to classify, and one file that is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(10):
        (folder / LABELS[i % 2]).mkdir(exist_ok=True)
        Image.fromarray(render_cell(np.random.default_rng(i), LABELS[i % 2])).save(folder / LABELS[i % 2] / f"{i:02}.png")
    Image.new("RGB", (96, 96)).save(folder / LABELS[0] / "dark.png")
    (folder / LABELS[0] / "text.png").write_text("not a picture")
    return folder


SOURCES: dict[str, Callable[[Path], tuple[object, ...]]] = {
    "pictures": lambda pictures: ("--source", pictures, "--noise", "0,10"),
    # noise hides most cells of a field, and all of one field
    "fields": lambda pictures: ("--camera", "synthetic", "--cells", "many", "--frames", 5, "--noise", "60,0"),
}


@dataclass(frozen=True)
class Recorded:
    """A session that wrote all there is."""

    stdout: str
    out: Path
    journal: Path
    page: dict

    def json(self, name: str) -> dict:
        return json.loads((self.out / name).read_text())


@pytest.fixture(scope="module", params=SOURCES)
def session(request: pytest.FixtureRequest, call, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    place, seen, listeners = tmp_path_factory.mktemp("session"), [], []
    close, serve_page = PageServer.close, server.serve_page

    def remember_listener(live: object, listener: Listener, *others: object) -> PageServer:
        listeners.append(listener)
        return serve_page(live, listener, *others)

    def look_and_close(page: PageServer) -> None:
        address = PageAddress(listeners[-1].port, listeners[-1].token)
        viewer = address.connect()
        seen.append(address.look(viewer))
        viewer.close()
        close(page)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "serve_page", remember_listener)
        patch.setattr(PageServer, "close", look_and_close)
        written = ("--out", place / "out", "--journal", place / "journal", "--serve", 0)
        result = call(edge_run, "--bundle", "synthetic-cells", *SOURCES[request.param](pictures), *written)
    assert result.exit_code == 0, result.output
    return Recorded(result.stdout, place / "out", place / "journal", seen[0])


@pytest.fixture(scope="module")
def later(session: Recorded, call) -> Path:
    """The summary that is made of the session's journal."""
    result = call(leukolite, "journal", "summary", session.journal, "--out", session.out.parent / "later")
    assert result.exit_code == 0, result.output
    return session.out.parent / "later"


def said_in_the_closing_table(stdout: str) -> tuple[dict[str, int], dict[str, int], dict[str, int], dict[str, str]]:
    """Frames, verdicts by label, exclusions by kind, and each stage's p99."""
    frames = re.search(r"^(\d+) frames?(?:, (\d+) of them excluded)?(?:, (\d+) not available)?", stdout, re.MULTILINE)
    by_label = re.search(r"^verdicts: (.*)$", stdout, re.MULTILINE)
    excluded = re.search(r"^excluded: (.*)$", stdout, re.MULTILINE)
    assert frames is not None
    assert by_label is not None
    counts = dict(zip(("frames", "excluded_frames", "gaps"), (int(n or 0) for n in frames.groups()), strict=True))
    return counts, numbers(by_label[1]), numbers(excluded[1] if excluded else ""), p99_of_table(stdout)


def numbers(text: str) -> dict[str, int]:
    """'blast 2, healthy 1' -> {'blast': 2, 'healthy': 1}"""
    return {name: int(n) for name, n in re.findall(r"([^,]+?) (\d+)(?:, |$)", text)}


def p99_of_table(stdout: str) -> dict[str, str]:
    return dict(re.findall(rf"^ ({'|'.join(STAGES)}|total|age) +\S+ +\S+ +(\S+) +\S+ *$", stdout, re.MULTILINE))


def rows_of_page(page: str) -> dict[str, list[str]]:
    """The summary page's tables: first cell -> the others."""
    text = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", page)]
    return {re.sub(r" ?<.*", "", cells[0]): cells[1:] for cells in text if cells}


def figures_of_page(page: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page):
        found.setdefault(name, []).append(value)
    return found


def test_there_are_verdicts_and_exclusions_to_compare(session):
    counts = session.json("report.json")["counts"]
    assert sum(counts["by_label"].values()) >= 10
    assert counts["excluded"]


def test_json_and_summary_say_the_same(session, later):
    report, summary = session.json("report.json"), session.json("summary.json")
    assert summary["counts"] == report["counts"]
    assert summary["latency_ms"] == report["latency_ms"]
    (slide,) = summary["slides"]
    for name in ("frames", "excluded_frames", "by_label", "excluded"):
        assert slide[name] == report["counts"][name]


def test_the_summary_made_later_of_the_journal_says_the_same(session, later):
    now, then = session.json("summary.json"), json.loads((later / "summary.json").read_text())
    differing = {name for name in now if now[name] != then[name]}
    assert differing <= {"began", "last"}  # read off the clock before and after the journal's first and last record
    assert (later / "summary.csv").read_text() == (session.out / "summary.csv").read_text()
    without_thumbnails = re.sub(
        r"<h3>[^\n]*drawn at random.*?</ul>\n", "", (session.out / "summary.html").read_text(), flags=re.DOTALL
    )
    times = r"[-0-9: ]+ UTC to [-0-9: ]+ UTC"
    assert re.sub(times, "", (later / "summary.html").read_text()) == re.sub(times, "", without_thumbnails)


def test_the_closing_table_says_the_same(session):
    report = session.json("report.json")
    counts, by_label, excluded, p99 = said_in_the_closing_table(session.stdout)
    assert counts == {name: report["counts"][name] for name in counts}
    assert by_label == {label: n for label, n in report["counts"]["by_label"].items() if n or label != "abstain"}
    assert excluded == report["counts"]["excluded"]
    assert p99 == {stage: f"{values['p99']:.2f}" for stage, values in report["latency_ms"].items()}


def test_the_summarys_page_says_the_same(session):
    report, page = session.json("report.json"), html.unescape((session.out / "summary.html").read_text())
    counts, rows, figures = report["counts"], rows_of_page(page), figures_of_page(page)
    assert figures["frames"] == [str(counts["frames"])] * 2  # the slide's and the session's
    assert figures["excluded"] == [str(sum(counts["excluded"].values()))]
    assert figures["gaps in the signal"] == [str(counts["gaps"])]
    for name, n in {label: counts["by_label"][label] for label in LABELS}.items() | counts["excluded"].items():
        assert rows[name] == [str(n)]
    for stage, values in report["latency_ms"].items():
        name = "frame's age at its verdict" if stage == "age" else stage
        assert rows[name] == [f"{values[percentile]:.2f}" for percentile in PERCENTILES]


def test_the_live_page_says_the_same(session):
    report, slide = session.json("report.json"), session.page["slide"]
    counts = report["counts"]
    assert (slide["frames"], slide["gaps"], slide["skipped"]) == (counts["frames"], counts["gaps"], counts["skipped"])
    assert {entry["label"]: entry["n"] for entry in slide["counted"]} == {label: counts["by_label"][label] for label in LABELS}
    assert slide["abstained"] == counts["by_label"]["abstain"]
    assert {entry["reason"]: entry["n"] for entry in slide["excluded"]} == counts["excluded"]
    ages = {row["index"]: row["age_ms"] for row in report["frames"] if row["excluded"] is None or row["cells"]}
    shown = session.page["latency"]
    assert shown["frames"] == len(ages)
    assert shown["p99_ms"] == round(float(np.percentile(list(ages.values()), 99)), 2)  # exact: of the newest frames alone
    assert report["latency_ms"]["age"]["p99"] == pytest.approx(max(ages.values()), rel=0.0051)


def test_the_rows_of_json_and_csv_are_as_many_as_the_counts_say(session):
    report = session.json("report.json")
    first = report["frames"][0]["sigma"]
    cells = [cell for row in report["frames"] for cell in row["cells"]]
    counted = [row["excluded_kind"] for row in report["frames"] if row["sigma"] == first and not row["cells"]]
    counted += [cell["excluded_kind"] for row in report["frames"] if row["sigma"] == first for cell in row["cells"]]
    assert sum(cell["label"] is not None for cell in cells) == report["counts"]["verdicts"]
    assert {kind: counted.count(kind) for kind in counted if kind} == report["counts"]["excluded"]
    rows = list(csv.DictReader((session.out / "verdicts.csv").read_text().splitlines()))
    assert sum(row["label"] != "" for row in rows) == report["counts"]["verdicts"]


# stages


def test_the_stages_of_every_latency_add_up_in_json(session):
    frames = session.json("report.json")["frames"]
    latencies = [row["latency_ms"] for row in frames]
    latencies += [cell["latency_ms"] for row in frames for cell in row["cells"] if cell["latency_ms"] is not None]
    assert len(latencies) > 20
    for latency in latencies:
        assert list(latency) == [*STAGES, "total"]
        assert latency["total"] == pytest.approx(sum(latency[stage] for stage in STAGES), abs=DIGITS)
    assert any(latency["locate"] > 0 for latency in latencies)


def test_the_stages_of_every_latency_add_up_in_csv(session):
    rows = [row for row in csv.DictReader((session.out / "verdicts.csv").read_text().splitlines()) if row["total_ms"]]
    assert len(rows) > 10
    for row in rows:
        assert float(row["total_ms"]) == pytest.approx(sum(float(row[f"{stage}_ms"]) for stage in STAGES), abs=DIGITS)
    assert [name for name in rows[0] if name.endswith("_ms")] == ["age_ms", *(f"{stage}_ms" for stage in STAGES), "total_ms"]


def test_the_stages_of_every_latency_add_up_in_the_journal(session):
    verdicts = [entry.record for entry in read(session.journal) if isinstance(entry.record, VerdictRecord)]
    latencies = [verdict.latency_ms for verdict in verdicts if verdict.latency_ms is not None]
    assert len(latencies) > 10
    for latency in latencies:
        assert latency.total == pytest.approx(sum(getattr(latency, stage) for stage in STAGES), abs=DIGITS)


def test_the_stages_means_add_up_in_json_and_in_the_closing_table(session):
    means = {stage: values["mean"] for stage, values in session.json("report.json")["latency_ms"].items()}
    assert means["total"] == pytest.approx(sum(means[stage] for stage in STAGES), abs=5 * DIGITS)
    table = re.findall(r"^ (capture|locate|preprocess|invoke|total) .* (\S+) *$", session.stdout, re.MULTILINE)
    assert [stage for stage, _ in table] == [*STAGES, "total"]
    shown = {stage: float(mean) for stage, mean in table}
    assert shown["total"] == pytest.approx(sum(shown[stage] for stage in STAGES), abs=5 * 0.005)


def test_the_stages_add_up_in_every_line_of_a_verdict(session):
    assert re.findall(r"[a-z]+", VERDICT_HEADER.partition("total")[2]) == ["ms", "capture", "locate", "prep", "invoke"]
    found = re.findall(r" 0\.\d{3} +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)$", session.stdout, re.MULTILINE)
    assert len(found) >= 10
    for total, *stages in found:
        assert float(total) == pytest.approx(sum(map(float, stages)), abs=5 * 0.005 + 1e-9)


# resumed


def test_the_summary_of_a_resumed_session_is_that_of_its_journal(call, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    journal = tmp_path / "journal"
    begun = ("--bundle", "synthetic-cells", "--source", pictures, "--frames", 4, "--slide", "A17", "--journal", journal)
    assert call(edge_run, *begun, "--keep-frames", "--quiet").exit_code == 0
    again, _ = resume_journal(journal)
    again.append(EventRecord(event="new slide", slide="ab" * 8))
    again.close()
    assert call(edge_run, "--resume", journal, "--keep-frames", "--quiet", "--out", tmp_path / "out").exit_code == 0
    assert call(leukolite, "journal", "summary", journal, "--out", tmp_path / "later").exit_code == 0
    now, then = (json.loads((tmp_path / folder / "summary.json").read_text()) for folder in ("out", "later"))
    assert {name for name in now if now[name] != then[name]} <= {"last", "latency_ms"}
    for stage, values in now["latency_ms"].items():
        assert values == pytest.approx(
            then["latency_ms"][stage], abs=1.5 * DIGITS
        )  # a mean's last digit depends on the order of summing
    assert [(slide["slide"], slide["frames"]) for slide in now["slides"]] == [(now["start"]["slide"], 4), ("ab" * 8, 7)]
    assert now["start"]["slide"] is not None
    first, second = (tmp_path / "out" / "summary.html").read_text().split("<h2>Slide ")[1:3]
    assert ("<img" in first, "<img" in second) == (False, True), "thumbnails stand with the slide they are of"


# what is made only where it is asked for


def noted(calls: list[str], name: str, function: Callable) -> Callable:
    def call(*args: object, **options: object) -> object:
        calls.append(name)
        return function(*args, **options)

    return call


def test_summaries_and_thumbnails_are_made_only_where_out_asks_for_them(call, pictures, tmp_path, monkeypatch):
    made: list[str] = []
    for name in ("Thumbnails", "summary_of"):
        monkeypatch.setattr(run, name, noted(made, name, getattr(run, name)))
    command = ("--bundle", "synthetic-cells", "--source", pictures, "--quiet")
    assert call(edge_run, *command, "--json", tmp_path / "session.json", "--journal", tmp_path / "journal").exit_code == 0
    assert made == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal", "session.json"]
    assert call(edge_run, *command, "--out", tmp_path / "out").exit_code == 0
    assert made == ["Thumbnails", "summary_of"]


# stdout


def test_json_to_stdout_leaves_the_lines_for_people_to_stderr(call, pictures):
    command = ("--bundle", "synthetic-cells", "--source", pictures)
    as_json, as_text = call(edge_run, *command, "--json", "-"), call(edge_run, *command)
    assert as_json.exit_code == as_text.exit_code == 0
    content = json.loads(as_json.stdout)
    assert content["schema"]["name"] == "session"
    for line in (
        "Research use only",
        VERDICT_HEADER,
        "Latency, ms",
        "verdicts: ",
        "excluded: underexposed 1",
        "skipped: not an image",
    ):
        assert line in as_json.stderr
        assert line in as_text.stdout + as_text.stderr
    order = [VERDICT_HEADER, "09.png", "Latency, ms", "verdicts per second", "Accuracy under"]
    places = [as_json.stderr.index(text) for text in order]
    assert places == sorted(places)


@pytest.mark.parametrize("given", [("--replay", "X"), ("--replay",), ("--bundle", "synthetic-cells", "--replay", "X", "--quiet")])
def test_replay_names_in_one_line_the_command_that_does_it_now(refuses, given):
    line = refuses(edge_run, *given, code=2)
    assert line == "Error: `edge-run --replay` has moved: use `leukolite journal replay SESSION`"
