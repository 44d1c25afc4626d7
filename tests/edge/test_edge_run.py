import hashlib
import importlib.metadata
import io
import json
import re
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from bundles import unsealed
from PIL import Image

from leukolite.edge import cli
from leukolite.edge.camera.capture import ReconnectPolicy
from leukolite.edge.cli import main as edge_run
from leukolite.edge.report.console import VERDICT_HEADER
from leukolite.manifest import Manifest
from leukolite.shipped import shipped_bundles


def strict_json(path: Path) -> dict:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_the_synthetic_camera_is_classified_at_each_noise_level(call, tiny_bundle, tmp_path):
    out = tmp_path / "session.json"
    result = call(edge_run, "--bundle", tiny_bundle, "--camera", "synthetic", "--frames", 4, "--noise", "0,10", "--json", out)
    assert result.exit_code == 0, result.output
    content = strict_json(out)
    assert [(frame["index"], frame["sigma"]) for frame in content["frames"]] == [(i, s) for i in range(4) for s in (0.0, 10.0)]
    assert {frame["truth"] for frame in content["frames"]} <= {"blast", "healthy"}
    assert [row["n"] for row in content["results"]] == [4, 4]


def test_the_same_seed_gives_the_same_verdicts_and_another_seed_others(call, tmp_path):
    def verdicts(name: str, seed: int) -> list[tuple]:
        out = tmp_path / name
        options = ("--frames", 5, "--noise", "0,40", "--seed", seed, "--json", out)
        call(edge_run, "--bundle", "synthetic-cells", "--camera", "synthetic", *options)
        return [(frame["label"], frame["probability"]) for frame in strict_json(out)["frames"]]

    assert verdicts("a.json", 1) == verdicts("b.json", 1) != verdicts("c.json", 2)


def test_the_shipped_demo_is_right_about_its_camera_and_some_noise_does_not_turn_it(call, tmp_path):
    out = tmp_path / "session.json"
    options = ("--frames", 20, "--noise", "0,10", "--json", out)
    assert call(edge_run, "--bundle", "synthetic-cells", "--camera", "synthetic", *options).exit_code == 0
    assert min(row["accuracy"] for row in strict_json(out)["results"]) >= 0.8


def test_class_folders_become_accuracy(call, tiny_bundle, cells, tmp_path):
    out = tmp_path / "session.json"
    result = call(edge_run, "--bundle", tiny_bundle, "--source", cells, "--json", out)
    assert result.exit_code == 0, result.output
    content = strict_json(out)
    assert content["results"][0]["n"] == content["counts"]["frames"] == 40
    assert sum(map(sum, content["results"][0]["confusion"])) == 40


def test_foreign_class_folders_are_named_and_classified_without_accuracy(call, tiny_bundle, tmp_path):
    for name in ("Early", "Pre"):
        (tmp_path / "slides" / name).mkdir(parents=True)
        Image.new("RGB", (40, 40), (200, 30, 60)).save(tmp_path / "slides" / name / "a.png")
    out = tmp_path / "session.json"
    result = call(edge_run, "--bundle", tiny_bundle, "--source", tmp_path / "slides", "--json", out)
    assert result.exit_code == 0
    assert "has Early, Pre, none of the model's labels (blast, healthy)" in result.stderr
    assert strict_json(out)["results"] == []


def test_files_that_are_no_pictures_are_counted_named_and_recorded(call, tiny_bundle, cells, tmp_path):
    slides = tmp_path / "slides"
    slides.mkdir()
    shutil.copy(cells / "blast" / "000.png", slides / "a.jfif")
    for name in ("b.heic", "c.heic", "scan.svs"):
        (slides / name).write_text("x")
    out = tmp_path / "session.json"
    result = call(edge_run, "--bundle", tiny_bundle, "--source", slides, "--json", out, "--journal", tmp_path / "journal")
    assert result.exit_code == 0, result.output
    assert f"{slides}: 2 files not classified, HEIC picture: b.heic, c.heic" in result.stderr
    assert f"{slides}: 1 file not classified, whole-slide image: scan.svs" in result.stderr
    content = strict_json(out)
    assert [Path(item["source"]).name for item in content["skipped_files"]] == ["b.heic", "c.heic", "scan.svs"]
    assert (content["counts"]["frames"], content["counts"]["gaps"]) == (1, 0)
    assert b"2 files not classified, HEIC picture: b.heic, c.heic" in next((tmp_path / "journal").glob("*.jsonl")).read_bytes()


