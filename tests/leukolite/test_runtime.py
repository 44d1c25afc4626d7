import importlib.metadata
import sys

import numpy as np
import pytest

from leukolite.bundle import TensorFormat
from leukolite.errors import BundleError, RuntimeUnavailable
from leukolite.runtime import RUNTIMES, Tensor, TfliteRuntime

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
    runtime = TfliteRuntime(tiny_model, threads=2)
    assert (runtime.name, runtime.version, runtime.threads) == ("litert", importlib.metadata.version("ai-edge-litert"), 2)


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
        TfliteRuntime(tiny_model, name=name)


def test_a_runtime_that_does_not_load_beside_this_numpy_is_named(tiny_model, monkeypatch):
    def fail(name: str) -> None:
        raise AttributeError("_ARRAY_API not found")

    monkeypatch.setattr("importlib.import_module", fail)
    with pytest.raises(RuntimeUnavailable, match=r"tflite-runtime cannot be loaded .*_ARRAY_API not found"):
        TfliteRuntime(tiny_model, name="tflite-runtime")


@pytest.mark.parametrize("cut", [lambda model: b"", lambda model: model[:20], lambda model: model[:-1], lambda model: b"x" * 999])
def test_a_damaged_model_is_refused_in_one_line(tiny_model, cut):
    with pytest.raises(BundleError, match=r"^litert [\d.]+ refuses the model \([^\n]+\)$"):
        TfliteRuntime(cut(tiny_model))


def test_integer_outputs_are_freed_of_zero_point_and_scale(tiny_model):
    runtime = TfliteRuntime(tiny_model)
    as_they_are = runtime.invoke(picture(RED))
    runtime.output = Tensor((1, 2), TensorFormat(dtype="uint8", scale=2 / 256, zero_point=3))
    np.testing.assert_allclose(runtime.invoke(picture(RED)), 2 * (as_they_are - 3 / 256), atol=1e-6)
