"""Names that only look alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolite.names import look_alikes, resembles


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ("Pre\u00a0", r"'Pre\xa0'"),
        ("Pre ", "'Pre '"),
        (" Pre", "' Pre'"),
        ("pre", "'pre'"),
        ("\u0420re", r"'\u0420re'"),
        ("P\u200bre", r"'P\u200bre'"),
        ("\uff30re", r"'\uff30re'"),
    ],
)
def test_a_name_that_looks_like_an_expected_one_is_told_apart(found, shown):
    assert look_alikes(["Benign", found], ["Benign", "Pre"]) == f"; expected 'Pre', found {shown}"


def test_composed_and_decomposed_letters_look_alike():
    assert look_alikes(["Fru\u0308h"], ["Fr\u00fch"]) == r"; expected 'Fr\xfch', found 'Fru\u0308h'"


def test_other_names_are_not_spoken_of():
    assert look_alikes(["Other", "Pre"], ["Benign", "Pre"]) == ""
    assert not resembles("u", "\u00fc")


@given(st.text(), st.text())
def test_resembling_is_mutual_and_never_of_oneself(first, second):
    assert resembles(first, second) == resembles(second, first)
    assert not resembles(first, first)
