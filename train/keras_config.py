"""A saved Keras network's architecture, read before anything of the file is loaded: what would run code is refused.

Keras of before 3.15 runs code from a hostile .keras or .h5 file, and so does tf_keras from any: `Lambda` layers hold marshalled
Python, and other names make the loader import modules, open files or call TensorFlow's file functions. So what is taken is
listed by name; safe_mode is a second lock, of Keras' own.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from leukolite.errors import ConversionError
from leukolite.regular_file import open_regular
from leukolite.strict_json import parse_json_text
from leukolite.textfiles import parse_json
from leukolite.train.keras_layers import FUNCTIONS, LAYERS, PARTS, VALUES
from leukolite.zip_members import open_zip, read_member

EXPECTED = "expected a Keras model: .keras, .h5, or a SavedModel's folder"
WEIGHTS_ALONE = "holds weights alone; build the network, call its load_weights, and save all of it with model.save('net.keras')"
LARGEST_CONFIG = 64_000_000  # bytes; that of the largest published networks is below 2 MB
LARGEST_ARCHIVE = 2_000_000_000  # bytes, unpacked; ten times what a small machine runs
RUNS_CODE = {"Lambda", "__lambda__"}
OPENS_FILES = {
    *("TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"),
    *("StringLookup", "IntegerLookup", "IndexLookup", "TextVectorization", "DenseFeatures", "SequenceFeatures"),
}
CALLS_TENSORFLOW = {"TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod"}  # of Keras 2, by a function's name
HARMLESS = re.compile(  # of those functions: arithmetic; others may be `io.write_file` or `load_op_library`
    r"(math|nn|linalg|image|keras\.activations|__operators__|compat\.v1\.nn|compat\.v1\.math)\.\w+(\.\w+)?"
    r"|keras\.backend\.(?!set_|get_|clear_|reset_|manual_|print_|function|eval)\w+"
    r"|cast|clip_by_value|concat|convert_to_tensor|expand_dims|gather|identity|ones_like|pad|reshape|reverse|shape|slice|split"
    r"|squeeze|stack|strided_slice|tile|transpose|unstack|where|zeros_like|compat\.v1\.(pad|transpose|squeeze|shape|gather)"
)
NODE = "TensorFlowOpLayer"  # of TensorFlow 2.0 to 2.3: one operator of a graph, by its name
ARITHMETIC = {
    *(
        "Add",
        "AddV2",
        "BiasAdd",
        "Cast",
        "ConcatV2",
        "Div",
        "Exp",
        "ExpandDims",
        "Log",
        "Max",
        "Maximum",
        "Mean",
        "Min",
        "Minimum",
    ),
    *("MirrorPad", "Mul", "Neg", "Pad", "PadV2", "Pow", "RealDiv", "Relu", "Relu6", "Reshape", "ResizeBilinear", "Rsqrt"),
    *(
        "ResizeNearestNeighbor",
        "Sigmoid",
        "Softmax",
        "Sqrt",
        "Square",
        "Squeeze",
        "StridedSlice",
        "Sub",
        "Sum",
        "Tanh",
        "Transpose",
    ),
}
OWN_MODULES = re.compile(r"builtins|(tf_)?keras(\.\w+)*|tensorflow\.(python\.)?keras(\.\w+)*")
OPS = re.compile(r"keras(\.src)?\.ops(\.\w+)?")  # Keras 3's arithmetic between layers; each class there is one such operation
OF_FUNCTIONS = re.compile(
    r"builtins|(tf_)?keras(\.src)?\.(activations|ops)(\.\w+)?|tensorflow\.(python\.)?keras\.activations"
    r"|tensorflow\.python\.ops\.(gen_)?nn(_impl|_ops)?"
)
FLOAT_POLICIES = {"DTypePolicy", "FloatDTypePolicy"}  # others, such as QuantizedDTypePolicy, are of integers
OTHER_FLOATS = {"mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64"}


def read_keras_archive(path: Path) -> tuple[str, Any]:
    """Version of Keras and architecture of a .keras file. Raises: ConversionError, ValueError, KeyError or one of `DAMAGED`."""
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
    import h5py

    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs:
            is_weights = "layer_names" in file.attrs or not {"layers", "_layer_checkpoint_dependencies", "vars"}.isdisjoint(file)
            raise ConversionError(
                f"{path}: {WEIGHTS_ALONE}" if is_weights else f"{path}: HDF5, but no Keras model in it; {EXPECTED}"
            )
        version, config = (_text(file.attrs.get(name, "2")) for name in ("keras_version", "model_config"))
    return version, parse_json_text(config)


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


def check_config(path: Path, config: Any) -> bool:
    """Check that loading an architecture calls Keras' own layers and arithmetic, nothing else; drop what is of training.

    Returns:
        True, if something within it was dropped, so that it must be loaded as it is now.

    Raises:
        ConversionError: names the layer and what to do.
    """
    if not isinstance(config, dict) or "class_name" not in config:
        raise ConversionError(f"{path}: no Keras model, or damaged (its architecture names no class); save it again")
    config.pop("compile_config", None)  # of training, which is not loaded
    changed = False
    for entry in entries(config):
        if isinstance(entry.get("class_name"), str):  # a network within the network, which Keras would compile
            changed |= entry.pop("compile_config", None) is not None
    for entry in entries(config):
        name = entry.get("class_name")
        if name is None:
            continue
        if reason := _refusal(name, entry):
            raise ConversionError(f"{path}: {reason}")
    return changed


def _refusal(name: object, entry: dict[str, Any]) -> str | None:
    """Why an object of an architecture is not loaded, and what to do; None where it may be."""
    inner = entry.get("config")
    if not isinstance(name, str):
        return "no Keras model, or damaged (a layer's class is no name); save it again"
    if name.endswith("QuantizationConfig"):
        return f"Keras has quantised its weights already ({name}); save the float model of before"
    if name in RUNS_CODE:
        return (
            "a Lambda layer holds Python code, which is not run; write it with layers of Keras' own, such as Rescaling, and save"
            " it again"
        )
    if name in OPENS_FILES:
        return (
            f"the layer {name} reads other files when it is loaded; build the network of Keras' layers for pictures and save it"
            " again"
        )
    called = None
    if name in CALLS_TENSORFLOW:
        called = inner.get("function") if isinstance(inner, dict) else None
        is_harmless = isinstance(called, str) and HARMLESS.fullmatch(called) is not None
    elif name == NODE:
        called = _operator(inner)
        is_harmless = called in ARITHMETIC
    else:
        is_harmless = True
    if not is_harmless:
        return (
            f"a layer calls TensorFlow's {called or name!r}, which is no arithmetic and is not run; write it with layers of"
            " Keras' own and save it again"
        )
    if _is_foreign(name, inner, entry.get("module"), entry.get("registered_name")):
        shown = inner if name == "function" else name
        return (
            f"has a layer that is not Keras' own ({str(shown)[:60]!r}); build it of Keras' layers and save it again, or save it"
            " as a SavedModel with model.export"
        )
    return None


def _operator(inner: object) -> str | None:
    """The operator of a `TensorFlowOpLayer`, in text of protobuf's; None where it names none or several."""
    node = inner.get("node_def") if isinstance(inner, dict) else None
    found = re.findall(r'\bop\s*:\s*["\'](\w+)["\']', node) if isinstance(node, str) else []
    return found[0] if len(found) == 1 else None


def _is_foreign(name: str, inner: object, module: object, registered_name: object) -> bool:
    """True where a class or function would come from elsewhere than Keras' layers, their parts and activations."""
    if not isinstance(module, str | None) or not isinstance(registered_name, str | None):
        return True
    if registered_name is not None and ">" in registered_name and not registered_name.startswith(("Keras>", "keras>")):
        return True
    if name == "function":
        return inner not in FUNCTIONS or not (module is None or OF_FUNCTIONS.fullmatch(module))
    if name in VALUES:
        return False
    if module is not None and OPS.fullmatch(module):
        return not name.isidentifier() or not name[0].isupper()
    if name not in LAYERS | PARTS | CALLS_TENSORFLOW | {NODE} and not name.endswith("DTypePolicy"):
        return True
    return module is not None and not OWN_MODULES.fullmatch(module)


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
