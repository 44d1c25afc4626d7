"""The area of the cell in a picture: the one number that a network for cells must beat.

Blasts are larger than healthy lymphocytes, so much of what a network gets right its size alone gets right.
"""

import cv2
import numpy as np

_BLACK = 8  # grey level up to which a cut-out's ground counts as black, JPEG's ringing included
_LEAST_BLACK = 0.6  # share of the border that is black where a cell was cut out


def cell_area(pixels: np.ndarray) -> float:
    """Pixels of the cell in the picture.

    Of a cell that was cut out on black those that are not black; else those of a stained cell, by Otsu's threshold of the
    colours' saturation, the piece nearest to the middle.

    Args:
        pixels: uint8 RGB, shape (height, width, 3), as photographed; a picture that was cropped or resized has another area.

    Returns:
        0 or more. Source of the threshold: Otsu 1979.
    """
    brightest = pixels.max(axis=2)
    border = np.concatenate([brightest[0], brightest[-1], brightest[1:-1, 0], brightest[1:-1, -1]])
    if np.mean(border <= _BLACK) >= _LEAST_BLACK:
        return float((brightest > _BLACK).sum())
    saturation = cv2.GaussianBlur(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)[..., 1], (0, 0), 1.5)
    _, mask = cv2.threshold(saturation, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    n, pieces = cv2.connectedComponents(mask)
    if n < 2:
        return 0.0
    middle = np.array(pieces.shape) / 2
    places = np.argwhere(pieces > 0)
    y, x = places[np.argmin(((places - middle) ** 2).sum(axis=1))]
    return float((pieces == pieces[y, x]).sum())
