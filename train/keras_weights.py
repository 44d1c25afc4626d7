"""A saved Keras network's weights, looked at before they are loaded: every number must lie in the file itself.

HDF5 can name other files, whose content would be read as weights: external links, external storage, virtual datasets. And it
can declare arrays of petabytes in a file of some bytes. Keras refuses some of that since 3.14 and 3.15, tf_keras nothing.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from leukolite.errors import ConversionError
from leukolite.train.keras_config import LARGEST_ARCHIVE

if TYPE_CHECKING:
    import h5py

SAVE_AGAIN = "load it where it was made and save it again with model.save('net.keras')"


def check_archive(path: Path) -> None:
    """Check a .keras file's members, which `read_keras_archive` took: weights in HDF5 that names no other file, nothing besides.

    Raises:
        ConversionError: names the member and what to do.
        OSError, ValueError, KeyError, RuntimeError or zipfile.BadZipFile: it is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        names = [member.filename for member in archive.infolist() if not member.is_dir()]
        for name in names:
            place = PurePosixPath(name.replace("\\", "/"))
            if place.parts[0] == "assets":
                raise ConversionError(
                    f"{path}: holds the file {name[:60]!r} besides its weights, which a network for pictures does not need;"
                    " build it of Keras' layers for pictures and save it again"
                )
            if name.startswith("model.weights.") and place.suffix not in (".h5", ".json"):
                raise ConversionError(f"{path}: its weights are no HDF5 but {name[:60]!r}, which may be a pickle; {SAVE_AGAIN}")
        for name in names:
            if name.endswith(".h5"):
                with archive.open(name) as file:
                    check_hdf5(path, file)


def check_hdf5(path: Path, content: IO[bytes] | None = None) -> None:
    """Check that an HDF5 file holds all its arrays itself, and no more than can be.

    Args:
        path: the file, or the archive that it lies in.
        content: the file in the archive.

    Raises:
        ConversionError: names the array and what to do.
        OSError, ValueError, KeyError or RuntimeError: it is damaged.
    """
    import h5py

    total = 0
    with h5py.File(content or path, "r") as file:
        for where, item in _items(path, file):
            if not isinstance(item, h5py.Dataset):
                continue
            if item.is_virtual or item.external:
                raise ConversionError(f"{path}: its weights {where[:80]!r} lie in another file; {SAVE_AGAIN}")
            total += item.size * item.dtype.itemsize if item.size else 0
            if total > LARGEST_ARCHIVE:
                raise ConversionError(f"{path}: its weights take {total / 1e9:.1f} GB and more, which no small machine runs")


def _items(path: Path, file: "h5py.File") -> Iterator[tuple[str, Any]]:
    """Every group and array once, in whichever groups it lies."""
    import h5py

    seen, waiting = set(), [("", file)]
    while waiting:
        place, group = waiting.pop()
        for name in group:
            where = f"{place}/{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ConversionError(f"{path}: {where[:80]!r} in it is a link, maybe to another file; {SAVE_AGAIN}")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address not in seen:
                seen.add(address)
                yield where, item
                if isinstance(item, h5py.Group):
                    waiting.append((where, item))
