"""Reads the tables of docs/reference/json.md and bundle.md, and holds JSON to them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REFERENCE = Path(__file__).parent.parent.parent / "docs" / "reference"

_ROW = re.compile(r"^\| `([^`]+)` \|([^|]*)\|([^|]*)\|([^|]*)\|$")
_LINK = re.compile(r"\[[^\]]+\]\(([^)]+)\)")
_OF_TYPE = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "free object": lambda value: isinstance(value, dict),
}


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        section: page and anchor.
        path: 'frames[].cells[].box'.
        type: without 'or null' and 'optional'.
    """

    section: str
    path: str
    type: str
    nullable: bool
    optional: bool
    meaning: str

    @property
    def place(self) -> str:
        return f"{self.section}: {self.path}"


@dataclass
class Reference:
    """Both pages.

    Attributes:
        sections: page and anchor -> the rows of its table.
        texts: page and anchor -> what stands there.
    """

    sections: dict[str, list[Row]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def read(*pages: str) -> "Reference":
        found = Reference()
        for page in pages:
            section = f"{page}#"
            for line in (REFERENCE / page).read_text(encoding="utf-8").splitlines():
                if line.startswith("#"):
                    section = f"{page}#{_anchor(line.lstrip('# '))}"
                    found.sections[section], found.texts[section] = [], ""
                    continue
                found.texts[section] = f"{found.texts.get(section, '')}{line}\n"
                if row := _ROW.match(line):
                    text = row[2].strip()
                    kind = text.removesuffix(", optional").removesuffix(" or null")
                    found.sections[section].append(
                        Row(section, row[1], kind, " or null" in text, text.endswith(", optional"), row[4].strip())
                    )
        return found

    @property
    def rows(self) -> list[Row]:
        return [row for rows in self.sections.values() for row in rows]

    def check(self, section: str, value: Any) -> set[str]:
        """Hold an object to a section.

        Returns:
            The places of all rows that occur.

        Raises:
            AssertionError: names a field that is not documented, is missing, or has another type.
        """
        return set(self._object(section, "", value, section))

    def _object(self, section: str, parent: str, value: Any, where: str) -> Iterator[str]:
        assert isinstance(value, dict), f"{where}: expected an object, found {value!r}"
        children = {
            row.path.removeprefix(parent).lstrip("."): row for row in self.sections[section] if _is_child(row.path, parent)
        }
        assert children, f"{where}: nothing is documented here"
        free = next((name for name in children if name.startswith("<")), None)
        occurred = set()
        for key, item in value.items():
            name = key if key in children else free
            assert name is not None, f"{where}.{key}: not documented in {section}"
            occurred.add(name)
            row = children[name]
            yield row.place
            yield from self._value(row, row.path, row.type, item, f"{where}.{key}", row.nullable)
        missing = [name for name, row in children.items() if name not in occurred and not row.optional]
        if value or missing != [free]:  # an object of free names may be empty
            assert not missing, f"{where}: {missing} documented and not there"

    def _value(self, row: Row, path: str, kind: str, value: Any, where: str, nullable: bool = False) -> Iterator[str]:
        if value is None:
            assert nullable, f"{where}: null, which {row.place} does not say"
            return
        links = _LINK.findall(kind)
        if kind == "list" or kind.startswith("list of "):
            assert isinstance(value, list | tuple), f"{where}: expected a list, found {value!r}"
            each = "object" if kind == "list" else kind.removeprefix("list of ")
            for item in value:
                # the ends of a range may be open
                yield from self._value(row, f"{path}[]", each, item, f"{where}[]", nullable="appearance" in row.section)
        elif links:
            chosen = links[0] if len(links) == 1 else next(link for link in links if link == f"#{value['kind']}-record")
            target = f"{row.section.partition('#')[0]}{chosen}" if chosen.startswith("#") else chosen
            yield from self._object(target, "", value, where)
        elif kind == "object":
            yield from self._object(row.section, path, value, where)
        else:
            assert kind in _OF_TYPE, f"{row.place}: the type {kind!r} is not one of this page"
            assert _OF_TYPE[kind](value), f"{where}: expected {kind}, found {value!r}"


def _is_child(path: str, parent: str) -> bool:
    rest = path.removeprefix(f"{parent}.") if parent else path
    return (not parent or path.startswith(f"{parent}.")) and "." not in rest


def _anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
