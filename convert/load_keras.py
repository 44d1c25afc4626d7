"""A Keras model of any age, loaded: Keras 3 by Keras, Keras 2 by tf_keras, a SavedModel by TensorFlow.

What comes out is always a Keras 3 model. The two others stand in one as a layer, so that what follows knows one kind.
"""

import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from leukolite.convert.fold import last_activation
from leukolite.convert.model_file import ModelKind, recognise
from leukolite.convert.saved_model import EXPORT, load_signature
from leukolite.errors import ConversionError, LeukoliteError, first_line
from leukolite.quiet import quiet
from leukolite.train.keras_config import check_config, make_float32, read_hdf5, read_keras_archive
from leukolite.train.keras_weights import check_archive, check_hdf5

if TYPE_CHECKING:
    import keras

SUFFIX_OF: dict[ModelKind, str] = {"keras": ".keras", "hdf5": ".h5"}  # by which the libraries choose how they read
UNKNOWN_LAYER = ("Could not locate", "Unknown layer", "Unknown object", "custom class", "Lambda")  # what Keras says of a layer
DAMAGED = (  # what the libraries raise of bytes that are not what they wrote
    *(ValueError, OSError, KeyError, TypeError, AttributeError, RuntimeError, IndexError, ImportError, AssertionError),
    *(NotImplementedError, EOFError, MemoryError, OverflowError, zipfile.BadZipFile, zlib.error),
)
SAVE_AGAIN = "load its weights, and save it again"
BUILD = "build the same layers on keras.Input((height, width, 3))"


def load_keras(path: Path) -> "keras.Model":
    """A saved model as a Keras 3 model; in float32, whatever the policy that it was trained by.

    Args:
        path: .keras or .h5 file of Keras 2 or 3, whatever its ending, or a SavedModel's folder.

    Raises:
        ConversionError: it is none of these, damaged, holds code or layers that are not Keras' own, or takes other than
            float pictures, channels last.
    """
    kind = recognise(path)
    if kind == "saved-model":
        function, spec, output_shape, activation = load_signature(path)
        check_picture(path, None if spec.shape.rank is None else tuple(spec.shape.as_list()), spec.dtype.name, EXPORT)
        return _as_keras_3(function, tuple(spec.shape.as_list()[1:]), output_shape, activation)
    model, is_keras_2 = _load(path, kind)
    inputs, outputs = (_tensors(getattr(model, name, None)) for name in ("inputs", "outputs"))
    if not inputs or not outputs:
        raise ConversionError(f"{path}: its input has no shape yet; {BUILD}, {SAVE_AGAIN}")
    if len(inputs) == 1:
        check_picture(path, tuple(inputs[0].shape), str(getattr(inputs[0].dtype, "name", inputs[0].dtype)), SAVE_AGAIN)
    if not is_keras_2:
        return model
    if len(inputs) != 1 or len(outputs) != 1:
        raise ConversionError(f"{path}: expected one input and one output, found {len(inputs)} and {len(outputs)}")
    shapes = (tuple(inputs[0].shape)[1:], (None, *tuple(outputs[0].shape)[1:]))
    return _as_keras_3(lambda images: model(images, training=False), *shapes, last_activation(model))


def check_picture(path: Path, shape: tuple[int | None, ...] | None, dtype: str, remedy: str) -> None:
    """Check a network's input: one float32 picture, its channels last. Grey pictures and open sizes are refused elsewhere.

    Args:
        shape: with the batch; None where it is open.

    Raises:
        ConversionError: says what the input is, and `remedy`.
    """
    if shape is None or len(shape) != 4:
        found = "of any shape" if shape is None else f"of shape {shape}"
        raise ConversionError(f"{path}: expected RGB images (batch, height, width, 3), found an input {found}; {BUILD}, {remedy}")
    if shape[1] == 3 and shape[3] != 3:
        raise ConversionError(
            f"{path}: its input {shape} has the channels first, expected (batch, height, width, 3);"
            f" {BUILD} with data_format='channels_last', {remedy}"
        )
    if dtype != "float32":
        raise ConversionError(
            f"{path}: its input is of {dtype}, expected float32; {BUILD}, of float32, {remedy}; of bytes it then takes the"
            " values 0 to 255"
        )


def _tensors(found: Any) -> list[Any]:
    return list(found) if isinstance(found, list | tuple) else []


def _load(path: Path, kind: ModelKind) -> tuple[Any, bool]:
    """The model, as its own library has it, and whether that is tf_keras."""
    import tensorflow as tf

    version = "?"
    try:
        version, config = (read_keras_archive if kind == "keras" else read_hdf5)(path)
        is_changed = check_config(path, config)
        is_changed |= make_float32(path, config)
        (check_archive if kind == "keras" else check_hdf5)(path)
        is_keras_2 = version.partition(".")[0] in ("0", "1", "2")
        library = _keras_2(path) if is_keras_2 else _keras_3()
        with tempfile.TemporaryDirectory(prefix="leukolite-model-") as folder:
            staged = Path(folder) / f"model{SUFFIX_OF[kind]}"
            _stage(path, staged, config if is_changed else None)
            with quiet():
                return library.models.load_model(staged, compile=False), is_keras_2
    except LeukoliteError:
        raise
    except (*DAMAGED, tf.errors.OpError) as error:
        reason = first_line(error, 150)
        if any(words in str(error) for words in UNKNOWN_LAYER):
            raise ConversionError(
                f"{path}: has a layer that is not Keras' own ({reason}); build it of Keras' layers and save it again"
            ) from error
        newer = _newer(version)
        raise ConversionError(f"{path}: no Keras model, or damaged ({reason}){newer or '; save it again'}") from error


def _keras_3() -> Any:
    import keras

    return keras


def _keras_2(path: Path) -> Any:
    try:
        with quiet():
            import tf_keras
    except ImportError as error:
        raise ConversionError(f"{path}: a model of Keras 2, which needs tf-keras; pip install 'leukolite[convert]'") from error
    return tf_keras


def _newer(version: str) -> str:
    """What to do where a file was saved by a Keras that is newer than the one at hand."""
    here = _keras_3().__version__

    def number(text: str) -> list[int]:
        return [int(part) for part in text.split(".")[:2] if part.isdecimal()]

    return f"; saved by Keras {version}, this is {here}: pip install -U keras" if number(version) > number(here) else ""


def _stage(path: Path, staged: Path, config: Any) -> None:
    """The file under a name with the ending by which the libraries know it, with another architecture where one is given."""
    if config is None:
        staged.symlink_to(path.resolve())
    elif staged.suffix == ".h5":
        shutil.copyfile(path, staged)
        with h5py.File(staged, "r+") as file:
            file.attrs["model_config"] = json.dumps(config)
    else:
        with zipfile.ZipFile(path) as given, zipfile.ZipFile(staged, "w") as archive:
            for name in given.namelist():
                archive.writestr(name, json.dumps(config) if name == "config.json" else given.read(name))


def _as_keras_3(
    function: Callable[[Any], Any],
    image_shape: tuple[int | None, ...],
    output_shape: tuple[int | None, ...],
    activation: str | None = None,
) -> "keras.Model":
    """A Keras 3 model of one layer that calls `function`, which keeps its own weights and ends in `activation`, where that is
    known."""
    import keras

    class LoadedNetwork(keras.layers.Layer):
        def call(self, images: Any) -> Any:
            return function(images)

        def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
            return (input_shape[0], *output_shape[1:])

    network, image = LoadedNetwork(name="loaded_network"), keras.layers.Input(image_shape)
    network.activation = None if activation is None else getattr(keras.activations, activation, None)
    return keras.Model(image, network(image))
