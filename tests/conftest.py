"""What tests of several folders share: the real data's place, and one tiny run with the bundle made of it."""

import fcntl
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from environments import python_with
from hypothesis import settings
from PIL import Image

from leukolite.cli import main as leukolite
from leukolite.synthetic import LABELS, render_cell

CHECKOUT = Path(__file__).parent.parent
IMAGES_A_CLASS = 20  # 14 train, 2 choose the epoch, 4 judge

Call = Callable[..., Result]

settings.register_profile("leukolite", deadline=None, max_examples=50, derandomize=True)  # busy machines are slow, not wrong
settings.load_profile("leukolite")
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, by the processes that tests start too


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of the tests is left in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data; see its README for the counts."""
    place = Path(os.environ.get("LEUKOLITE_DATA", CHECKOUT.parent / "shared" / "data"))
    if not place.is_dir():
        pytest.skip(f"no real data at {place}; set LEUKOLITE_DATA to run this test")
    return place


@pytest.fixture(scope="session")
def cases() -> Path:
    """Inputs of the kinds that fail in public, beside the real data; see their README."""
    place = Path(os.environ.get("LEUKOLITE_DATA", CHECKOUT.parent / "shared" / "data")).parent / "cases"
    if not place.is_dir():
        pytest.skip(f"no cases at {place}; set LEUKOLITE_DATA to run this test")
    return place


@pytest.fixture(scope="session")
def tflite_runtime_python() -> Path:
    """An interpreter with leukolite and the real tflite-runtime, which wants NumPy 1."""
    return python_with("tflite_runtime", "LEUKOLITE_TFLITE_RUNTIME_PYTHON")


@pytest.fixture
def stuck() -> Iterator[int]:
    """A pipe of 4 KiB that nobody reads."""
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, 1031, 4096)  # F_SETPIPE_SZ
    yield theirs
    os.close(ours)
    os.close(theirs)


@pytest.fixture(scope="session")
def call() -> Call:
    """Calls a click command with arguments of any type, in this process."""

    def invoke(command: click.Command, *arguments: object) -> Result:
        return CliRunner().invoke(command, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture(scope="session")
def refuses(call: Call) -> Callable[..., str]:
    """Calls a command that must fail with one line of error, and gives that line."""

    def invoke(command: click.Command, *arguments: object, code: int = 1, notes: int = 0) -> str:
        """`notes`: how many lines, such as those of skipped files, may come before the error."""
        result = call(command, *arguments)
        assert isinstance(result.exception, SystemExit), repr(result.exception)
        lines = result.stderr.splitlines()
        assert len(lines) == 1 + notes, result.stderr
        assert lines[-1].startswith("Error: ")
        assert result.exit_code == code
        return lines[-1]

    return invoke


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered cells as `leukolite synthetic` leaves them; tests copy the folder before they change it."""
    folder = tmp_path_factory.mktemp("data") / "cells"
    for k, label in enumerate(LABELS):
        (folder / label).mkdir(parents=True)
        for i in range(IMAGES_A_CLASS):
            pixels = render_cell(np.random.default_rng([k, i]), label, size=48)
            Image.fromarray(pixels).save(folder / label / f"{i:03}.png")
    (folder / "synthetic.json").write_text("{}")
    return folder


@pytest.fixture(scope="session")
def finished_run(cells: Path, call: Call, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of a small network, two epochs on `cells`; tests copy it before they change it."""
    if find_spec("keras") is None:
        pytest.skip("training needs Keras; pip install 'leukolite[train]'")
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    result = call(leukolite, "train", "small_cnn", "--data", cells, "--out", folder, "--epochs", 2, "--set", "side=32")
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="session")
def tiny_bundle(finished_run: Path, call: Call, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle made of `finished_run`; tests copy it before they change it."""
    if find_spec("tensorflow") is None:
        pytest.skip("conversion needs TensorFlow; pip install 'leukolite[convert]'")
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Statistics for quantized inputs")  # TensorFlow's, of every conversion
        allowed = ("--max-drop", 100, "--max-recall-drop", 100, "--allow-useless")  # two epochs make a network of no use
        result = call(leukolite, "convert", finished_run, "--out", folder, "--noise", "0,10", *allowed)
    assert result.exit_code == 0, result.output
    return folder
