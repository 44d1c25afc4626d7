"""Why a frame must not be judged, before any model sees it."""

import numpy as np

from leukolite.edge.session import Gate

LARGEST_CELL_SIDE = 600  # pixels: pictures of one cell have 257 (ALL-IDB2) to 450 (C-NMC), a camera's field 640 and more


def one_cell(pixels: np.ndarray) -> str | None:
    """The gate of bundles that judge one cell: a whole field would be taken for one, and called healthy as likely as not."""
    height, width = pixels.shape[:2]
    if max(height, width) > LARGEST_CELL_SIDE:
        return f"a whole field, not one cell ({width}x{height} pixels, at most {LARGEST_CELL_SIDE}: crop the cells out)"
    return None


def first_of(*gates: Gate | None) -> Gate | None:
    """One gate of several, asked in turn; the first reason counts."""
    asked = [gate for gate in gates if gate is not None]
    if not asked:
        return None
    return lambda pixels: next((reason for gate in asked if (reason := gate(pixels)) is not None), None)
