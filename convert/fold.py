"""Layers around a network that leukolite did not train, so that every bundle takes and gives the same.

In front: values from 0 to 1 of R, G, B become what the network takes, so that raw bytes go into the converted file and no device
can get values or channel order wrong. Behind: one sigmoid's probability becomes one of each of two labels.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from leukolite.network_input import NetworkInput

if TYPE_CHECKING:
    import keras

FUNCTIONS = {"Softmax": "softmax", "Sigmoid": "sigmoid"}  # layers and operations that are one
SHAPE_ONLY = {"Cast", "Dropout", "Flatten", "Identity", "Reshape"}  # behind a function they change no value
CAST = ("Activation", "linear")  # at the end of mixed precision, as Keras' guide has it


def fold_input(model: "keras.Model", wanted: NetworkInput) -> "keras.Model":
    """The network on values from 0 (black) to 1 (white) of R, G, B.

    One scale for all channels is a Rescaling. Anything else is a convolution of one pixel: one integer operator that every
    accelerator has, and exact in int8 where channels are swapped and no more.
    """
    import keras

    if wanted == NetworkInput():
        return model
    if wanted.channels == "RGB" and len({*wanted.mean}) == len({*wanted.deviation}) == 1:
        mean, deviation = wanted.mean[0], wanted.deviation[0]
        layer, weights = keras.layers.Rescaling(1 / deviation, -mean / deviation), []
    else:
        layer, weights = keras.layers.Conv2D(3, 1, name="channels_and_values"), _weights(wanted)
    image = keras.layers.Input(tuple(model.inputs[0].shape[1:]))
    values = layer(image)
    layer.set_weights(weights)
    return keras.Model(image, model(values))


def fold_sigmoid(model: "keras.Model", positive: int) -> "keras.Model":
    """The network with two probabilities instead of one: p of the label with index `positive`, 1 - p of the other.

    It is a dense layer with weights of 1 and -1, which are exact in int8.
    """
    import keras

    signs = np.array([[1.0, -1.0]] if positive == 0 else [[-1.0, 1.0]], np.float32)
    layer = keras.layers.Dense(2, name="both_probabilities")
    image = keras.layers.Input(tuple(model.inputs[0].shape[1:]))
    probabilities = layer(model(image))
    layer.set_weights([signs, (signs[0] < 0).astype(np.float32)])
    return keras.Model(image, probabilities)


def last_activation(model: "keras.Model") -> str | None:
    """Name of the function that gives the outputs, as 'softmax'; None where it cannot be read."""
    for layer in _from_the_end(model):
        function = getattr(getattr(layer, "activation", None), "__name__", None) or FUNCTIONS.get(type(layer).__name__)
        if type(layer).__name__ not in SHAPE_ONLY and (type(layer).__name__, function) != CAST:
            return function
    return None


def _from_the_end(model: Any) -> Iterator[Any]:
    """The layers and operations of a network, those of networks in it included, the last first."""
    layers = getattr(model, "operations", None) or getattr(model, "layers", None)  # Keras 2 has no operations
    if not layers:
        yield model
        return
    for layer in reversed(layers):
        yield from _from_the_end(layer)


def _weights(wanted: NetworkInput) -> list[np.ndarray]:
    order = [wanted.channels.index(colour) for colour in "RGB"]  # of each colour: its place in what the network takes
    kernel, bias = np.zeros((1, 1, 3, 3), np.float32), np.zeros(3, np.float32)
    for colour, place in enumerate(order):
        kernel[0, 0, colour, place] = 1 / wanted.deviation[colour]
        bias[place] = -wanted.mean[colour] / wanted.deviation[colour]
    return [kernel, bias]
