"""Parity of runtimes, each in a process of its own; other runtimes are fakes around LiteRT, installed as tflite-runtime."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leukolite.bundle import Bundle
from leukolite.classifier import open_classifier
from leukolite.cli import main as leukolite
from leukolite.convert.images import GOLDEN_FRAMES, Images, prepare
from leukolite.convert.parity import KNOWN_MODEL, Answers, ask_runtime, check_parity, check_runtimes, compare, find_runtime
from leukolite.errors import ConversionError
from leukolite.evaluation import evaluate_files

FAKE = """
import os
import numpy as np
from ai_edge_litert.interpreter import Interpreter as LiteRT
{at_load}
class Interpreter(LiteRT):
    def __init__(self, **settings):
        super().__init__(**settings)
        is_known = self.is_known = len(settings["model_content"]) == KNOWN_BYTES
        {at_start}
    def invoke(self):
        {at_invoke}
        super().invoke()
    def get_tensor(self, index):
        answer, is_known = super().get_tensor(index), self.is_known
        return {answer}
""".replace("KNOWN_BYTES", str(KNOWN_MODEL.stat().st_size))
WORKS = {"at_load": "", "at_start": "pass", "at_invoke": "pass", "answer": "answer"}


def no_progress(stage: str, done: int, total: int) -> None:
    """Shows nothing."""


def other_python(folder: Path, **fake: str) -> Path:
    """An interpreter that has tflite-runtime 2.14.0 installed, as a script: this one, with a fake on its path."""
    package = folder / "site" / "tflite_runtime"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text(FAKE.format_map(WORKS | fake))
    record = folder / "site" / "tflite_runtime-2.14.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: tflite-runtime\nVersion: 2.14.0\n")
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{folder / "site"}" exec "{sys.executable}" "$@"\n')
    script.chmod(0o755)
    return script


@pytest.fixture(scope="module")
def bundle(tiny_bundle) -> Bundle:
    return Bundle.load(tiny_bundle)


@pytest.fixture(scope="module")
def files(cells) -> list[tuple[Path, int]]:
    return [(path, k) for k, label in enumerate(("blast", "healthy")) for path in sorted((cells / label).iterdir())[:3]]


@pytest.fixture(scope="module")
def images(bundle, files, tmp_path_factory) -> Images:
    place = tmp_path_factory.mktemp("images") / "some.npy"
    return prepare(place, files, (0.0, 10.0), bundle.manifest.input, 3, no_progress)


@pytest.fixture(scope="module")
def reference(bundle, images) -> Answers:
    return ask_runtime(bundle.model, images, bundle.manifest.input, no_progress)


def test_the_images_are_those_that_an_evaluation_classifies(bundle, files, images, reference):
    classified, _ = evaluate_files(open_classifier(bundle), files, (0.0, 10.0), seed=3)
    seen = np.array([item.verdict.probabilities for item in classified]).reshape(len(files), 2, 2).swapaxes(0, 1)
    np.testing.assert_allclose(reference.outputs, seen, atol=1e-6)


def test_the_golden_outputs_are_the_bundles(bundle, reference):
    assert len(reference.golden) == GOLDEN_FRAMES
    np.testing.assert_allclose(reference.golden, bundle.golden.outputs, atol=1e-6)


def test_litert_of_this_interpreter_is_named_with_its_version_and_times(reference, images):
    assert reference.name == "litert"
    assert reference.version
    assert reference.invoke_ms.shape == (GOLDEN_FRAMES + 2 * len(images.truth),)
    assert reference.p50_ms > 0


def asked(bundle: Bundle, images: Images, folder: Path, **fake: str) -> Answers:
    return ask_runtime(bundle.model, images, bundle.manifest.input, no_progress, other_python(folder, **fake))


def checked(bundle: Bundle, images: Images, reference: Answers, folder: Path, **fake: str):
    return check_parity(asked(bundle, images, folder, **fake), reference.outputs, reference.golden, 0.08)


def test_another_interpreters_runtime_is_checked_by_its_answers(bundle, images, reference, tmp_path):
    one = checked(bundle, images, reference, tmp_path)
    assert (one.name, one.version, one.outcome, one.flips, one.max_difference) == ("tflite-runtime", "2.14.0", "proved", 0, 0)
    assert one.n == 2 * len(images.truth)


def test_the_real_tflite_runtime_is_checked_by_its_answers(bundle, images, reference, tflite_runtime_python):
    answers = ask_runtime(bundle.model, images, bundle.manifest.input, no_progress, tflite_runtime_python)
    one = check_parity(answers, reference.outputs, reference.golden, 0.08)
    assert (one.name, one.version, one.outcome, one.n) == ("tflite-runtime", "2.14.0", "proved", 2 * len(images.truth))


def test_a_runtime_that_refuses_the_file_is_refused_in_its_own_words(bundle, images, reference, tmp_path):
    why = "if not is_known: raise RuntimeError('Didn\\'t find op for builtin opcode FULLY_CONNECTED version 12')"
    one = checked(bundle, images, reference, tmp_path, at_start=why)
    assert (one.outcome, one.reason) == ("refused", "Didn't find op for builtin opcode FULLY_CONNECTED version 12")


def test_a_runtime_that_is_silently_wrong_is_refused(bundle, images, reference, tmp_path):
    one = checked(bundle, images, reference, tmp_path, answer="answer if is_known else answer // 4")
    assert one.outcome == "refused"
    assert "golden outputs lie up to" in one.reason


def test_a_runtime_that_exceeds_the_gate_is_refused_while_the_reference_is_measured_elsewhere(reference):
    other = replace(reference, name="tflite-runtime")
    tolerances = {"litert": 0.02, "tflite-runtime": 0.08}
    made = check_runtimes(
        [reference, other], reference.outputs, reference.golden, tolerances, lambda _: ["accuracy drops 9.0 points"]
    )
    assert [(one.outcome, one.reason) for one in made] == [
        ("proved", ""),
        ("refused", "it fails the gate there: accuracy drops 9.0 points"),
    ]


def test_a_runtime_that_answers_no_numbers_is_refused(images, reference):
    answers = Answers("x", "1", golden=reference.golden, outputs=np.full_like(reference.outputs, np.nan))
    assert check_parity(answers, reference.outputs, reference.golden, 0.08).outcome == "refused"


def test_a_runtime_that_crashes_is_refused_and_takes_nothing_with_it(bundle, images, reference, tmp_path):
    one = checked(bundle, images, reference, tmp_path, at_start="is_known or os.abort()")
    assert (one.outcome, one.reason) == ("refused", "the process died (SIGABRT)")


def test_the_runtime_of_another_interpreter_is_found(tmp_path):
    assert find_runtime(other_python(tmp_path)) == ("tflite-runtime", "2.14.0")


BROKEN = {  # as tflite-runtime is beside NumPy 2, at each place where it was seen to fail, and otherwise
    "it does not load": ({"at_load": "raise AttributeError('_ARRAY_API not found')"}, "_ARRAY_API not found"),
    "an import fails": ({"at_load": "raise ImportError('numpy.core.multiarray failed to import')"}, "multiarray failed"),
    "no interpreter": ({"at_start": "raise SystemError('returned a result with an exception set')"}, "exception set"),
    "it fails later": ({"at_invoke": "raise SystemError('returned a result with an exception set')"}, "exception set"),
    "no array": ({"answer": "answer.nothing"}, "no attribute 'nothing'"),
    "a lie": ({"answer": "answer // 4"}, "it answers"),
    "a crash": ({"at_start": "os.abort()"}, "SIGABRT"),
}


@pytest.mark.parametrize(("fake", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_runtime_that_fails_on_a_model_known_to_run_is_its_interpreters_fault(bundle, images, tmp_path, fake, reason):
    with pytest.raises(ConversionError, match=rf"python: its .*is broken, it fails on a model .*{reason}.*\); ") as failed:
        asked(bundle, images, tmp_path, **fake)
    assert len(str(failed.value).splitlines()) == 1


def test_beside_numpy_2_the_remedy_is_an_older_numpy(tmp_path):
    if np.__version__.startswith("1."):
        pytest.skip("NumPy 1 is here")
    python = other_python(tmp_path, at_start="raise SystemError('x')")
    with pytest.raises(ConversionError, match=rf"tflite-runtime 2\.14\.0 beside NumPy 2\..*`{python} -m pip install 'numpy<2'`"):
        find_runtime(python)


def test_a_broken_tflite_runtime_is_not_passed_over_for_the_litert_beside_it(tmp_path):
    with pytest.raises(ConversionError, match="tflite-runtime"):
        find_runtime(other_python(tmp_path, at_load="import nothing_of_that_name"))


def test_a_broken_interpreter_stops_the_conversion_before_the_work(refuses, finished_run, tmp_path):
    python = other_python(tmp_path / "old", at_invoke="raise SystemError('x')")
    line = refuses(leukolite, "convert", finished_run, "--out", tmp_path / "bundle", "--check-with", python)
    assert "is broken" in line
    assert not (tmp_path / "bundle").exists()


def test_the_known_model_is_that_of_the_other_tests():
    assert KNOWN_MODEL.read_bytes() == (Path(__file__).parent.parent / "data" / "tiny.tflite").read_bytes()


def bare_python(folder: Path, options: str) -> Path:
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {options} "$@"\n')
    script.chmod(0o755)
    return script


WITHOUT_RUNTIMES = """
import runpy, sys
sys.modules.update(tflite_runtime=None, ai_edge_litert=None)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
NO_RUNTIME = f"-c '{WITHOUT_RUNTIMES}'"


