"""Lists as people type them."""

import click
import pytest

from leukolite.classes import choose_malignant
from leukolite.convert.options import Variants
from leukolite.lists import typed_list
from leukolite.options import Sigmas
from leukolite.train.options import Columns
from leukolite.train.recipes import RECIPES, resolve


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("a,b", ["a", "b"]),
        ("a, b ,", ["a", "b"]),
        (",a,,b", ["", "a", "", "b"]),
        ('"pre, early",pro,', ["pre, early", "pro"]),
        ('a "b', ['a "b']),
        (",", []),
        ("", []),
    ],
)
def test_a_list_is_its_parts_whatever_comma_stands_at_its_end(line, parts):
    assert typed_list(line) == parts


def test_a_comma_at_the_end_changes_no_option():
    assert choose_malignant(["Pre,Pro,"], ("Benign", "Pre", "Pro")) == ("Pre", "Pro")
    assert Sigmas().convert("0, 5,", None, None) == (0.0, 5.0)
    assert Variants().convert("int8, float16,", None, None) == ("int8", "float16")
    assert Columns().convert("file=name,label=what,", None, None) == {"file": "name", "label": "what"}


@pytest.mark.parametrize("said", ["", ",", " , "])
def test_a_list_of_nothing_is_refused_and_shown(said):
    with pytest.raises(ValueError, match="expected the malignant labels among 'Benign', 'Pre', or none, found "):
        choose_malignant([said], ("Benign", "Pre"))
    for kind in (Sigmas(), Variants()):
        with pytest.raises(click.BadParameter, match=r"expected .*found "):
            kind.convert(said, None, None)


def test_a_list_of_a_recipe_takes_spaces_and_a_comma_at_the_end():
    plain = resolve(RECIPES["mobilenet_m"], {"split": "0.7,0.15,0.15"})
    assert resolve(RECIPES["mobilenet_m"], {"split": "0.7, 0.15, 0.15,"}) == plain
