"""Layers in front of and behind a network change what goes in and out, and nothing else, in int8 too."""

import numpy as np
import pytest

from leukolite.convert.fold import fold_input, fold_sigmoid, last_activation
from leukolite.convert.quantise import to_tflite
from leukolite.convert.variants import VARIANTS
from leukolite.network_input import NetworkInput, parse_values
from leukolite.preprocess import InputSpec
from leukolite.runtime import TfliteRuntime
from leukolite.train.backend import import_keras

pytestmark = pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")
SPEC = InputSpec(height=16, width=16)
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def net():
    import_keras("the tests")
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, "softmax"),
        ]
    )


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize("values", ["0..1", "-1..1", "0..255", "imagenet", "mean=0.1,0.5,0.9:std=1,0.5,0.2"])
def test_the_folded_network_takes_levels_from_0_to_1(net, values, channels):
    mean, deviation = parse_values(values)
    wanted = NetworkInput(channels=channels, mean=mean, deviation=deviation)
    folded = fold_input(net, wanted).predict_on_batch(PIXELS / np.float32(255))
    np.testing.assert_allclose(folded, net.predict_on_batch(wanted.of_levels(PIXELS)), atol=1e-5)


def test_a_network_that_takes_0_to_1_is_left_as_it_is(net):
    assert fold_input(net, NetworkInput()) is net


def int8_levels(wanted: NetworkInput) -> tuple[np.ndarray, int]:
    """What the step in front makes of every pixel as int8, and how many operators it takes."""
    import keras

    image = keras.Input((16, 16, 3))
    net = keras.Model(image, keras.layers.Activation("linear")(image))
    content = to_tflite(fold_input(net, wanted), VARIANTS["int8"], SPEC, PIXELS)
    runtime = TfliteRuntime(content)
    return np.stack([runtime.invoke(one[np.newaxis]).reshape(16, 16, 3) for one in PIXELS]), len(runtime.tensor_dtypes())


def test_swapped_channels_are_exact_in_int8(net):
    found, _ = int8_levels(NetworkInput(channels="BGR"))
    assert np.array_equal(np.rint(255 * found), PIXELS[..., ::-1])


def test_mean_and_deviation_are_within_half_a_step_of_the_widest_channel_in_int8(net):
    mean, deviation = parse_values("imagenet")
    wanted = NetworkInput(mean=mean, deviation=deviation)
    expected = wanted.of_levels(PIXELS)
    found, _ = int8_levels(wanted)
    assert np.abs(found - expected).max() <= 0.75 * (expected.max() - expected.min()) / 255


@pytest.mark.parametrize("positive", [0, 1])
def test_one_sigmoid_becomes_its_probability_and_the_rest(net, positive):
    import keras

    one = keras.Sequential([*net.layers[:-1], keras.layers.Dense(1, "sigmoid")])
    one.build((None, 16, 16, 3))
    both = fold_sigmoid(one, positive).predict_on_batch(PIXELS / np.float32(255))
    p = one.predict_on_batch(PIXELS / np.float32(255))[:, 0]
    np.testing.assert_allclose(both[:, positive], p, atol=1e-6)
    np.testing.assert_allclose(both.sum(axis=1), 1, atol=1e-6)


def test_the_last_activation_is_read_wherever_it_stands(net):
    import keras

    layers = keras.layers
    image = keras.Input((16, 16, 3))
    inner = keras.Sequential([keras.Input((16, 16, 3)), layers.Flatten(), layers.Dense(2, "sigmoid")])
    assert last_activation(net) == "softmax"
    assert last_activation(keras.Model(image, inner(image))) == "sigmoid"
    flat = layers.Dense(2)(layers.Flatten()(image))
    assert last_activation(keras.Model(image, flat)) == "linear"
    assert last_activation(keras.Model(image, layers.Activation("sigmoid")(flat))) == "sigmoid"
    assert last_activation(keras.Model(image, layers.Softmax()(flat))) == "softmax"
    assert last_activation(keras.Model(image, layers.Reshape((2,))(flat))) == "linear"
    assert last_activation(keras.Model(image, keras.ops.sigmoid(flat))) == "sigmoid"
    assert last_activation(keras.Model(image, layers.Concatenate()([flat, flat]))) is None


def test_a_cast_behind_the_last_function_is_not_taken_for_logits(net):
    import keras

    cast = keras.layers.Activation("linear", dtype="float32")  # the end of mixed precision in Keras' guide
    image = keras.Input((16, 16, 3))
    one = keras.layers.Dense(1, "sigmoid")(keras.layers.Flatten()(image))
    assert last_activation(keras.Model(image, cast(one))) == "sigmoid"
    assert last_activation(keras.Model(image, cast(net(image)))) == "softmax"
