"""Pixels to network input: crop, resize, quantise. The one implementation, used by training, conversion and the edge.

The commonest fault of deployed classifiers is preprocessing that was copied from training to device and drifted.
"""

import hashlib
from typing import Literal

import cv2
import numpy as np
from pydantic import Field

from leukolite.frozen import Frozen

Kernel = Literal["area", "halve-linear"]
KERNELS: tuple[Kernel, ...] = ("area", "halve-linear")


class InputSpec(Frozen):
    """What a network expects of an image; part of a bundle's manifest."""

    height: int = Field(ge=8, le=4096)
    width: int = Field(ge=8, le=4096)
    crop: Literal["centre-square"] = "centre-square"
    crop_fraction: float = Field(default=1.0, gt=0, le=1, description="side of the crop over the image's shorter side")
    kernel: Kernel = Field(default="area", description="how the square is resized; `crop_and_resize`")
    channels: Literal["RGB"] = "RGB"
    scale: float = Field(default=1 / 255, gt=0, description="network value = grey level * scale + offset")
    offset: float = 0.0


def picture_id(pixels: np.ndarray) -> str:
    """Says whether two files hold one picture, however they are encoded: 12 hex digits of the SHA-256 of the network's input.

    Args:
        pixels: what `crop_and_resize` gives.
    """
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()[:12]


def crop_and_resize(pixels: np.ndarray, spec: InputSpec) -> np.ndarray:
    """The centred square of `pixels`, resized to the network's input.

    The square's side is `round(min(height, width) * crop_fraction)`, its corner `(length - side) // 2`. A square of the
    right size is passed on as it is. The spec's kernel resizes any other:

    - `area`: OpenCV's INTER_AREA if both sides shrink, else INTER_LINEAR.
    - `halve-linear`: with k halvings, then OpenCV's INTER_LINEAR; k is the largest for which the side is at least 2**k times
      the network's longer side. Before the crop the side is rounded down to a multiple of 2**k, which costs less than one
      pixel of the network's. A halving turns each block of 2x2 levels into `(sum + 2) >> 2`.

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
    side = max(1, round(min(height, width) * spec.crop_fraction))
    halvings = _halvings(side, spec) if spec.kernel == "halve-linear" else 0
    side = side >> halvings << halvings
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[top : top + side, left : left + side]
    for _ in range(halvings):
        side //= 2
        square = cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)  # exactly half: its fast path, in integers
    if side == spec.height == spec.width:
        return np.ascontiguousarray(square)
    by_area = spec.kernel == "area" and side >= spec.height and side >= spec.width
    return cv2.resize(square, (spec.width, spec.height), interpolation=cv2.INTER_AREA if by_area else cv2.INTER_LINEAR)


def _halvings(side: int, spec: InputSpec) -> int:
    """How often a square is halved before its side is less than twice the network's longer side."""
    return max((side // max(spec.height, spec.width)).bit_length() - 1, 0)


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