def test_a_folder_or_file_without_a_picture_is_refused_in_one_line(refuses, tiny_bundle, tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    assert "found no picture 1" in refuses(edge_run, "--bundle", tiny_bundle, "--source", tmp_path)
    assert "notes.txt: no picture (a .txt file)" in refuses(edge_run, "--bundle", tiny_bundle, "--source", tmp_path / "notes.txt")


def test_a_wrapper_around_the_class_folders_takes_no_accuracy_away(call, tiny_bundle, cells, tmp_path):
    shutil.copytree(cells, tmp_path / "slides" / "Original")
    out = tmp_path / "session.json"
    result = call(edge_run, "--bundle", tiny_bundle, "--source", tmp_path / "slides", "--json", out)
    assert (result.exit_code, result.stderr) == (0, "")
    assert strict_json(out)["results"][0]["n"] == 40


def test_an_unreadable_image_is_told_and_the_rest_is_classified(call, tiny_bundle, tmp_path):
    slides = tmp_path / "slides"
    slides.mkdir()
    Image.new("RGB", (40, 40)).save(slides / "b.png")
    (slides / "a.jpg").write_text("not an image")
    out = tmp_path / "session.json"
    result = call(edge_run, "--bundle", tiny_bundle, "--source", slides, "--json", out)
    assert result.exit_code == 0
    assert f"{slides / 'a.jpg'}: skipped: not an image" in result.stderr
    assert "1 frame, 1 of them excluded, 1 not available" in result.stdout
    assert [gap["source"] for gap in strict_json(out)["gaps"]] == [str(slides / "a.jpg")]


def test_the_out_folder_holds_report_and_verdicts(call, tiny_bundle, tmp_path):
    out = tmp_path / "session"
    arguments = ("--bundle", tiny_bundle, "--camera", "synthetic", "--frames", 2, "--out", out)
    assert call(edge_run, *arguments).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["session"]
    assert sorted(path.name for path in out.iterdir()) == [
        "report.json",
        "summary.csv",
        "summary.html",
        "summary.json",
        "verdicts.csv",
    ]
    assert strict_json(out / "report.json")["counts"]["frames"] == 2
    assert len((out / "verdicts.csv").read_text().splitlines()) == 3
    refused = call(edge_run, *arguments)
    assert (refused.exit_code, "--force replaces it" in refused.stderr) == (1, True)
    assert call(edge_run, *arguments, "--force").exit_code == 0, "a session may replace a session"


def test_what_is_printed_fits_80_columns_and_says_research_use(call, tiny_bundle, cells):
    result = call(edge_run, "--bundle", tiny_bundle, "--source", cells, "--noise", "0,2,5,8,10")
    assert "Research use only" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_stdout_carries_results_and_stderr_nothing_where_all_went_well(call, tiny_bundle, cells):
    result = call(edge_run, "--bundle", tiny_bundle, "--source", cells / "blast" / "000.png")
    assert result.stderr == ""
    assert "000.png" in result.stdout


@pytest.mark.parametrize("name", shipped_bundles())
def test_a_shipped_bundle_runs_by_its_name(call, name):
    result = call(edge_run, "--bundle", name, "--camera", "synthetic", "--frames", 1)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{name}: classifies one ")


def test_a_zip_of_a_bundle_runs_like_its_folder(call, tiny_bundle, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "tiny"), "zip", tiny_bundle)
    assert call(edge_run, "--bundle", archive, "--camera", "synthetic", "--frames", 1).exit_code == 0


# what it refuses: one line, an exit code, nothing written


@pytest.fixture
def copy(tiny_bundle, tmp_path) -> Path:
    return unsealed(shutil.copytree(tiny_bundle, tmp_path / "copy"))


def edit(bundle: Path, **fields: object) -> None:
    """Change fields of a bundle's manifest."""
    manifest = json.loads((bundle / "manifest.json").read_text()) | fields
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def break_model_and_hash(bundle: Path) -> None:
    truncate(bundle / "model.tflite")
    edit(bundle, model_sha256=hashlib.sha256((bundle / "model.tflite").read_bytes()).hexdigest())


def three_labels(bundle: Path) -> None:
    edit(bundle, labels=["blast", "healthy", "debris"], decision={"temperature": 1.0, "threshold": None, "abstain": None})
    (bundle / "labels.txt").write_text("blast\nhealthy\ndebris\n")


