"""From a bundle's manifest and what a user says of the pictures to the treatment of each frame."""

from collections.abc import Callable
from functools import partial

import numpy as np

from leukolite.edge.field.crop import locator_of
from leukolite.edge.field.locate import Channel
from leukolite.edge.field.one_cell import Cells, is_whole_of
from leukolite.edge.field.quality import frame_gate, square_gate
from leukolite.edge.field.view import Treatment
from leukolite.errors import BundleError
from leukolite.manifest import Manifest
from leukolite.preprocess import crop_and_resize

TreatmentOf = Callable[[np.ndarray], Treatment]  # uint8 RGB frame -> how it is treated


def treatments(
    manifest: Manifest,
    *,
    cells: Cells = "auto",
    are_pictures: bool,
    channel: Channel = "a-b",
    cell_diameter: float | None = None,
    ungated: bool = False,
    rendered: bool = False,
) -> TreatmentOf:
    """How each frame is treated: whole, or searched for cells.

    Args:
        cells: what a frame shows to a model that classifies cells, see `is_whole_of`.
        are_pictures: the frames are picture files, not a camera's or video's.
        channel: the colour axis on which cells are looked for.
        cell_diameter: of a typical white cell, pixels; None measures each field.
        ungated: classify also what the quality gates would exclude.
        rendered: the pictures are drawn, with none of the bundle's stains: the gates refuse only what is nothing.

    Raises:
        BundleError: frames show many cells, and the bundle does not say how its training pictures show one; or it classifies
            fields, and cells are to be found.
    """
    if manifest.unit == "field" and (cell_diameter is not None or channel != "a-b"):
        raise BundleError(
            f"{manifest.name} classifies whole fields, not cells: no cells can be looked for", advice="finding-of-field"
        )
    is_whole = is_whole_of(manifest, cells=cells, are_pictures=are_pictures)
    shrink = partial(crop_and_resize, spec=manifest.input)
    gate = None if ungated else square_gate(manifest, rendered=rendered)
    whole = Treatment(shrink, gate)
    if manifest.unit == "field" or cells == "one":  # a locator that nothing asks takes a tenth of a second to make
        return lambda pixels: whole
    locator = locator_of(manifest, shrink, channel=channel, cell_diameter=cell_diameter, gate=gate)
    field = Treatment(shrink, None if ungated else frame_gate, locator)
    return lambda pixels: whole if is_whole(pixels) else field