@pytest.mark.parametrize(
    ("options", "said"),
    [("-S", "No module named 'numpy'"), (NO_RUNTIME, "no tflite-runtime or litert there")],
    ids=["no NumPy", "no runtime"],
)
def test_an_interpreter_that_can_check_nothing_is_refused_with_the_remedy(tmp_path, options, said):
    with pytest.raises(ConversionError, match=rf"python: .*{said}.*pip install 'tflite-runtime==2\.14\.0'"):
        find_runtime(bare_python(tmp_path, options))


def test_a_program_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(ConversionError, match=r"nowhere: cannot be started"):
        find_runtime(tmp_path / "nowhere")


def test_a_runtime_that_was_not_at_hand_is_untried_and_not_taken_for_granted(images, reference):
    made = check_runtimes([reference], reference.outputs, reference.golden, {"litert": 0.02}, lambda _: [])
    assert [(one.name, one.outcome) for one in made] == [("litert", "proved"), ("tflite-runtime", "untried")]


def test_flips_and_differences_are_counted_over_all_levels():
    one = np.array([[[0.6, 0.4], [0.2, 0.8]]])
    other = np.array([[[0.4, 0.6], [0.2, 0.8]]])
    assert compare(one, one) == (0, 0.0, 0.0)
    assert compare(one, other) == (1, pytest.approx(0.2), pytest.approx(0.1))


def test_an_image_that_cannot_be_read_stops_the_preparation(bundle, tmp_path):
    from leukolite.errors import ImageError

    Image.new("RGB", (40, 40)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("no image")
    listed = [(tmp_path / "good.png", 0), (tmp_path / "bad.png", 1)]
    with pytest.raises(ImageError, match=r"bad\.png"):
        prepare(tmp_path / "x.npy", listed, (0.0,), bundle.manifest.input, 0, no_progress)
