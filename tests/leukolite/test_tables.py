"""Tables and lines at any width: nothing cut, no word broken."""

import io
import re

import pytest
from rich.console import Console

from leukolite.cli import COMMANDS
from leukolite.cli import main as leukolite
from leukolite.tables import results_table
from leukolite.wording import percent_with_interval, wrapped

WIDTHS = (1, 20, 40, 80, 200)


def rendered(table: object, width: int, *, soft_wrap: bool = True) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False, soft_wrap=soft_wrap)
    console.print(table, **({} if soft_wrap else {"crop": False}))
    return console.file.getvalue()


def words_of(text: str) -> list[str]:
    return [word for word in text.split() if not set(word) <= {"\u2500"}]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("soft_wrap", [True, False])
def test_no_figure_is_cut_and_no_word_broken_at_any_width(width, soft_wrap):
    table = results_table("mobilenet_m-taleqani: 230 images, macro averages", caption="litert 2.3.0; p50, p99: ms")
    headings = ("sigma", "accuracy (95%)", "prec.", "recall", "spec.", "F1", "AUC", "p50", "p99")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=heading != "accuracy (95%)")
    interval = percent_with_interval(1.0, (0.984, 1.0))
    cells = ("10", interval, *["100.0%"] * 5, "1000.22", "1000.33")
    table.add_row(*cells)
    shown = rendered(table, width, soft_wrap=soft_wrap)
    assert "\u2026" not in shown
    expected = [word for cell in (*headings, *cells, "mobilenet_m-taleqani: 230 images, macro averages") for word in cell.split()]
    assert [word for word in expected if word not in words_of(shown)] == []


def test_the_widest_figures_of_an_evaluation_fit_80_columns():
    table = results_table("title")
    for heading in ("sigma", "accuracy (95%)", "prec.", "recall", "spec.", "F1", "AUC", "p50", "p99"):
        table.add_column(heading, justify="right", no_wrap=heading != "accuracy (95%)")
    table.add_row("10", "100.0% (100.0-100.0)", *["100.0%"] * 5, "1000.22", "1000.33")
    assert max(map(len, rendered(table, 80).splitlines())) <= 80


def test_a_table_is_no_wider_than_it_need_be():
    table = results_table("t")
    table.add_column("a")
    table.add_row("b")
    assert max(map(len, rendered(table, 200).splitlines())) < 10


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("command", [["bundles"], ["info", "mobilenet_m-allidb2"], ["train", "--list"]])
def test_what_commands_print_has_whole_words(command, width, monkeypatch):
    from click.testing import CliRunner

    from leukolite.cli import main

    monkeypatch.setenv("COLUMNS", "1000")
    whole = set(words_of(CliRunner().invoke(main, command).stdout))
    monkeypatch.setenv("COLUMNS", str(width))
    assert [word for word in words_of(CliRunner().invoke(main, command).stdout) if word not in whole] == []


def test_a_terminal_without_columns_still_shows_everything(monkeypatch, call):
    monkeypatch.setenv("COLUMNS", "0")
    assert "mobilenet_m-taleqani" in call(leukolite, "bundles").stdout


@pytest.mark.parametrize("name", [*sorted(COMMANDS), "edge-run"])
@pytest.mark.parametrize("width", [80, 100, 200])
def test_help_breaks_no_name_at_its_hyphens(name, width, monkeypatch):
    from click.testing import CliRunner

    from leukolite.cli import main
    from leukolite.edge.cli import main as edge_run

    monkeypatch.setenv("COLUMNS", str(width))
    command = [edge_run, ["--help"]] if name == "edge-run" else [main, [name, "--help"]]
    shown = CliRunner().invoke(*command, terminal_width=width).stdout
    assert [line for line in shown.splitlines() if re.search(r"\w-$", line)] == []
    assert "\u2011" not in shown


def test_a_wrapped_sentence_breaks_neither_names_nor_intervals():
    text = f"verdicts: {'mobilenet_m-taleqani 98.7% (96.2-99.6), ' * 6}"
    assert " ".join(wrapped(text)).split() == text.split()
    assert max(map(len, wrapped(text))) <= 80
