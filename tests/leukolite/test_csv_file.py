import csv
import io

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


@pytest.mark.parametrize("text", ["-1.5", "+2", "-1e-05", "1", "a=b", "slide-1", "", "'=1", "a@b", "Pre-B", "caf\u00e9"])
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


@given(st.lists(st.text(), min_size=1))
def test_any_row_is_one_line_of_as_many_cells_none_a_formula(cells: list[str]) -> None:
    file = io.StringIO()
    CsvWriter(file).write_row(cells)
    assert file.getvalue().count("\n") == 1
    (row,) = csv.reader([file.getvalue()])
    assert len(row) == len(cells)
    assert [cell for cell in row if cell.lstrip()[:1] in set("=@\uff1d\uff0b\uff0d\uff20")] == []
