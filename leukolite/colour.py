"""Pictures' colours to sRGB, which every model was trained on: by their ICC profile, or refused where they say other colours.

The conversion is littlecms's, relative colorimetric: what a microscope measured keeps its colour, and only what sRGB cannot
show is clipped. The perceptual intent would move all colours, and each maker of profiles moves them otherwise.
"""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from leukolite.errors import ImageError

SAME_LEVELS = 2  # a profile that moves no colour by more is sRGB by another name: v2, v4, Google's, Facebook's c2
REMEDY = "save it as sRGB first"
SRGB_GAMMA, GAMMA_TOLERANCE = 1 / 2.2, 0.01  # PNG's gAMA: 45455 by the specification
SRGB_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)  # PNG's cHRM, in its order
PRIMARIES_TOLERANCE = 0.005
ADOBE_RGB = 2  # EXIF ColorSpace, by many cameras
SRGB_CODES = (1, 13, 0, 1)  # PNG's cICP: BT.709 primaries, sRGB's curve, no matrix, full range

_CACHED = 16  # profiles: a folder is one or two cameras'


def to_srgb(image: Image.Image, profile: bytes, name: str) -> Image.Image:
    """A grey or RGB picture by its ICC profile, as RGB.

    Returns:
        the picture in Pillow's mode RGB; its pixels as they are where the profile is sRGB.

    Raises:
        ImageError: the profile is broken, or of no RGB or grey picture.
    """
    space = _colour_space(profile, name)
    if space not in ("RGB", "GRAY") or (space == "GRAY" and image.mode != "L"):
        raise ImageError(name, f"its colour profile is for {space}, not for its {image.mode} pixels; {REMEDY}")
    mode = "RGB" if space == "RGB" else "L"
    transform = _transform(profile, mode, name)
    pixels = image.convert(mode)
    if transform is None:
        return pixels.convert("RGB")
    converted = ImageCms.applyTransform(pixels, transform)
    assert converted is not None  # only in place it gives none
    return converted


def check_exif_colours(colour_space: object, interoperability: object, name: str) -> None:
    """A picture without a profile: cameras that are set to Adobe RGB say so in their EXIF alone.

    Raises:
        ImageError: it is Adobe RGB.
    """
    if colour_space == ADOBE_RGB or str(interoperability).startswith("R03"):
        raise ImageError(name, f"expected sRGB, found Adobe RGB (by its EXIF, without a profile); {REMEDY}")


def check_png_colours(info: dict, codes: tuple[int, ...] | None, name: str) -> None:
    """A PNG by its chunks, where it has no ICC profile.

    Args:
        info: Pillow's.
        codes: of its cICP chunk, which goes before all others; None without one.

    Raises:
        ImageError: its colours are not sRGB.
    """
    if codes is not None:
        if codes != SRGB_CODES:
            raise ImageError(name, f"expected sRGB, found other colours (cICP {'/'.join(map(str, codes))}); {REMEDY}")
        return
    if "srgb" in info:
        return
    gamma, primaries = info.get("gamma"), info.get("chromaticity")
    if gamma and abs(gamma - SRGB_GAMMA) > GAMMA_TOLERANCE:
        raise ImageError(name, f"expected sRGB, found a gamma of {gamma:g} (gAMA); {REMEDY}")
    if primaries and max(abs(a - b) for a, b in zip(primaries, SRGB_PRIMARIES, strict=True)) > PRIMARIES_TOLERANCE:
        raise ImageError(name, f"expected sRGB, found other primaries (cHRM); {REMEDY}")


def broken_profile(name: str) -> ImageError:
    """The refusal of a picture whose profile cannot be read: its colours are not known."""
    return ImageError(name, f"its colour profile is broken, so its colours are not known; {REMEDY}")


@lru_cache(_CACHED)
def _parsed(profile: bytes) -> ImageCms.ImageCmsProfile | None:
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except (OSError, TypeError, ValueError, ImageCms.PyCMSError):
        return None


def _colour_space(profile: bytes, name: str) -> str:
    parsed = _parsed(profile)
    if parsed is None:
        raise broken_profile(name)
    return str(parsed.profile.xcolor_space).strip()


def _transform(profile: bytes, mode: str, name: str) -> ImageCms.ImageCmsTransform | None:
    """To sRGB; None where the profile is sRGB."""
    try:
        return _built(profile, mode)
    except (OSError, ValueError, ImageCms.PyCMSError) as error:
        raise broken_profile(name) from error


@lru_cache(_CACHED)
def _built(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    parsed = _parsed(profile)
    assert parsed is not None
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    transform = ImageCms.buildTransform(parsed, ImageCms.createProfile("sRGB"), mode, "RGB", intent)
    probe = _lattice(mode)
    moved = ImageCms.applyTransform(probe, transform)
    assert moved is not None
    difference = np.abs(np.asarray(moved, dtype=np.int16) - np.asarray(probe.convert("RGB"), dtype=np.int16)).max()
    return None if difference <= SAME_LEVELS else transform


def _lattice(mode: str) -> Image.Image:
    """Every grey level, or 17 levels of each channel with one another."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    levels = np.linspace(0, 255, 17).round().astype(np.uint8)
    return Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(17, -1, 3))
