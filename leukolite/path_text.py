"""Paths as text that every JSON file holds, whatever bytes a name has: Python's own JSON writes what other parsers refuse."""

import json
import re
from pathlib import Path
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")  # alone: what Python makes of a byte that is not UTF-8


def json_text(content: Any, *, indent: int | None = None) -> str:
    """JSON in ASCII, with the bytes of names that are not UTF-8 as `text_of_path` writes them.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(content, indent=indent, allow_nan=False)
    if "\\ud" in text:  # a surrogate, alone or one of a pair
        text = json.dumps(_without_surrogates(content), indent=indent, allow_nan=False)
    return text.replace("\x7f", "\\u007f")


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
    if isinstance(value, dict):
        return {_without_surrogates(name): _without_surrogates(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(one) for one in value]
    return value


def text_of_path(path: Path | str) -> str:
    """A path as text that every JSON file holds, and that `path_of_text` reads back.

    A byte that is no part of UTF-8 becomes `\\udcXX`, as Python shows it; a backslash that would read like such a byte `\\udc5c`.
    """
    text = re.sub(r"\\(?=ud[89a-f][0-9a-f]{2})", r"\\udc5c", str(path))
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def path_of_text(text: str) -> Path:
    """The path that `text_of_path` wrote."""
    return Path(name_of_text(text))


def name_of_text(text: str) -> str:
    """The name, of a camera as of a path, that `text_of_path` wrote."""
    return re.sub(r"\\u(d[89a-f][0-9a-f]{2})", lambda found: "\\" if found[1] == "dc5c" else chr(int(found[1], 16)), text)
