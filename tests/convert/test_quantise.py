import warnings
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from leukolite.convert.quantise import check_full_integer, pick_calibration, to_int8
from leukolite.errors import ConversionError
from leukolite.preprocess import InputSpec
from leukolite.quiet import quiet
from leukolite.runtime import TfliteRuntime

if TYPE_CHECKING:
    import keras

pytestmark = pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")  # TensorFlow's, of every conversion

SPEC = InputSpec(height=8, width=8)
DIM = np.random.default_rng(0).integers(100, 140, (16, 8, 8, 3), dtype=np.uint8)  # far from black and white


@pytest.fixture(scope="module")
def model() -> "keras.Model":
    """The smallest classifier of pictures."""
    import keras

    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")]
    return keras.Sequential([keras.layers.Input((8, 8, 3)), *layers])


@pytest.fixture(scope="module")
def quantised(model) -> bytes:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Statistics for quantized inputs")
        return to_int8(model, DIM, SPEC)


def converted(model: "keras.Model", **settings: object) -> bytes:
    """By TensorFlow's converter, as other people call it."""
    tf = pytest.importorskip("tensorflow")
    with quiet():
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        for name, value in settings.items():
            setattr(converter, name, value)
        return converter.convert()


def test_no_float_is_left_inside(quantised):
    dtypes = Counter(TfliteRuntime(quantised).tensor_dtypes().values())
    assert not any(dtype.startswith("float") for dtype in dtypes)
    assert dtypes["int8"] > 0
    check_full_integer(quantised, SPEC)


def test_raw_bytes_go_in_even_where_calibration_images_are_dim(quantised):
    tensor = TfliteRuntime(quantised).input
    assert tensor.shape == (1, 8, 8, 3)
    assert (tensor.format.dtype, tensor.format.zero_point) == ("uint8", 0)
    assert tensor.format.scale == pytest.approx(1 / 255, rel=1e-5)


def test_probabilities_come_out_as_bytes_of_one_256th(quantised):
    tensor = TfliteRuntime(quantised).output
    assert (tensor.shape, tensor.format.dtype, tensor.format.zero_point) == ((1, 2), "uint8", 0)
    assert tensor.format.scale == 1 / 256


def test_the_integers_say_nearly_what_the_floats_say(model, quantised):
    runtime = TfliteRuntime(quantised)
    floats = np.asarray(model.predict_on_batch(DIM.astype(np.float32) / 255))
    integers = np.stack([runtime.invoke(image[np.newaxis]) for image in DIM])
    assert np.abs(floats - integers).max() < 0.05


def test_the_calibration_images_are_left_as_they_were(model, quantised):
    assert DIM.min() >= 100


def test_a_float_model_is_refused(model):
    with pytest.raises(ConversionError, match="float tensors"):
        check_full_integer(converted(model), SPEC)


def test_a_model_of_integer_weights_alone_is_refused(model):
    with pytest.raises(ConversionError, match="float tensors"):
        check_full_integer(converted(model, optimizations=["DEFAULT"]), SPEC)


@pytest.mark.parametrize("change", [{"scale": 1 / 127.5, "offset": -1.0}, {"scale": 1.0}], ids=str)
def test_a_model_to_which_raw_bytes_mean_something_else_is_refused(quantised, change):
    with pytest.raises(ConversionError, match="expected raw uint8 RGB bytes"):
        check_full_integer(quantised, SPEC.model_copy(update=change))


def test_bytes_that_are_no_model_are_refused():
    with pytest.raises(ConversionError, match="refuses the model"):
        check_full_integer(b"not a model" * 100, SPEC)


def test_an_operator_without_an_integer_kernel_is_refused():
    import keras

    image = keras.layers.Input((8, 8, 3))
    x = keras.layers.Flatten()(keras.ops.erfinv(image * 0.5))
    with pytest.raises(ConversionError) as caught:
        to_int8(keras.Model(image, keras.layers.Dense(2, activation="softmax")(x)), DIM, SPEC)
    assert "\n" not in str(caught.value)


# calibration images


def test_classes_take_turns():
    labels = ["a"] * 50 + ["b"] * 50 + ["c"] * 50
    chosen = pick_calibration(labels, 30, seed=0)
    assert Counter(labels[i] for i in chosen) == {"a": 10, "b": 10, "c": 10}


def test_a_small_class_gives_all_it_has_and_the_others_the_rest():
    labels = ["rare"] * 3 + ["common"] * 100
    assert Counter(labels[i] for i in pick_calibration(labels, 20, seed=0)) == {"rare": 3, "common": 17}


def test_no_image_is_chosen_twice_and_indices_ascend():
    chosen = pick_calibration(["a", "b"] * 40, 60, seed=1)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == 60


def test_where_fewer_images_are_there_all_are_chosen():
    assert pick_calibration(["a", "b", "a"], 200, seed=0) == [0, 1, 2]


def test_the_same_seed_chooses_the_same_and_another_seed_others():
    labels = ["a", "b"] * 100
    assert pick_calibration(labels, 20, seed=5) == pick_calibration(labels, 20, seed=5)
    assert pick_calibration(labels, 20, seed=5) != pick_calibration(labels, 20, seed=6)
