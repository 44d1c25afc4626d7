"""Has the stage moved since the last field that was classified? A field that is still under the lens must not count twice.

Both pictures are made small and grey and freed of everything broad (uneven light, vignetting, exposure); then the middle of the
earlier field is looked for in the picture at hand, within a small shift, by normalised cross-correlation, which a change of
brightness or contrast leaves as it is. Source: Lewis 1995, Fast Normalized Cross-Correlation (OpenCV TM_CCOEFF_NORMED).
"""

import cv2
import numpy as np

from leukolite.edge.field.exclusion import Exclusion, ExclusionKind

SMALL_SIDE = 128  # pixels of the longer side: noise of 10 grey levels shrinks to 2 in a 640x480 frame
LEAST_SHIFT = 0.05  # of the picture's longer side: less is the stage's jitter
MOST_SHIFT = 0.25  # half the picture must be left to look for
LIKENESS = 0.8  # correlation: the same field reaches 0.97 and more, another one seldom 0.4; see docs/evidence/recording.md
NOT_MOVED = Exclusion.of(ExclusionKind.NOT_MOVED)

_BROAD = SMALL_SIDE / 12  # sigma of what counts as broad, pixels; a white cell is some 10 to 20 wide
_LEAST_TEXTURE = 1.0  # grey levels; a field with less is empty, and like every other empty one


class StageMotion:
    """A gate (uint8 RGB frame -> why it must not be classified) that lets each field pass once.

    Make it the last of the gates: what passes it counts as classified, and later frames are held against that.

    Args:
        least_shift: how far the stage must move for a new field, as a share of the picture's longer side, up to `MOST_SHIFT`.
            Fields that overlap show some cells twice; a larger share counts fewer of them twice.
    """

    def __init__(self, least_shift: float = LEAST_SHIFT, likeness: float = LIKENESS) -> None:
        if not 0 < least_shift <= MOST_SHIFT:
            raise ValueError(f"expected a shift above 0 and at most {MOST_SHIFT}, found {least_shift}")
        self._least_shift, self._likeness = least_shift, likeness
        self._held: np.ndarray | None = None

    def __call__(self, pixels: np.ndarray) -> Exclusion | None:
        """`NOT_MOVED` where this is the field that passed last; None, and it is the one to hold against, where it is not."""
        field = detail(pixels)
        if self._held is not None and likeness(self._held, field, self._least_shift) >= self._likeness:
            return NOT_MOVED
        self._held = field
        return None

    def forget(self) -> None:
        """Let the next frame pass whatever it shows: a new slide, or the last one to pass was not classified after all."""
        self._held = None


def detail(pixels: np.ndarray) -> np.ndarray:
    """A frame's fine structure.

    Args:
        pixels: uint8 RGB, shape (height, width, 3).

    Returns:
        float32 grey levels without their local mean, longer side `SMALL_SIDE` (or the frame's own, if that is less).
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    scale = min(1.0, SMALL_SIDE / max(grey.shape))
    size = max(round(grey.shape[1] * scale), 1), max(round(grey.shape[0] * scale), 1)
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return cv2.GaussianBlur(small, (0, 0), 1.0) - cv2.GaussianBlur(small, (0, 0), _BROAD)


def likeness(before: np.ndarray, now: np.ndarray, shift: float) -> float:
    """How well the middle of one field is found in another within a shift.

    Args:
        before, now: as `detail` gives them.
        shift: how far to look, as a share of the longer side.

    Returns:
        The best correlation, -1..1; -1 for pictures of different sizes or without any structure.
    """
    margin = max(round(shift * max(before.shape)), 1)
    middle = before[margin:-margin, margin:-margin]
    if before.shape != now.shape or min(middle.shape, default=0) < 8 or middle.std() < _LEAST_TEXTURE:
        return -1.0
    return float(cv2.matchTemplate(now, middle, cv2.TM_CCOEFF_NORMED).max())
