"""Figures and counts as people read them."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolite.wording import all_shown, count, drawn, percent, percent_with_interval, shown, shown_json, shown_label


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames"), (999, "999 frames"), (2000, "2,000 frames")]
)
def test_one_is_singular_and_all_else_plural(n, text):
    assert count(n, "frame") == text


def test_a_plural_of_its_own_is_taken():
    assert [count(n, "class", "classes") for n in (0, 1, 2)] == ["0 classes", "1 class", "2 classes"]


@given(st.integers(0, 10**9))
def test_the_number_can_be_read_back(n):
    number, _, noun = count(n, "image").partition(" ")
    assert int(number.replace(",", "")) == n
    assert noun == ("image" if n == 1 else "images")


def test_the_blasts_of_c_nmc_do_not_read_like_all_of_them():
    assert shown_label("all") == "all (ALL blast)"


@pytest.mark.parametrize("label", ["hem", "blast", "ALL", "allergic", "Early"])
def test_another_label_is_shown_as_it_is(label):
    assert shown_label(label) == label


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (0.0, "0.0%"), (0.98765, "98.8%"), (1.0, "100.0%")])
def test_a_rate_is_shown_in_percent(value, text):
    assert percent(value) == text


def test_a_rate_is_shown_with_its_interval_where_there_is_one():
    assert percent_with_interval(0.987, (0.9622, 0.996)) == "98.7% (96.2-99.6)"
    assert percent_with_interval(0.987, None) == "98.7%"
    assert percent_with_interval(None, None) == "-"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J\x85", r"\x9b2J\x85"),  # C1: a CSI and a line end in one byte
        ("\x7f", r"\x7f"),
        ("caf\udce9.jpg", r"caf\udce9.jpg"),
        ("\u202egpj.exe\u2066\u200f\u061c", r"\u202egpj.exe\u2066\u200f\u061c"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        ("pay\u200bpal\ufeff\u3164\u00ad", r"pay\u200bpal\ufeff\u3164\xad"),
        ("\U000e0041", r"\U000e0041"),  # a tag: no width
    ],
)
def test_what_a_terminal_would_obey_or_not_show_is_escaped(text, wanted):
    assert shown(text) == wanted


@pytest.mark.parametrize(
    "text", ["plain", "\u65e5\u672c\u3000\u8a9e", "at 3.04.05\u202fPM", "\u00e9", "\u05d0\u05d1", "\U0001f642\ufe0f", "C:\\x", ""]
)
def test_what_a_terminal_shows_stays_as_it_is(text):
    assert shown(text) == text


@given(st.text(st.characters()))
def test_whatever_is_shown_is_one_line_that_any_file_takes_and_showing_it_again_changes_nothing(text):
    once = shown(text)
    once.encode()
    assert shown(once) == once
    assert len(once.splitlines()) <= 1
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in once)


def test_every_text_of_a_json_is_shown_names_of_fields_too():
    assert all_shown({"a\n": ["\x1b", {"b": ("\u202e", 1, None)}]}) == {r"a\n": [r"\x1b", {"b": [r"\u202e", 1, None]}]}


def test_a_label_is_shown_as_every_name_is():
    assert shown_label("Pre\u202e") == r"Pre\u202e"


def test_dollars_in_a_name_are_no_formula_to_matplotlib():
    assert drawn("$x_$\n") == r"\$x_\$\n"


@given(st.text())
def test_json_for_a_terminal_reads_equal_and_holds_nothing_that_it_would_obey(text):
    written = shown_json(json.dumps({"name": text}, ensure_ascii=False))
    assert json.loads(written) == {"name": text}
    assert shown(written) == written
    assert shown_json(written) == written


def test_only_what_a_terminal_would_obey_or_not_show_is_escaped_in_json():
    assert shown_json('"\u202eabc \x9b31m \u2028 \u00b5 \u4f60 \U000e0001"') == (
        r'"\u202eabc \u009b31m \u2028 ' + "\u00b5 \u4f60 " + r'\udb40\udc01"'
    )
