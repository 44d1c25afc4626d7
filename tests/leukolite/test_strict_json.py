import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolite.strict_json import MOST_DEPTH, MOST_VALUES, check_line, parse_json_text

REFUSED = {
    '{"a": NaN}': "NaN is no finite number",
    "[-Infinity]": "-Infinity is no finite number",
    "[1e999]": "1e999 is too large for a number",
    '{"a": 1, "b": {"c": 1, "c": 2}}': "the key 'c' twice in one object",
    '{"a": 1, "\\u0061": 2}': "the key 'a' twice in one object",
    "9" * 5000: "a number of 5,000 digits",
    "-" + "9" * 5000 + ".5": "a number of 5,003 digits",
    "[" * 200 + "]" * 200: "nested too deeply",
    '{"a":' * 200 + "1" + "}" * 200: "nested too deeply",
    "[" * 200_000: "is not JSON of ours: nested too deeply",
    f"[{'[],' * MOST_VALUES}[]]": "more than 400,000 values",
    "": "the file is empty",
    "{": "line 1, column 2",
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:20] or "empty")
def test_what_other_readers_would_take_otherwise_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r"^is not JSON") as caught:
        parse_json_text(text)
    assert REFUSED[text] in str(caught.value)
    assert "\n" not in str(caught.value)


@given(json_values)
def test_what_python_writes_reads_back(value):
    assert parse_json_text(json.dumps(value)) == value


def test_brackets_as_deep_as_any_of_ours_pass():
    assert parse_json_text("[" * MOST_DEPTH + "]" * MOST_DEPTH)


def test_a_training_s_own_state_may_hold_the_infinity_that_it_counts_from():
    assert parse_json_text('{"best": Infinity}', finite=False) == {"best": float("inf")}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"a":1,"a":2}', "twice"),
        (b'{"a" :1,"a"\t:2}', "twice"),
        (b'{"a":1,"\\u0061":2}', "twice"),
        (b'{"r":{"kind":"x","kind":"y"}}', "twice"),
        (b"[" + b"0," * 30_000 + b"0]", "more than 20,000 values"),
    ],
)
def test_a_line_with_a_key_twice_or_too_many_values_is_refused(line, said):
    with pytest.raises(ValueError, match=said):
        check_line(line, 20_000)


@pytest.mark.parametrize("line", [b'{"a":{"x":1},"b":{"x":2}}', b'{"a":"x\\":1,\\"a\\":"}', b'{"a":"b","b":"a"}', b'{"a":"b:"}'])
def test_a_line_whose_keys_are_of_several_objects_or_within_texts_passes(line):
    check_line(line, 20_000)
