"""Balancing the classes of the training part: the smaller class's images a second time, without their colour."""

from collections.abc import Sequence

import cv2
import numpy as np


def desaturate(pixels: np.ndarray) -> np.ndarray:
    """The image in HSV with its saturation removed; uint8 RGB in and out, same shape.

    Source: Makem et al. 2025, section 3: each HEM training image a second time in this form, 791 -> 1582.
    """
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    hsv[..., 1] = 0
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def doubled(truth: np.ndarray, indices: Sequence[int]) -> list[int]:
    """Which training images are shown a second time: those of every class that, doubled, is no larger than the largest.

    Args:
        truth: class of each image, int, shape (n,).
        indices: the training part's.
    """
    chosen = np.array(indices)
    counts = np.bincount(truth[chosen])
    small = np.flatnonzero((counts > 0) & (2 * counts <= counts.max()))
    return [int(i) for i in chosen[np.isin(truth[chosen], small)]]