def wider_input(bundle: Path) -> None:
    spec = Manifest.model_validate_json((bundle / "manifest.json").read_bytes()).input
    edit(bundle, input=spec.model_dump() | {"width": 40})


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder missing": (shutil.rmtree, "no such bundle"),
    "model missing": (lambda b: (b / "model.tflite").unlink(), "model.tflite is missing"),
    "manifest missing": (lambda b: (b / "manifest.json").unlink(), "manifest.json is missing"),
    "model truncated": (lambda b: truncate(b / "model.tflite"), "does not match its manifest"),
    "hash of another model": (lambda b: edit(b, model_sha256="0" * 64), "does not match its manifest"),
    "model truncated, hash made anew": (break_model_and_hash, "refuses the model"),
    "manifest no JSON": (lambda b: (b / "manifest.json").write_text("{"), "not JSON"),
    "manifest a list": (lambda b: (b / "manifest.json").write_text("[]"), "expected a JSON object"),
    "manifest of a later schema": (lambda b: edit(b, schema_version=99), "a bundle of schema 99; leukolite"),
    "labels swapped in the text": (lambda b: (b / "labels.txt").write_text("healthy\nblast\n"), "labels.txt"),
    "more labels than outputs": (three_labels, "outputs"),
    "another input size": (wider_input, "expected"),
    "golden truncated": (lambda b: truncate(b / "golden.npz"), "golden.npz is damaged"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_bundle_is_refused(refuses, copy, tmp_path, name):
    harm, expected = BROKEN[name]
    harm(copy)
    arguments = ("--bundle", copy, "--camera", "synthetic", "--frames", 1, "--json", tmp_path / "session.json")
    notes = name == "model truncated, hash made anew"  # found after the bundle was read, and said to have no sums
    line = refuses(edge_run, *arguments, notes=int(notes))
    assert expected in line
    assert str(copy) in line
    assert not (tmp_path / "session.json").exists()


def test_a_bundle_whose_preprocessing_or_outputs_differ_here_is_refused(refuses, copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    edit(copy, input=manifest["input"] | {"crop_fraction": 0.5})
    line = refuses(edge_run, "--bundle", copy, "--camera", "synthetic", "--frames", 1, notes=1)
    assert "preprocessing differs from the reference" in line


def test_a_text_file_is_no_bundle(refuses, tmp_path):
    (tmp_path / "bundle.zip").write_text("not a zip")
    line = refuses(edge_run, "--bundle", tmp_path / "bundle.zip", "--camera", "synthetic")
    assert "neither a bundle folder nor a whole zip file" in line


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is and then ends; rendering 900 million pixels would not fit the test machine."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + b"\0\0\x03\xe8IDAT"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"not an image", "not an image that can be read", id="text"),
        pytest.param(b"", "empty (0 bytes)", id="no bytes"),
        pytest.param(png_header(30_000, 30_000), "megapixels", id="30000x30000"),
        pytest.param(png_header(10_000, 10_000), "megapixels", id="10000x10000"),
        pytest.param(png_header(100, 100), "damaged or truncated", id="truncated"),
    ],
)
def test_a_source_of_unreadable_images_alone_is_refused_with_the_reason(refuses, tiny_bundle, tmp_path, content, expected):
    slides = tmp_path / "slides"
    slides.mkdir()
    (slides / "a.jpg").write_bytes(content)
    line = refuses(edge_run, "--bundle", tiny_bundle, "--source", slides, "--json", tmp_path / "session.json", notes=1)
    assert "not one frame could be read" in line
    assert expected in line
    assert not (tmp_path / "session.json").exists()


def test_a_source_without_frames_is_refused(refuses, tiny_bundle, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "film.mp4").write_text("not a video")
    assert "no image in this folder" in refuses(edge_run, "--bundle", tiny_bundle, "--source", tmp_path / "empty")
    assert "no such file or folder" in refuses(edge_run, "--bundle", tiny_bundle, "--source", tmp_path / "nowhere")
    assert "cannot be opened" in refuses(edge_run, "--bundle", tiny_bundle, "--source", tmp_path / "film.mp4")


@pytest.mark.parametrize("noise", ["-1", "abc", "", "0,,5", "nan", "inf", "256"])
def test_noise_that_cannot_be_is_a_wrong_call(refuses, tiny_bundle, noise):
    line = refuses(edge_run, "--bundle", tiny_bundle, "--camera", "synthetic", "--noise", noise, code=2)
    assert "expected noise levels from 0 to 255" in line


@pytest.mark.parametrize("option", [("--frames", 0), ("--duration", 0), ("--threads", 0), ("--seed", -1), ("--runtime", "onnx")])
def test_a_value_out_of_range_is_a_wrong_call(refuses, tiny_bundle, option):
    assert option[0] in refuses(edge_run, "--bundle", tiny_bundle, "--camera", "synthetic", *option, code=2)


