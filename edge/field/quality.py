"""Why a frame or a cell must not be judged, before any model sees it.

What no model can judge is refused absolutely: nothing, black, or blown out. What lies beyond the bundle's training pictures
(`leukolite.appearance`) is refused by its ranges: too dark or bright, empty, blurred, another stain, swapped channels.
"""

import numpy as np

from leukolite.appearance import ImageStats, look
from leukolite.edge.field.view import QualityGate
from leukolite.manifest import AppearanceRanges, Manifest, Range, Unit
from leukolite.preprocess import crop_and_resize

LEAST_LIT = 0.01  # share of the picture; the smallest cell of C-NMC, cut out on black, takes 0.06
LEAST_LIGHT = 25.0  # grey levels
MOST_BLOWN = 0.95  # share of the picture; a bright field of Taleqani's has up to 0.4
LEAST_CONTRAST = 2.0  # grey levels; a field of red cells alone has 10, a cell cut out on black 4


def picture_gate(manifest: Manifest, *, rendered: bool = False) -> QualityGate:
    """The gate of what a bundle judges, be it a whole field or a cell's crop: takes uint8 RGB as the judge does.

    Args:
        rendered: the pictures are drawn to try the machine, with none of the bundle's stains: refuse only what is nothing.
    """
    spec, usual = manifest.input, None if rendered else manifest.appearance

    def gate(pixels: np.ndarray) -> str | None:
        found = look(crop_and_resize(pixels, spec))
        reason = nothing_to_see(found)
        return unlike_training(found, usual, manifest.unit) if reason is None and usual is not None else reason

    return gate


def nothing_to_see(found: ImageStats) -> str | None:
    """Why no model could judge such a picture."""
    if found.lit < LEAST_LIT or found.light < LEAST_LIGHT:
        return f"underexposed (light {found.light:.0f}, at least {LEAST_LIGHT:.0f}; {found.lit:.0%} of it not black)"
    if found.blown > MOST_BLOWN:
        return f"overexposed ({found.blown:.0%} blown out, at most {MOST_BLOWN:.0%})"
    if found.contrast < LEAST_CONTRAST:
        return f"empty field (contrast {found.contrast:.1f}, at least {LEAST_CONTRAST:.1f})"
    return None


def unlike_training(found: ImageStats, usual: AppearanceRanges, unit: Unit) -> str | None:
    """In what a picture lies beyond the bundle's training pictures, the first of it: light before focus before stain."""
    if _is_below(found.light, usual.light):
        return f"underexposed (light {_beyond(found.light, usual.light, '.0f')})"
    if text := _beyond(found.lit, usual.lit, ".2f"):
        return f"background unlike training (lit share {text})"
    if text := _beyond(found.light, usual.light, ".0f"):
        return f"overexposed (light {text})"
    if text := _beyond(found.blown, usual.blown, ".2f"):
        return f"overexposed (blown-out share {text})"
    if unit == "field" and _is_below(found.stain, usual.stain):
        return f"empty field (stain {_beyond(found.stain, usual.stain, '.2f')})"
    if text := _beyond(found.focus, usual.focus, ".2f"):
        return f"blurred (focus {text})"
    if text := _beyond(found.red_over_blue, usual.red_over_blue, ".2f"):
        is_swapped = not _beyond(-found.red_over_blue, usual.red_over_blue, ".2f")
        return f"stain out of range (red over blue {text}{'; are red and blue swapped?' if is_swapped else ''})"
    if text := _beyond(found.stain, usual.stain, ".2f"):
        return f"stain out of range (stain {text})"
    return None


def _is_below(value: float, allowed: Range) -> bool:
    return allowed[0] is not None and value < allowed[0]


def _beyond(value: float, allowed: Range, form: str) -> str:
    """The value beside the bound that it lies beyond; empty where it lies within."""
    low, high = allowed
    if low is not None and value < low:
        return f"{value:{form}}, at least {low:{form}}"
    if high is not None and value > high:
        return f"{value:{form}}, at most {high:{form}}"
    return ""
