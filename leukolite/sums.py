"""One hash over all of a bundle's files: a `SHA256SUMS` that `sha256sum -c SHA256SUMS` reads.

The bundle's own hash is that of these lines, sorted by name. It shows damage and unintended change, not who made the bundle:
whoever changes a file can write new sums. What is decided is held against `leukolite.golden_verdicts` besides.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping

SUMS = "SHA256SUMS"
SHORT = 12  # hex digits of a hash, where people read it
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([A-Za-z0-9][A-Za-z0-9._-]*)")  # `*`: read as binary, which is all the same here


def sums_of(files: Mapping[str, bytes]) -> dict[str, str]:
    """The SHA-256 of each file, by name."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def sums_text(sums: Mapping[str, str]) -> str:
    """The content of `SHA256SUMS`, the same for the same files."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


def hash_of(sums: Mapping[str, str]) -> str:
    """The bundle's own SHA-256."""
    return hashlib.sha256(sums_text(sums).encode()).hexdigest()


def parse_sums(data: bytes) -> dict[str, str]:
    """The sums by file name, in whatever order they stand.

    Raises:
        ValueError: a line is none that `sha256sum` writes of a bundle's file, or a name stands twice; says which.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(data.split(b"\n"), start=1):
        text = line.rstrip(b"\r").decode("ascii", "replace")
        if not text:
            continue
        parts = _LINE.fullmatch(text)
        if parts is None:
            raise ValueError(f"line {number}: expected 64 hex digits, two spaces and a file's name, found {text[:80]!r}")
        if parts[2] in found:
            raise ValueError(f"line {number}: {parts[2]} is listed twice")
        found[parts[2]] = parts[1]
    if not found:
        raise ValueError("no file is listed")
    return found


def mismatch(listed: Mapping[str, str], found: Mapping[str, str], read: Iterable[str]) -> tuple[str, str] | None:
    """The first file that a bundle's sums speak against, and what they say; None: none.

    Args:
        found: the sums of the listed files as they are.
        read: names of the files that decide something here, so that their sums must be listed.
    """
    for name in read:
        if name not in listed:
            return name, f"{SUMS} does not list {name}, which would be read"
    for name in sorted(listed):
        if found[name] != listed[name]:
            sums = f"expected sha256 {listed[name][:SHORT]}, found {found[name][:SHORT]}"
            return name, f"{name} is not what {SUMS} says ({sums})"
    return None


def has_other_line_ends(content: bytes, listed: str) -> bool:
    """Whether a text file differs from its sum by its line ends alone, as a copy in text mode leaves it."""
    return b"\r" in content and hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest() == listed
