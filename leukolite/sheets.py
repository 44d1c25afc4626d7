"""Contact sheets: titled blocks of pictures, as a PNG."""

from collections.abc import Sequence

import cv2
import numpy as np

from leukolite.wording import shown


def sheet(blocks: Sequence[tuple[str, Sequence[np.ndarray]]], *, columns: int, side: int) -> np.ndarray:
    """Titled blocks of square pictures.

    Args:
        blocks: a title and its pictures, each uint8 RGB of shape (side, side, 3).

    Returns:
        uint8 RGB.
    """
    gap, title_height = 4, 24
    width = columns * (side + gap) + gap
    parts = []
    for title, tiles in blocks:
        head = np.full((title_height, width, 3), 255, np.uint8)
        cv2.putText(head, shown(title), (gap, title_height - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (30, 30, 30), 1, cv2.LINE_AA)
        parts.append(head)
        for start in range(0, len(tiles), columns):
            row = np.full((side + gap, width, 3), 255, np.uint8)
            for i, tile in enumerate(tiles[start : start + columns]):
                left = gap + i * (side + gap)
                row[:side, left : left + side] = tile
            parts.append(row)
    return np.vstack(parts)


def encode_png(pixels: np.ndarray) -> bytes:
    """uint8 RGB to a PNG file's bytes."""
    _, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return data.tobytes()
