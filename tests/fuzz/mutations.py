"""Damaged variants of whole files: bytes, JSON values and zip members changed at random, by hypothesis."""

import io
import json
import zipfile
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

_NUMBERS = (-1, 0, 2**31, 2**63, -(2**63), 10**40, 0.5, -0.0, 1e308, float("nan"), float("inf"))
_TEXTS = ("", "a", "\x1b[31m", "\u202e", "\ud800", "../../etc/passwd", "=1+1", "x" * 5000)
ODD_VALUES: tuple[Any, ...] = (None, True, *_NUMBERS, *_TEXTS, [], {}, [[]], [None], {"": ""}, ["a", "a"], [0] * 3000)
_DEEP = (b"[" * 20_000, b"{" * 5000, b"9" * 5000)
ODD_BYTES = (b"", b"\0", b"\xff", b"\0" * 64, b"\xff" * 64, b"\n", b"\xef\xbb\xbf", b"\xff\xfe", *_DEEP)


def damaged_bytes(files: list[bytes]) -> st.SearchStrategy[bytes]:
    """One of the files with up to six runs of its bytes replaced, removed, doubled or cut off."""

    @st.composite
    def draw_one(draw: st.DrawFn) -> bytes:
        data = bytearray(draw(st.sampled_from(files)))
        for _ in range(draw(st.integers(0, 6))):
            at = draw(st.integers(0, max(len(data) - 1, 0)))
            if draw(st.booleans()):
                at = min(at, 600)  # headers are short, and there is where files differ
            length = draw(st.sampled_from((1, 1, 2, 4, 8, 64, 600)))
            match draw(st.sampled_from(("set", "set", "insert", "remove", "double", "cut", "odd"))):
                case "set":
                    data[at : at + length] = draw(st.binary(min_size=1, max_size=8))
                case "insert":
                    data[at:at] = draw(st.binary(min_size=1, max_size=8))
                case "remove":
                    del data[at : at + length]
                case "double":
                    data[at:at] = data[at : at + length]
                case "cut":
                    del data[at:]
                case "odd":
                    data[at : at + length] = draw(st.sampled_from(ODD_BYTES))
        return bytes(data)

    return draw_one()


def damaged_json(documents: list[Any]) -> st.SearchStrategy[Any]:
    """One of the documents with up to four of its values replaced, removed or moved."""

    @st.composite
    def draw_one(draw: st.DrawFn) -> Any:
        document = json.loads(json.dumps(draw(st.sampled_from(documents))))
        for _ in range(draw(st.integers(0, 4))):
            holder, key = document, None
            for _ in range(draw(st.integers(1, 6))):
                keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
                if not keys:
                    break
                parent, key = holder, draw(st.sampled_from(list(keys)))
                holder = parent[key]
            if key is None:
                return deepcopy(draw(st.sampled_from(ODD_VALUES)))
            match draw(st.sampled_from(("odd", "odd", "near", "remove", "extra"))):
                case "odd":
                    parent[key] = deepcopy(draw(st.sampled_from(ODD_VALUES)))
                case "near":
                    parent[key] = _near(draw, holder)
                case "remove":
                    del parent[key]
                case "extra" if isinstance(parent, dict):
                    parent[draw(st.text(max_size=5))] = deepcopy(holder)
        return document

    return draw_one()


def _near(draw: st.DrawFn, value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + draw(st.integers(-300, 300))
        case float():
            return value * draw(st.sampled_from((-1.0, 0.0, 1e-9, 1e9, 2.0)))
        case str():
            return value[: draw(st.integers(0, len(value)))] + draw(st.text(max_size=3))
        case list():
            return deepcopy(value * draw(st.sampled_from((0, 2, 20))))
        case _:
            return [value]


def as_json_bytes(document: Any) -> bytes:
    """As a hostile writer has it: NaN and lone surrogates too."""
    return json.dumps(document).encode()


def rezipped(archive: bytes, changes: dict[str, bytes | None]) -> bytes:
    """The archive with members replaced, added or (None) left out; every sum is right again."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            content = changes.get(info.filename, old.read(info))
            if content is not None:
                new.writestr(info.filename, content)
        for name in changes.keys() - set(old.namelist()):
            if (content := changes[name]) is not None:
                new.writestr(name, content)
    return out.getvalue()


def members(archive: bytes) -> dict[str, bytes]:
    """What a zip archive holds."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        return {name: file.read(name) for name in file.namelist()}


def damaged_archives(archive: bytes, inside: Callable[[str, bytes], st.SearchStrategy[bytes]]) -> st.SearchStrategy[bytes]:
    """The archive with bytes of its own damaged, or with one or two members damaged within, left out or added.

    Args:
        inside: name and content of a member to damaged variants of it.
    """
    held = members(archive)

    @st.composite
    def draw_one(draw: st.DrawFn) -> bytes:
        names = draw(st.lists(st.sampled_from(sorted(held)), min_size=1, max_size=2, unique=True))
        changes: dict[str, bytes | None] = {name: draw(inside(name, held[name])) for name in names}
        if draw(st.integers(0, 5)) == 0:
            changes[names[0]] = None
        if draw(st.integers(0, 9)) == 0:
            changes["../outside"] = b"x"
        if draw(st.integers(0, 19)) == 0:
            changes[names[0]] = b"\0" * 300_000_000  # 300 kB packed
        return rezipped(archive, changes)

    return draw_one() | damaged_bytes([archive])
