"""`leukolite export-android`, and its consumers: MediaPipe Tasks reads the model, a Kotlin compiler and a JVM the sources.

The consumers come with `leukolite[android-test]` in a virtual environment of their own, which `make test-all` makes;
LEUKOLITE_ANDROID_PYTHON names its interpreter.
"""

import hashlib
import importlib.util
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from environments import path_of, python_with

from leukolite.bundle import Bundle, Golden, write_bundle
from leukolite.classifier import open_classifier
from leukolite.cli import main as leukolite
from leukolite.convert import android
from leukolite.convert.android import ASSETS, FILES, KOTLIN, export_android
from leukolite.convert.metadata import ALIGNMENT, with_metadata
from leukolite.decision import Decision, calibrate, decide
from leukolite.errors import BundleError, ConversionError, LeukoliteError
from leukolite.manifest import GoldenSpec, Manifest, TensorFormat
from leukolite.network_input import NetworkInput
from leukolite.preprocess import InputSpec, crop_and_resize, input_table, to_input
from leukolite.quiet import quiet
from leukolite.runtime import TfliteRuntime

DATA = Path(__file__).parent.parent / "data"
LABELS = ['no "blast" \\ $none', "Lymphoblast é 淋"]  # what a Kotlin literal must escape
FRAMES = ((40, 48), (32, 32), (64, 64), (96, 120), (20, 31))  # shrunk, as they are, halved, divided by three, enlarged


@dataclass(frozen=True)
class Network:
    """A model of the tests: its file, and what goes in and out."""

    model: bytes
    spec: InputSpec
    input_tensor: TensorFormat
    output_tensor: TensorFormat


def uint8_network() -> Network:
    spec = InputSpec(height=32, width=32, crop_fraction=0.9)
    model = (DATA / "tiny.tflite").read_bytes()
    return Network(model, spec, TensorFormat(dtype="uint8", scale=1 / 255), TensorFormat(dtype="uint8", scale=1 / 256))


def float32_network() -> Network:
    """The same network as floats that wants -1 to 1, of images resized by the other kernel."""
    import tensorflow as tf

    place = importlib.util.spec_from_file_location("make_tiny_model", DATA / "make_tiny_model.py")
    assert place is not None
    assert place.loader is not None
    module = importlib.util.module_from_spec(place)
    with quiet():
        place.loader.exec_module(module)
        model = tf.lite.TFLiteConverter.from_keras_model(module.network()).convert()
    spec = InputSpec(height=32, width=32, crop_fraction=0.9, kernel="halve-linear", scale=2 / 255, offset=-1.0)
    return Network(model, spec, TensorFormat(dtype="float32"), TensorFormat(dtype="float32"))


NETWORKS = {"uint8": uint8_network, "float32": float32_network}


def frames(size: tuple[int, int], count: int = 6) -> np.ndarray:
    """Coloured noise, from reddish to bluish."""
    rng = np.random.default_rng(size)
    red = np.linspace(170, 80, count)[:, np.newaxis, np.newaxis, np.newaxis]
    colours = np.concatenate([red, np.full_like(red, 120), 250 - red], axis=3)
    return np.clip(colours + rng.normal(0, 20, (count, *size, 3)), 0, 255).astype(np.uint8)


def write_tiny(path: Path, network: Network) -> Path:
    """A bundle with a temperature, threshold and abstain band that change verdicts."""
    tensor, runtime, captures = network.input_tensor, TfliteRuntime(network.model), frames(FRAMES[0])
    table = input_table(network.spec, tensor.dtype, tensor.scale, tensor.zero_point)
    inputs = np.concatenate([to_input(frame, network.spec, table) for frame in captures])
    manifest = Manifest(
        schema_version=1,
        name="tiny",
        unit="cell",
        labels=LABELS,
        malignant=LABELS[1:],
        input=network.spec,
        input_tensor=tensor,
        output_tensor=network.output_tensor,
        decision=Decision(temperature=1.7, threshold=0.3, abstain=(0.25, 0.45)),
        model_sha256=hashlib.sha256(network.model).hexdigest(),
        golden=GoldenSpec(runtime="litert", tolerance={"litert": 0.01}),
        training=None,
        measured=None,
    )
    golden = Golden(captures, inputs, np.stack([runtime.invoke(batch[np.newaxis]) for batch in inputs]))
    write_bundle(path, manifest, network.model, golden, "")
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "tiny", uint8_network())


