"""What a file or folder that is said to be a Keras model is, told by its first bytes and not by its ending.

Each kind that is no whole Keras model is refused by its name, with what to do. Nothing is loaded here, and no pickle opened.
"""

import zipfile
from pathlib import Path
from typing import Literal

import h5py

from leukolite.errors import ConversionError, first_line, reason_of

ModelKind = Literal["keras", "hdf5", "saved-model"]
EXPECTED = "expected a Keras model: .keras, .h5, or a SavedModel's folder"
HEAD = 512  # bytes that tell a kind
WEIGHTS_ALONE = "holds weights alone; build the network, call its load_weights, and save all of it with model.save('net.keras')"
_SAVE_WHOLE = "load it where it was trained and save the whole model with model.save('net.keras')"
_TO_KERAS = "build the network in Keras, copy the weights into it, and save it with model.save('net.keras')"

# first bytes -> what it is and what to do
STARTS: tuple[tuple[bytes, str], ...] = (
    (b"PK", "a damaged archive, without its end; copy or download it again"),
    (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9", f"a PyTorch file; {_TO_KERAS}"),
    *((bytes([0x80, n]), f"a pickle, which may run any code and is not opened; {_SAVE_WHOLE}") for n in range(2, 6)),
    (b"\x93NUMPY", f"a NumPy array, so it {WEIGHTS_ALONE}"),
    (b"\x1f\x8b", "packed by gzip; unpack it and name the model in it"),
    (b"BZh", "packed by bzip2; unpack it and name the model in it"),
    (b"\xfd7zXZ", "packed by xz; unpack it and name the model in it"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it and name the model in it"),
    (b"Rar!", "a RAR archive; unpack it and name the model in it"),
    (b"version https://git-lfs", "a Git LFS pointer and not the file itself; fetch that with git lfs pull"),
    (b"<", "a web page and not the file itself; download it again"),
    (b"model_checkpoint_path", f"a TensorFlow checkpoint's index, so it {WEIGHTS_ALONE}"),
    (b"{", f"JSON: at most a network's architecture, without weights; {_SAVE_WHOLE}"),
)
ENDINGS = {  # of what has no first bytes of its own
    ".onnx": f"an ONNX model; {_TO_KERAS}",
    ".safetensors": f"a safetensors file, so it {WEIGHTS_ALONE}",
    ".index": f"a part of a TensorFlow checkpoint, so it {WEIGHTS_ALONE}",
    ".pbtxt": "a TensorFlow graph; save the Keras model with model.export('folder') and name that folder",
    ".pb": "a TensorFlow graph; save the Keras model with model.export('folder') and name that folder",
}


def recognise(path: Path) -> ModelKind:
    """Which loader a model needs.

    Raises:
        ConversionError: it is missing, unreadable, or no whole Keras model; names what it is and what to do.
    """
    if path.is_dir():
        return _of_folder(path)
    if not path.is_file():
        raise ConversionError(f"{path}: no such file; {EXPECTED}")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
        if zipfile.is_zipfile(path) and head.startswith(b"PK"):
            return _of_zip(path)
        if h5py.is_hdf5(path):
            return "hdf5"
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read ({reason_of(error)})") from error
    raise ConversionError(f"{path}: {_what(path, head)}")


def _what(path: Path, head: bytes) -> str:
    """What a file that is neither zip nor HDF5 is, and what to do."""
    if not head:
        return f"empty; {EXPECTED}"
    if head[4:8] == b"TFL3":
        return f"a TFLite file, converted already; {EXPECTED}, from before that conversion"
    if path.name == "saved_model.pb":
        return f"a part of a SavedModel; name its folder, {path.parent}"
    for start, what in STARTS:
        if head.lstrip()[: len(start)] == start or head.startswith(start):
            return what
    if head[0] == 8 and head[2:3] == b"\x12" and head[1] > 1:  # protobuf: a version of the format, then the producer's name
        return ENDINGS[".onnx"]
    if path.suffix in ENDINGS or ".data-" in path.name:
        return ENDINGS[path.suffix if path.suffix in ENDINGS else ".index"]
    return f"no Keras model, or damaged; {EXPECTED}"


def _of_zip(path: Path) -> ModelKind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ConversionError(f"{path}: a damaged archive ({first_line(error)}); copy it again") from error
    bare = {name.rsplit("/", 1)[-1] for name in names}
    if "config.json" in names and any(name.startswith("model.weights.") for name in names):
        return "keras"
    if "data.pkl" in bare:
        raise ConversionError(f"{path}: a PyTorch file; {_TO_KERAS}")
    if {"manifest.json", "model.tflite"} <= bare:
        raise ConversionError(f"{path}: a leukolite bundle, converted already; {EXPECTED}, from before that conversion")
    if names and all(name.endswith(".npy") for name in names):
        raise ConversionError(f"{path}: NumPy arrays, so it {WEIGHTS_ALONE}")
    packed = sorted(name for name in names if name.endswith(("saved_model.pb", ".keras", ".h5", ".hdf5", "config.json")))
    if packed:
        raise ConversionError(f"{path}: a zip that holds {packed[0]}; unpack it and name the model in it")
    raise ConversionError(f"{path}: a zip, but no Keras model; {EXPECTED}")


def _of_folder(path: Path) -> ModelKind:
    found = {child.name for child in path.iterdir()}
    if "saved_model.pb" in found:
        return "saved-model"
    if "saved_model.pbtxt" in found:
        raise ConversionError(f"{path}: a SavedModel as text; save it again as saved_model.pb, which is the default")
    if {"config.json", "model.weights.h5"} <= found:
        raise ConversionError(f"{path}: an unpacked .keras archive; zip the files in it, without their folder, as net.keras")
    if {"run.json", "model.keras"} <= found:
        raise ConversionError(f"{path}: a run of leukolite; `leukolite convert {path}` makes bundles of it")
    if {"manifest.json", "model.tflite"} <= found:
        raise ConversionError(f"{path}: a leukolite bundle, converted already; {EXPECTED}, from before that conversion")
    if "checkpoint" in found or any(name.endswith(".index") for name in found):
        raise ConversionError(f"{path}: a TensorFlow checkpoint, so it {WEIGHTS_ALONE}")
    inner = sorted(child.parent for child in path.glob("*/saved_model.pb"))
    if inner:
        raise ConversionError(f"{path}: no SavedModel itself; name the one in it, {inner[0]}")
    raise ConversionError(f"{path}: a folder without saved_model.pb; {EXPECTED}")
