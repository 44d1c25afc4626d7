"""The networks. Each takes float RGB in [0, 1] and ends in a softmax."""

import io
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leukolite.errors import ConversionError, TrainingError, first_line
from leukolite.path_text import path_of_text
from leukolite.places import problem_at
from leukolite.quiet import quiet
from leukolite.regular_file import open_regular
from leukolite.train.keras_weights import check_archive, check_hdf5
from leukolite.zip_members import DAMAGED, open_zip, read_member

if TYPE_CHECKING:
    import keras

MOST_WEIGHTS_BYTES = 2_000_000_000  # of a weights file, unpacked
IMAGENET_HINT = "without a network, give the file of MobileNet's ImageNet weights without top"


def build(model: str, classes: int, side: int, *, dropout: float, seed: int) -> "keras.Model":
    """A fresh network.

    Args:
        model: a key of `MODELS`.
        classes: outputs, 2 or more.
        side: input height and width in pixels.
        dropout: rate of its dropout layers.
        seed: of the initial weights and of dropout.

    Raises:
        TrainingError: the images are too small for its layers.
    """
    import keras

    with quiet():  # under JAX or torch it loads TensorFlow where it is installed, and that talks
        keras.utils.set_random_seed(seed)
    try:
        return MODELS[model](classes, side, dropout)
    except ValueError as error:  # Keras': the last convolutions have nothing left to look at
        raise TrainingError(f"{model} cannot take {side}x{side} images: its layers leave nothing; set a larger side") from error


def mobilenet_m(classes: int, side: int, dropout: float) -> "keras.Model":
    """MobileNet 1.0 with a regularised head; 3,235,010 parameters for two classes, 3,211,074 of them trainable.

    Source: Makem, Tamas and Busoniu 2025, doi 10.3389/frai.2025.1620252, Tables 4 and 5. The rate of its dropout is
    not given there.
    """
    import keras
    from keras import layers

    backbone = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(side, side, 3))
    x = layers.GlobalAveragePooling2D()(backbone.output)
    x = layers.Flatten()(x)
    x = layers.Dropout(dropout)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Dense(classes, kernel_initializer="random_uniform", kernel_regularizer=keras.regularizers.L1(0.015))(x)
    return keras.Model(backbone.input, _softmax(x), name="mobilenet_m")


def mobilenet_pooled(classes: int, side: int, dropout: float) -> "keras.Model":
    """MobileNet 1.0 to its block 11, the means of blocks 3 to 11 side by side, one dense layer: for a head on frozen blocks.

    Middle blocks near native scale tell cells of people never seen apart better than the last ones, which know ImageNet's
    things: measured in docs/evidence/people.md. It begins with a step to [-1, 1], as its ImageNet weights had it. No dropout.
    """
    import keras
    from keras import layers

    image = layers.Input((side, side, 3))
    values = layers.Rescaling(2.0, -1.0)(image)
    backbone = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(side, side, 3), input_tensor=values)
    blocks = [backbone.get_layer(f"conv_pw_{k}_relu").output for k in POOLED_BLOCKS]
    means = [layers.GlobalAveragePooling2D()(block) for block in blocks]
    pooled = layers.Concatenate(name=POOLED)(means)
    return keras.Model(image, _softmax(layers.Dense(classes, name=HEAD)(pooled)), name="mobilenet_pooled")


def light_cnn(classes: int, side: int, dropout: float) -> "keras.Model":
    """Five convolutions of 32 to 512 filters; 8,095,330 parameters for four classes at 224x224, the table's 8.1 M.

    Source: Adiwijaya, Ardiansyah and Swasono 2025, doi 10.22219/kinetik.v10i1.2027, "improved model".
    """
    return _plain_cnn("light_cnn", (32, 64, 128, 256, 512), classes, side, dropout)


def light_cnn_32(classes: int, side: int, dropout: float) -> "keras.Model":
    """The text's variant of `light_cnn`: 32 filters everywhere; 564,642 parameters for four classes at 224x224."""
    return _plain_cnn("light_cnn_32", (32,) * 5, classes, side, dropout)


def small_cnn(classes: int, side: int, dropout: float) -> "keras.Model":
    """Four depthwise-separable stages of 16 to 64 filters: the demo's network, some ten thousand parameters."""
    import keras
    from keras import layers

    image = layers.Input((side, side, 3))
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    for filters in (32, 48, 64):
        x = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Conv2D(filters, 1, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Dropout(dropout)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, _softmax(layers.Dense(classes)(x)), name="small_cnn")


POOLED_BLOCKS = range(3, 12)
POOLED, HEAD = "pooled", "head"  # layers of a network whose head is fitted on features: its features, and the dense layer on them
ON_MOBILENET = frozenset({"mobilenet_m", "mobilenet_pooled"})  # networks that begin with a MobileNet

