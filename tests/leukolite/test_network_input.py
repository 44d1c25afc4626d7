"""What a network takes is said in one spelling, whose scale cannot be mistaken."""

import numpy as np
import pytest
from pydantic import ValidationError

from leukolite.network_input import CAFFE, NAMED, NetworkInput, parse_values

PIXELS = np.array([[[255, 0, 51]]], np.uint8)


def taking(text: str, channels: str = "RGB") -> NetworkInput:
    mean, deviation = parse_values(text)
    return NetworkInput(channels=channels, mean=mean, deviation=deviation)


@pytest.mark.parametrize(
    ("values", "channels", "expected"),
    [
        ("0..1", "RGB", [1, 0, 0.2]),
        ("0..1", "BGR", [0.2, 0, 1]),
        ("-1..1", "RGB", [1, -1, -0.6]),
        ("0..255", "RGB", [255, 0, 51]),
        ("imagenet", "RGB", [0.515 / 0.229, -0.456 / 0.224, -0.206 / 0.225]),
        ("ImageNet", "BGR", [-0.206 / 0.225, -0.456 / 0.224, 0.515 / 0.229]),
        (CAFFE, "BGR", [51 - 103.939, -116.779, 255 - 123.68]),
        ("mean=127:std=128:of=255", "RGB", [1, -127 / 128, -76 / 128]),
        ("mean=0.5,0.4,0.3 : std=0.5,0.4,0.3", "RGB", [1, -1, -1 / 3]),
        ("mean=0.5:std=0.25:of=1", "RGB", [2, -2, -1.2]),
        ("mean=0:std=1:of=255", "RGB", [255, 0, 51]),
    ],
)
def test_levels_become_what_the_network_takes(values, channels, expected):
    found = taking(values, channels).of_levels(PIXELS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0, 0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("text", [*NAMED, CAFFE, "mean=0.5,0.4,0.3:std=0.5,0.4,0.3"])
def test_a_spelling_is_read_back_as_it_was_written(text):
    assert taking(text).values == text


@pytest.mark.parametrize(
    "text", ["mean=0.485,0.456,0.406:std=0.229,0.224,0.225", "mean=123.675,116.28,103.53:std=58.395,57.12,57.375:of=255"]
)
def test_imagenets_numbers_are_known_by_its_name_on_either_scale(text):
    assert taking(text).values == "imagenet"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected 0..1, -1..1, 0..255, imagenet, or mean=R,G,B:std=R,G,B"),
        ("0..2", "found '0..2'"),
        ("mean=0.5", "expected 0..1"),
        ("mean=0.5,0.5:std=0.5", "expected 0..1"),
        ("mean=a:std=1", "expected 0..1"),
        ("mean=nan:std=1", "expected 0..1"),
        ("mean=123.68,116.78,103.94:std=58.4", "write :of=255 behind them"),
        ("mean=0.485,0.456,0.406:std=0.229,0.224,0.225:of=255", "leave :of=255 out"),
        ("mean=0.5:std=0", "std above 0"),
        ("mean=0.5:std=-0.5", "std above 0"),
        ("mean=300:std=50:of=255", "within the levels"),
    ],
)
def test_what_is_no_values_is_refused_and_never_guessed(text, says):
    with pytest.raises(ValueError, match=r"expected|found") as error:
        parse_values(text)
    assert says in str(error.value)


def test_a_deviation_of_0_is_no_network_input():
    with pytest.raises(ValidationError, match="deviations above 0"):
        NetworkInput(deviation=(1.0, 0.0, 1.0))


def test_it_says_in_words_what_it_is():
    assert str(NetworkInput()) == "values 0..1, channels R, G, B"
    assert str(taking("imagenet", "BGR")) == "values imagenet, channels B, G, R"
