"""Copies of a picture: turned, mirrored, cropped or brightened a little, or saved again.

What tells one picture from others is its `detail`: each place against its surroundings, so that brightness and contrast do not
count, without a cut-out's background, because outlines of round cells on black are all alike. A picture's perceptual hash holds
the low frequencies of its middle's cosine transform, two bits each. Another picture is a copy if one of its windows has nearly
the same transform in one of the eight symmetries of the square: mirroring changes the signs of the odd frequencies,
transposing swaps the axes. How sure that is was measured in docs/evidence/copies.md.
"""

import base64
from collections.abc import Callable, Sequence

import cv2
import numpy as np

SIDE = 64  # pixels of `detail`
FREQUENCIES = 16  # of the cosine transform, each way; those within the quarter circle are kept
MIDDLE = 0.88  # side of the window that is hashed, over the picture's: a crop of up to 6% a side leaves it whole
LEAST_CORRELATION = 0.84  # of 1.7 million pairs of C-NMC's two classes none reaches it; changed copies mostly reach 0.87
HASH_CHARACTERS = 68  # base64 of 51 bytes

_LEAST_CANDIDATE = 0.62  # correlation in a window of the coarse grid, before its place and size are fitted
_LEAST_DETAIL = 0.4  # grey levels, root mean square; a flatter picture is never known again
_SURROUNDINGS = 5.0  # pixels, sigma
_DARKEST, _DARK_TOLERANCE, _WHITEST = 50, 6, 254.5  # grey levels: where a border is a cut-out's background
_DARK_BORDER, _WHITE_BORDER = 0.6, 0.95  # share of the border; a photograph's ground blows out too, but seldom all of it
_LIGHT = 0.65  # quantile
_WIDTHS = {0.775: (0.0,), 0.825: (-0.025, 0.0, 0.025), MIDDLE: (-0.03, 0.0, 0.03), 0.94: (-0.025, 0.0, 0.025), 1.0: (0.0,)}
_GRID = [(width, dx, dy) for width, offsets in _WIDTHS.items() for dx in offsets for dy in offsets]
_INNER_GRID = [window for window in _GRID if window[0] <= MIDDLE]
_STEPS = np.array([(low, high) for low in (-1, 0, 1) for high in (-1, 0, 1)], np.float32)  # of a window's two ends
_FITTING = (0.016, 0.008, 0.004)  # sizes of the steps, over the picture's side
_BLOCK = 16  # pictures at a time

_V, _U = np.mgrid[:FREQUENCIES, :FREQUENCIES]
_RADIUS = np.hypot(_U, _V)
_WEIGHTS = np.where((_RADIUS > 0) & (_RADIUS <= FREQUENCIES - 0.5), np.sqrt(_RADIUS), 0).astype(np.float32)  # about equal power
_KEPT = np.flatnonzero(_WEIGHTS)
_PARITIES = [_KEPT[(_V.ravel()[_KEPT] % 2 == v) & (_U.ravel()[_KEPT] % 2 == u)] for v in (0, 1) for u in (0, 1)]
_BY_PARITY = np.stack([np.isin(np.arange(FREQUENCIES**2), kept) for kept in _PARITIES], axis=1).astype(np.float32)
_LIMITS, _LEVELS = (-0.98, 0.0, 0.98), np.array([-1.51, -0.453, 0.453, 1.51], np.float32)  # Lloyd-Max, of a normal distribution


