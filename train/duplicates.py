"""Copies of one image: byte-identical files, and the same scene or cell photographed or saved twice.

A pair of near-duplicates on two sides of a split makes a network look better than it is. Candidates are found by a
perceptual hash (the signs of the low frequencies of a discrete cosine transform) and confirmed by correlation, so that
two round cells on black are not taken for one.
"""

from collections.abc import Sequence

import cv2
import numpy as np

HASH_SIDE, LOW_FREQUENCIES = 32, 8
MOST_HASH_BITS_APART = 10  # of 63; on fold 0 of C-NMC all confirmed pairs but a handful lie within
LEAST_CORRELATION = 0.98  # of 64x64 grey pictures; on the shared sets the pairs above it are one scene by eye
_COMPARED_SIDE, _BLOCK = 64, 512


def near_duplicates(pixels: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of images that show the same thing.

    Args:
        pixels: uint8 RGB, shape (n, height, width, 3).

    Returns:
        Index pairs (i, j), i < j, ascending; byte-identical images are among them.
    """
    if len(pixels) == 0:
        return []
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in pixels]
    signs = np.stack([_hash_signs(image) for image in grey])
    small = np.stack([cv2.resize(image, (_COMPARED_SIDE, _COMPARED_SIDE), interpolation=cv2.INTER_AREA) for image in grey])
    flat = small.reshape(len(small), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    bits = signs.shape[1]
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(signs), _BLOCK):
        apart = (bits - signs[start : start + _BLOCK] @ signs.T) / 2
        rows, columns = np.nonzero(apart <= MOST_HASH_BITS_APART)
        rows += start
        later = columns > rows
        rows, columns = rows[later], columns[later]
        alike = np.einsum("ij,ij->i", flat[rows], flat[columns]) >= LEAST_CORRELATION
        pairs += zip(rows[alike].tolist(), columns[alike].tolist(), strict=True)
    return sorted(pairs)


def group(n: int, pairs: Sequence[tuple[int, int]], keys: Sequence[Sequence[str | None]] = ()) -> np.ndarray:
    """Which of `n` images must stay together.

    Args:
        pairs: images that belong together.
        keys: for each kind of key (a hash, a subject) one a image; images of the same key belong together, None joins none.

    Returns:
        Group numbers, int, shape (n,): the transitive closure of all that belongs together.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = list(pairs)
    for kind in keys:
        first: dict[str, int] = {}
        for i, key in enumerate(kind):
            if key is not None:
                links.append((first.setdefault(key, i), i))
    rows, columns = (np.array([link[k] for link in links], dtype=int) for k in (0, 1))
    graph = coo_array((np.ones(len(links), dtype=bool), (rows, columns)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1])


def _hash_signs(grey: np.ndarray) -> np.ndarray:
    """63 signs, float32 of -1 or 1: of the low frequencies but the mean, against their median (pHash)."""
    small = cv2.resize(grey, (HASH_SIDE, HASH_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:LOW_FREQUENCIES, :LOW_FREQUENCIES].ravel()[1:]
    return np.where(low > np.median(low), 1, -1).astype(np.float32)
