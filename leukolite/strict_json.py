"""JSON that others wrote, read strictly: what one reader would take so and another otherwise is refused, and so is what would
fill the memory.

Python's `json` takes NaN, 1e999 and a key twice; half a megabyte of `[[],[],...` becomes thirty in memory.
"""

import json
import re
from typing import Any

MOST_VALUES = 400_000  # strings, numbers, objects...; they take at most 100 MB. The largest manifest of ours has 6,000
MOST_DEPTH = 100  # of brackets within brackets; a saved Keras network has 15
MOST_DIGITS = 300  # of a number; more than a float holds
_KEY = re.compile(rb'"([^"]*)"\s*:')


def parse_json_text(text: str, *, most_values: int = MOST_VALUES, finite: bool = True) -> Any:
    """JSON's value.

    Args:
        most_values: that it may hold.
        finite: whether NaN and infinities are refused.

    Raises:
        ValueError: a clause that says where it is damaged, or what in it is none of leukolite's: a number that is not finite or
            of more than `MOST_DIGITS` digits, a key twice in one object, more than `MOST_DEPTH` deep or `most_values` values.
    """
    if not text.strip():
        raise ValueError("is not JSON: the file is empty")
    # each value but the first follows one of these; those within strings are counted too, and cost nothing
    if text.count(",") + text.count("[") + text.count("{") > most_values:
        raise ValueError(f"is not JSON of ours: more than {most_values:,} values")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_float=_float,
            parse_int=_int,
            parse_constant=_refuse_constant if finite else None,
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise ValueError("is not JSON of ours: nested too deeply") from error
    _check_depth(value)
    return value


def check_line(line: bytes, most_values: int) -> None:
    """The same for one line that another parser reads, which minds numbers and depth itself: values, and keys that stand twice.

    Costs a quarter of what parsing costs.

    Raises:
        ValueError: as `parse_json_text`.
    """
    if line.count(b",") + line.count(b"[") + line.count(b"{") > most_values:
        raise ValueError(f"is not JSON of ours: more than {most_values:,} values")
    keys = _KEY.findall(line)
    if b"\\" in line or len({*keys}) != len(keys):  # keys may be escaped, or those of several objects
        parse_json_text(line.decode(errors="replace"), most_values=most_values)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"is not JSON of ours: the key {twice[:60]!r} twice in one object")
    return found


def _float(digits: str) -> float:
    value = float(_of_usual_length(digits))
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"is not JSON of ours: {digits[:40]} is too large for a number")
    return value


def _int(digits: str) -> int:
    return int(_of_usual_length(digits))


def _of_usual_length(digits: str) -> str:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"is not JSON of ours: a number of {len(digits):,} digits")
    return digits


def _refuse_constant(name: str) -> None:
    raise ValueError(f"is not JSON of ours: {name} is no finite number")


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        if depth > MOST_DEPTH:
            raise ValueError("is not JSON of ours: nested too deeply")
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level, depth = [item for values in inner for item in values if isinstance(item, dict | list)], depth + 1
