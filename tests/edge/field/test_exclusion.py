"""Why something is not classified, as a kind and as a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolite.advice import EXCLUSION_ADVICE
from leukolite.edge.field.exclusion import Exclusion, ExclusionKind


@pytest.mark.parametrize(
    ("detail", "sentence"),
    [
        ("focus 1.20, at least 2.00", "blurred (focus 1.20, at least 2.00)"),
        ("nothing is sharp", "blurred: nothing is sharp"),
        ("", "blurred"),
    ],
)
def test_figures_stand_in_brackets_and_a_clause_behind_a_colon(detail, sentence):
    assert str(Exclusion.of(ExclusionKind.BLURRED, detail)) == sentence


@given(st.sampled_from(ExclusionKind), st.text(max_size=40))
def test_a_sentence_is_read_back_as_what_it_was(kind, detail):
    exclusion = Exclusion.of(kind, detail)
    assert Exclusion.parse(str(exclusion)) == exclusion


@pytest.mark.parametrize(
    ("sentence", "kind", "detail"),
    [
        ("--cell-diameter contradicts the field (20 pixels)", ExclusionKind.DIAMETER, "20 pixels"),
        ("a reason of a later version", ExclusionKind.OTHER, "a reason of a later version"),
        ("blurredness", ExclusionKind.OTHER, "blurredness"),
    ],
)
def test_sentences_of_other_versions_are_read_too(sentence, kind, detail):
    assert Exclusion.parse(sentence) == Exclusion.of(kind, detail)


def test_a_kind_of_a_later_version_is_read_as_another_reason_with_its_text():
    later = Exclusion.model_validate({"kind": "upside down", "detail": "by 180 degrees"})
    assert later == Exclusion.of(ExclusionKind.OTHER, "upside down (by 180 degrees)")
    assert Exclusion.model_validate({"kind": "upside down"}).detail == "upside down"


def test_the_advice_on_an_unknown_size_names_pictures_of_one_cell():
    assert "--cells one" in EXCLUSION_ADVICE["size unknown"]


def test_advice_is_given_on_kinds_that_there_are():
    assert set(EXCLUSION_ADVICE) <= {str(kind) for kind in ExclusionKind}
