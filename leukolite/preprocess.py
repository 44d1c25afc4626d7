"""Pixels to network input: crop, resize, quantise. The one implementation, used by training, conversion and the edge.

The commonest fault of deployed classifiers is preprocessing that was copied from training to device and drifted.
"""

import hashlib
from typing import Literal

import cv2
import numpy as np
from pydantic import Field, model_validator

from leukolite.frozen import Frozen

Kernel = Literal["area", "halve-linear"]
KERNELS: tuple[Kernel, ...] = ("area", "halve-linear")
Crop = Literal["centre-square", "stretch", "pad"]
CROPS: dict[Crop, str] = {  # what of a picture the network sees, in words
    "centre-square": "the centre square",
    "stretch": "the whole picture stretched",
    "pad": "the whole picture with black beside it",
}


class InputSpec(Frozen):
    """What a network expects of an image; part of a bundle's manifest."""

    height: int = Field(ge=8, le=4096)
    width: int = Field(ge=8, le=4096)
    crop: Crop = Field(default="centre-square", description="what of the image the network sees; `crop_and_resize`")
    crop_fraction: float = Field(default=1.0, gt=0, le=1, description="side of the crop over the image's shorter side")
    kernel: Kernel = Field(default="area", description="how the square is resized; `crop_and_resize`")
    channels: Literal["RGB"] = "RGB"
    scale: float = Field(default=1 / 255, gt=0, description="network value = grey level * scale + offset")
    offset: float = 0.0

    @model_validator(mode="after")
    def _only_a_square_is_a_fraction(self) -> "InputSpec":
        if self.crop != "centre-square" and self.crop_fraction != 1:
            raise ValueError(
                f"crop {self.crop} takes the whole image: expected a crop_fraction of 1, found {self.crop_fraction:g}"
            )
        return self


def picture_id(pixels: np.ndarray) -> str:
    """Says whether two files hold one picture, however they are encoded: 12 hex digits of the SHA-256 of the network's input.

    Args:
        pixels: what `crop_and_resize` gives.
    """
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()[:12]


def crop_and_resize(pixels: np.ndarray, spec: InputSpec) -> np.ndarray:
    """What the network sees of `pixels`, resized to its input.

    The spec's crop says which part of the image is resized, and to what size:

    - `centre-square`: a square of side `round(min(height, width) * crop_fraction)` to the network's input.
    - `stretch`: the whole image to the network's input, whatever that does to its shape.
    - `pad`: the whole image, its shape kept, to the largest size that fits the input, centred; the rest is black.

    A part of height h and width w has its corner at `(height - h) // 2`, `(width - w) // 2`. One of the right size is passed on
    as it is. The spec's kernel resizes any other:

    - `area`: OpenCV's INTER_AREA if no side grows, else INTER_LINEAR.
    - `halve-linear`: with k halvings, then OpenCV's INTER_LINEAR; k is the largest for which each side is at least 2**k times
      the wanted one (of a square: the longer one). Before that the sides are rounded down to a multiple of 2**k, which costs
      less than one pixel of the network's. A halving turns each block of 2x2 levels into `(sum + 2) >> 2`.

    Halving is 6 to 8 times faster than INTER_AREA at ratios that are not whole, and exact in integers.

    Args:
        pixels: uint8 RGB, shape (h, w, 3).

    Returns:
        uint8 RGB, shape (spec.height, spec.width, 3), contiguous; it may be `pixels` itself.

    Raises:
        ValueError: `pixels` is not uint8 of shape (h, w, 3).
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(f"expected uint8 pixels of shape (h, w, 3), found {pixels.dtype} of shape {pixels.shape}")
    height, width = pixels.shape[:2]
    wanted = (spec.height, spec.width)
    if spec.crop == "centre-square":
        side = max(1, round(min(height, width) * spec.crop_fraction))
        return _resized(pixels, (side, side), wanted, spec.kernel)
    if spec.crop == "stretch":
        return _resized(pixels, (height, width), wanted, spec.kernel)
    inner = _fitted(height, width, wanted)
    picture = _resized(pixels, (height, width), inner, spec.kernel)
    if inner == wanted:
        return picture
    padded = np.zeros((*wanted, 3), np.uint8)
    top, left = (wanted[0] - inner[0]) // 2, (wanted[1] - inner[1]) // 2
    padded[top : top + inner[0], left : left + inner[1]] = picture
    return padded


def _resized(pixels: np.ndarray, part: tuple[int, int], wanted: tuple[int, int], kernel: Kernel) -> np.ndarray:
    """The centred part of an image, resized; sizes as (height, width)."""
    (height, width), (tall, wide) = part, wanted
    halvings = max(min(height // tall, width // wide).bit_length() - 1, 0) if kernel == "halve-linear" else 0
    height, width = height >> halvings << halvings, width >> halvings << halvings
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    picture = pixels[top : top + height, left : left + width]
    for _ in range(halvings):
        height, width = height // 2, width // 2
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)  # exactly half: its fast path, in integers
    if (height, width) == wanted:
        return np.ascontiguousarray(picture)
    by_area = kernel == "area" and height >= tall and width >= wide
    return cv2.resize(picture, (wide, tall), interpolation=cv2.INTER_AREA if by_area else cv2.INTER_LINEAR)


def _fitted(height: int, width: int, wanted: tuple[int, int]) -> tuple[int, int]:
    """The largest height and width of an image's shape within those that are wanted; in integers, halves up."""
    tall, wide = wanted
    if width * tall >= height * wide:
        return max(1, (2 * height * wide + width) // (2 * width)), wide
    return tall, max(1, (2 * width * tall + height) // (2 * height))


def input_table(spec: InputSpec, dtype: str, quantum: float, zero_point: int) -> np.ndarray | None:
    """What each grey level becomes in the network's input tensor.

    Args:
        dtype: the input tensor's type: 'uint8', 'int8', 'int16' or 'float32'.
        quantum: the tensor's quantisation scale (ignored for float32).
        zero_point: the tensor's zero point (ignored for float32).

    Returns:
        256 values of `dtype`, index = grey level; None where every level stays as it is (raw bytes go in).
    """
    values = np.arange(256) * spec.scale + spec.offset
    if dtype == "float32":
        return values.astype(np.float32)
    limits = np.iinfo(dtype)
    table = np.clip(np.rint(values / quantum) + zero_point, limits.min, limits.max).astype(dtype)
    return None if dtype == "uint8" and np.array_equal(table, np.arange(256)) else table


def to_input(pixels: np.ndarray, spec: InputSpec, table: np.ndarray | None) -> np.ndarray:
    """Crop, resize and quantise one image.

    Args:
        pixels: uint8 RGB, shape (h, w, 3).
        table: from `input_table`.

    Returns:
        Shape (1, spec.height, spec.width, 3), of the table's dtype, or uint8 where `table` is None.
    """
    return to_batch(crop_and_resize(pixels, spec), table)


def to_batch(square: np.ndarray, table: np.ndarray | None) -> np.ndarray:
    """What `crop_and_resize` made, as the network's input.

    Args:
        square: uint8 RGB, shape (height, width, 3).
        table: from `input_table`.

    Returns:
        Shape (1, height, width, 3), of the table's dtype, or uint8 where `table` is None.
    """
    return (square if table is None else table[square])[np.newaxis]
