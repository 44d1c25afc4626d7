"""Keras model to TFLite, in each of the kinds that `leukolite.convert.variants` names, checked from the file itself."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from leukolite.convert.operators import Graph, read_graph
from leukolite.convert.variants import Variant
from leukolite.errors import ConversionError, first_line
from leukolite.manifest import TensorFormat
from leukolite.preprocess import InputSpec, input_table
from leukolite.quiet import quiet

if TYPE_CHECKING:
    import keras


def to_tflite(
    model: "keras.Model",
    variant: Variant,
    spec: InputSpec,
    calibration: np.ndarray | None = None,
    *,
    dense_per_channel: bool = True,
) -> bytes:
    """Convert a Keras model; batch 1, batch normalisation folded, weights quantised per channel.

    Args:
        model: float Keras model on values `grey * spec.scale + spec.offset`; for a variant that is trained, the tf_keras
            model that learnt its own ranges.
        calibration: uint8 RGB, shape (n, spec.height, spec.width, 3), n of 1 or more, for variants that need it.
        dense_per_channel: a scale a unit in the weights of dense layers; convolutions always have one a channel.

    Returns:
        The .tflite file, checked by `check_file`.

    Raises:
        ConversionError: the converter fails, or made something else than the variant promises.
        ValueError: calibration images are missing.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError  # an Exception and no more

    if variant.is_calibrated and (calibration is None or not len(calibration)):
        raise ValueError(f"{variant.name} needs calibration images")
    try:
        with quiet():
            converter = make_converter(model, variant, spec, calibration)
            converter._experimental_disable_per_channel_quantization_for_dense_layers = not dense_per_channel
            if variant.io_dtype != "float32":
                converter.inference_input_type = converter.inference_output_type = getattr(tf, variant.io_dtype)
            content: bytes = converter.convert()
    except (ConverterError, ValueError, RuntimeError, TypeError, tf.errors.OpError) as error:
        raise ConversionError(f"the TFLite converter refuses the model as {variant.name} ({first_line(error)})") from error
    check_file(content, variant, spec)
    return content


def make_converter(model: "keras.Model", variant: Variant, spec: InputSpec, calibration: np.ndarray | None = None) -> Any:
    """The `tf.lite.TFLiteConverter` of `to_tflite`, before the types of its input and output are set.

    Where images set the ranges, the input's must be exactly that of 0..255, or raw bytes would mean something else on the
    device: the first calibration image therefore gets one black and one white pixel.
    """
    import tensorflow as tf

    # a concrete function of batch 1, without the model beside it: with it the converter writes NaN (TF 2.21)
    signature = tf.TensorSpec((1, spec.height, spec.width, 3), tf.float32)
    function = tf.function(lambda x: model(x, training=False), input_signature=[signature])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    converter.target_spec.supported_ops = [getattr(tf.lite.OpsSet, variant.ops)]
    if variant.is_quantised:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant.float_weights is not None:
        converter.target_spec.supported_types = [getattr(tf, variant.float_weights)]
    if variant.is_calibrated and calibration is not None:
        converter.representative_dataset = _representative(calibration, spec)
    return converter


def _representative(calibration: np.ndarray, spec: InputSpec) -> Any:
    images = calibration.copy()
    images[0, 0, 0], images[0, 0, 1] = 0, 255
    values = np.arange(256, dtype=np.float32) * np.float32(spec.scale) + np.float32(spec.offset)

    def dataset() -> Any:
        for image in images:
            yield [values[image][np.newaxis]]

    return dataset


def check_file(content: bytes, variant: Variant, spec: InputSpec) -> None:
    """Check that a .tflite file is what its variant promises, from its operators and tensors.

    Raises:
        ConversionError: a float operator inside an integer file, another tensor type, weights of one scale for all channels,
            a batch that is not 1, or an input to which raw RGB bytes mean something else; names what was found.
    """
    graph = read_graph(content)
    floats = Counter(operator.name for operator in graph.operators if operator.is_float)
    if variant.is_integer and floats:
        shown = ", ".join(f"{name} x{n}" for name, n in floats.most_common(3))
        raise ConversionError(
            f"{variant.name}: expected integer operators alone, found {sum(floats.values())} of float ({shown})"
        )
    strange = Counter(dtype for dtype in graph.tensor_dtypes.values() if dtype not in variant.tensor_dtypes)
    if strange:
        allowed = ", ".join(sorted(variant.tensor_dtypes))
        raise ConversionError(f"{variant.name}: expected tensors of {allowed} alone, found {dict(strange)}")
    missing = variant.weights_dtype not in graph.tensor_dtypes.values()
    if missing:
        raise ConversionError(f"{variant.name}: expected weights of {variant.weights_dtype}, found none; is the network empty?")
    _check_per_channel(graph, variant)
    _check_input(graph, variant, spec)


def _check_per_channel(graph: Graph, variant: Variant) -> None:
    convolutions = [operator for operator in graph.operators if operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D")]
    coarse = [op for op in convolutions if op.weights_channels > 1 and op.weights_scales == 1]
    if variant.is_integer and coarse:
        raise ConversionError(
            f"{variant.name}: expected a scale a channel in every convolution, found one scale for all in {len(coarse)} of"
            f" {len(convolutions)}"
        )


def _check_input(graph: Graph, variant: Variant, spec: InputSpec) -> None:
    wanted = (1, spec.height, spec.width, 3)
    if len(graph.inputs) != 1 or graph.inputs[0].shape != wanted or graph.inputs[0].dtype != variant.io_dtype:
        found = ", ".join(f"{tensor.dtype} {tensor.shape}" for tensor in graph.inputs)
        raise ConversionError(f"{variant.name}: expected one input, {variant.io_dtype} {wanted}, found {found}")
    tensor = graph.inputs[0]
    if tensor.dtype == "float32":
        return
    table = input_table(spec, tensor.dtype, tensor.scale, tensor.zero_point)
    levels = np.arange(256) if table is None else (table.astype(np.float64) - tensor.zero_point) * tensor.scale
    if tensor.dtype in ("uint8", "int8"):
        step = 1 if table is None else np.diff(table.astype(int))
        if not np.all(step == 1):
            form = TensorFormat(dtype=tensor.dtype, scale=tensor.scale, zero_point=tensor.zero_point)
            raise ConversionError(f"expected raw uint8 RGB bytes as the input (a step a grey level), found {form}")
    elif np.abs(levels - (np.arange(256) * spec.scale + spec.offset)).max() > spec.scale / 4:
        raise ConversionError(
            f"expected an input that tells 256 grey levels apart, found {tensor.dtype} of scale {tensor.scale:g}"
        )


def pick_calibration(labels: Sequence[str], count: int, seed: int) -> list[int]:
    """Indices of a sample stratified by class: classes take turns until `count` are drawn or none is left.

    Args:
        labels: the class of each candidate.

    Returns:
        In the order drawn, so that any prefix is stratified too.
    """
    rng = np.random.default_rng(seed)
    queues = []
    for name in sorted(set(labels)):
        members = [i for i, label in enumerate(labels) if label == name]
        queues.append([members[k] for k in rng.permutation(len(members))])
    turns = [queue[turn] for turn in range(max(map(len, queues))) for queue in queues if turn < len(queue)]
    return turns[:count]
