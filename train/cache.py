"""Decoded images kept on disk as uint8, so that the next training on the same files starts at once."""

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import PIL

from leukolite.errors import DatasetError, LeukoliteError
from leukolite.files import new_folder, try_place
from leukolite.image_files import Unusable
from leukolite.preprocess import InputSpec
from leukolite.textfiles import read_json
from leukolite.train.datasets import Dataset, load_images
from leukolite.user_cache import user_cache

SCHEMA = 1
PIXELS, RECORD = "pixels.npy", "cache.json"
DAMAGED = (  # what a file raises that is no array of ours
    *(OSError, EOFError, ValueError, TypeError, KeyError, OverflowError, MemoryError, RecursionError, BufferError),
)
MOST_BYTES = 10 * 2**30  # of all entries; the ones unused for longest go first


def cache_folder(given: str | None) -> Path | None:
    """What `--cache` means: a folder, or none; without it `user_cache()`."""
    if given is not None:
        return None if given == "none" else Path(given)
    return user_cache()


def load_cached(
    dataset: Dataset, spec: InputSpec, cache: Path | None, on_image: Callable[[], None] = lambda: None
) -> tuple[Dataset, np.ndarray]:
    """`load_images`, from the cache where the same files were decoded for the same input before.

    An entry is named by what its pixels depend on: the files' hashes in order, crop and size, the decoders' versions. One
    that is damaged is decoded again.

    Args:
        cache: folder of the entries; None: neither read nor write one.

    Returns:
        As `load_images`; the pixels may be a read-only memory map.

    Raises:
        DatasetError: a class has no image that can be decoded, or the cache cannot be written.
    """
    if cache is None:
        return load_images(dataset, spec, on_image)
    place = cache / _key(dataset, spec)
    found = _read(place, dataset)
    if found is not None:
        os.utime(place)
        return found
    shutil.rmtree(place, ignore_errors=True)
    try:
        try_place(place, is_folder=True)
    except LeukoliteError as error:
        raise DatasetError(str(error), advice="cache") from error
    readable, pixels = load_images(dataset, spec, on_image)
    failures = {item.path: item.reason for item in readable.unusable}
    record = {
        "failed": {sample.sha256: failures[sample.path] for sample in dataset.samples if sample.path in failures},
        "crc32": zlib.crc32(pixels.data),
    }
    try:
        with new_folder(place) as folder:
            np.save(folder / PIXELS, pixels)
            (folder / RECORD).write_text(json.dumps(record), encoding="utf-8")
    except LeukoliteError as error:
        if _read(place, dataset) is not None:
            return readable, pixels  # another training has written it meanwhile
        raise DatasetError(str(error), advice="cache") from error
    prune(cache, MOST_BYTES)
    return readable, pixels


def _key(dataset: Dataset, spec: InputSpec) -> str:
    decided_by = [SCHEMA, spec.model_dump(mode="json"), cv2.__version__, PIL.__version__, [s.sha256 for s in dataset.samples]]
    return hashlib.sha256(json.dumps(decided_by).encode()).hexdigest()[:32]


def _read(place: Path, dataset: Dataset) -> tuple[Dataset, np.ndarray] | None:
    try:
        record = read_json(place / RECORD, "a record of the cache", DatasetError)
        pixels = np.load(place / PIXELS, mmap_mode="r")
        if zlib.crc32(pixels.data) != record["crc32"]:
            return None
        failed: dict[str, str] = record["failed"]
    except (DatasetError, *DAMAGED):
        return None
    kept = tuple(sample for sample in dataset.samples if sample.sha256 not in failed)
    unusable = tuple(Unusable(sample.path, failed[sample.sha256]) for sample in dataset.samples if sample.sha256 in failed)
    if len(kept) != len(pixels):
        return None
    return replace(dataset, samples=kept, unusable=dataset.unusable + unusable), pixels


def prune(cache: Path, most_bytes: int) -> None:
    """Delete the entries unused for longest until the rest fit; the newest always stays."""
    entries = sorted((path.parent for path in cache.glob(f"*/{RECORD}")), key=lambda path: path.stat().st_mtime, reverse=True)
    total = 0
    for place in entries:
        total += sum(file.stat().st_size for file in place.iterdir())
        if total > most_bytes and place != entries[0]:
            shutil.rmtree(place, ignore_errors=True)
