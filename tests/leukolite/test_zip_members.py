import io
import struct
import zipfile
import zlib

import pytest

from leukolite.zip_members import DAMAGED, MOST_DIRECTORY_BYTES, open_zip, read_member

MOST = 1_000_000


def packed(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytearray:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return bytearray(out.getvalue())


def read_all(data: bytes, most: int = MOST) -> dict[str, bytes]:
    with open_zip(io.BytesIO(data), most) as archive:
        return {info.filename: read_member(archive, info) for info in archive.infolist()}


def of_headers(data: bytearray, offset_local: int, offset_central: int, value: bytes) -> bytearray:
    """The same bytes set in each local header and each entry of the directory."""
    for magic, offset in ((b"PK\x03\x04", offset_local), (b"PK\x01\x02", offset_central)):
        at = data.find(magic)
        while at >= 0:
            data[at + offset : at + offset + len(value)] = value
            at = data.find(magic, at + 4)
    return data


def link(name: str, target: str) -> bytearray:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = 0o120777 << 16
        archive.writestr(info, target)
    return bytearray(out.getvalue())


def overlapping(n: int) -> bytearray:
    """An archive whose `n` entries point at one member."""
    content = bytes(40_000)
    data = packed({"0": content})
    at = data.find(b"PK\x01\x02")
    end = data.find(b"PK\x05\x06")
    entry, tail = data[at:end], data[end:]
    entries = bytearray()
    for i in range(n):
        one = bytearray(entry)
        one[46:47] = b"%d" % (i % 10)
        entries += one
    struct.pack_into("<HHII", tail, 8, n, n, len(entries), at)
    return data[:at] + entries + tail


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_read_back(compression):
    members = {"a": b"x" * 5000, "inner/b": b"", "__MACOSX/._a": b"y"}
    assert read_all(packed(members, compression)) == members


def test_a_comment_and_bytes_before_the_archive_are_no_harm():
    out = io.BytesIO(b"#!/bin/sh\n")
    out.seek(0, io.SEEK_END)
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a", b"x")
        archive.comment = b"PK, a comment"
    assert read_all(out.getvalue()) == {"a": b"x"}


REFUSED = {
    "more than may be": (packed({"a": bytes(MOST), "b": b"x"}), "unpacks to 1 MB, at most 1 are"),
    "a member twice": (bytearray(packed({"aa": b"1", "ab": b"2"}).replace(b"ab", b"aa")), "two members called 'aa'"),
    "an absolute name": (packed({"/etc/passwd": b""}), "lies outside of it"),
    "a way out": (packed({"a/../../b": b""}), "lies outside of it"),
    "a way out of Windows": (packed({"..\\b": b""}), "lies outside of it"),
    "a drive": (packed({"C:b": b""}), "lies outside of it"),
    "a link": (link("a", "/etc/passwd"), "is a link or device"),
    "entries that share a member": (overlapping(9), "shares its bytes with another"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_honest_archive_has_is_refused_before_anything_is_unpacked(case):
    data, said = REFUSED[case]
    with pytest.raises(ValueError, match=said):
        open_zip(io.BytesIO(data), MOST)


DAMAGED_ONES = {
    "a size that lies low": of_headers(packed({"a": bytes(5000)}), 22, 24, struct.pack("<I", 10)),
    "a size that lies high": of_headers(packed({"a": bytes(5000)}), 22, 24, struct.pack("<I", 900_000)),
    "an encrypted member": of_headers(packed({"a": b"x"}), 6, 8, b"\x01\0"),
    "an unknown compression": of_headers(packed({"a": b"x"}), 8, 10, b"\x63\0"),
    "a wrong sum": of_headers(packed({"a": b"x"}), 14, 16, b"\x01\x02\x03\x04"),
    "a cut": packed({"a": bytes(5000)})[:-30],
    "nothing": b"",
}


@pytest.mark.parametrize("case", DAMAGED_ONES)
def test_what_is_damaged_is_found_when_it_is_read(case):
    with pytest.raises(DAMAGED):
        read_all(DAMAGED_ONES[case])


def test_a_directory_of_any_length_is_not_read():
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, MOST_DIRECTORY_BYTES + 1, 0, 0)
    with pytest.raises(ValueError, match="lists more members"):
        open_zip(io.BytesIO(bytes(MOST_DIRECTORY_BYTES + 1) + end), MOST)
    end_64 = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, MOST_DIRECTORY_BYTES + 1, 0)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, MOST_DIRECTORY_BYTES + 1, 1)
    small = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, 50, 0, 0)
    with pytest.raises(ValueError, match="lists more members"):
        open_zip(io.BytesIO(bytes(MOST_DIRECTORY_BYTES + 1) + end_64 + locator + small), MOST)


def test_a_member_that_unpacks_to_more_than_it_says_is_not_unpacked_further():
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = stream.compress(bytes(50_000_000)) + stream.flush()
    data = of_headers(packed({"a": bomb}, zipfile.ZIP_STORED), 22, 24, struct.pack("<I", 1000))
    data = of_headers(data, 8, 10, struct.pack("<H", zipfile.ZIP_DEFLATED))
    with pytest.raises(DAMAGED):
        read_all(data)