@pytest.fixture(scope="module")
def exported(tiny: Path) -> Path:
    """Tests copy it before they change it."""
    out = tiny.parent / "android"
    export_android(Bundle.load(tiny), out)
    return out


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# what is written


def test_the_command_writes_the_files_and_lists_them(call, tiny, tmp_path):
    result = call(leukolite, "export-android", tiny, "--out", tmp_path / "a")
    assert (result.exit_code, result.stderr) == (0, "")
    assert sorted(files_in(tmp_path / "a")) == sorted(FILES)
    assert [name for name in FILES if name not in result.stdout] == []


def test_a_shipped_bundle_is_exported_by_its_name(call, tmp_path):
    result = call(leukolite, "export-android", "synthetic-cells", "--out", tmp_path / "a")
    assert result.exit_code == 0, result.output
    assert Bundle.load(tmp_path / "a" / ASSETS).manifest.name == "synthetic-cells"


def test_the_assets_are_a_bundle_that_classifies_as_the_original(tiny, exported):
    original, copy = open_classifier(Bundle.load(tiny)), open_classifier(Bundle.load(exported / ASSETS))
    for size in FRAMES:
        for frame in frames(size):
            one, other = original(frame), copy(frame)
            assert (one.label, one.probabilities.tolist()) == (other.label, other.probabilities.tolist())


def test_the_manifest_differs_in_the_models_hash_alone(tiny, exported):
    before, after = (json.loads((folder / "manifest.json").read_text()) for folder in (tiny, exported / ASSETS))
    found = hashlib.sha256((exported / ASSETS / "model.tflite").read_bytes()).hexdigest()
    assert after == {**before, "model_sha256": found}
    assert found != before["model_sha256"]


def test_the_readme_has_ten_lines_at_most(exported):
    assert len((exported / "README.md").read_text().splitlines()) <= 10


# the archive


def test_the_same_bundle_gives_the_same_archive(call, tiny, tmp_path):
    zipped = tmp_path / "tiny.zip"
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files_in(tiny).items():
            archive.writestr(name, content)
    for bundle, name in ((tiny, "one"), (zipped, "two")):
        result = call(leukolite, "export-android", bundle, "--out", tmp_path / name, "--zip", tmp_path / f"{name}.zip")
        assert result.exit_code == 0, result.output
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_the_archive_holds_what_the_folder_holds(tiny, tmp_path):
    export_android(Bundle.load(tiny), tmp_path / "a", tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files_in(tmp_path / "a")


def test_the_archive_does_not_know_the_hour(tiny, tmp_path):
    export_android(Bundle.load(tiny), tmp_path / "a", tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        with zipfile.ZipFile(io.BytesIO(archive.read(f"{ASSETS}/golden.npz"))) as golden:
            assert {entry.date_time for entry in golden.infolist()} == {(1980, 1, 1, 0, 0, 0)}


# the metadata


def metadata_of(model: bytes) -> list[bytes]:
    """The buffers named TFLITE_METADATA."""
    from ai_edge_litert import schema_py_generated as schema

    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model))
    return [bytes(tree.buffers[entry.buffer].data) for entry in tree.metadata if entry.name == b"TFLITE_METADATA"]


def test_the_model_carries_one_metadata_buffer_and_its_labels(exported):
    model = (exported / ASSETS / "model.tflite").read_bytes()
    (metadata,) = metadata_of(model)
    assert metadata[4:8] == b"M001"
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        assert archive.read("labels.txt").decode().splitlines() == LABELS


def test_metadata_written_twice_is_there_once(tiny):
    bundle = Bundle.load(tiny)
    once = with_metadata(bundle.model, bundle.manifest)
    again = with_metadata(once, bundle.manifest)
    assert len(metadata_of(again)) == 1
    with zipfile.ZipFile(io.BytesIO(again)) as archive:
        assert archive.namelist() == ["labels.txt"]