MODELS: dict[str, Callable[[int, int, float], "keras.Model"]] = {
    "mobilenet_m": mobilenet_m,
    "mobilenet_pooled": mobilenet_pooled,
    "light_cnn": light_cnn,
    "light_cnn_32": light_cnn_32,
    "small_cnn": small_cnn,
}


def load_weights(model: "keras.Model", weights: str, *, backbone: bool) -> None:
    """Start from other weights.

    Args:
        weights: 'none', 'imagenet' (downloaded through Keras), or a .weights.h5 or .keras file: of the whole network or,
            where `backbone` is true, of `keras.applications.MobileNet` without its top.
        backbone: the network is a MobileNet with a head.

    Raises:
        TrainingError: the download fails, or the file is missing, damaged, of another architecture or class count, or names
            other files.
    """
    if weights == "none":
        return
    if weights == "imagenet":
        if not backbone:
            raise TrainingError(f"{model.name} has no ImageNet weights", advice="no-imagenet")
        _imagenet(model)
        return
    path = weights_file(weights)
    before = model.get_weights()
    try:
        _check_weights(path)
        if backbone and not _has_head(path):
            source = _mobilenet(model)
            source.load_weights(path)
            _copy_by_name(source, model)
        else:
            model.load_weights(path)
    except ConversionError as error:
        raise TrainingError(str(error)) from error
    except (ValueError, OSError, KeyError, *DAMAGED) as error:  # what Keras and h5py raise on another or a damaged file
        model.set_weights(before)
        raise TrainingError(f"{path}: not weights of {model.name}, or damaged ({first_line(error, 150)})") from error


def weights_file(weights: str) -> Path:
    """The file that is neither 'none' nor 'imagenet'. Raises: TrainingError, if there is none."""
    path = path_of_text(weights)
    if problem := problem_at(path, "file", noun="weights file"):
        raise TrainingError(f"{path}: {problem}; expected 'imagenet', 'none', a .weights.h5 or a .keras file")
    return path


def _check_weights(path: Path) -> None:
    """Check before anything is loaded that all arrays lie in the file itself, of whatever name.

    Raises:
        ConversionError: it names other files, or holds more than weights.
        OSError, ValueError, KeyError or one of `DAMAGED`: it is damaged, or of neither format.
    """
    if zipfile.is_zipfile(path):
        with open_regular(path) as file, open_zip(file, MOST_WEIGHTS_BYTES):
            check_archive(path)
    else:
        check_hdf5(path)


def _has_head(path: Path) -> bool:
    """True if a weights file holds a dense layer: a whole network's, not those of a MobileNet without its top."""
    import h5py

    names: list[str] = []
    with ExitStack() as stack:
        content: Any = path
        if zipfile.is_zipfile(path):
            archive = stack.enter_context(open_zip(stack.enter_context(open_regular(path)), MOST_WEIGHTS_BYTES))
            content = io.BytesIO(read_member(archive, archive.getinfo("model.weights.h5")))
        stack.enter_context(h5py.File(content, "r")).visit(names.append)
    return any(part.startswith("dense") for name in names for part in name.split("/"))


def _plain_cnn(name: str, filters: tuple[int, ...], classes: int, side: int, dropout: float) -> "keras.Model":
    import keras
    from keras import layers

    stack: list[Any] = [layers.Input((side, side, 3))]
    for n in filters:
        stack += [layers.Conv2D(n, 3, activation="relu"), layers.MaxPooling2D()]
    stack.append(layers.Flatten())
    for units in (500, 250):
        stack += [layers.Dense(units, activation="relu"), layers.Dropout(dropout)]
    body = keras.Sequential(stack)
    return keras.Model(body.inputs, _softmax(layers.Dense(classes)(body.outputs[0])), name=name)


def _softmax(logits: Any) -> Any:
    from keras import layers

    return layers.Activation("softmax", dtype="float32", name="probabilities")(logits)


def _mobilenet(model: "keras.Model", weights: str | None = None) -> "keras.Model":
    """Keras' own MobileNet without its top, of the model's input."""
    import keras

    return keras.applications.MobileNet(include_top=False, weights=weights, input_shape=model.input_shape[1:])


def _copy_by_name(source: "keras.Model", model: "keras.Model") -> None:
    """The weights of each layer that both have; a model may end before its backbone does."""
    known = {layer.name: layer for layer in source.layers}
    for layer in model.layers:
        if layer.weights and layer.name in known:
            layer.set_weights(known[layer.name].get_weights())


def _imagenet(model: "keras.Model") -> None:
    try:
        source = _mobilenet(model, "imagenet")
    except Exception as error:  # Keras' download raises a bare Exception
        raise TrainingError(
            f"the ImageNet weights could not be had ({first_line(error, 120)}); {IMAGENET_HINT}", advice="weights-file"
        ) from error
    _copy_by_name(source, model)
