"""Text files that a user wrote, in whatever editor: UTF-8 with or without a byte order mark; others are refused by name."""

import codecs
from pathlib import Path
from typing import Any

from leukolite.errors import LeukoliteError, reason_of
from leukolite.places import problem_at
from leukolite.regular_file import open_regular
from leukolite.strict_json import MOST_VALUES, parse_json_text

_MARKS = {  # UTF-32's little-endian mark begins like UTF-16's
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
MAX_TEXT_BYTES = 256_000_000  # as a bundle's largest file
MOST_VALUES_OF_LISTS = 5_000_000  # of a JSON file that lists images, as a run's split does


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


def parse_json(data: bytes, *, most_values: int = MOST_VALUES) -> Any:
    """JSON of a text file's bytes. Raises: ValueError, as `decode_text` and `parse_json_text`."""
    return parse_json_text(decode_text(data), most_values=most_values)


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
        with open_regular(path) as file:
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
        return parse_json(read_bytes(path, expected, error), most_values=MOST_VALUES_OF_LISTS)
    except ValueError as caught:
        raise error(f"{path} {caught}; expected {expected}") from caught
