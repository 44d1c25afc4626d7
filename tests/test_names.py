"""Names that other systems, a USB device or an attacker made, through every command that prints or writes names: they are kept,
and no terminal, page or table gets a byte of them that it would obey, hide or not decode."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leukolite.cli import main as leukolite
from leukolite.edge.camera.source import CameraInfo
from leukolite.edge.cli import main as edge_run
from leukolite.path_text import path_of_text
from leukolite.shipped import find_bundle
from leukolite.synthetic import LABELS, render_cell

# a formula, a window's title, a line's end, a right-to-left mark, a byte that is not UTF-8, no width, C1's CSI, markup
NASTY = os.fsdecode(b"=\x1b]0;t\x07\n\xe2\x80\xae,\"\xe9\xe2\x80\x8b\xc2\x9b2J\t[b]$_$<b>'")
NASTY_LABEL = "=,\"\u200b[b]$_$<b>|`'"  # what can be a label is one line of UTF-8
OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def check_text(data: bytes) -> str:
    """The text, which must be UTF-8 and hold nothing but lines of what a terminal shows."""
    text = data.decode()
    assert OBEYED.findall(text) == []
    return text


def check_csv(path: Path) -> list[dict[str, str]]:
    check_text(path.read_bytes())
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert [cell for row in rows for cell in row if cell[:1] in set("=+@")] == []
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def check_written(folder: Path) -> None:
    """Every text file below a folder."""
    for path in folder.rglob("*"):
        if path.suffix in (".csv", ".html", ".json", ".md") and path.name != "labels.txt":
            text = path.read_bytes().decode()
            if path.suffix == ".csv":
                check_csv(path)
            elif path.suffix == ".json":
                json.loads(text)
            else:
                assert OBEYED.findall(text) == [], path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of such a name, where the test stands."""
    folder = tmp_path / NASTY
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def slides(place: Path) -> Path:
    """Three pictures and one that is none, of such names."""
    folder = place / "slides"
    folder.mkdir()
    for k in range(3):
        Image.fromarray(render_cell(np.random.default_rng(k), LABELS[0])).save(folder / f"{k}{NASTY}.png")
    (folder / f"9{NASTY}.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def data(place: Path) -> Path:
    """Labelled pictures of such names in a folder of such a name."""
    folder = place / f"data{NASTY}"
    for k, label in enumerate(LABELS):
        (folder / label).mkdir(parents=True)
        for i in range(20):
            pixels = render_cell(np.random.default_rng([k, i]), label, size=48)
            Image.fromarray(pixels).save(folder / label / f"{i}{NASTY}.png")
    (folder / LABELS[0] / f"broken{NASTY}.png").write_bytes(b"no picture")
    (folder / "synthetic.json").write_text("{}")
    return folder


@pytest.fixture
def said(call):
    """Calls a command; gives what it printed to both streams, checked."""

    def invoke(command, *arguments, code: int = 0) -> str:
        result = call(command, *arguments)
        assert result.exit_code == code, (result.output, result.exception)
        return check_text(result.stdout_bytes) + check_text(result.stderr_bytes)

    return invoke


def test_edge_run_says_and_writes_names_so_that_none_is_obeyed(said, slides, place):
    out = place / f"out{NASTY}"
    outputs = ("--out", out, "--json", place / f"{NASTY}.json", "--journal", place / f"journal{NASTY}", "--keep-frames")
    text = said(edge_run, "--bundle", "synthetic-cells", "--source", slides, *outputs)
    assert r"\udce9" in text
    check_written(place)
    report = json.loads((out / "report.json").read_bytes())
    assert path_of_text(report["source"]) == slides
    assert path_of_text(report["gaps"][0]["source"]) == slides / f"9{NASTY}.png"
    assert {path_of_text(frame["source"]) for frame in report["frames"]} == {slides / f"{k}{NASTY}.png" for k in range(3)}
    assert len(check_csv(out / "verdicts.csv")) == 3


def test_a_journal_finds_files_of_any_name_again(said, slides, place):
    session = place / f"journal{NASTY}"
    said(edge_run, "--bundle", "synthetic-cells", "--source", slides, "--journal", session, "--frames", 2)
    text = said(edge_run, "--resume", session)
    assert "records; the last is" in text
    assert "3 verdicts compared, 0 differ" in said(leukolite, "journal", "replay", session)
    said(leukolite, "journal", "verify", session)
    said(leukolite, "journal", "summary", session, "--out", place / f"sum{NASTY}")
    said(leukolite, "journal", "export", session, "--csv", f"{NASTY}.csv", "--json", f"{NASTY}.json")
    said(leukolite, "journal", "export", session, "--csv", "-")
    said(leukolite, "journal", "export", session, "--json", "-")
    check_written(place)
    records = [entry["record"] for entry in json.loads((place / f"{NASTY}.json").read_bytes())["records"]]
    assert path_of_text(records[0]["source"]["path"]) == slides
    assert {path_of_text(one["source"]) for one in records if one["kind"] == "frame"} == {
        slides / f"{k}{NASTY}.png" for k in range(3)
    }


def test_a_bundle_at_a_place_of_any_name_is_found_again(said, slides, place):
    bundle = place / f"bundle{NASTY}"
    shutil.copytree(find_bundle(Path("synthetic-cells")), bundle)
    said(leukolite, "info", bundle)
    said(edge_run, "--bundle", bundle, "--source", slides, "--journal", place / "monday")
    said(leukolite, "journal", "replay", place / "monday")
    said(leukolite, "export-android", bundle, "--out", place / f"android{NASTY}", "--zip", place / f"{NASTY}.zip")
    check_written(place)


@pytest.mark.parametrize(
    "arguments",
    [
        ("info", NASTY),
        ("data", NASTY),
        ("journal", "verify", NASTY),
        ("journal", "export", NASTY, "--csv", "-"),
        ("evaluate", NASTY, "--data", NASTY),
        ("evaluate", "synthetic-cells", "--data", NASTY),
        ("train", "small_cnn", "--data", NASTY, "--out", "x"),
        ("train", "--from", NASTY, "--out", "x"),
        ("convert", NASTY, "--out", "x"),
        ("locating", NASTY),
        ("export-android", NASTY, "--out", NASTY),
        (NASTY,),
        ("info", "synthetic-cells", NASTY),
    ],
)
def test_an_error_names_a_place_in_one_line(call, place, arguments):
    result = call(leukolite, *arguments)
    assert result.exit_code in (1, 2), (result.output, result.exception)
    last = check_text(result.stderr_bytes).splitlines()[-1]
    assert last.startswith("Error: ")
    assert r"\u202e" in last


def test_the_data_of_any_names_are_surveyed_and_evaluated(said, data, place):
    text = said(leukolite, "data", data, "--json", f"{NASTY}.json", "--sheet", f"{NASTY}.png")
    assert r"broken=\x1b]0;t\x07\n\u202e" in text
    said(leukolite, "data", data, "--json", "-")
    said(leukolite, "evaluate", "synthetic-cells", "--data", data, "--json", f"e{NASTY}.json", "--plots", place / f"p{NASTY}")
    said(leukolite, "evaluate", "synthetic-cells", "--data", data, "--saliency", f"s{NASTY}.png")
    check_written(place)
    unusable = json.loads((place / f"{NASTY}.json").read_bytes())["unusable"]
    assert [path_of_text(one["source"]) for one in unusable] == [data / LABELS[0] / f"broken{NASTY}.png"]


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")  # of every conversion, by TensorFlow
def test_training_and_conversion_keep_names(said, data, place):
    pytest.importorskip("tensorflow")
    run, bundle = place / f"run{NASTY}", place / f"bundle{NASTY}"
    said(leukolite, "train", "small_cnn", "--data", data, "--preview", place / f"p{NASTY}.png")
    said(leukolite, "train", "small_cnn", "--data", data, "--out", run, "--epochs", 1, "--set", "side=32")
    assert path_of_text(json.loads((run / "run.json").read_bytes())["data"]) == data
    split = json.loads((run / "split.json").read_bytes())
    assert all((data / path_of_text(entry["path"])).is_file() for part in split.values() for entry in part)
    allowed = ("--max-drop", 100, "--max-recall-drop", 100, "--calibration", 100, "--allow-useless")
    said(leukolite, "convert", run, "--out", bundle, "--name", "tiny", "--json", f"{NASTY}.json", *allowed)
    said(leukolite, "evaluate", run, "--data", data, "--plots", place / f"pictures{NASTY}")
    said(leukolite, "train", "--from", run, "--out", place / f"again{NASTY}", "--weights", run / "model.keras", "--epochs", 1)
    check_written(place)


def test_a_label_of_any_characters_is_shown_everywhere(said, place):
    data = place / "data"
    for k, label in enumerate((NASTY_LABEL, "other")):
        (data / label).mkdir(parents=True)
        for i in range(20):
            Image.fromarray(render_cell(np.random.default_rng([k, i]), LABELS[k], size=48)).save(data / label / f"{i}.png")
    said(leukolite, "data", data, "--sheet", "sheet.png", "--json", "-")
    said(leukolite, "evaluate", "synthetic-cells", "--data", data, code=1)
    said(leukolite, "train", "small_cnn", "--data", data, "--preview", place / "p.png", "--malignant", "other")
    said(edge_run, "--bundle", "synthetic-cells", "--source", data, "--out", place / "out")
    check_written(place / "out")


def test_what_a_usb_device_calls_itself_is_not_obeyed(said, monkeypatch):
    cameras = [CameraInfo("v4l2:/dev/video0", NASTY)]
    monkeypatch.setattr("leukolite.edge.cli.list_cameras", lambda: (cameras, [f"/dev/video1: {NASTY}"]))
    assert said(edge_run, "--list-cameras").count(r"\u202e") == 2


@pytest.mark.parametrize(
    "name", [os.fsdecode(b"caf\xe9"), "a\nb", "\x1b[31m", "\x9b", "n" * 101, "\u202eb", "b\u200f", "\u2066b\u2069"]
)
def test_a_class_folder_whose_name_cannot_be_a_label_is_refused_in_one_line(refuses, place, name):
    for label in (name, "other"):
        (place / "data" / label).mkdir(parents=True)
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(place / "data" / label / "0.png")
    for command in (("data", "data"), ("train", "small_cnn", "--data", "data", "--out", "run")):
        line = refuses(leukolite, *command)
        assert "cannot be a class's name" in line
        assert OBEYED.findall(line) == []


def test_a_real_process_prints_names_of_any_bytes(slides, place):
    """Its streams and its arguments are the system's, not a test's."""
    code = "from leukolite.edge.cli import main; main()"
    arguments = [b"--bundle", b"synthetic-cells", b"--source", os.fsencode(slides), b"--json", os.fsencode(f"{NASTY}.json")]
    for locale in ("C.UTF-8", "C"):
        environment = os.environ | {"LC_ALL": locale}
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments, b"--force"], capture_output=True, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        assert rb"\udce9" in done.stderr
        check_text(done.stdout)
        check_text(done.stderr)
    assert (place / f"{NASTY}.json").is_file()
