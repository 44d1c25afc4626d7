import warnings
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from leukolite.convert.operators import read_graph
from leukolite.convert.quantise import check_file, pick_calibration, to_tflite
from leukolite.convert.variants import VARIANTS
from leukolite.errors import ConversionError
from leukolite.preprocess import InputSpec, input_table
from leukolite.quiet import quiet
from leukolite.runtime import TfliteRuntime

if TYPE_CHECKING:
    import keras

pytestmark = pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")  # TensorFlow's, of every conversion

SPEC = InputSpec(height=8, width=8)
INT8 = VARIANTS["int8"]
CONVERTED = [name for name, variant in VARIANTS.items() if not variant.is_trained]
DIM = np.random.default_rng(0).integers(100, 140, (16, 8, 8, 3), dtype=np.uint8)  # far from black and white


@pytest.fixture(scope="module")
def model() -> "keras.Model":
    """The smallest classifier of pictures whose weights the converter deems worth 8 bits each (1024 and more)."""
    import keras

    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(16, 3, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")]
    return keras.Sequential([keras.layers.Input((8, 8, 3)), *layers])


@pytest.fixture(scope="module")
def files(model) -> dict[str, bytes]:
    """Every variant that needs no training."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Statistics for quantized inputs")
        return {name: to_tflite(model, VARIANTS[name], SPEC, DIM) for name in CONVERTED}


@pytest.fixture(scope="module")
def quantised(files) -> bytes:
    return files["int8"]


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
    check_file(quantised, INT8, SPEC)


@pytest.mark.parametrize("name", CONVERTED)
def test_each_variant_says_nearly_what_the_float_model_says(model, files, name):
    runtime = TfliteRuntime(files[name])
    tensor = runtime.input.format
    table = input_table(SPEC, tensor.dtype, tensor.scale, tensor.zero_point)
    floats = np.asarray(model.predict_on_batch(DIM.astype(np.float32) / 255))
    answers = np.stack([runtime.invoke((image if table is None else table[image])[np.newaxis]) for image in DIM])
    assert np.abs(floats - answers).max() < (1e-5 if name == "float32" else 0.05)


@pytest.mark.parametrize("name", CONVERTED)
@pytest.mark.parametrize("other", CONVERTED)
def test_no_variant_passes_for_another(files, name, other):
    if name == other:
        check_file(files[name], VARIANTS[other], SPEC)
    else:
        with pytest.raises(ConversionError, match=other):
            check_file(files[name], VARIANTS[other], SPEC)


def test_integers_of_sixteen_bits_tell_all_grey_levels_apart(files):
    tensor = TfliteRuntime(files["int16x8"]).input.format
    table = input_table(SPEC, tensor.dtype, tensor.scale, tensor.zero_point)
    assert len(np.unique(table)) == 256


def test_the_batch_is_one_and_an_open_batch_is_refused(model, files):
    assert read_graph(files["float32"]).inputs[0].shape == (1, 8, 8, 3)
    with pytest.raises(ConversionError, match=r"expected one input, float32 \(1, 8, 8, 3\), found float32 \(-1, 8, 8, 3\)"):
        check_file(converted(model), VARIANTS["float32"], SPEC)


def test_weights_of_one_scale_for_all_channels_are_refused(model):
    def ranges():
        for image in np.concatenate([DIM, DIM * 0, DIM * 0 + 255]):
            yield [image[np.newaxis].astype(np.float32) / 255]

    tf = pytest.importorskip("tensorflow")
    coarse = converted(
        model,
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=ranges,
        target_spec=tf.lite.TargetSpec(supported_ops=[tf.lite.OpsSet.TFLITE_BUILTINS_INT8]),
        inference_input_type=tf.uint8,
        inference_output_type=tf.uint8,
        _experimental_disable_per_channel=True,
    )
    with pytest.raises(ConversionError, match="a scale a channel in every convolution, found one scale for all in 1 of 1"):
        check_file(coarse, INT8, SPEC)


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


def test_a_float_model_is_refused_by_its_operators(model):
    with pytest.raises(ConversionError, match=r"expected integer operators alone, found \d+ of float .*CONV_2D x1"):
        check_file(converted(model), INT8, SPEC)


def test_a_model_of_integer_weights_alone_is_refused(model):
    with pytest.raises(ConversionError, match="of float"):
        check_file(converted(model, optimizations=["DEFAULT"]), INT8, SPEC)


@pytest.mark.parametrize("change", [{"scale": 1 / 127.5, "offset": -1.0}, {"scale": 1.0}], ids=str)
def test_a_model_to_which_raw_bytes_mean_something_else_is_refused(quantised, change):
    with pytest.raises(ConversionError, match="expected raw uint8 RGB bytes"):
        check_file(quantised, INT8, SPEC.model_copy(update=change))


def test_bytes_that_are_no_model_are_refused():
    with pytest.raises(ConversionError, match="no TFLite model"):
        check_file(b"not a model" * 100, INT8, SPEC)


def test_a_file_cut_short_is_refused_or_still_whole(quantised):
    for end in range(64, len(quantised), 97):
        try:
            check_file(quantised[:end], INT8, SPEC)
        except ConversionError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_an_operator_without_an_integer_kernel_is_refused():
    import keras

    image = keras.layers.Input((8, 8, 3))
    x = keras.layers.Flatten()(keras.ops.erfinv(image * 0.5))
    with pytest.raises(ConversionError) as caught:
        to_tflite(keras.Model(image, keras.layers.Dense(2, activation="softmax")(x)), INT8, SPEC, DIM)
    assert "\n" not in str(caught.value)


# calibration images


def test_classes_take_turns():
    labels = ["a"] * 50 + ["b"] * 50 + ["c"] * 50
    chosen = pick_calibration(labels, 30, seed=0)
    assert Counter(labels[i] for i in chosen) == {"a": 10, "b": 10, "c": 10}
    assert Counter(labels[i] for i in chosen[:15]) == {"a": 5, "b": 5, "c": 5}


def test_a_small_class_gives_all_it_has_and_the_others_the_rest():
    labels = ["rare"] * 3 + ["common"] * 100
    assert Counter(labels[i] for i in pick_calibration(labels, 20, seed=0)) == {"rare": 3, "common": 17}


def test_no_image_is_chosen_twice():
    assert len(set(pick_calibration(["a", "b"] * 40, 60, seed=1))) == 60


def test_the_fewer_are_among_the_more():
    labels = ["a", "b"] * 100
    assert pick_calibration(labels, 64, seed=3)[:16] == pick_calibration(labels, 16, seed=3)


def test_where_fewer_images_are_there_all_are_chosen():
    assert sorted(pick_calibration(["a", "b", "a"], 200, seed=0)) == [0, 1, 2]


def test_the_same_seed_chooses_the_same_and_another_seed_others():
    labels = ["a", "b"] * 100
    assert pick_calibration(labels, 20, seed=5) == pick_calibration(labels, 20, seed=5)
    assert pick_calibration(labels, 20, seed=5) != pick_calibration(labels, 20, seed=6)
