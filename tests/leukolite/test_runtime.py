import importlib.metadata
import sys
from types import ModuleType

import numpy as np
import pytest

from leukolite.errors import BundleError, RuntimeUnavailable
from leukolite.manifest import TensorFormat
from leukolite.runtime import EDGETPU_OP, RUNTIMES, RuntimeInfo, RuntimeOptions, Tensor, TfliteRuntime

RED, BLUE = (200, 120, 80), (80, 120, 200)


def picture(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((1, 32, 32, 3), colour, np.uint8)


def test_probabilities_are_float_and_sum_to_one(tiny_model):
    found = TfliteRuntime(tiny_model).invoke(picture(RED))
    assert (found.shape, found.dtype) == ((2,), np.float32)
    assert found.sum() == pytest.approx(1, abs=1 / 128)


def test_the_tiny_network_tells_red_from_blue(tiny_model):
    runtime = TfliteRuntime(tiny_model)
    assert [runtime.invoke(picture(colour)).argmax() for colour in (RED, BLUE)] == [0, 1]


def test_an_answer_outlives_the_next_invoke(tiny_model):
    runtime = TfliteRuntime(tiny_model)
    first = runtime.invoke(picture(RED))
    runtime.invoke(picture(BLUE))
    assert first.argmax() == 0


def test_a_runtime_says_who_computes(tiny_model):
    version = importlib.metadata.version("ai-edge-litert")
    info = TfliteRuntime(tiny_model, RuntimeOptions(threads=2)).info
    assert info == RuntimeInfo(name="litert", version=version, threads=2, delegate=None)
    assert str(info) == f"litert {version}, 2 threads"


def test_tensors_have_shape_and_quantisation(tiny_model):
    runtime = TfliteRuntime(tiny_model)
    assert (runtime.input.shape, runtime.output.shape) == ((1, 32, 32, 3), (1, 2))
    assert (runtime.input.format.dtype, runtime.input.format.zero_point) == ("uint8", 0)
    assert runtime.input.format.scale == pytest.approx(1 / 255)
    assert runtime.output.format.scale == pytest.approx(1 / 256)


def test_no_float_is_left_in_a_full_int8_model(tiny_model):
    assert "float32" not in TfliteRuntime(tiny_model).tensor_dtypes().values()


@pytest.mark.parametrize("batch", [picture(RED)[0], picture(RED).astype(np.float32), picture(RED)[:, 1:]])
def test_an_input_of_another_shape_or_type_is_a_programming_error(tiny_model, batch):
    with pytest.raises(ValueError, match="Cannot set tensor"):
        TfliteRuntime(tiny_model).invoke(batch)


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_runtime_that_is_not_installed_is_named_with_the_remedy(tiny_model, monkeypatch, name):
    monkeypatch.setitem(sys.modules, RUNTIMES[name][0], None)
    with pytest.raises(RuntimeUnavailable, match=rf"the runtime {name} cannot be loaded .*pip install "):
        TfliteRuntime(tiny_model, RuntimeOptions(name=name))


def test_a_runtime_that_does_not_load_beside_this_numpy_is_named(tiny_model, monkeypatch):
    def fail(name: str) -> None:
        raise AttributeError("_ARRAY_API not found")

    monkeypatch.setattr("importlib.import_module", fail)
    with pytest.raises(RuntimeUnavailable, match=r"tflite-runtime cannot be loaded .*_ARRAY_API not found"):
        TfliteRuntime(tiny_model, RuntimeOptions(name="tflite-runtime"))


@pytest.mark.parametrize("place", ["__init__", "allocate_tensors", "set_tensor", "invoke", "get_tensor"])
def test_a_runtime_that_fails_beside_this_numpy_is_named_wherever_it_fails(tiny_model, monkeypatch, place):
    def fail(*_: object, **__: object) -> None:
        raise SystemError("returned a result with an exception set") from AttributeError("_ARRAY_API not found")

    monkeypatch.setattr(f"ai_edge_litert.interpreter.Interpreter.{place}", fail)
    with pytest.raises(RuntimeUnavailable, match=r"does not work beside NumPy [\d.]+ \(_ARRAY_API not found\); pip install"):
        TfliteRuntime(tiny_model).invoke(picture(RED))


@pytest.mark.parametrize("cut", [lambda model: b"", lambda model: model[:20], lambda model: model[:-1], lambda model: b"x" * 999])
def test_a_damaged_model_is_refused_in_one_line(tiny_model, cut):
    with pytest.raises(BundleError, match=r"^litert [\d.]+ refuses the model \([^\n]+\)$"):
        TfliteRuntime(cut(tiny_model))


def test_integer_outputs_are_freed_of_zero_point_and_scale(tiny_model):
    runtime = TfliteRuntime(tiny_model)
    as_they_are = runtime.invoke(picture(RED))
    runtime.output = Tensor((1, 2), TensorFormat(dtype="uint8", scale=2 / 256, zero_point=3))
    np.testing.assert_allclose(runtime.invoke(picture(RED)), 2 * (as_they_are - 3 / 256), atol=1e-6)


# the Edge TPU


class Interpreter:
    """A TFLite interpreter as both runtimes have it, of a model with one uint8 input and output."""

    made: "list[Interpreter]" = []  # noqa: RUF012

    def __init__(self, model_content: bytes, num_threads: int, experimental_delegates: object = None) -> None:
        self.delegates = experimental_delegates
        if EDGETPU_OP in model_content and not experimental_delegates:
            raise RuntimeError("Encountered unresolved custom op: edgetpu-custom-op.\nSee instructions")
        Interpreter.made.append(self)

    def allocate_tensors(self) -> None:
        pass

    def get_input_details(self) -> list[dict]:
        return [{"name": "x", "index": 0, "dtype": np.uint8, "shape": (1, 8, 8, 3), "quantization": (1 / 255, 0)}]

    def get_output_details(self) -> list[dict]:
        return [{"name": "y", "index": 1, "dtype": np.uint8, "shape": (1, 2), "quantization": (1 / 256, 0)}]


EDGETPU = RuntimeOptions(name="edgetpu")
COMPILED = b"TFL3 edgetpu-custom-op"


@pytest.fixture
def litert(monkeypatch) -> ModuleType:
    """LiteRT with an Edge TPU plugged in."""
    module = ModuleType("ai_edge_litert.interpreter")
    module.Interpreter, module.load_delegate = Interpreter, lambda library: f"delegate of {library}"
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", module)
    monkeypatch.setattr("leukolite.runtime.open_elsewhere_first", lambda *arguments: None)  # these models are none
    monkeypatch.setattr(Interpreter, "made", [])
    return module


def test_a_compiled_model_runs_with_the_delegate_and_says_so(litert):
    info = TfliteRuntime(COMPILED, EDGETPU).info
    assert Interpreter.made[0].delegates == ["delegate of libedgetpu.so.1"]
    assert (info.name, info.delegate) == ("edgetpu", "libedgetpu.so.1")
    assert str(info) == f"edgetpu {info.version} with libedgetpu.so.1, 1 thread"


def test_the_cpu_runtimes_use_no_delegate(litert):
    info = TfliteRuntime(b"TFL3").info
    assert Interpreter.made[0].delegates is None
    assert (info.name, info.delegate) == ("litert", None)


def test_a_model_that_was_not_compiled_never_passes_as_the_edge_tpu_s(litert):
    with pytest.raises(RuntimeUnavailable, match="not compiled for the Edge TPU: all of it would run on the CPU") as caught:
        TfliteRuntime(b"TFL3", EDGETPU)
    assert caught.value.advice == "allow-cpu"
    info = TfliteRuntime(b"TFL3", EDGETPU.with_cpu(True)).info
    assert (info.name, info.delegate, Interpreter.made[0].delegates) == ("litert", None, None)


@pytest.mark.parametrize("error", [OSError("libedgetpu.so.1: cannot open shared object file"), ValueError("")])
@pytest.mark.parametrize("allow_cpu", [False, True])
def test_without_the_device_a_compiled_model_is_refused(litert, error, allow_cpu):
    def fail(library: str) -> None:
        raise error

    litert.load_delegate = fail
    with pytest.raises(RuntimeUnavailable, match=r"the Edge TPU cannot be used \(.+\); plug it in"):
        TfliteRuntime(COMPILED, EDGETPU.with_cpu(allow_cpu))


def test_a_compiled_model_on_the_cpu_names_the_right_runtime(litert):
    with pytest.raises(BundleError, match=r"compiled for the Edge TPU, litert cannot run it$") as caught:
        TfliteRuntime(COMPILED)
    assert caught.value.advice == "edgetpu"
