"""Zip archives that depend on their files alone: stored, sorted, without the hour; the same bytes on every machine."""

import io
import zipfile
from collections.abc import Mapping

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold
_UNIX, _REGULAR_FILE = 3, 0o100644


def archive_of(files: Mapping[str, bytes]) -> bytes:
    """A zip of the files, name (with / between folders) -> content."""
    return append_files(b"", files)


def append_files(head: bytes, files: Mapping[str, bytes]) -> bytes:
    """`head` with a zip of the files behind it, as TFLite keeps a model's associated files."""
    buffer = io.BytesIO(head)
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system, entry.external_attr = _UNIX, _REGULAR_FILE << 16
            archive.writestr(entry, files[name], zipfile.ZIP_STORED)
    return buffer.getvalue()
