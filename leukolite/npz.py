"""NumPy archives that others made: plain arrays within bounds, and nothing that NumPy would have to interpret.

The header of an array is a Python literal by its format; what NumPy writes is one pattern, and nothing else is read.
"""

import io
import math
import re
import struct
import zipfile

import numpy as np

from leukolite.zip_members import open_zip

LONGEST_HEADER = 10_000  # bytes, as NumPy's own limit
_HEADER = re.compile(
    rb"\{'descr': '([<|][uifb][1248])', 'fortran_order': False, 'shape': \(((?:\d{1,10}, ?)*(?:\d{1,10})?)\), \}\s*"
)


def read_npz(data: bytes, most_bytes: int) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by their names.

    Args:
        data: the file's bytes.
        most_bytes: what all arrays together may unpack to.

    Raises:
        ValueError: as `open_zip`; or a member is no plain array of numbers in C order, or not as large as its header says.
        DAMAGED: it is no whole archive.
    """
    with open_zip(io.BytesIO(data), most_bytes) as archive:
        return {info.filename.removesuffix(".npy"): _array(archive, info) for info in archive.infolist()}


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as stream:
        magic = stream.read(8)
        size_format = {b"\x93NUMPY\x01\0": "<H", b"\x93NUMPY\x02\0": "<I", b"\x93NUMPY\x03\0": "<I"}.get(magic)
        if size_format is None:
            raise ValueError(f"{info.filename} is no NumPy array")
        width = struct.calcsize(size_format)
        (length,) = struct.unpack(size_format, stream.read(width).ljust(width, b"\0"))
        header = stream.read(min(length, LONGEST_HEADER + 1))
        found = _HEADER.fullmatch(header)
        if len(header) != length or found is None:
            raise ValueError(f"{info.filename} has no header of a plain array: {header[:80]!r}")
        dtype = np.dtype(found[1].decode())
        shape = tuple(int(n) for n in found[2].decode().split(",") if n.strip())
        content = info.file_size - len(magic) - width - length
        if math.prod(shape) * dtype.itemsize != content:
            raise ValueError(f"{info.filename} has {content} bytes, expected those of {dtype} of shape {shape}")
        array = np.empty(shape, dtype)
        flat, at = array.reshape(-1).view(np.uint8), 0
        while chunk := stream.read(1 << 20):
            flat[at : at + len(chunk)] = np.frombuffer(chunk, np.uint8)
            at += len(chunk)
    if at != content:
        raise zipfile.BadZipFile(f"{info.filename} breaks off")
    return array
