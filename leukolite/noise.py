"""Seeded Gaussian noise on uint8 pictures, as the robustness tables of Makem et al. 2025 (Tables 6 to 8) add it.

Where it is put decides how much of it reaches the network: a resize averages the capture's pixels, and their noise with them.
"""

import math
from collections.abc import Iterable
from typing import Literal

import numpy as np

NoisePlace = Literal["capture", "input"]
NOISE_PLACES: dict[NoisePlace, str] = {  # where noise is put, in words
    "capture": "on the capture",  # at its native resolution, as a camera's sensor does
    "input": "at the network's input",  # after crop and resize: the captions of Makem et al. 2025, Figures 3 and 4
}

_AT_ONCE = 1 << 22  # samples: as floats, a picture of 49 megapixels would take 600 MB


def check_sigma(sigma: float) -> float:
    """`sigma` itself, if it is a standard deviation that noise can have.

    Raises:
        ValueError: it is negative, not finite, or above 255.
    """
    if not math.isfinite(sigma) or not 0 <= sigma <= 255:
        raise ValueError(f"sigma must be a number from 0 to 255 grey levels, found {sigma}")
    return sigma


def add_gaussian_noise(pixels: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Add zero-mean Gaussian noise, one draw per pixel and channel.

    Args:
        pixels: uint8, any shape; RGB, a capture or the network's picture of one, has (height, width, 3).
        sigma: standard deviation in grey levels, 0 to 255.
        rng: source of the noise; the same seed gives the same image.

    Returns:
        uint8 of the same shape, rounded and clipped to 0..255; with sigma 0 a copy.

    Raises:
        ValueError: sigma is negative, not finite or above 255, or `pixels` is not uint8.

    Source: Makem et al. 2025, doi 10.3389/frai.2025.1620252, section 4.3.
    """
    check_sigma(sigma)
    if pixels.dtype != np.uint8:
        raise ValueError(f"expected uint8 pixels, found {pixels.dtype}")
    if sigma == 0:
        return pixels.copy()
    flat = pixels.reshape(-1)
    result = np.empty_like(flat)
    for start in range(0, flat.size, _AT_ONCE):  # the draws are the same as all at once would be
        part = flat[start : start + _AT_ONCE]
        noisy = rng.standard_normal(part.shape, dtype=np.float32)
        noisy *= np.float32(sigma)
        noisy += part
        np.rint(noisy, out=noisy)
        result[start : start + _AT_ONCE] = np.clip(noisy, 0, 255, out=noisy)
    return result.reshape(pixels.shape)


def noise_rng(seed: int, index: int, sigma: float, region: int = 0) -> np.random.Generator:
    """The generator for image number `index` at `sigma`: independent of what came before it.

    Args:
        region: of several cells of one image, each with noise of its own, which this is.
    """
    return np.random.default_rng([seed, index, round(sigma * 1000), *([region] if region else [])])


def effective_sigma(noisy: np.ndarray, clean: np.ndarray) -> float:
    """Standard deviation of what noise changed in a picture, grey levels.

    Args:
        noisy, clean: the network's picture with and without noise, uint8 of the same shape.
    """
    return float(np.std(noisy.astype(np.float32) - clean))


def pooled_sigma(deviations: Iterable[float | None]) -> float | None:
    """One standard deviation of several pictures of the same size; None where none is known."""
    squares = [deviation**2 for deviation in deviations if deviation is not None]
    return math.sqrt(sum(squares) / len(squares)) if squares else None
