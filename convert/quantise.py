"""Keras model to full-integer TFLite: int8 inside, uint8 RGB in, uint8 probabilities out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from leukolite.errors import BundleError, ConversionError
from leukolite.preprocess import InputSpec, input_table
from leukolite.quiet import quiet
from leukolite.runtime import TfliteRuntime

if TYPE_CHECKING:
    import keras


def to_int8(model: "keras.Model", calibration: np.ndarray, spec: InputSpec) -> bytes:
    """Post-training full-integer quantisation, per-channel weights, batch 1.

    The input's range must be exactly that of 0..255, or raw bytes would mean something else on the device: the first
    calibration image therefore gets one black and one white pixel.

    Args:
        model: float Keras model on values `grey * spec.scale + spec.offset`.
        calibration: uint8 RGB, shape (n, spec.height, spec.width, 3), n of 1 or more.

    Returns:
        The .tflite file.

    Raises:
        ConversionError: the converter fails, a float operator is left, or raw bytes would not be the right input.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError  # an Exception and no more

    images = calibration.copy()
    images[0, 0, 0], images[0, 0, 1] = 0, 255
    values = np.arange(256, dtype=np.float32) * np.float32(spec.scale) + np.float32(spec.offset)

    def representative_dataset() -> Any:
        for image in images:
            yield [values[image][np.newaxis]]

    try:
        with quiet():
            # a concrete function of batch 1, without the model beside it: with it the converter writes NaN (TF 2.21)
            signature = tf.TensorSpec((1, spec.height, spec.width, 3), tf.float32)
            function = tf.function(lambda x: model(x, training=False), input_signature=[signature])
            converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = representative_dataset
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.uint8
            converter.inference_output_type = tf.uint8
            content: bytes = converter.convert()
    except (ConverterError, ValueError, RuntimeError, TypeError, tf.errors.OpError) as error:
        raise ConversionError(f"the TFLite converter refuses the model ({' '.join(str(error).split())[:200]})") from error
    check_full_integer(content, spec)
    return content


def check_full_integer(content: bytes, spec: InputSpec) -> None:
    """Refuse a model with a float tensor inside, or whose input is not raw RGB bytes.

    Raises:
        ConversionError: names the tensors.
    """
    try:
        runtime = TfliteRuntime(content)
    except BundleError as error:
        raise ConversionError(str(error)) from error
    floats = [name for name, dtype in runtime.tensor_dtypes().items() if dtype.startswith("float")]
    if floats:
        raise ConversionError(
            f"expected integers alone inside the model, found {len(floats)} float tensors ({', '.join(floats[:3])})"
        )
    tensor = runtime.input.format
    if tensor.dtype != "uint8" or input_table(spec, tensor.dtype, tensor.scale, tensor.zero_point) is not None:
        raise ConversionError(f"expected raw uint8 RGB bytes as the input, found {tensor}")


def pick_calibration(labels: Sequence[str], count: int, seed: int) -> list[int]:
    """Indices of a sample stratified by class: classes take turns until `count` are drawn or none is left.

    Args:
        labels: the class of each candidate.
    """
    rng = np.random.default_rng(seed)
    queues = []
    for name in sorted(set(labels)):
        members = [i for i, label in enumerate(labels) if label == name]
        queues.append([members[k] for k in rng.permutation(len(members))])
    turns = [queue[turn] for turn in range(max(map(len, queues))) for queue in queues if turn < len(queue)]
    return sorted(turns[:count])
