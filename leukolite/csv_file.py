"""CSV as every part writes it: no cell breaks its line, and none becomes a spreadsheet's formula."""

import csv
import re
from collections.abc import Iterable
from typing import TextIO

from leukolite.wording import shown

_FORMULA = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")  # the last four are full-width
_SPLIT = re.compile(r"([;|])")  # a comma is quoted, a tab escaped
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

Cell = str | int | float | None


class CsvWriter:
    """Writes rows of cells. None is an empty cell, a number stays one, of text each cell is `cell_text`.

    Args:
        file: text, opened with newline="".
    """

    def __init__(self, file: TextIO) -> None:
        self._writer = csv.writer(file, lineterminator="\n")

    def write_row(self, cells: Iterable[Cell]) -> None:
        self._writer.writerow([cell_text(cell) if isinstance(cell, str) else cell for cell in cells])


def cell_text(text: str) -> str:
    """Text as a cell: one line, as `leukolite.wording.shown` makes it, with a quote ' before what a spreadsheet would compute.

    A cell is computed if, after any spaces and unseen characters, it begins with = + - @ or their full-width forms. So is what
    follows a ; or | within it, where a spreadsheet takes these for the ends of cells: a pair of "" round the cell would not help.
    Source: OWASP, CSV Injection.
    """
    return "".join(_harmless(part) for part in _SPLIT.split(text))


def _harmless(text: str) -> str:
    plain = shown(text)
    begins = next((char for char in text if not char.isspace() and shown(char) == char), "")
    return f"'{plain}" if begins in _FORMULA and not _NUMBER.fullmatch(text) else plain
