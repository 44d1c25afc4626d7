"""Makes tiny.tflite, the network of the tests in tests/leukolite.

    python tests/data/make_tiny_model.py        (TensorFlow 2.21; run once, the result is committed)

It compares red with blue: the mean of each over the picture, then softmax(+-6 * (red - blue)). The first output answers
to red and the second to blue, so that swapped channels turn the verdict round. All of it is int8; input uint8
(1, 32, 32, 3) of scale 1/255, output uint8 (1, 2) of scale 1/256.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf  # noqa: TID251

SIDE = 32
STEEPNESS = 6.0


def network() -> tf.keras.Model:
    """One 3x3 convolution that averages each channel, the mean over the picture, two softmax outputs."""
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 3), batch_size=1),
            layers.Conv2D(4, 3, strides=2, padding="valid", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    means = np.zeros((3, 3, 3, 4), np.float32)
    for channel in range(3):
        means[:, :, channel, channel] = 1 / 9
    means[..., 3] = 1 / 27
    red_or_blue = np.array([[1, -1], [0, 0], [-1, 1], [0, 0]], np.float32) * STEEPNESS
    model.set_weights([means, np.zeros(4, np.float32), red_or_blue, np.zeros(2, np.float32)])
    return model


def pictures() -> Iterator[list[np.ndarray]]:
    """Grey, white and coloured noise: the ranges of every layer."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        colour = rng.uniform(0, 1, 3).round()
        yield [np.clip(colour + rng.normal(0, 0.2, (1, SIDE, SIDE, 3)), 0, 1).astype(np.float32)]


def main() -> None:
    converter = tf.lite.TFLiteConverter.from_keras_model(network())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = pictures
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    (Path(__file__).parent / "tiny.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    main()
