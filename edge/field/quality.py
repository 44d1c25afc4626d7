"""Why a frame or a cell must not be classified, before any model sees it.

What no model can classify is refused absolutely: nothing, black, or blown out. What lies beyond the bundle's training pictures
(`leukolite.appearance`) is refused by its ranges: darker or brighter, without a stained nucleus, blurred, another stain, swapped
channels. A kind says what was measured, not what it may come from.
"""

import numpy as np

from leukolite.appearance import ImageStats, is_above, is_below, is_colourless, measure
from leukolite.edge.field.exclusion import GREY, NO_WHITE_CELL, SWAPPED, Exclusion, ExclusionKind
from leukolite.edge.field.view import QualityGate
from leukolite.manifest import AppearanceRanges, Manifest, Range, Unit

LEAST_LIT = 0.01  # share of the picture; the smallest cell of C-NMC, cut out on black, takes 0.06
LEAST_LIGHT = 25.0  # grey levels
MOST_BLOWN = 0.95  # share of the picture; a bright field of Taleqani's has up to 0.4
LEAST_CONTRAST = 2.0  # grey levels; a field of red cells alone has 10, a cell cut out on black 4


def square_gate(manifest: Manifest, *, rendered: bool = False) -> QualityGate:
    """The gate of what a bundle classifies, be it a whole field or a cell's crop: takes the network's picture of it.

    Args:
        rendered: the pictures are drawn to try the machine, with none of the bundle's stains: refuse only what is nothing.
    """
    ranges, unit = None if rendered else manifest.appearance, manifest.unit

    def gate(square: np.ndarray) -> Exclusion | None:
        stats = measure(square)
        excluded = nothing_to_see(stats)
        if excluded is None and ranges is not None:
            excluded = unlike_training(stats, ranges, unit)
        return _without_colour(excluded, square) if excluded is not None else None

    return gate


def frame_gate(pixels: np.ndarray) -> Exclusion | None:
    """The gate of a field in which cells are looked for: refuses only what is nothing."""
    return nothing_to_see(measure(pixels))


def no_white_cell(pixels: np.ndarray) -> Exclusion:
    """Why a field in which no white cell was found is excluded: none stands out, and without colour none can."""
    is_grey = is_colourless(pixels) and measure(pixels).contrast >= LEAST_CONTRAST  # the first, cheap, tells of nearly all
    return Exclusion.of(ExclusionKind.NO_COLOUR, GREY) if is_grey else NO_WHITE_CELL


def _without_colour(excluded: Exclusion, square: np.ndarray) -> Exclusion:
    """The same exclusion by its true reason: what lacks all colour is neither empty nor badly stained."""
    if excluded.kind not in (ExclusionKind.UNSTAINED, ExclusionKind.STAIN) or not is_colourless(square):
        return excluded
    return Exclusion.of(ExclusionKind.NO_COLOUR, f"{GREY}; {excluded.detail.removesuffix(SWAPPED)}")


def nothing_to_see(stats: ImageStats) -> Exclusion | None:
    """Why no model could classify such a picture."""
    if stats.lit < LEAST_LIT or stats.light < LEAST_LIGHT:
        figures = f"light {stats.light:.0f}, at least {LEAST_LIGHT:.0f}; {stats.lit:.0%} of it not black"
        return Exclusion.of(ExclusionKind.UNDEREXPOSED, figures)
    if stats.blown > MOST_BLOWN:
        return Exclusion.of(ExclusionKind.OVEREXPOSED, f"{stats.blown:.0%} blown out, at most {MOST_BLOWN:.0%}")
    if stats.contrast < LEAST_CONTRAST:
        return Exclusion.of(ExclusionKind.EMPTY, f"contrast {stats.contrast:.1f}, at least {LEAST_CONTRAST:.1f}")
    return None


def unlike_training(stats: ImageStats, ranges: AppearanceRanges, unit: Unit) -> Exclusion | None:
    """In what a picture lies beyond the bundle's training pictures, the first of it: light before focus before stain."""
    if is_below(stats.light, ranges.light):
        return Exclusion.of(ExclusionKind.DARKER, f"light {_beyond(stats.light, ranges.light, '.0f')}")
    if text := _beyond(stats.lit, ranges.lit, ".2f"):
        return Exclusion.of(ExclusionKind.BACKGROUND, f"lit share {text}")
    if text := _beyond(stats.light, ranges.light, ".0f"):
        return Exclusion.of(ExclusionKind.BRIGHTER, f"light {text}")
    if text := _beyond(stats.blown, ranges.blown, ".2f"):
        return Exclusion.of(ExclusionKind.OVEREXPOSED, f"blown-out share {text}")
    if unit == "field" and is_below(stats.stain, ranges.stain):
        return Exclusion.of(ExclusionKind.UNSTAINED, f"stain {_beyond(stats.stain, ranges.stain, '.2f')}")
    if text := _beyond(stats.focus, ranges.focus, ".2f"):
        return Exclusion.of(ExclusionKind.BLURRED, f"focus {text}")
    if text := _beyond(stats.red_over_blue, ranges.red_over_blue, ".2f"):
        is_swapped = not _beyond(-stats.red_over_blue, ranges.red_over_blue, ".2f")
        question = SWAPPED if is_swapped else ""
        return Exclusion.of(ExclusionKind.STAIN, f"red over blue {text}{question}")
    if text := _beyond(stats.stain, ranges.stain, ".2f"):
        return Exclusion.of(ExclusionKind.STAIN, f"stain {text}")
    return None


def _beyond(value: float, allowed: Range, form: str) -> str:
    """The value beside the bound that it lies beyond; empty where it lies within."""
    low, high = allowed
    if is_below(value, allowed):
        return f"{value:{form}}, at least {low:{form}}"
    if is_above(value, allowed):
        return f"{value:{form}}, at most {high:{form}}"
    return ""
