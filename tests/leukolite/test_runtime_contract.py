"""The contract of `Runtime`: one suite that every runtime runs, tflite-runtime in an interpreter of its own."""

import base64
import importlib.util
import inspect
import io
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from leukolite.convert.make_bundle import Recorder
from leukolite.edge.host.watchdog import WatchedRuntime
from leukolite.fakes import FakeRuntime
from leukolite.runtime import Runtime, RuntimeInfo, RuntimeOptions, TfliteRuntime

TINY_FILE = Path(__file__).parent.parent / "data" / "tiny.tflite"
TINY = TINY_FILE.read_bytes()
SIDE = 32  # of the tiny model's input


def as_line(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return base64.b64encode(file.getvalue()) + b"\n"


def from_line(line: bytes) -> np.ndarray:
    return np.load(io.BytesIO(base64.b64decode(line)))


class Elsewhere:
    """A runtime of another interpreter, which is asked line by line."""

    CHILD = f"""
import base64, io, sys
import numpy as np
from leukolite.runtime import RuntimeOptions, TfliteRuntime
{inspect.getsource(as_line)}
{inspect.getsource(from_line)}
def say(line):
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
runtime = TfliteRuntime(open(sys.argv[1], "rb").read(), RuntimeOptions(name="tflite-runtime"))
say(runtime.info.model_dump_json().encode() + bytes([10]))
for line in sys.stdin.buffer:
    batch = from_line(line)
    batch.flags.writeable = False
    try:
        say(as_line(runtime.invoke(batch)))
    except ValueError as error:
        say(as_line(np.array(str(error))))
"""

    def __init__(self, python: Path) -> None:
        here = TfliteRuntime(TINY)
        self.input, self.output = here.input, here.output
        command = [python, "-c", self.CHILD, TINY_FILE]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.info = RuntimeInfo.model_validate_json(self._child.stdout.readline())

    def invoke(self, batch: np.ndarray) -> np.ndarray:
        self._child.stdin.write(as_line(batch))
        self._child.stdin.flush()
        answer = from_line(self._child.stdout.readline())
        if answer.dtype.kind == "U":
            raise ValueError(str(answer))
        return answer

    def close(self) -> None:
        self._child.communicate()


def keras_runtime() -> Runtime:
    if importlib.util.find_spec("keras") is None:
        pytest.skip("Keras is not installed; pip install 'leukolite[train]'")
    from leukolite.train.backend import import_keras
    from leukolite.train.run_classifier import KerasRuntime

    import_keras("the tests")
    import keras

    layers = [keras.Input((SIDE, SIDE, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, activation="softmax")]
    return KerasRuntime(keras.Sequential(layers))


def share_of_red(batch: np.ndarray) -> np.ndarray:
    red, _, blue = batch[0].reshape(-1, 3).mean(axis=0) + 1
    return np.array([red, blue]) / (red + blue)


RUNTIMES: dict[str, Callable[[], Runtime]] = {
    "litert": lambda: TfliteRuntime(TINY),
    "litert, two threads": lambda: TfliteRuntime(TINY, RuntimeOptions(threads=2)),
    "keras": keras_runtime,
    "watched": lambda: WatchedRuntime(TfliteRuntime(TINY), answer_s=60),
    "recorder": lambda: Recorder(TfliteRuntime(TINY)),
    "fake, fixed": lambda: FakeRuntime((0.25, 0.75), side=SIDE),
    "fake, computed": lambda: FakeRuntime(share_of_red, side=SIDE),
}


@pytest.fixture(params=["tflite-runtime", *RUNTIMES])
def runtime(request: pytest.FixtureRequest) -> Iterator[Runtime]:
    if request.param != "tflite-runtime":
        yield RUNTIMES[request.param]()
        return
    elsewhere = Elsewhere(request.getfixturevalue("tflite_runtime_python"))
    yield elsewhere
    elsewhere.close()


def pictures(runtime: Runtime, count: int) -> list[np.ndarray]:
    """Noise of the input's shape and type."""
    values = np.random.default_rng(0).integers(0, 256, (count, *runtime.input.shape))
    return list(values.astype(runtime.input.format.dtype))


def test_it_says_what_computes(runtime):
    assert isinstance(runtime.info, RuntimeInfo)
    assert runtime.info.name
    assert runtime.info.version
    assert runtime.info.threads >= 1
    assert runtime.info.delegate is None


def test_it_takes_one_picture_and_gives_the_probabilities_of_its_classes(runtime):
    assert runtime.input.shape == (1, SIDE, SIDE, 3)
    assert runtime.output.shape == (1, 2)
    for picture in pictures(runtime, 3):
        found = runtime.invoke(picture)
        assert isinstance(found, np.ndarray)
        assert (found.dtype, found.shape) == (np.float32, (2,))
        assert found.min() >= 0
        assert found.sum() == pytest.approx(1, abs=1 / 100)


def test_the_same_picture_gets_the_same_answer_whatever_came_between(runtime):
    one, other = pictures(runtime, 2)
    before = runtime.invoke(one).copy()
    runtime.invoke(other)
    np.testing.assert_array_equal(runtime.invoke(one), before)


def test_an_answer_outlives_the_next_question(runtime):
    dark, light = np.zeros(runtime.input.shape, runtime.input.format.dtype), pictures(runtime, 1)[0]
    kept = runtime.invoke(dark)
    as_it_was = kept.copy()
    runtime.invoke(light)
    np.testing.assert_array_equal(kept, as_it_was)


def test_the_picture_is_left_as_it_is(runtime):
    (picture,) = pictures(runtime, 1)
    as_it_was = picture.copy()
    picture.flags.writeable = False
    runtime.invoke(picture)
    np.testing.assert_array_equal(picture, as_it_was)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda picture: picture[0],
        lambda picture: picture[:, 1:],
        lambda picture: picture[..., :1],
        lambda picture: np.repeat(picture, 2, axis=0),
        lambda picture: picture.astype(np.int32),
        lambda picture: picture.astype(np.float64),
    ],
    ids=["no batch", "a row less", "grey", "two pictures", "int32", "float64"],
)
def test_a_picture_of_another_shape_or_type_is_refused_and_the_next_one_answered(runtime, wrong):
    (picture,) = pictures(runtime, 1)
    before = runtime.invoke(picture).copy()
    with pytest.raises(ValueError, match=r"\w"):
        runtime.invoke(wrong(picture))
    np.testing.assert_array_equal(runtime.invoke(picture), before)
