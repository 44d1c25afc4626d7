"""Figures and counts as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolite.wording import count, percent, percent_with_interval, shown_label


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
