import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolite.csv_file import CsvWriter, cell_text


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1+1",
        "-2+3",
        "@SUM(A1)",
        " =1",
        "\t=1",
        "\r=1",
        "\u00a0=1",
        "\u200b=1",
        "\u202e=1",
        "\uff1d1",
        "\uff0bx",
        "\uff0dx",
        "\uff20x",
        "=cmd|' /C calc'!A0",
        "-",
        "-1-",
    ],
)
def test_text_that_a_spreadsheet_would_compute_begins_with_a_quote(text: str) -> None:
    assert cell_text(text).startswith("'")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("a;=1+1.tif", "a;'=1+1.tif"),
        ("a; =1", "a;' =1"),
        ("a|@x;b;+y", "a|'@x;b;'+y"),
        ("a;\u200b=1", "a;'\\u200b=1"),
        (";=1", ";'=1"),
        ("=a;=b", "'=a;'=b"),
        ("a;\uff1d1", "a;'\uff1d1"),
    ],
)
def test_a_cell_that_is_split_at_semicolons_holds_no_formula_either(text: str, cell: str) -> None:
    assert cell_text(text) == cell


@pytest.mark.parametrize(
    "text", ["a;b", "a;-1.5", "a|b;c=d", "-1.5", "+2", "-1e-05", "1", "a=b", "slide-1", "", "'=1", "a@b", "Pre-B", "caf\u00e9"]
)
def test_other_text_and_what_reads_as_a_number_stay(text: str) -> None:
    assert cell_text(text) == text


def test_numbers_stay_numbers_and_none_is_empty() -> None:
    file = io.StringIO()
    CsvWriter(file).write_row([-1.5, -1, 0.25, None, True])
    assert file.getvalue() == "-1.5,-1,0.25,,True\n"


def test_a_line_end_in_a_cell_does_not_end_the_row() -> None:
    file = io.StringIO()
    CsvWriter(file).write_row(['a,"b"\r\nc\u2028d', "caf\udce9"])
    assert file.getvalue() == '"a,""b""\\r\\nc\\u2028d",caf\\udce9\n'


@given(st.lists(st.text() | st.text("=+-@;| \ta1"), min_size=1))
def test_any_row_is_one_line_of_as_many_cells_none_a_formula(cells: list[str]) -> None:
    file = io.StringIO()
    CsvWriter(file).write_row(cells)
    assert file.getvalue().count("\n") == 1
    (row,) = csv.reader([file.getvalue()])
    assert len(row) == len(cells)
    split = [part for cell in row for part in re.split("[;|\t]", cell)]
    assert [part for part in split if part.lstrip()[:1] in set("=@\uff1d\uff0b\uff0d\uff20")] == []
