"""Seeded Gaussian noise on uint8 captures, as the robustness tables of Makem et al. 2025 (Tables 6 to 8) add it."""

import math

import numpy as np

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
    """Add zero-mean Gaussian noise, one draw per pixel and channel, at the capture's native resolution.

    Args:
        pixels: uint8, any shape; an RGB capture has (height, width, 3).
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


def noise_rng(seed: int, index: int, sigma: float) -> np.random.Generator:
    """The generator for image number `index` at `sigma`: independent of what came before it."""
    return np.random.default_rng([seed, index, round(sigma * 1000)])