def test_weights_begin_where_the_schema_wants_them(exported):
    from ai_edge_litert import schema_py_generated as schema

    content = (exported / ASSETS / "model.tflite").read_bytes()
    model = schema.Model.GetRootAs(content)
    tables = [model.Buffers(i) for i in range(model.BuffersLength())]
    starts = [table._tab.Vector(table._tab.Offset(4)) for table in tables if table.DataLength()]
    assert len(starts) > 5
    assert [start for start in starts if start % ALIGNMENT] == []


@pytest.mark.parametrize("tensor", ["input_tensor", "output_tensor"])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_tensors_that_mediapipe_does_not_read_are_refused(tiny, tensor, dtype):
    bundle = Bundle.load(tiny)
    manifest = bundle.manifest.model_copy(update={tensor: TensorFormat(dtype=dtype, scale=0.1)})
    with pytest.raises(ConversionError, match=f"{dtype}, expected uint8 or float32"):
        with_metadata(bundle.model, manifest)


@pytest.mark.parametrize(
    "damage", [lambda model: b"GIF89a" + model, lambda model: model[:8], lambda model: model[: len(model) // 2]]
)
def test_what_is_no_model_is_refused(tiny, damage):
    bundle = Bundle.load(tiny)
    with pytest.raises(ConversionError, match="TFLite file"):
        with_metadata(damage(bundle.model), bundle.manifest)


# what the Kotlin says


def test_the_kotlin_carries_the_decision(exported):
    kotlin = (exported / KOTLIN / "Leukolite.kt").read_text()
    assert "const val TEMPERATURE: Double = 1.7\n" in kotlin
    assert "val THRESHOLD: Double? = 0.3\n" in kotlin
    assert "val ABSTAIN: ClosedFloatingPointRange<Double>? = 0.25..0.45\n" in kotlin
    assert "val MALIGNANT = listOf<Int>(1)\n" in kotlin


def test_the_kotlin_without_a_threshold_says_null(tiny, tmp_path):
    bundle = Bundle.load(tiny)
    export_android(replace(bundle, manifest=bundle.manifest.model_copy(update={"decision": Decision()})), tmp_path / "a")
    kotlin = (tmp_path / "a" / KOTLIN / "Leukolite.kt").read_text()
    assert "val THRESHOLD: Double? = null\n" in kotlin
    assert "val ABSTAIN: ClosedFloatingPointRange<Double>? = null\n" in kotlin


def test_the_kotlin_names_the_exported_model(exported):
    found = hashlib.sha256((exported / ASSETS / "model.tflite").read_bytes()).hexdigest()
    assert f'MODEL_SHA256 = "{found}"' in (exported / KOTLIN / "Leukolite.kt").read_text()


def test_the_kotlin_knows_all_that_changes_a_verdict():
    """A field that is new here is one that the phone would pass over: teach the templates, then this test."""
    assert set(Decision.model_fields) == {"temperature", "threshold", "abstain"}
    assert set(InputSpec.model_fields) == {"height", "width", "crop", "crop_fraction", "kernel", "channels", "scale", "offset"}
    properties = InputSpec.model_json_schema()["properties"]
    assert properties["channels"]["const"] == "RGB"
    assert properties["crop"]["enum"] == ["centre-square", "stretch", "pad"]
    assert properties["kernel"]["enum"] == ["area", "halve-linear"]


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_kotlin_resizes_by_the_manifests_kernel(tmp_path, kind):
    bundle = Bundle.load(write_tiny(tmp_path / "tiny", NETWORKS[kind]()))
    export_android(bundle, tmp_path / "a")
    kotlin = (tmp_path / "a" / KOTLIN / "Leukolite.kt").read_text()
    assert f'const val KERNEL = "{bundle.manifest.input.kernel}"\n' in kotlin


def test_the_kotlin_says_what_is_seen_and_what_the_network_takes(tiny, tmp_path):
    bundle = Bundle.load(tiny)
    manifest = bundle.manifest
    assert 'const val CROP = "centre-square"\n' in (kotlin := _kotlin(bundle, tmp_path / "a"))
    assert "NETWORK_VALUES" not in kotlin
    changes = {"network_input": NetworkInput(channels="BGR"), "objections": ["finds 0 of $9 blasts"]}
    kotlin = _kotlin(replace(bundle, manifest=manifest.model_copy(update=changes)), tmp_path / "b")
    assert 'const val NETWORK_VALUES = "0..1"\n' in kotlin
    assert 'const val NETWORK_CHANNELS = "BGR"\n' in kotlin
    assert 'val OBJECTIONS = listOf("finds 0 of \\$9 blasts")\n' in kotlin
    readme = (tmp_path / "b" / "README.md").read_text()
    assert "trained on values 0..1, channels B, G, R" in readme
    assert "finds 0 of $9 blasts" in readme


def _kotlin(bundle: Bundle, out: Path) -> str:
    export_android(bundle, out)
    return (out / KOTLIN / "Leukolite.kt").read_text()


@pytest.mark.parametrize(
    ("crop", "says"),
    [
        ("centre-square", "a centre-square crop of 1 of the shorter side, resized"),
        ("stretch", "the whole picture stretched, resized"),
        ("pad", "the whole picture with black beside it, resized"),
    ],
)
def test_the_metadata_says_what_of_a_picture_goes_in(tiny, crop, says):
    bundle = Bundle.load(tiny)
    spec = InputSpec(height=32, width=32, crop=crop)
    manifest = bundle.manifest.model_copy(update={"input": spec})
    assert says.encode() in with_metadata(bundle.model, manifest)


# what is refused


def test_an_earlier_export_is_replaced_by_force_alone(tiny, tmp_path):
    for force in (False, True):
        export_android(Bundle.load(tiny), tmp_path / "a", force=force)
    with pytest.raises(LeukoliteError, match="a: exists"):
        export_android(Bundle.load(tiny), tmp_path / "a")
    assert sorted(files_in(tmp_path / "a")) == sorted(FILES)


def test_a_project_that_holds_an_export_is_not_replaced(refuses, tiny, exported, tmp_path):
    shutil.copytree(exported, tmp_path / "app")
    (tmp_path / "app" / "app" / "build.gradle.kts").write_text("plugins {}")
    error = refuses(leukolite, "export-android", tiny, "--out", tmp_path / "app")
    assert "build.gradle.kts: not part of an export" in error
    assert (tmp_path / "app" / "app" / "build.gradle.kts").read_text() == "plugins {}"


def test_a_folder_of_something_else_is_left_alone(refuses, tiny, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "letter.txt").write_text("dear")
    assert "exists and is not" in refuses(leukolite, "export-android", tiny, "--out", tmp_path / "a")


def test_an_archive_inside_the_folder_is_a_wrong_call(refuses, tiny, tmp_path):
    error = refuses(leukolite, "export-android", tiny, "--out", tmp_path / "a", "--zip", tmp_path / "a" / "a.zip", code=2)
    assert "expected a file outside" in error


def test_a_missing_bundle_is_one_line(refuses, tmp_path):
    assert "no such bundle" in refuses(leukolite, "export-android", tmp_path / "none", "--out", tmp_path / "a")


def with_swapped_outputs(model: bytes) -> bytes:
    """The tiny network with its last weights turned round: it takes red for blue."""
    from ai_edge_litert import schema_py_generated as schema

    content = bytearray(model)
    tree = schema.Model.GetRootAs(content)
    graph = tree.Subgraphs(0)
    tensors = [graph.Tensors(i) for i in range(graph.TensorsLength())]
    (weights,) = [tensor for tensor in tensors if tensor.ShapeAsNumpy().tolist() == [2, 4]]
    table = tree.Buffers(weights.Buffer())
    start = table._tab.Vector(table._tab.Offset(4))
    content[start : start + 8] = content[start + 4 : start + 8] + content[start : start + 4]
    return bytes(content)


def test_a_bundle_whose_golden_outputs_fail_is_not_exported(tiny, tmp_path):
    bundle = Bundle.load(tiny)
    with pytest.raises(BundleError, match=r"golden\.npz output"):
        export_android(replace(bundle, model=with_swapped_outputs(bundle.model)), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_model_that_the_writing_changed_is_not_exported(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(android, "with_metadata", lambda model, manifest: with_metadata(with_swapped_outputs(model), manifest))
    with pytest.raises(ConversionError, match="gives another output for golden input 0"):
        export_android(Bundle.load(tiny), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_place_that_cannot_be_written_leaves_nothing(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LeukoliteError, match="cannot be written"):
        export_android(Bundle.load(tiny), tmp_path / "file" / "a")


# MediaPipe


@pytest.fixture(scope="session")
def mediapipe_python() -> Path:
    return python_with("mediapipe", "LEUKOLITE_ANDROID_PYTHON")


@pytest.fixture(scope="session")
def mediapipe_scores(
    mediapipe_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path, Sequence[np.ndarray]], np.ndarray]:
    """What MediaPipe's ImageClassifier gives each image, in the order of `LABELS`."""

    def scores(model: Path, images: Sequence[np.ndarray]) -> np.ndarray:
        folder = tmp_path_factory.mktemp("mediapipe")
        np.savez(folder / "images.npz", **{str(i): image for i, image in enumerate(images)})
        command = [mediapipe_python, DATA / "mediapipe_scores.py", model, folder / "images.npz", folder / "scores.json"]
        subprocess.run([str(part) for part in command], check=True, capture_output=True)
        answers = json.loads((folder / "scores.json").read_text())
        return np.array([[answer[label] for label in LABELS] for answer in answers], np.float32)

    return scores


@pytest.mark.parametrize("kind", NETWORKS)
def test_mediapipe_reads_the_model_and_gives_the_runtimes_probabilities(mediapipe_scores, tmp_path, kind):
    bundle = Bundle.load(write_tiny(tmp_path / "tiny", NETWORKS[kind]()))
    export_android(bundle, tmp_path / "a")
    classifier, captures = open_classifier(bundle), [frame for size in FRAMES for frame in frames(size)]
    ours = [classifier.runtime.invoke(to_input(frame, bundle.manifest.input, classifier.table)) for frame in captures]
    resized = [crop_and_resize(frame, bundle.manifest.input) for frame in captures]
    theirs = mediapipe_scores(tmp_path / "a" / ASSETS / "model.tflite", resized)
    assert np.ptp(theirs[:, 0]) > 0.5
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-6)


def test_mediapipe_agrees_with_every_shipped_bundle_on_real_images(mediapipe_python, shared_data, tmp_path):
    command = [sys.executable, DATA / "mediapipe_agreement.py", shared_data, "--python", mediapipe_python]
    options = ["--every", 300, "--json", tmp_path / "rows.json"]
    subprocess.run([str(part) for part in (*command, *options)], check=True, capture_output=True)
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert len(rows) >= 5
    for row in rows:
        assert row["n"] > 0
        assert row["same_verdict"] == row["n"] <= row["same_top"] + row["ties"], row
        assert row["max_difference"] <= 1 / 256, row


# Kotlin on a JVM


@dataclass(frozen=True)
class Jvm:
    """The compiled Kotlin of an export beside the bundle that it was made of."""

    bundle: Bundle
    assets: Path
    command: tuple[str, ...]
    folder: Path

    def answer(self, captures: Sequence[np.ndarray]) -> Path:
        """What the stand-in interpreter knows: the runtime's output for each capture's and golden input."""
        classifier, golden = open_classifier(self.bundle), self.bundle.golden.inputs
        inputs = [
            *(to_input(frame, classifier.spec, classifier.table) for frame in captures),
            *(row[np.newaxis] for row in golden),
        ]
        lines = []
        for tensor in (classifier.runtime.input, classifier.runtime.output):
            shape = ",".join(map(str, tensor.shape))
            lines.append(f"{tensor.format.dtype.upper()} {shape} {tensor.format.scale} {tensor.format.zero_point}")
        for batch in inputs:
            output, form = classifier.runtime.invoke(batch), classifier.runtime.output.format
            raw = output if form.dtype == "float32" else np.rint(output / form.scale + form.zero_point).astype(np.uint8)
            lines.append(f"{hashlib.sha256(batch.tobytes()).hexdigest()} {raw.tobytes().hex()}")
        path = self.folder / "answers.txt"
        path.write_text("\n".join(lines))
        return path

    def run(
        self, *arguments: object, answers: Path | None = None, assets: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        properties = [f"-Dassets={assets or self.assets}", *([f"-Danswers={answers}"] if answers else [])]
        command = [*self.command[:1], *properties, *self.command[1:], *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    def ask(self, what: str, cases: bytes, *, answers: Path | None = None) -> bytes:
        """The bytes with which the Kotlin answers the cases' bytes."""
        (self.folder / "in.bin").write_bytes(cases)
        result = self.run(what, self.folder / "in.bin", self.folder / "out.bin", answers=answers)
        assert result.returncode == 0, result.stderr
        return (self.folder / "out.bin").read_bytes()


@pytest.fixture(scope="session", params=list(NETWORKS))
def jvm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Jvm:
    if shutil.which("java") is None:
        pytest.skip("no java: `make test-all` installs it, or sudo apt install default-jre-headless")
    package = "run_kotlin_kernel"  # of kotlin-jupyter-kernel, which brings JetBrains' compiler
    kernel = path_of(package, python_with(package, "LEUKOLITE_ANDROID_PYTHON"))
    assert kernel is not None
    folder = tmp_path_factory.mktemp(request.param)
    bundle = Bundle.load(write_tiny(folder / "tiny", NETWORKS[request.param]()))
    export_android(bundle, folder / "android")
    (standard_library,) = (kernel / "jars").glob("kotlin-stdlib-*.jar")
    compiler = ("java", "-XX:TieredStopAtLevel=1", "-cp", f"{kernel / 'jars'}/*", "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler")
    options = ("-Werror", "-no-stdlib", "-no-reflect", "-cp", standard_library, "-d", folder / "kotlin.jar")
    sources = [*(folder / "android").rglob("*.kt"), *(DATA / "android").glob("*.kt")]
    result = subprocess.run([str(part) for part in (*compiler, *options, *sources)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    command = ("java", "-XX:TieredStopAtLevel=1", "-cp", f"{folder / 'kotlin.jar'}:{standard_library}", "check.MainKt")
    return Jvm(bundle, folder / "android" / ASSETS, command, folder)


def pack_image(pixels: np.ndarray) -> bytes:
    return struct.pack(">ii", *pixels.shape[:2]) + pixels.tobytes()


def test_the_generated_test_passes(jvm):
    answers = jvm.answer(jvm.bundle.golden.frames)
    assert [line.split()[0] for line in jvm.run("test", answers=answers).stdout.splitlines()] == ["passed"] * 4


def test_the_generated_test_fails_on_a_runtime_that_computes_something_else(jvm):
    answers = jvm.answer(jvm.bundle.golden.frames)
    *_, first = answers.read_text().splitlines()[2].split()
    lines = answers.read_text().splitlines()
    answers.write_text("\n".join([*lines[:2], *(f"{line.split()[0]} {first}" for line in lines[2:])]))
    printed = jvm.run("test", answers=answers).stdout
    assert "failed goldenInputsGiveTheGoldenOutputs: golden output" in printed


@pytest.mark.parametrize("name", ["model.tflite", "labels.txt", "golden.npz"])
def test_the_kotlin_opens_no_damaged_assets(jvm, tmp_path, name):
    shutil.copytree(jvm.assets, tmp_path / "assets")
    content = bytearray((tmp_path / "assets" / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "assets" / name).write_bytes(content)
    (tmp_path / "none.bin").write_bytes(struct.pack(">i", 0))
    answers = jvm.answer(jvm.bundle.golden.frames)
    result = jvm.run("classify", tmp_path / "none.bin", tmp_path / "out.bin", answers=answers, assets=tmp_path / "assets")
    assert result.returncode == 1
    assert "Exception" in result.stderr


def test_the_kotlin_classifies_as_leukolite(jvm):
    captures = [frame for size in FRAMES for frame in frames(size)]
    classifier = open_classifier(jvm.bundle)
    cases = struct.pack(">i", len(captures)) + b"".join(pack_image(frame) for frame in captures)
    record = np.dtype([("index", ">i4"), ("probabilities", ">f4", len(LABELS))])
    found = np.frombuffer(jvm.ask("classify", cases, answers=jvm.answer(captures)), record)
    expected = [classifier(frame) for frame in captures]
    indices = [-1 if verdict.index is None else verdict.index for verdict in expected]
    assert set(indices) == {-1, 0, 1}
    assert found["index"].tolist() == indices
    np.testing.assert_allclose(found["probabilities"], [verdict.probabilities for verdict in expected], rtol=1e-6)


CROPS = ["centre-square", "stretch", "pad"]


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("kernel", ["area", "halve-linear"])
def test_the_kotlin_crops_and_resizes_to_leukolites_bytes(jvm, kernel, crop):
    rng = np.random.default_rng(0)
    sizes = [(450, 450), (480, 640), (900, 901), (1080, 1920), (1000, 300)]
    fraction = 0.9 if crop == "centre-square" else 1.0
    cases = [
        (np.zeros((*size, 3), np.uint8), InputSpec(height=224, width=224, crop=crop, crop_fraction=fraction, kernel=kernel))
        for size in sizes
    ]
    for i in range(250):
        height, width = (int(length) for length in rng.integers(8, 100, 2))
        if i % 2:
            width = height
        source = [
            tuple(rng.integers(1, 300, 2)),  # anything
            (height * int(rng.integers(1, 6)),) * 2,  # a whole number of times as high
            (2 * height, 2 * width + int(rng.integers(0, 50))),  # twice, which OpenCV rounds in its own way
            tuple(rng.integers(1, 40, 2)),  # enlarged
        ][i % 4]
        fraction = [1.0, 0.9, float(rng.uniform(0.05, 1))][i % 3] if crop == "centre-square" else 1.0
        spec = InputSpec(height=height, width=width, crop=crop, crop_fraction=fraction, kernel=kernel)
        cases.append((np.zeros((*source, 3), np.uint8), spec))
    cases = [(rng.integers(0, 256, pixels.shape).astype(np.uint8), spec) for pixels, spec in cases]
    packed = [
        struct.pack(">iid?i", spec.height, spec.width, spec.crop_fraction, kernel == "halve-linear", CROPS.index(crop))
        + pack_image(pixels)
        for pixels, spec in cases
    ]
    found = np.frombuffer(jvm.ask("resize", struct.pack(">i", len(cases)) + b"".join(packed)), np.uint8)
    at = 0
    for pixels, spec in cases:
        expected = crop_and_resize(pixels, spec)
        # one level: OpenCV rounds otherwise on some processors; on x86-64 there is no difference
        gap = np.abs(found[at : at + expected.size].reshape(expected.shape).astype(int) - expected)
        assert gap.max() <= (0 if os.uname().machine == "x86_64" else 1), (pixels.shape, spec)
        at += expected.size
    assert at == len(found)


def test_the_kotlin_decides_as_leukolite(jvm):
    rng = np.random.default_rng(0)
    cases = []
    for i in range(3000):
        classes = 2 if i % 3 else int(rng.integers(2, 7))
        levels = rng.multinomial(256, rng.dirichlet(np.ones(classes)))
        low, high = np.sort(rng.uniform(0, 1, 2))
        decision = Decision(
            temperature=1.0 if i % 2 else round(float(rng.uniform(0.1, 5)), 4),
            threshold=[None, 0.5, float(rng.uniform(0.01, 0.99))][i % 3],
            abstain=None if i % 4 else (float(low), float(high)),
        )
        malignant = sorted(rng.permutation(classes)[: int(rng.integers(0, classes + 1))].tolist())
        cases.append(((np.minimum(levels, 255) / 256).astype(np.float32), decision, malignant))
    packed = [struct.pack(">i", len(cases))]
    for probabilities, decision, malignant in cases:
        numbers = (decision.temperature, decision.threshold, *(decision.abstain or (None, None)))
        packed.append(struct.pack(">4d", *(np.nan if number is None else number for number in numbers)))
        packed.append(struct.pack(f">i{len(malignant)}i", len(malignant), *malignant))
        packed.append(struct.pack(f">i{len(probabilities)}f", len(probabilities), *probabilities))
    found, at = jvm.ask("decide", b"".join(packed)), 0
    for probabilities, decision, malignant in cases:
        calibrated = calibrate(probabilities, decision.temperature)
        index = decide(calibrated, decision, malignant)
        form = f">i{len(probabilities)}f"
        decided, *values = struct.unpack_from(form, found, at)
        at += struct.calcsize(form)
        assert decided == (-1 if index is None else index), (probabilities, decision, malignant)
        np.testing.assert_allclose(values, calibrated, rtol=2e-6)
    assert at == len(found)
