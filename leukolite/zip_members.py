"""Zip files that others made, read within bounds: what its directory says is checked before anything is unpacked."""

import io
import stat
import struct
import zipfile
import zlib
from typing import BinaryIO

MOST_DIRECTORY_BYTES = 1_000_000  # of the list of members: ten thousand of them
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, struct.error, OverflowError)  # RuntimeError: encrypted, or
# an unknown compression (NotImplementedError)
_CHUNK = 1 << 20
_END, _END_BYTES, _MOST_COMMENT = b"PK\x05\x06", 22, 0xFFFF
_END_64, _LOCATOR_64, _LOCATOR_64_BYTES, _END_64_BYTES = b"PK\x06\x06", b"PK\x06\x07", 20, 56


def open_zip(file: BinaryIO, most_bytes: int) -> zipfile.ZipFile:
    """A zip file whose members can be read one by one with `read_member`.

    Args:
        file: seekable; it stays open when the archive is closed.
        most_bytes: what all members together may unpack to.

    Raises:
        ValueError: says what no honest archive has: members that share their bytes, names twice or out of the folder, links, or
            sizes beyond `most_bytes`.
        DAMAGED: it is no whole zip file.
    """
    if _directory_bytes(file) > MOST_DIRECTORY_BYTES:
        raise ValueError("it lists more members than any bundle or model has")
    archive = zipfile.ZipFile(file)
    try:
        _check_directory(archive, most_bytes)
    except ValueError:
        archive.close()
        raise
    return archive


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """A member's bytes, once in memory and not twice. Raises: one of `DAMAGED`."""
    content = io.BytesIO()
    with archive.open(info) as stream:  # it gives no more than `info.file_size`, and checks the sum at the end
        while chunk := stream.read(_CHUNK):
            content.write(chunk)
    if content.tell() != info.file_size:
        raise zipfile.BadZipFile(f"{info.filename} has {content.tell()} bytes, its directory says {info.file_size}")
    return content.getvalue()


def _check_directory(archive: zipfile.ZipFile, most_bytes: int) -> None:
    infos, seen, end = archive.infolist(), set(), 0
    if (total := sum(info.file_size for info in infos)) > most_bytes:
        raise ValueError(f"it unpacks to {total / 1e6:,.0f} MB, at most {most_bytes / 1e6:,.0f} are allowed")
    for info in infos:
        name = info.filename
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or name[1:2] == ":":
            raise ValueError(f"its member {name[:100]!r} lies outside of it")
        if name in seen:
            raise ValueError(f"it has two members called {name[:100]!r}")
        seen.add(name)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ValueError(f"its member {name[:100]!r} is a link or device, not a file")
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise ValueError(f"its member {info.filename[:100]!r} shares its bytes with another")
        end = info.header_offset + 30 + len(info.orig_filename) + info.compress_size


def _directory_bytes(file: BinaryIO) -> int:
    """How long the list of members is, by the record at the archive's end; 0 where there is none."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _MOST_COMMENT - _END_BYTES - _LOCATOR_64_BYTES - _END_64_BYTES))
    tail = file.read()
    at = len(tail) - _END_BYTES
    if not (tail[at:].startswith(_END) and tail.endswith(b"\0\0")):  # there is a comment behind it
        at = tail.rfind(_END)
    if at < 0 or len(tail) < at + _END_BYTES:
        return 0
    found: int = struct.unpack_from("<I", tail, at + 12)[0]
    before = at - _LOCATOR_64_BYTES - _END_64_BYTES
    if before >= 0 and tail.startswith(_LOCATOR_64, at - _LOCATOR_64_BYTES) and tail.startswith(_END_64, before):
        return int(struct.unpack_from("<Q", tail, before + 40)[0])
    return found
