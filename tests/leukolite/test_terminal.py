import json
import math
import re
import sys

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolite.advice import ADVICE
from leukolite.cli import main as leukolite
from leukolite.errors import BundleError, LeukoliteError
from leukolite.files import check_new_file, write_json
from leukolite.options import Sigmas
from leukolite.tables import results_table
from leukolite.terminal import Command, LazyGroup, add_task, progress_bar, stdout, warn
from leukolite.train.backend import import_keras


@click.command(cls=Command)
@click.option("--noise", type=Sigmas(), default=(0.0,))
@click.option("--count", type=click.IntRange(1))
@click.option("--fail", help="Fail with this message.")
@click.option("--advice", help="And with this advice.")
@click.option("--crash", is_flag=True)
def measure(noise: tuple[float, ...], count: int | None, fail: str | None, advice: str | None, crash: bool) -> None:
    """Measure."""
    if fail:
        raise BundleError(fail, advice=advice)
    if crash:
        raise ZeroDivisionError
    if count == 13:
        raise click.UsageError("give\n another count")
    click.echo(repr(noise))


@click.group(cls=LazyGroup, commands_at={"info": "leukolite.info:info", "broken": "leukolite.no_such_module:x"})
def group() -> None:
    """Commands."""


@pytest.mark.parametrize(
    ("text", "sigmas"), [("0", (0,)), ("0,2,5,8,10", (0, 2, 5, 8, 10)), ("2.5, 255", (2.5, 255)), ("5,0,5", (5, 0))]
)
def test_noise_levels_are_comma_separated_and_each_is_taken_once(call, text, sigmas):
    assert call(measure, "--noise", text).stdout == f"{tuple(map(float, sigmas))}\n"


@pytest.mark.parametrize("text", ["abc", "-1", "", "nan", "inf", "256", "0,,2", "0;2"])
def test_what_is_no_noise_level_is_refused(refuses, text):
    assert f"expected noise levels from 0 to 255 like 0,2,5,8,10, found {text!r}" in refuses(measure, f"--noise={text}", code=2)


def test_a_default_of_numbers_needs_no_parsing(call):
    assert call(measure).stdout == "(0.0,)\n"


def test_what_failed_is_one_line_and_exit_code_1(refuses):
    assert refuses(measure, "--fail", "bundle: it\nis damaged") == r"Error: bundle: it\nis damaged"


@pytest.mark.parametrize("key", ADVICE)
def test_a_command_adds_the_advice_that_an_error_names(refuses, key):
    assert refuses(measure, "--fail", "it is damaged", "--advice", key) == f"Error: it is damaged; {ADVICE[key]}"


@pytest.mark.parametrize("text", ADVICE.values())
def test_an_advice_is_one_phrase_that_names_an_option(text):
    assert re.search(r"(?<![\w-])--[a-z]", text)
    assert text == " ".join(text.split()).rstrip(".;")


@pytest.mark.parametrize("arguments", [["--count", "0"], ["--bogus"], ["stray"], ["--count"], ["--count", "13"]])
def test_a_wrong_call_is_one_line_and_exit_code_2(refuses, arguments):
    refuses(measure, *arguments, code=2)


def test_a_wrong_call_says_the_way_to_help(refuses):
    assert refuses(measure, "--count", "0", code=2).endswith("Try 'measure --help'.")


def test_a_programming_error_keeps_its_traceback(call):
    assert isinstance(call(measure, "--crash").exception, ZeroDivisionError)


def test_a_group_imports_the_command_that_was_named_and_no_other(call):
    assert "Print what a BUNDLE is" in call(group, "info", "--help").stdout


def test_a_commands_error_passes_through_its_group(refuses, tmp_path):
    assert "no such bundle" in refuses(group, "info", tmp_path / "nothing")


def test_an_unknown_command_is_one_line_and_exit_code_2(refuses):
    assert "No such command 'mesure'" in refuses(group, "mesure", code=2)


def test_json_is_written_and_reads_back(tmp_path):
    content = {"n": 1, "rows": [{"accuracy": None}]}
    write_json(tmp_path / "a.json", content)
    assert json.loads((tmp_path / "a.json").read_text()) == content


def test_json_never_holds_what_json_cannot(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"f1": math.nan})
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize("place", ["new.json", "new/folder/a.json"])
def test_a_place_that_can_be_written_raises_nothing(tmp_path, place):
    check_new_file(tmp_path / place)
    assert list(tmp_path.iterdir()) == []  # not even the folders on the way


@pytest.mark.parametrize("place", [".", "file/a.json", "file/deeper/a.json"])
def test_a_place_that_cannot_be_written_is_named(tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(LeukoliteError, match=r"cannot be written .*; choose a"):
        check_new_file(tmp_path / place)


def test_results_show_square_brackets_as_they_are(capsys):
    table = results_table("[red] cells")
    table.add_column("[i]")
    table.add_row("[malignant] Pre-B[/x]")
    stdout().print(table)
    stdout().print("out: [b]/runs :cat:")
    shown = capsys.readouterr().out
    assert [text for text in ("[red] cells", "[i]", "[malignant] Pre-B[/x]", "out: [b]/runs :cat:") if text not in shown] == []


def test_a_bar_shows_a_folders_name_as_it_is_and_obeys_nothing_in_it(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes stderr for a terminal
    with progress_bar() as bar:
        add_task(bar, "[red]a[b]\x1b]0;title\x07\n\u202e\udce9")
        bar.refresh()
    shown = capsys.readouterr().err
    assert r"[red]a[b]\x1b]0;title\x07\n\u202e\udce9" in shown
    assert "\x1b]0;title" not in shown


def test_a_console_obeys_nothing_in_a_name_wherever_it_stands(capsys):
    table = results_table("title\x1b]0;t\x07")
    table.add_column("\u202ehead")
    table.add_row("cell\n\udce9")
    stdout().print(table)
    stdout().print("line\x9b2J", "\x7f")
    warn("note: \x1b[2J")
    printed = capsys.readouterr()
    assert [
        text
        for text in (r"title\x1b]0;t\x07", r"\u202ehead", r"cell\n\udce9", r"line\x9b2J \x7f")
        if text not in printed.out.replace("\n", "")  # a title is no wider than its table
    ] == []
    assert printed.err == "note: \\x1b[2J\n"


def test_keras_that_is_not_installed_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(LeukoliteError, match=r"train needs keras, which is not installed; pip install 'leukolite\[train\]'"):
        import_keras("leukolite train")


@given(st.lists(st.floats(0, 255), min_size=1, max_size=5))
def test_any_noise_levels_survive_being_written_and_parsed(sigmas):
    assert Sigmas().convert(",".join(map(repr, sigmas)), None, None) == tuple(dict.fromkeys(sigmas))


def test_a_missing_choice_is_named_without_clicks_tabs(refuses):
    line = refuses(leukolite, "reproduce", code=2)
    assert "light_cnn" in line
    assert "\\t" not in line
