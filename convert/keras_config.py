"""A saved Keras network's architecture, read before anything of the file is loaded: what would run code is refused.

Keras 3.8 runs code from a hostile .keras or .h5 file, and so does tf_keras from any: `Lambda` layers hold marshalled Python, and
other names make the loader import modules, open files or call TensorFlow's file functions.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from leukolite.convert.model_file import EXPECTED, WEIGHTS_ALONE
from leukolite.errors import ConversionError
from leukolite.regular_file import open_regular
from leukolite.strict_json import parse_json_text
from leukolite.textfiles import parse_json
from leukolite.zip_members import open_zip, read_member

LARGEST_CONFIG = 64_000_000  # bytes; that of the largest published networks is below 2 MB
LARGEST_ARCHIVE = 2_000_000_000  # bytes, unpacked; ten times what a small machine runs
RUNS_CODE = {"Lambda", "__lambda__"}
OPENS_FILES = {"TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "StringLookup", "IntegerLookup", "TextVectorization"}
CALLS_TENSORFLOW = {"TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod"}  # of Keras 2, by a function's name
HARMLESS = re.compile(  # of those functions: arithmetic; others may be `io.write_file` or `load_op_library`
    r"(math|nn|linalg|image|keras\.(activations|backend)|__operators__|compat\.v1\.nn|compat\.v1\.math)\.\w+(\.\w+)?"
    r"|cast|clip_by_value|concat|convert_to_tensor|expand_dims|gather|identity|ones_like|pad|reshape|reverse|shape|slice|split"
    r"|squeeze|stack|strided_slice|tile|transpose|unstack|where|zeros_like|compat\.v1\.(pad|transpose|squeeze|shape|gather)"
)
OWN_MODULES = {"keras", "tf_keras", "builtins"}
FLOAT_POLICIES = {"DTypePolicy", "FloatDTypePolicy"}  # others, such as QuantizedDTypePolicy, are of integers
OTHER_FLOATS = {"mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64"}


def read_keras_archive(path: Path) -> tuple[str, Any]:
    """Version of Keras and architecture of a .keras file. Raises: ConversionError, ValueError, KeyError or zipfile.BadZipFile."""
    with open_regular(path) as file:
        try:
            archive = open_zip(file, LARGEST_ARCHIVE)
        except ValueError as error:
            raise ConversionError(f"{path}: {error}; {EXPECTED}") from error
        with archive:
            names = ("config.json", *(["metadata.json"] if "metadata.json" in archive.namelist() else []))
            if any(archive.getinfo(name).file_size > LARGEST_CONFIG for name in names):
                most = LARGEST_CONFIG // 1_000_000
                raise ConversionError(f"{path}: architecture of over {most} MB, which no small machine runs; {EXPECTED}")
            config, *metadata = (parse_json(read_member(archive, archive.getinfo(name))) for name in names)
    version = metadata[0].get("keras_version", "3") if metadata and isinstance(metadata[0], dict) else "3"
    return str(version), config


def read_hdf5(path: Path) -> tuple[str, Any]:
    """The same of an .h5 file. Raises: ConversionError, where it holds no architecture; OSError or ValueError."""
    with h5py.File(path, "r") as file:
        _check_sizes(path, file)
        if "model_config" not in file.attrs:
            is_weights = "layer_names" in file.attrs or not {"layers", "_layer_checkpoint_dependencies", "vars"}.isdisjoint(file)
            raise ConversionError(
                f"{path}: {WEIGHTS_ALONE}" if is_weights else f"{path}: HDF5, but no Keras model in it; {EXPECTED}"
            )
        version, config = (_text(file.attrs.get(name, "2")) for name in ("keras_version", "model_config"))
    return version, parse_json_text(config)


def _check_sizes(path: Path, file: h5py.File) -> None:
    """Raises: ConversionError, where its arrays unpack to more than a model has."""
    sizes = [0]
    file.visititems(lambda _, found: sizes.append(found.nbytes if isinstance(found, h5py.Dataset) else 0))
    if sum(sizes) > LARGEST_ARCHIVE:
        raise ConversionError(f"{path}: unpacks to {sum(sizes) / 1e9:.1f} GB, which no small machine runs; {EXPECTED}")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def entries(config: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object in an architecture, itself included."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def check_config(path: Path, config: Any) -> None:
    """Check that loading an architecture calls Keras' own layers and arithmetic, nothing else.

    Raises:
        ConversionError: names the layer and what to do.
    """
    if not isinstance(config, dict) or "class_name" not in config:
        raise ConversionError(f"{path}: no Keras model, or damaged (its architecture names no class); save it again")
    config.pop("compile_config", None)  # of training, which is not loaded
    for entry in entries(config):
        name = entry.get("class_name")
        if not isinstance(name, str):
            continue
        inner = entry.get("config")
        if name in RUNS_CODE:
            raise ConversionError(
                f"{path}: a Lambda layer holds Python code, which is not run; write it with layers of Keras' own, such as"
                " Rescaling, and save it again"
            )
        if name in OPENS_FILES:
            raise ConversionError(
                f"{path}: the layer {name} reads other files when it is loaded; build the network of Keras' layers for pictures"
                " and save it again"
            )
        if name in CALLS_TENSORFLOW:
            function = inner.get("function") if isinstance(inner, dict) else None
            if not (isinstance(function, str) and HARMLESS.fullmatch(function)):
                raise ConversionError(
                    f"{path}: a layer calls TensorFlow's {function or name!r}, which is no arithmetic and is not run; write it"
                    " with layers of Keras' own and save it again"
                )
        if _is_foreign(name, entry.get("module"), entry.get("registered_name")):
            raise ConversionError(
                f"{path}: has a layer that is not Keras' own ({name}); build it of Keras' layers and save it again, or save it"
                " as a SavedModel with model.export"
            )


def _is_foreign(name: str, module: object, registered_name: object) -> bool:
    """True where a class or function would come from elsewhere than Keras' layers, losses and activations."""
    if isinstance(registered_name, str) and ">" in registered_name and not registered_name.startswith(("Keras>", "keras>")):
        return True
    if not isinstance(module, str):
        return ">" in name
    if name == "function":
        return not (module == "builtins" or re.search(r"(^|\.)(activations|ops|initializers|regularizers|nn)\b", module))
    is_keras = module.partition(".")[0] in OWN_MODULES or module.startswith(("tensorflow.keras", "tensorflow.python.keras"))
    return not is_keras


def make_float32(path: Path, config: Any) -> bool:
    """Let an architecture compute in float32 where it computes in other floats; the weights of mixed precision are float32.

    Returns:
        True, if it was changed.

    Raises:
        ConversionError: it computes in integers, because Keras quantised it.
    """
    changed = False
    for entry in entries(config):
        policy = str(entry.get("class_name"))
        if policy.endswith("DTypePolicy") and policy not in FLOAT_POLICIES:
            raise ConversionError(f"{path}: Keras has quantised its weights already ({policy}); save the float model of before")
        for key in ("dtype", "default_policy", *(["name"] if _is_policy(entry) else [])):
            if isinstance(entry.get(key), str) and entry[key] in OTHER_FLOATS:
                entry[key] = "float32"
                changed = True
    return changed


def _is_policy(entry: dict[str, Any]) -> bool:
    """True for the inner object of {"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}: a name and little else."""
    return set(entry) <= {"name", "loss_scale"}
