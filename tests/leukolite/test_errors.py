"""Errors that are for people: one line each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolite.errors import ImageError, LeukoliteError, SourceError, first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("not a picture"), "not a picture"),
        (RuntimeError("Could not open model\n\n  in file.tflite:\tline 3 \n"), "Could not open model in file.tflite: line 3"),
        (ValueError(), "ValueError"),
        (OSError("\n"), "OSError"),
        (ValueError("x" * 300), "x" * 200),
    ],
)
def test_another_librarys_error_becomes_one_line(error, line):
    assert first_line(error) == line


def test_a_line_is_as_long_as_is_asked_for():
    assert first_line(ValueError("twelve letters"), 6) == "twelve"


@given(st.text(max_size=400), st.integers(20, 300))
def test_it_is_one_short_line_whatever_the_error_says(text, most):
    line = first_line(ValueError(text), most)
    assert len(line.splitlines()) == 1
    assert 0 < len(line) <= most


@pytest.mark.parametrize("kind", [ImageError, SourceError])
def test_an_errors_text_is_name_and_reason(kind):
    error = kind("a.png", "not an image")
    assert (str(error), error.name, error.reason) == ("a.png: not an image", "a.png", "not an image")
    assert str(kind("", "not an image")) == "not an image"


def test_an_error_carries_the_key_of_an_advice_and_not_its_text():
    error = LeukoliteError("no such runtime", advice="edgetpu")
    assert (str(error), error.advice) == ("no such runtime", "edgetpu")
    error = SourceError("cam", "no camera", advice="list-cameras")
    assert (str(error), error.advice) == ("cam: no camera", "list-cameras")
    assert LeukoliteError("no such runtime").advice is None
