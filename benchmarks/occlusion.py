"""Check for shortcuts: accuracy with parts of the picture covered, and maps of what a verdict depends on (occlusion)."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from leukolite.classifier import Classifier
from leukolite.errors import ImageError
from leukolite.images import read_rgb
from leukolite.preprocess import crop_and_resize
from leukolite.train.survey import CORNERS, corners

BORDER = 0.1  # of each side
_PATCH, _STRIDE = 0.14, 0.07  # of the input's side: a patch of 31 pixels every 16 at 224


def cover_scale_bar(pixels: np.ndarray) -> np.ndarray:
    """The bottom right corner, where Taleqani's images carry a scale bar, in the image's median colour."""
    covered = pixels.copy()
    corners(covered)[CORNERS.index("bottom right")][:] = median_colour(pixels)
    return covered


def cover_border(pixels: np.ndarray) -> np.ndarray:
    """A frame of a tenth of each side in the image's median colour."""
    height, width = pixels.shape[:2]
    y, x = round(height * BORDER), round(width * BORDER)
    covered = np.empty_like(pixels)
    covered[:] = median_colour(pixels)
    covered[y : height - y, x : width - x] = pixels[y : height - y, x : width - x]
    return covered


def cover_background(pixels: np.ndarray) -> np.ndarray:
    """All but the white cells in the image's median colour, so that only nuclei and the rim around them are left.

    A nucleus is where the purple axis of LAB, a minus b, is above Otsu's threshold; the mask is widened by 3% of the side.
    """
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).astype(np.int16)
    purple = np.clip(lab[..., 1] - lab[..., 2] + 128, 0, 255).astype(np.uint8)
    _, mask = cv2.threshold(cv2.GaussianBlur(purple, (5, 5), 0), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    reach = max(3, round(0.03 * min(pixels.shape[:2])) | 1)
    mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)))
    covered = np.empty_like(pixels)
    covered[:] = median_colour(pixels)
    covered[mask > 0] = pixels[mask > 0]
    return covered


OCCLUSIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "scale-bar": cover_scale_bar,
    "border": cover_border,
    "background": cover_background,
}


def median_colour(pixels: np.ndarray) -> np.ndarray:
    """uint8 RGB, shape (3,)."""
    return np.median(pixels.reshape(-1, 3), axis=0).astype(np.uint8)


def occlusion_map(classifier: Classifier, pixels: np.ndarray, label: int) -> np.ndarray:
    """How much the probability of a class falls when a patch is covered there.

    Args:
        pixels: uint8 RGB, a capture.
        label: index of the class.

    Returns:
        float32 of the network's input size, in probability; above 0 where the class depends on what is seen there.

    Source: Zeiler and Fergus 2014, section 4.2; the patch has the image's median colour.
    """
    picture = crop_and_resize(pixels, classifier.spec)
    height, width = picture.shape[:2]
    patch, stride = max(4, round(_PATCH * height)), max(2, round(_STRIDE * height))
    colour = median_colour(picture)
    whole = classifier.runtime.invoke(_batch(picture, classifier))[label]
    fall, visits = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for top in range(0, height - patch // 2, stride):
        for left in range(0, width - patch // 2, stride):
            covered = picture.copy()
            covered[top : top + patch, left : left + patch] = colour
            part = classifier.runtime.invoke(_batch(covered, classifier))[label]
            fall[top : top + patch, left : left + patch] += whole - part
            visits[top : top + patch, left : left + patch] += 1
    return fall / np.maximum(visits, 1)


def saliency_tiles(classifier: Classifier, files: Sequence[Path], label: int) -> list[np.ndarray]:
    """Each picture as the network gets it, and beside it the same with its occlusion map laid over; uint8 RGB."""
    tiles = []
    for path in files:
        try:
            pixels = read_rgb(path)
        except ImageError:
            continue  # named by the evaluation itself
        picture = crop_and_resize(pixels, classifier.spec)
        heat = np.maximum(occlusion_map(classifier, pixels, label), 0)
        shade = (255 * heat / max(float(heat.max()), 1e-6)).astype(np.uint8)
        colours = cv2.cvtColor(cv2.applyColorMap(shade, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
        tiles += [picture, cv2.addWeighted(picture, 0.5, colours, 0.5, 0)]
    return tiles


def _batch(picture: np.ndarray, classifier: Classifier) -> np.ndarray:
    """A picture that is cropped and resized already, as the runtime's input."""
    return (picture if classifier.table is None else classifier.table[picture])[np.newaxis]
