"""What the fine-tuning process makes of a Keras 3 model before it trains it: the same function, in tf_keras."""

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from leukolite.convert.qat_child import translate
from leukolite.errors import ConversionError
from leukolite.train.models import build

if TYPE_CHECKING:
    import keras

pytest.importorskip("tf_keras")


def lively(model: "keras.Model") -> "keras.Model":
    """With batch norms that do something, each channel in its own way."""
    rng = np.random.default_rng(7)
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights([rng.uniform(0.2, 2, weight.shape) for weight in layer.get_weights()])
    return model


def gap(model: "keras.Model", side: int) -> float:
    """Largest difference between a model's outputs and its translation's."""
    batch = np.random.default_rng(1).random((3, side, side, 3), np.float32)
    return float(np.abs(np.asarray(model(batch, training=False)) - np.asarray(translate(model)(batch, training=False))).max())


@pytest.mark.parametrize(("name", "side"), [("mobilenet_m", 64), ("light_cnn_32", 160), ("small_cnn", 32)])
def test_a_translation_computes_the_same_with_its_heads_batch_norm_folded(name, side):
    model = lively(build(name, 3, side, dropout=0.5, seed=0))
    assert gap(model, side) < 1e-5
    norms = [layer for layer in translate(model).layers if type(layer).__name__ == "BatchNormalization"]
    assert all(len(layer.output.shape) == 4 for layer in norms)


def test_every_channel_of_a_depthwise_kernel_has_the_same_largest_weight():
    model = lively(build("small_cnn", 2, 32, dropout=0, seed=0))
    depthwise = [layer for layer in model.layers if type(layer).__name__ == "DepthwiseConv2D"]
    for layer in depthwise:
        (kernel,) = layer.get_weights()
        kernel[..., 0, :] *= 100
        kernel[..., 1, :] = 0
        layer.set_weights([kernel])
    assert gap(model, 32) < 1e-5
    for layer in translate(model).layers:
        if type(layer).__name__ == "DepthwiseConv2D":
            largest = np.abs(layer.get_weights()[0]).max(axis=(0, 1)).ravel()
            np.testing.assert_allclose(np.delete(largest, 1), largest[0], rtol=1e-5)
            assert largest[1] == 0


def test_branches_are_translated_too():
    import keras

    image = keras.layers.Input((8, 8, 3))
    one = keras.layers.Conv2D(4, 1, activation="relu")(image)
    other = keras.layers.Conv2D(4, 3, padding="same")(image)
    both = keras.layers.Concatenate()([keras.layers.Add()([one, other]), other])
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(both)))
    assert gap(model, 8) < 1e-6


def test_a_batch_norm_that_two_dense_layers_share_is_folded_into_both():
    import keras

    image = keras.layers.Input((4, 4, 3))
    shared = keras.layers.BatchNormalization()(keras.layers.Flatten()(image))
    model = lively(keras.Model(image, keras.layers.Add()([keras.layers.Dense(2)(shared), keras.layers.Dense(2)(shared)])))
    assert gap(model, 4) < 1e-4


def test_a_layer_without_a_counterpart_is_named():
    import keras

    image = keras.layers.Input((8, 8, 3))
    x = keras.layers.Flatten()(keras.layers.LayerNormalization(name="strange")(image))
    with pytest.raises(ConversionError, match=r"layer strange \(LayerNormalization\) has no counterpart .*; use int8"):
        translate(keras.Model(image, keras.layers.Dense(2)(x)))


def test_a_batch_norm_that_no_dense_layer_follows_is_named():
    import keras

    image = keras.layers.Input((8, 8, 3))
    x = keras.layers.BatchNormalization(name="loose")(keras.layers.Flatten()(image))
    with pytest.raises(ConversionError, match="batch norm loose stands before a Activation"):
        translate(keras.Model(image, keras.layers.Activation("softmax")(x)))


def test_a_child_with_a_damaged_job_fails_in_its_own_words(tmp_path: Path):
    (tmp_path / "job.json").write_text("{}")
    command = [sys.executable, "-m", "leukolite.convert.qat_child", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert "spec" in result.stderr or "spec" in json.loads(result.stdout.splitlines()[-1])["error"]
