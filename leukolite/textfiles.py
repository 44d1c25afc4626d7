"""Text files that a user wrote, in whatever editor: UTF-8 with or without a byte order mark; others are refused by name."""

import codecs
import json
from pathlib import Path
from typing import Any

from leukolite.errors import LeukoliteError, reason_of
from leukolite.places import problem_at

_MARKS = {  # UTF-32's little-endian mark begins like UTF-16's
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
MAX_TEXT_BYTES = 256_000_000  # as a bundle's largest file


def decode_text(data: bytes) -> str:
    """A text file's bytes as text, without its byte order mark.

    Raises:
        ValueError: it is not UTF-8; says what it seems to be and what to do.
    """
    for mark, name in _MARKS.items():
        if data.startswith(mark):
            raise ValueError(f"is {name}, expected UTF-8; save it again with the encoding UTF-8")
    if b"\0" in data[:1000]:
        raise ValueError("is no UTF-8 text: it has zero bytes (UTF-16, or not text at all); save it again as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"is not UTF-8: byte 0x{data[error.start]:02x} in line {line} (an older encoding, or no text); save it again as UTF-8"
        ) from error


def parse_json(data: bytes) -> Any:
    """JSON of a text file's bytes. Raises: ValueError, which says where it is damaged."""
    text = decode_text(data)
    if not text.strip():
        raise ValueError("is not JSON: the file is empty")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise ValueError("is not JSON of ours: nested too deeply") from error


def read_bytes(path: Path, expected: str, error: type[LeukoliteError] = LeukoliteError) -> bytes:
    """A small file's content.

    Args:
        expected: what the file should be, for the error.
        error: what is raised.

    Raises:
        LeukoliteError: nothing of the kind can be read there.
    """
    if problem := problem_at(path, "file"):
        raise error(f"{path}: {problem}; expected {expected}")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TEXT_BYTES + 1)
    except OSError as caught:
        raise error(f"{path}: cannot be read ({reason_of(caught)}); expected {expected}") from caught
    if len(data) > MAX_TEXT_BYTES:
        raise error(f"{path}: larger than {MAX_TEXT_BYTES // 1_000_000} MB; expected {expected}")
    return data


def read_text(path: Path, expected: str, error: type[LeukoliteError] = LeukoliteError) -> str:
    """A user's text file; arguments and errors as of `read_bytes`."""
    try:
        return decode_text(read_bytes(path, expected, error))
    except ValueError as caught:
        raise error(f"{path} {caught}; expected {expected}") from caught


def read_json(path: Path, expected: str, error: type[LeukoliteError] = LeukoliteError) -> Any:
    """A user's JSON file; arguments and errors as of `read_bytes`."""
    try:
        return parse_json(read_bytes(path, expected, error))
    except ValueError as caught:
        raise error(f"{path} {caught}; expected {expected}") from caught
