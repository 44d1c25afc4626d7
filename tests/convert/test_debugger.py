"""`leukolite debug-quantisation`: which layers int8 hurts."""

import io
import json
import math

import numpy as np
import pytest
from PIL import Image

from leukolite.cli import main as leukolite
from leukolite.convert.debugger import HEALTHY_RMSE, SUSPECT_RMSE, Inspection, LayerError, inspect, plot_layers
from leukolite.convert.debugger_cli import inspection_table
from leukolite.convert.quantise import to_tflite
from leukolite.convert.variants import VARIANTS
from leukolite.preprocess import InputSpec
from leukolite.runtime import TfliteRuntime

pytestmark = pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")  # TensorFlow's, of every conversion

SPEC = InputSpec(height=8, width=8)
GREY = np.repeat(np.random.default_rng(0).integers(0, 256, (16, 8, 8, 1), dtype=np.uint8), 3, axis=3)


def classifier(kernel: np.ndarray | None = None):
    """A small network; `kernel` replaces its first convolution's, shape (1, 1, 3, 4)."""
    import keras

    keras.utils.set_random_seed(0)
    names = ("first", "second")
    convolutions = [keras.layers.Conv2D(4, 1, activation="relu", name=name) for name in names]
    head = [keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")]
    model = keras.Sequential([keras.layers.Input((8, 8, 3)), *convolutions, *head], name="net")
    if kernel is not None:
        model.get_layer("first").set_weights([kernel, np.zeros(4, np.float32)])
    return model


def layers_of(model) -> tuple[LayerError, ...]:
    return inspect(model, GREY[:8], GREY[8:], SPEC, lambda *_: None)


@pytest.fixture(scope="module")
def ordinary() -> tuple[LayerError, ...]:
    return layers_of(classifier())


def test_every_operator_that_computes_is_measured(ordinary):
    order = [layer for layer in sorted(ordinary, key=lambda layer: layer.position) if layer.operator != "RESHAPE"]
    assert [layer.operator for layer in order] == ["CONV_2D", "CONV_2D", "FULLY_CONNECTED", "SOFTMAX"]
    assert [layer.layer.rstrip("_1") for layer in order[:2]] == ["first", "second"]  # TensorFlow numbers a scope that it repeats
    assert [layer.elements for layer in order] == [256, 256, 2, 2]


def test_the_worst_comes_first(ordinary):
    errors = [layer.rmse_steps for layer in ordinary]
    assert errors == sorted(errors, reverse=True)
    assert all(math.isfinite(error) for error in errors)


def test_the_scales_are_those_of_the_model_that_is_deployed(ordinary):
    details = TfliteRuntime(to_tflite(classifier(), VARIANTS["int8"], SPEC, GREY[:8]))._interpreter.get_tensor_details()
    deployed = {(round(d["quantization"][0], 9), d["quantization"][1]) for d in details}
    assert {(round(layer.scale, 9), layer.zero_point) for layer in ordinary} <= deployed


def test_an_ordinary_network_has_no_layer_near_to_noise(ordinary):
    assert all(layer.snr_db is None or layer.snr_db > 20 for layer in ordinary)


def test_a_layer_whose_small_weights_vanish_beside_large_ones_is_suspect_and_its_signal_is_lost():
    # on grey images the large weights cancel, and what is left depends on weights too small for the channel's scale
    kernel = np.tile(np.array([100.0, -100.0, 0.3], np.float32)[:, np.newaxis], (1, 4)).reshape(1, 1, 3, 4)
    worst = layers_of(classifier(kernel))[0]
    assert worst.layer.startswith("first")
    assert worst.is_suspect
    assert worst.rmse_steps > 10
    assert worst.snr_db == pytest.approx(0, abs=0.5), "all of the signal is missing from the int8 output"


def layer(rmse_steps: float, position: int = 0) -> LayerError:
    return LayerError(position, "DEPTHWISE_CONV_2D", f"net/{'long_' * 9}{position}/x;y", 0.1, 0, 4, rmse_steps, -0.001, None)


def test_rounding_alone_is_not_suspect():
    rng = np.random.default_rng(0)
    values = rng.uniform(-100, 100, 100_000)
    rmse = float(np.sqrt(np.mean((values - np.rint(values)) ** 2)))
    assert rmse == pytest.approx(HEALTHY_RMSE, rel=0.01)
    assert not layer(rmse).is_suspect
    assert layer(SUSPECT_RMSE + 0.01).is_suspect


def test_the_table_fits_80_columns_and_marks_the_suspects():
    from rich.console import Console

    found = Inspection(tuple(layer(1 - i / 20, i) for i in range(20)), 32, 200, "validation", 0)
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(inspection_table(found, 12))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert "20 layers, 6 suspect" in lines[0]
    assert sum("!" in line for line in lines) == 6
    assert sum("DEPTHWISE_CONV_2D" in line for line in lines) == 12


def test_the_picture_is_a_png_of_all_layers():
    found = Inspection(tuple(layer(1 - i / 50, i) for i in range(40)), 32, 200, "validation", 0)
    with Image.open(io.BytesIO(plot_layers(found, "net"))) as picture:
        assert picture.format == "PNG"
        assert picture.width > picture.height


# the command


def test_the_command_writes_what_it_prints(call, finished_run, tmp_path):
    options = ("--images", 4, "--calibration", 8, "--plot", tmp_path / "layers.png", "--json", tmp_path / "layers.json")
    result = call(leukolite, "debug-quantisation", finished_run, *options)
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "layers.json").read_text())
    assert (record["images"], record["calibration_images"], record["part"]) == (4, 8, "validation")
    assert len(record["layers"]) > 8
    assert f"{len(record['layers'])} layers, {sum(row['is_suspect'] for row in record['layers'])} suspect" in result.stdout
    assert record["layers"][0]["layer"] in result.stdout
    assert (tmp_path / "layers.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_is_no_run_is_refused(refuses, tmp_path):
    assert "not a finished run" in refuses(leukolite, "debug-quantisation", tmp_path)


def test_a_place_that_cannot_be_written_is_refused_before_the_work(refuses, tmp_path):
    assert "cannot be written" in refuses(leukolite, "debug-quantisation", tmp_path, "--plot", tmp_path)


@pytest.mark.parametrize("option", [("--images", 0), ("--calibration", "x"), ("--seed", -1)], ids=str)
def test_a_value_out_of_range_is_a_wrong_call(refuses, tmp_path, option):
    assert option[0] in refuses(leukolite, "debug-quantisation", tmp_path, *option, code=2)
