"""What a network sees of an image while it trains: a new rotation, shift, brightness, stain and noise each epoch."""

from typing import Annotated

import cv2
import numpy as np
from pydantic import AfterValidator, Field

from leukolite.frozen import Frozen
from leukolite.noise import add_gaussian_noise, check_sigma


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("expected the least and then the most")
    return bounds


Sigma = Annotated[float, AfterValidator(check_sigma)]
Factor = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Factors = Annotated[tuple[Factor, Factor], AfterValidator(_ordered)]


class Augmentation(Frozen):
    """Ranges of the random changes; each is drawn again for every image and epoch. The defaults change nothing."""

    noise_sigmas: tuple[Sigma, ...] = Field(
        default=(0.0,), min_length=1, description="grey levels, at the network's input; one is drawn, in equal parts"
    )
    rotation: float = Field(default=0.0, ge=0, le=180, description="degrees either way")
    horizontal_flip: bool = False
    vertical_flip: bool = False
    shift: float = Field(default=0.0, ge=0, lt=1, description="of width and height, either way")
    zoom: Factors = Field(default=(1.0, 1.0), description="shown part of the image's side; below 1 enlarges")
    shear: float = Field(default=0.0, ge=0, lt=45, description="degrees either way")
    brightness: Factors = Field(default=(1.0, 1.0), description="factor on the grey levels")
    stain: float = Field(default=0.0, ge=0, lt=1, description="factor 1 +- stain on each colour channel, drawn apart")
    dyes: float = Field(default=0.0, ge=0, lt=1, description="factor 1 +- dyes on each dye's amount, drawn apart")


# Colour of methylene blue and eosin in Giemsa's stain, as optical density of red, green and blue: Ruifrok and Johnston 2001,
# as in Landini's Colour Deconvolution for ImageJ; the residual stands upright on both.
_GIEMSA = np.array([[0.834750233, 0.513556283, 0.196330403], [0.092789, 0.954111, 0.283111]])
_DYES = np.vstack([_GIEMSA, np.cross(*_GIEMSA) / np.linalg.norm(np.cross(*_GIEMSA))])
_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)


def augment(pixels: np.ndarray, spec: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """One random variant of an image: geometry first, then light and stain, then noise.

    Args:
        pixels: the network's picture, cropped and resized, so that the noise reaches the network whole; uint8 RGB, shape
            (height, width, 3).

    Returns:
        uint8 RGB of the same shape. What the geometry uncovers is filled by reflection.
    """
    changed = cv2.warpAffine(
        pixels,
        _affine(pixels.shape, spec, rng),
        (pixels.shape[1], pixels.shape[0]),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    gains = rng.uniform(*spec.brightness) * rng.uniform(1 - spec.stain, 1 + spec.stain, 3)
    table = np.clip(np.rint(np.arange(256)[:, np.newaxis] * gains), 0, 255).astype(np.uint8)
    changed = cv2.LUT(changed, table.reshape(256, 1, 3))
    if spec.dyes:
        changed = restain(changed, rng.uniform(1 - spec.dyes, 1 + spec.dyes, 3))
    return add_gaussian_noise(changed, float(rng.choice(spec.noise_sigmas)), rng)


def restain(pixels: np.ndarray, amounts: np.ndarray) -> np.ndarray:
    """The picture as more or less of each dye would have stained it (Tellez et al. 2018, on the dyes of Giemsa's stain).

    Light that a dye absorbs adds up in optical density, -log of the transmitted part (Beer and Lambert); there each pixel is
    split into dyes, each dye is multiplied, and the sum is turned back.

    Args:
        pixels: uint8 RGB, shape (height, width, 3).
        amounts: factor on methylene blue, eosin and the residual, shape (3,), above 0.

    Returns:
        uint8 RGB of the same shape. Black, where nothing is known of the dyes, stays black.
    """
    density = cv2.transform(_DENSITY[pixels], (np.linalg.inv(_DYES) @ np.diag(amounts) @ _DYES).T.astype(np.float32))
    changed = np.clip(np.rint(256 * cv2.exp(-density) - 1), 0, 255).astype(np.uint8)
    changed[pixels.max(axis=2) == 0] = 0
    return changed


def _affine(shape: tuple[int, ...], spec: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """The 2x3 matrix from the image to its variant, about the image's centre."""
    height, width = shape[:2]
    angle, shear = np.deg2rad(rng.uniform(-spec.rotation, spec.rotation)), np.deg2rad(rng.uniform(-spec.shear, spec.shear))
    size = 1 / rng.uniform(*spec.zoom)
    mirror_x = -1 if spec.horizontal_flip and rng.random() < 0.5 else 1
    mirror_y = -1 if spec.vertical_flip and rng.random() < 0.5 else 1
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = size * rotation @ np.array([[1, -np.sin(shear)], [0, np.cos(shear)]]) @ np.diag([mirror_x, mirror_y])
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    moved = rng.uniform(-spec.shift, spec.shift, 2) * (width, height)
    return np.column_stack([linear, centre + moved - linear @ centre])
