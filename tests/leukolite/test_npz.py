import io
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from leukolite.npz import read_npz
from leukolite.zip_members import DAMAGED

MOST = 1_000_000
KINDS = [np.uint8, np.int8, np.int16, np.float32, np.float64, np.int64, np.bool_]


def npz(member: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", member)
    return out.getvalue()


def npy(header: str, content: bytes = b"", *, version: bytes = b"\x01\0", length: int | None = None) -> bytes:
    size = struct.pack("<H" if version == b"\x01\0" else "<I", len(header) if length is None else length)
    return b"\x93NUMPY" + version + size + header.encode() + content


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=0)))
def test_arrays_of_any_shape_read_back(array):
    out = io.BytesIO()
    np.savez_compressed(out, a=array)
    found = read_npz(out.getvalue(), MOST)["a"]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert np.array_equal(found, array)


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_every_number_read_back(kind):
    array = np.arange(24).reshape(2, 3, 4).astype(kind)
    out = io.BytesIO()
    np.savez(out, a=array, b=array[:0], c=array[0, 0, 0])
    found = read_npz(out.getvalue(), MOST)
    assert [found[name].shape for name in "abc"] == [(2, 3, 4), (0, 3, 4), ()]
    assert np.array_equal(found["a"], array)
    assert found["a"].dtype == kind


HEADER = "{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


def header(descr: str = "'|u1'", order: str = "False", shape: str = "(3,)") -> str:
    return HEADER.format(descr=descr, order=order, shape=shape)


REFUSED = {
    "objects": npy(header("'|O'"), b"abc"),
    "records": npy(header("[('x', '|u1')]"), b"abc"),
    "text": npy(header("'<U1'"), bytes(12)),
    "Fortran order": npy(header(order="True"), b"abc"),
    "the other byte order": npy(header("'>f4'"), bytes(12)),
    "a negative shape": npy(header(shape="(-3,)"), b"abc"),
    "a huge shape": npy(header(shape="(9999999999,)"), b"abc"),
    "a shape that overflows": npy(header(shape="(4294967296, 4294967296, 3)"), b"abc"),
    "a shape of many dimensions": npy(header(shape="(" + "1, " * 3000 + ")"), b"abc"),
    "a shape that is no tuple": npy(header(shape="3"), b"abc"),
    "code": npy(header(shape="__import__('os').getpid()"), b"abc"),
    "deep brackets": npy("(" * 9000, b"abc"),
    "a header of 4 GB": npy(header(), b"abc", version=b"\x02\0", length=2**32 - 1),
    "a header of 60 kB": npy(header() + " " * 60_000, b"abc"),
    "a header that is cut": npy("{'descr'"),
    "no header": b"\x93NUMPY\x01\0",
    "no array": b"hello",
    "too few bytes": npy(header(), b"ab"),
    "too many bytes": npy(header(), b"abcd"),
    "an unknown version": npy(header(), b"abc", version=b"\x09\0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_plain_array_is_refused(case):
    with pytest.raises(ValueError, match=r"a\.npy"):
        read_npz(npz(REFUSED[case]), MOST)


def test_arrays_that_unpack_to_gigabytes_are_not_unpacked():
    out = io.BytesIO()
    np.savez_compressed(out, a=np.zeros(30_000_000, np.uint8))
    with pytest.raises(ValueError, match="unpacks to 30 MB, at most 1 are allowed"):
        read_npz(out.getvalue(), MOST)


@pytest.mark.parametrize("data", [b"", b"PK", b"\x93NUMPY\x01\0"])
def test_what_is_no_archive_is_damaged(data):
    with pytest.raises(DAMAGED):
        read_npz(data, MOST)