def test_either_a_camera_or_a_source_is_wanted(refuses, tiny_bundle, cells):
    assert "either --camera" in refuses(edge_run, "--bundle", tiny_bundle, code=2)
    both = ("--camera", "synthetic", "--source", cells)
    assert "either --camera" in refuses(edge_run, "--bundle", tiny_bundle, *both, code=2)


def test_an_unknown_camera_is_refused_with_those_there_are(refuses, tiny_bundle):
    assert "there is synthetic" in refuses(edge_run, "--bundle", tiny_bundle, "--camera", "hubble")


@pytest.mark.parametrize("option", ["--json", "--out"])
def test_a_place_below_a_file_is_refused_before_the_first_frame(call, refuses, tiny_bundle, tmp_path, option):
    (tmp_path / "file").write_text("mine")
    arguments = ("--bundle", tiny_bundle, "--camera", "synthetic", "--frames", 1, option, tmp_path / "file" / "below")
    assert "cannot be written" in refuses(edge_run, *arguments)
    assert call(edge_run, *arguments).stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_of_somebody_elses_files_is_never_replaced(refuses, tiny_bundle, tmp_path):
    slides = tmp_path / "slides"
    slides.mkdir()
    (slides / "precious.tif").write_text("mine")
    line = refuses(edge_run, "--bundle", tiny_bundle, "--camera", "synthetic", "--frames", 1, "--out", slides)
    assert "choose another place" in line
    assert [path.name for path in slides.iterdir()] == ["precious.tif"]


def test_json_onto_a_folder_is_refused(refuses, tiny_bundle, tmp_path):
    line = refuses(edge_run, "--bundle", tiny_bundle, "--camera", "synthetic", "--frames", 1, "--json", tmp_path)
    assert "cannot be written" in line


# a process of its own