def detail(pixels: np.ndarray) -> np.ndarray:
    """What tells a picture from others, whatever its brightness, contrast and size.

    Args:
        pixels: uint8 RGB, shape (height, width, 3), as the network gets it.

    Returns:
        float32, shape (SIDE, SIDE), about -3 to 3; all 0 for a flat picture.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    shrinks = min(grey.shape) >= SIDE
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR).astype(np.float32)
    filled = _without_cut_out(small)
    difference = filled - _blurred(filled)
    level = np.sqrt(np.mean(difference * difference))
    if level < _LEAST_DETAIL:
        return np.zeros_like(difference)
    return difference / (np.sqrt(_blurred(difference * difference)) + level)


def perceptual_hashes(details: np.ndarray) -> list[str]:
    """Of each picture `HASH_CHARACTERS` characters; '' for a flat one, which is no one's copy.

    Args:
        details: of `detail`, shape (n, SIDE, SIDE).
    """
    if len(details) == 0:
        return []
    basis = _basis(np.array([(1 - MIDDLE) / 2, (1 + MIDDLE) / 2], np.float32))
    values = _normalised(basis @ details @ basis.T).reshape(len(details), -1)[:, _KEPT] * np.sqrt(len(_KEPT))
    levels = np.digitize(values, _LIMITS).astype(np.uint8)
    packed = np.packbits(np.stack([levels >> 1, levels & 1], axis=-1).reshape(len(levels), -1), axis=1)
    return [base64.b64encode(row.tobytes()).decode() if any(value) else "" for row, value in zip(packed, values, strict=True)]


def find_copies(
    details: np.ndarray, hashes: Sequence[str], on_picture: Callable[[], None] = lambda: None, *, both_ways: bool = False
) -> list[tuple[int, int]]:
    """Which pictures are copies of those that gave the hashes.

    Args:
        details: of `detail`, shape (n, SIDE, SIDE).
        hashes: of `perceptual_hashes`.
        on_picture: called after each picture, for a progress bar.
        both_ways: each picture's own hash is among `hashes`, so a larger picture need not be sought in a smaller one.

    Returns:
        Pairs (index of the picture, index of the hash), ascending.
    """
    if len(details) == 0 or not hashes:
        return []
    references = _coefficients(hashes)
    by_parity = [[t.reshape(len(t), -1)[:, kept].T for kept in _PARITIES] for t in (references, references.swapaxes(1, 2))]
    grid = np.array(_INNER_GRID if both_ways else _GRID, np.float32)
    middles, halves = 0.5 + grid[:, 1:], grid[:, :1] / 2
    ends = np.stack([middles - halves, middles + halves], axis=-1)  # window, axis (x, y), low and high
    bases = _basis(ends)
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(details), _BLOCK):
        block = details[start : start + _BLOCK, np.newaxis]
        windows = _normalised(bases[:, 1] @ block @ bases[:, 0].swapaxes(-1, -2))
        parts = [windows.reshape(-1, FREQUENCIES**2)[:, kept] for kept in _PARITIES]
        found = np.maximum(*(_best_signs(*(a @ b for a, b in zip(parts, turned, strict=True))) for turned in by_parity))
        found = found.reshape(*windows.shape[:2], -1)
        i, j = np.nonzero(found.max(axis=1) >= _LEAST_CANDIDATE)
        if len(i):
            x, y = ends[found[i, :, j].argmax(axis=1)].transpose(1, 0, 2)
            alike = _fitted(block[i, 0], references[j], x, y) >= LEAST_CORRELATION
            pairs += zip((i[alike] + start).tolist(), j[alike].tolist(), strict=True)
        for _ in block:
            on_picture()
    return sorted(pairs)


def _blurred(values: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(values, (0, 0), _SURROUNDINGS, borderType=cv2.BORDER_REFLECT)


def _without_cut_out(grey: np.ndarray) -> np.ndarray:
    """A cut-out with its background, and its rim, as grey as its inside; another picture without its lightest third.

    Where a picture is brightened, the ground between the cells blows out first.
    """
    border = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    level = float(np.median(border))
    dark = level <= _DARKEST and np.mean(np.abs(border - level) <= _DARK_TOLERANCE) >= _DARK_BORDER
    white = np.mean(border >= _WHITEST) >= _WHITE_BORDER
    if not dark and not white:
        return np.minimum(grey, np.quantile(grey, _LIGHT)).astype(np.float32)
    distance = np.abs(grey - level)
    near = distance < max(5.0, 0.15 * float(np.quantile(distance, 0.98)))
    background = cv2.dilate(near.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    if background.mean() > 0.97:
        return grey
    return np.where(background, np.median(grey[~background]), grey).astype(np.float32)


def _basis(ends: np.ndarray) -> np.ndarray:
    """Cosines over windows, integrated over each pixel.

    Args:
        ends: low and high end of each window over the picture's side, shape (..., 2).

    Returns:
        float32, shape (..., FREQUENCIES, SIDE).
    """
    low, high = ends[..., :1], ends[..., 1:]
    edges = np.clip((np.arange(SIDE + 1, dtype=np.float32) / SIDE - low) / (high - low), 0, 1)[..., np.newaxis, :]
    k = np.pi * np.arange(1, FREQUENCIES, dtype=np.float32)[:, np.newaxis]
    integrals = np.concatenate([edges, np.sqrt(2, dtype=np.float32) * np.sin(edges * k) / k], axis=-2)
    return np.diff(integrals, axis=-1)


def _normalised(coefficients: np.ndarray) -> np.ndarray:
    weighted = coefficients * _WEIGHTS
    return weighted / np.maximum(np.sqrt((weighted * weighted).sum(axis=(-2, -1), keepdims=True)), 1e-6)


def _coefficients(hashes: Sequence[str]) -> np.ndarray:
    """What the hashes hold, of length 1; all 0 for ''. float32, shape (n, FREQUENCIES, FREQUENCIES)."""
    values = np.zeros((len(hashes), FREQUENCIES**2), np.float32)
    present = np.array([i for i, text in enumerate(hashes) if text], dtype=int)
    if len(present):
        packed = np.frombuffer(b"".join(base64.b64decode(hashes[i]) for i in present), np.uint8).reshape(len(present), -1)
        bits = np.unpackbits(packed, axis=1)[:, : 2 * len(_KEPT)].reshape(len(present), -1, 2)
        values[np.ix_(present, _KEPT)] = _LEVELS[2 * bits[..., 0] + bits[..., 1]]
    return values.reshape(-1, FREQUENCIES, FREQUENCIES) / np.maximum(np.linalg.norm(values, axis=1), 1e-6)[:, None, None]


def _best_signs(even: np.ndarray, odd_x: np.ndarray, odd_y: np.ndarray, odd: np.ndarray) -> np.ndarray:
    """The largest of the four sums that mirroring makes of the parts of a correlation, by the parity of their frequencies."""
    return np.maximum(even + odd + np.abs(odd_x + odd_y), even - odd + np.abs(odd_x - odd_y))


def _fitted(details: np.ndarray, references: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The correlation of each picture with its reference, in the best symmetry and in the best window near the given one.

    Args:
        details: shape (n, SIDE, SIDE).
        references: shape (n, FREQUENCIES, FREQUENCIES).
        x: low and high end of each window, shape (n, 2); y likewise.
    """
    every = np.arange(len(details))
    best = np.zeros(len(details), np.float32)
    for step in _FITTING:
        for _ in ("x", "y"):
            tried = x[:, np.newaxis] + step * _STEPS
            windows = _normalised((_basis(y) @ details)[:, np.newaxis] @ _basis(tried).swapaxes(-1, -2))
            found = [
                _best_signs(*np.moveaxis((windows * turned[:, np.newaxis]).reshape(*tried.shape[:2], -1) @ _BY_PARITY, -1, 0))
                for turned in (references, references.swapaxes(-1, -2))
            ]
            both = np.maximum(*found)
            chosen = both.argmax(axis=1)
            best, x = both[every, chosen], tried[every, chosen]
            x, y, details, references = y, x, details.swapaxes(-1, -2), references.swapaxes(-1, -2)  # now the other axis
    return best
