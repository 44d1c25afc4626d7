"""What a frozen network sees of a data set, computed once and kept on disk, so that a head trains in seconds."""

import hashlib
import json
import os
import shutil
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leukolite.errors import DatasetError, LeukoliteError
from leukolite.files import new_folder
from leukolite.preprocess import InputSpec
from leukolite.progress import OnProgress
from leukolite.textfiles import read_json
from leukolite.train.batches import to_float
from leukolite.train.cache import DAMAGED, MOST_BYTES, RECORD, prune

if TYPE_CHECKING:
    import keras

SCHEMA = 1
FEATURES = "features.npy"
_BATCH = 16


def view(pixels: np.ndarray, k: int) -> np.ndarray:
    """The k-th of a square picture's eight turned and mirrored forms; the first is the picture itself.

    Args:
        pixels: shape (..., side, side, 3).
    """
    turned = np.rot90(pixels, k % 4, axes=(-3, -2))
    return turned[..., ::-1, :] if k >= 4 else turned


def load_features(
    network: "keras.Model", pixels: np.ndarray, spec: InputSpec, views: int, cache: Path | None, progress: OnProgress
) -> np.ndarray:
    """Features of each picture's views, from the cache where the same network saw the same pictures before.

    An entry is named by what it depends on: the network's weights and structure, the pictures, views and Keras' version. One that
    is damaged is computed again; the least used go when all entries are more than 10 GB.

    Args:
        network: gives features, shape (n, features).
        pixels: uint8 RGB, shape (n, side, side, 3).
        cache: folder of the entries; None: neither read nor write one.

    Returns:
        float16, shape (n, views, features); it may be a read-only memory map.

    Raises:
        DatasetError: the cache cannot be written.
    """
    place = None if cache is None else cache / _key(network, pixels, spec, views)
    if place is not None and (found := _read(place, (len(pixels), views, network.output_shape[-1]))) is not None:
        os.utime(place)
        return found
    features = _compute(network, pixels, spec, views, progress)
    if place is None or cache is None:
        return features
    shutil.rmtree(place, ignore_errors=True)
    try:
        with new_folder(place) as folder:
            np.save(folder / FEATURES, features)
            (folder / RECORD).write_text(json.dumps({"crc32": zlib.crc32(features.data)}), encoding="utf-8")
    except LeukoliteError as error:
        if _read(place, features.shape) is None:  # else another training has written it meanwhile
            raise DatasetError(str(error), advice="cache") from error
    prune(cache, MOST_BYTES)
    return features


def _compute(network: "keras.Model", pixels: np.ndarray, spec: InputSpec, views: int, progress: OnProgress) -> np.ndarray:
    features = np.empty((len(pixels), views, network.output_shape[-1]), np.float16)
    for first in range(0, len(pixels), _BATCH):
        batch = pixels[first : first + _BATCH]
        for k in range(views):
            seen = network.predict_on_batch(to_float(np.ascontiguousarray(view(batch, k)), spec))
            features[first : first + len(batch), k] = np.asarray(seen)
        progress("features", min(first + _BATCH, len(pixels)), len(pixels))
    return features


def _key(network: "keras.Model", pixels: np.ndarray, spec: InputSpec, views: int) -> str:
    import keras

    content = hashlib.sha256(json.dumps([SCHEMA, views, spec.scale, spec.offset, keras.__version__]).encode())
    for layer in network.layers:  # without its name, in which Keras counts what a process has built
        settings = {key: value for key, value in layer.get_config().items() if key != "name"}
        content.update(json.dumps([type(layer).__name__, settings], default=str, sort_keys=True).encode())
    for weights in network.get_weights():
        content.update(np.ascontiguousarray(weights).data)
    content.update(repr(pixels.shape).encode())
    for picture in pixels:
        content.update(np.ascontiguousarray(picture).data)
    return f"features-{content.hexdigest()[:32]}"


def _read(place: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    try:
        record = read_json(place / RECORD, "a record of the cache", DatasetError)
        features: np.ndarray = np.load(place / FEATURES, mmap_mode="r")
        is_whole = features.shape == shape and features.dtype == np.float16 and zlib.crc32(features.data) == record["crc32"]
    except (DatasetError, *DAMAGED):
        return None
    return features if is_whole else None