def started(*options: object, until: str) -> subprocess.Popen:
    """edge-run in a process of its own, once a line of its stdout held `until`."""
    command = [sys.executable, "-u", "-c", "from leukolite.edge.cli import main; main()", *map(str, options)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while (line := process.stdout.readline()) and until not in line:
        pass
    return process


@pytest.mark.parametrize("camera", ["synthetic", "synthetic:50"])
@pytest.mark.parametrize(("number", "by"), [(signal.SIGINT, "the user"), (signal.SIGTERM, "SIGTERM")])
def test_control_c_and_sigterm_end_a_session_well(tiny_bundle, tmp_path, number, by, camera):
    out = tmp_path / "session.json"
    with started("--bundle", tiny_bundle, "--camera", camera, "--json", out, until="synthetic ") as process:
        process.send_signal(number)
        rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors == f"stopped by {by}\n"
    assert "verdicts per second" in rest
    content = strict_json(out)
    assert (content["interrupted"], content["stopped_by"]) == (True, by)
    assert content["counts"]["frames"] == content["counts"]["verdicts"] >= 1


# live cameras, runtimes, the machine


def test_a_live_camera_is_classified_with_its_frames_ages(call, tiny_bundle, tmp_path):
    out = tmp_path / "session.json"
    result = call(edge_run, "--bundle", tiny_bundle, "--camera", "synthetic:100", "--frames", 5, "--json", out)
    assert result.exit_code == 0, result.output
    content = strict_json(out)
    assert set(content["latency_ms"]["age"]) == {"p50", "p90", "p99", "mean"}
    assert all(frame["age_ms"] > 0 for frame in content["frames"])
    indices = [frame["index"] for frame in content["frames"]]
    assert indices == sorted(set(indices))
    assert content["counts"]["skipped"] == sum(frame["skipped"] for frame in content["frames"])


def test_a_stream_that_breaks_off_is_a_gap_and_the_session_goes_on(call, tiny_bundle, tmp_path, serve):
    jpegs = []
    for blue in range(6):
        picture = io.BytesIO()
        Image.new("RGB", (64, 64), (200, 30, blue)).save(picture, "JPEG")
        jpegs.append(picture.getvalue())
    server, out = serve([*jpegs[:3], jpegs[3][:400], *jpegs[4:]], pause_s=0.02), tmp_path / "session.json"
    options = ("--camera", server.url, "--frames", 6, "--json", out)  # one opening gives five
    result = call(edge_run, "--bundle", tiny_bundle, *options)
    assert result.exit_code == 0, result.output
    content = strict_json(out)
    assert server.asked >= 2
    assert content["counts"]["frames"] == 6
    assert any("signal lost: no more frames come" in gap["reason"] for gap in content["gaps"])
    assert any("truncated" in gap["reason"] for gap in content["gaps"])
    assert any("reopening" in note["text"] for note in content["notes"])


def test_a_session_that_fails_keeps_what_it_saw_and_exits_with_1(call, tiny_bundle, tmp_path, serve, monkeypatch):
    picture = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(picture, "JPEG")
    monkeypatch.setattr(cli, "ReconnectPolicy", partial(ReconnectPolicy, times=0))
    server, out = serve([picture.getvalue()] * 3), tmp_path / "session"
    result = call(edge_run, "--bundle", tiny_bundle, "--camera", server.url, "--cells", "one", "--out", out)
    assert result.exit_code == 1
    assert "given up after 0 reopenings" in result.stderr.splitlines()[-1]
    content = strict_json(out / "report.json")
    assert content["counts"]["verdicts"] >= 1
    assert "given up" in content["failure"]


def test_frames_that_are_too_old_are_excluded_with_the_reason(call, tiny_bundle, tmp_path):
    out = tmp_path / "session.json"
    options = ("--frames", 3, "--max-age", 0.000001, "--json", out)
    result = call(edge_run, "--bundle", tiny_bundle, "--camera", "synthetic", *options)
    assert result.exit_code == 0, result.output
    content = strict_json(out)
    assert content["counts"]["excluded"] == {"too old": 3}
    assert {frame["label"] for frame in content["frames"]} == {None}
    assert "excluded: too old 3" in result.stdout


def test_quiet_leaves_out_the_verdicts_lines_alone(call, tiny_bundle):
    result = call(edge_run, "--bundle", tiny_bundle, "--camera", "synthetic", "--frames", 3, "--quiet")
    assert "3 frames" in result.stdout
    assert VERDICT_HEADER not in result.stdout
    assert len(re.findall(r"^ +\d+ synthetic", result.stdout, re.MULTILINE)) == 0


def test_every_verdict_says_what_computed_it(call, tiny_bundle, tmp_path):
    out = tmp_path / "session.json"
    call(edge_run, "--bundle", tiny_bundle, "--camera", "synthetic", "--frames", 2, "--threads", 2, "--json", out)
    version = importlib.metadata.version("ai-edge-litert")
    expected = {"name": "litert", "version": version, "threads": 2, "delegate": None}
    assert [frame["runtime"] for frame in strict_json(out)["frames"]] == [expected] * 2


def test_a_model_for_the_cpu_is_refused_on_the_edge_tpu_unless_the_cpu_is_allowed(call, refuses, tiny_bundle, tmp_path):
    arguments = ("--bundle", tiny_bundle, "--camera", "synthetic", "--frames", 1, "--runtime", "edgetpu")
    assert "all of it would run on the CPU" in refuses(edge_run, *arguments)
    out = tmp_path / "session.json"
    result = call(edge_run, *arguments, "--allow-cpu", "--json", out)
    assert result.exit_code == 0, result.output
    assert "litert computes on the CPU, not edgetpu" in result.stderr
    assert strict_json(out)["frames"][0]["runtime"]["name"] == "litert"


def test_allow_cpu_is_for_the_edge_tpu(refuses, tiny_bundle):
    line = refuses(edge_run, "--bundle", tiny_bundle, "--camera", "synthetic", "--allow-cpu", code=2)
    assert "--allow-cpu goes with --runtime edgetpu" in line


def test_cameras_are_listed_without_a_bundle(call):
    result = call(edge_run, "--list-cameras")
    assert result.exit_code == 0, result.output
    assert "synthetic" in result.stdout


@pytest.mark.parametrize("camera", ["picamera2", "v4l2:/dev/video99", "http://127.0.0.1:9/stream"])
def test_a_camera_that_is_not_there_is_refused_at_once(refuses, tiny_bundle, tmp_path, camera, monkeypatch):
    monkeypatch.setitem(sys.modules, "picamera2", None)
    refuses(edge_run, "--bundle", tiny_bundle, "--camera", camera, "--json", tmp_path / "session.json")
    assert not (tmp_path / "session.json").exists()


@pytest.mark.parametrize("size", ["640", "x480", "0x0", "axb", "640x480x3"])
def test_a_camera_size_that_cannot_be_is_a_wrong_call(refuses, tiny_bundle, size):
    line = refuses(edge_run, "--bundle", tiny_bundle, "--camera", "picamera2", "--camera-size", size, code=2)
    assert "expected a size in pixels like 1280x960" in line
