"""Files that carry a schema number: a newer one is read by a newer leukolite, and making the file again would not help."""

from typing import Any

from leukolite import __version__
from leukolite.strict_json import parse_json_text


def newer_than(content: str | bytes, schema: int, *place: str) -> str | None:
    """What to say of a file that this version cannot read because its schema is newer; None where that is not the reason.

    Args:
        content: JSON with a `schema_version`, or with a `schema` that is a number or has a `version`.
        schema: the newest that this version reads.
        place: the keys that lead to the object with the number.
    """
    try:
        found: Any = parse_json_text(content if isinstance(content, str) else content.decode())
        for key in place:
            found = found[key]
    except (ValueError, LookupError, TypeError):
        return None
    return newer_schema(found, schema)


def newer_schema(found: Any, schema: int) -> str | None:
    """As `newer_than`, of the object that has the number."""
    try:
        number = found["schema_version"] if "schema_version" in found else found["schema"]
        number = number["version"] if isinstance(number, dict) else number
    except (LookupError, TypeError):
        return None
    if type(number) is not int or number <= schema:
        return None
    known = f"schema {schema}" if schema == 1 else f"schemas 1 to {schema}"
    return f"of schema {number}; leukolite {__version__} reads {known}: update leukolite"
