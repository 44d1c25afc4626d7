"""What a network was trained to take: its values and the order of its channels, as a user says them and a manifest records them.

A bundle's file takes R, G, B bytes whatever its network takes: the conversion puts the step between in front of the network.
"""

import math
import re
from typing import Literal

import numpy as np
from pydantic import model_validator

from leukolite.frozen import Frozen

Channels = Literal["RGB", "BGR"]
Triple = tuple[float, float, float]

_ZERO, _ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
NAMED: dict[str, tuple[Triple, Triple]] = {  # mean and deviation of R, G and B, of levels from 0 to 1
    "0..1": (_ZERO, _ONE),
    "-1..1": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "0..255": (_ZERO, (1 / 255, 1 / 255, 1 / 255)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # of ImageNet's training part, as torchvision has them
}
CAFFE = "mean=123.68,116.779,103.939:std=1:of=255"  # VGG's and ResNet's, as keras.applications subtracts it, there B, G, R
_SPELLING = "mean=R,G,B:std=R,G,B (of levels from 0 to 1), or with :of=255 behind it (of levels from 0 to 255)"
_EXPECTED = f"expected {', '.join(NAMED)}, or {_SPELLING}"
_NUMBERS = r"([^:=]+)"


class NetworkInput(Frozen):
    """Values and channel order that a network takes: (level / 255 - mean) / deviation of each channel, in that order.

    Attributes:
        mean, deviation: of R, G and B, in this order whatever `channels` is; of levels from 0 (black) to 1 (white).
    """

    channels: Channels = "RGB"
    mean: Triple = _ZERO
    deviation: Triple = _ONE

    @model_validator(mode="after")
    def _are_numbers(self) -> "NetworkInput":
        if not all(map(math.isfinite, (*self.mean, *self.deviation))) or min(self.deviation) <= 0:
            raise ValueError("expected finite means, and deviations above 0")
        return self

    @property
    def values(self) -> str:
        """As `parse_values` reads it: a name, or mean and deviation."""
        for name, (mean, deviation) in NAMED.items():
            if _are_close(self.mean, mean) and _are_close(self.deviation, deviation):
                return name
        if max(map(abs, (*self.mean, *self.deviation))) <= 1 and min(self.deviation) >= 0.02:
            return f"mean={_spelt(self.mean)}:std={_spelt(self.deviation)}"
        return f"mean={_spelt(_scaled(self.mean, 1 / 255))}:std={_spelt(_scaled(self.deviation, 1 / 255))}:of=255"

    def __str__(self) -> str:
        return f"values {self.values}, channels {', '.join(self.channels)}"

    def of_levels(self, pixels: np.ndarray) -> np.ndarray:
        """What the network takes, float32, of uint8 RGB; shape (..., 3) both."""
        mean, deviation = np.array(self.mean, np.float32), np.array(self.deviation, np.float32)
        values = (pixels.astype(np.float32) / np.float32(255) - mean) / deviation
        return np.ascontiguousarray(values[..., ::-1]) if self.channels == "BGR" else values


def parse_values(text: str) -> tuple[Triple, Triple]:
    """Mean and deviation of R, G and B, of levels from 0 to 1, of a name in `NAMED` or two lists of numbers.

    One number stands for all three channels. Numbers that are only possible on the other scale are refused, not guessed.

    Raises:
        ValueError: it is neither, or its numbers do not fit its scale.
    """
    words = text.strip().lower().replace(" ", "")
    if words in NAMED:
        return NAMED[words]
    found = re.fullmatch(rf"mean={_NUMBERS}:std={_NUMBERS}(?::of=(1|255))?", words)
    if found is None:
        raise ValueError(f"{_EXPECTED}, found {text!r}")
    mean, deviation = (_numbers(part, text) for part in found.group(1, 2))
    scale = int(found.group(3) or 1)
    if scale == 1 and max(*map(abs, mean), *deviation) > 1:
        raise ValueError(
            f"mean and std are of levels from 0 to 1, found {text!r}; write :of=255 behind them for levels from 0 to 255"
        )
    if min(deviation) <= 0 or not all(-scale <= number <= scale for number in mean) or max(deviation) > scale:
        raise ValueError(f"expected a mean within the levels and a std above 0 and within them, found {text!r}")
    if scale == 255 and max(mean) <= 1 and any(mean) and max(deviation) <= 1:
        raise ValueError(f"mean and std look like those of levels from 0 to 1, found {text!r}; leave :of=255 out")
    return _scaled(mean, scale), _scaled(deviation, scale)


def _numbers(words: str, text: str) -> Triple:
    try:
        numbers = [float(word) for word in words.split(",")]
    except ValueError as error:
        raise ValueError(f"{_EXPECTED}, found {text!r}") from error
    if len(numbers) not in (1, 3) or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{_EXPECTED}, found {text!r}")
    first, second, third = numbers if len(numbers) == 3 else numbers * 3
    return first, second, third


def _scaled(numbers: Triple, scale: float) -> Triple:
    first, second, third = (number / scale for number in numbers)
    return first, second, third


def _are_close(some: Triple, others: Triple) -> bool:
    return bool(np.allclose(some, others, rtol=0, atol=1e-6))


def _spelt(numbers: Triple) -> str:
    words = [f"{number:.6g}" for number in numbers]
    return words[0] if len(set(words)) == 1 else ",".join(words)
