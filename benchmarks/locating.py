"""How well `edge-run` finds white cells in fields whose cells somebody marked, and how long it takes.

A found cell and a marked one are the same where the centre of the found box lies in the marked box (Pascal VOC annotations), or
the marked centroid in the found box (ALL-IDB1); one to one, as many pairs as can be.
"""

import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from leukolite.edge.field.locate import WHITE_CELL, Channel, locate
from leukolite.errors import DatasetError
from leukolite.geometry import Box
from leukolite.image_files import list_images
from leukolite.images import read_rgb
from leukolite.metrics import wilson_interval
from leukolite.places import problem_at
from leukolite.textfiles import read_bytes, read_text

Half = Literal["even", "odd", "all"]
Point = tuple[float, float]


@dataclass(frozen=True)
class MarkedField:
    """A field and the white cells that somebody marked in it.

    Attributes:
        boxes, centroids: one of both, in pixels.
        marks_all: every white cell is marked, so that one found besides is a false one.
    """

    file: Path
    boxes: tuple[Box, ...]
    centroids: tuple[Point, ...]
    marks_all: bool

    @property
    def marked(self) -> int:
        return len(self.boxes) + len(self.centroids)


@dataclass(frozen=True, slots=True)
class FieldScore:
    """One field: cells marked, cells found, pairs of both, and how long it took (CPU time of one thread)."""

    file: str
    size: tuple[int, int]
    marked: int
    found: int
    paired: int
    red_cell_diameter_px: float | None
    ms: float


@dataclass(frozen=True)
class Score:
    """A set of fields.

    Attributes:
        precision: None where not all white cells are marked.
        ms: picture size -> median milliseconds.
    """

    layout: str
    half: Half
    channel: Channel
    fields: tuple[FieldScore, ...]
    marks_all: bool

    @property
    def marked(self) -> int:
        return sum(field.marked for field in self.fields)

    @property
    def found(self) -> int:
        return sum(field.found for field in self.fields)

    @property
    def paired(self) -> int:
        return sum(field.paired for field in self.fields)

    @property
    def recall(self) -> tuple[float | None, tuple[float, float] | None]:
        return _share(self.paired, self.marked)

    @property
    def precision(self) -> tuple[float | None, tuple[float, float] | None]:
        return _share(self.paired, self.found) if self.marks_all else (None, None)

    @property
    def ms(self) -> dict[tuple[int, int], float]:
        sizes = sorted({field.size for field in self.fields})
        return {size: float(np.median([field.ms for field in self.fields if field.size == size])) for size in sizes}

    def to_json(self) -> dict[str, Any]:
        return {
            "layout": self.layout,
            "half": self.half,
            "channel": self.channel,
            "marked": self.marked,
            "found": self.found,
            "paired": self.paired,
            "recall": self.recall[0],
            "recall_interval": self.recall[1],
            "precision": self.precision[0],
            "precision_interval": self.precision[1],
            "ms": {f"{width}x{height}": ms for (width, height), ms in self.ms.items()},
            "fields": [asdict(field) for field in self.fields],
        }


def score(
    root: Path,
    *,
    half: Half = "all",
    channel: Channel = "a-b",
    cell_diameter: float | None = None,
    white: str = "WBC",
    on_start: Callable[[int], None] = lambda total: None,
    on_field: Callable[[], None] = lambda: None,
) -> Score:
    """Find the white cells of every field below a folder and hold them against the marks.

    Args:
        root: with JPEGImages/ and Annotations/ (Pascal VOC, as BCCD), or im/ and xyc/ (ALL-IDB1).
        half: every second field in the order of their names, from the first ('even') or the second ('odd').
        cell_diameter: see `edge-run --cell-diameter`.
        white: the annotations' name of a white cell.

    Raises:
        DatasetError: neither layout is there, or an annotation cannot be read.
    """
    layout, fields = read_marks(root, (white,))
    chosen = {"even": fields[::2], "odd": fields[1::2], "all": fields}[half]
    on_start(len(chosen))
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        scores = []
        for field in chosen:
            scores.append(_score(field, channel, None if cell_diameter is None else cell_diameter / WHITE_CELL))
            on_field()
    finally:
        cv2.setNumThreads(threads)
    return Score(layout, half, channel, tuple(scores), all(field.marks_all for field in chosen))


def read_marks(root: Path, names: Collection[str] = ("WBC",)) -> tuple[str, list[MarkedField]]:
    """The marked fields below a folder, in the order of their names, and the layout's name.

    Args:
        names: which of a Pascal VOC annotation's objects count.

    Raises:
        DatasetError: neither layout is there, or an annotation cannot be read.
    """
    if problem := problem_at(root, "folder"):
        raise DatasetError(f"{root}: {problem}; expected a folder of fields with their marks")
    if (root / "JPEGImages").is_dir() and (root / "Annotations").is_dir():
        files = _images(root / "JPEGImages")
        return "pascal-voc", [_voc(file, root / "Annotations" / f"{file.stem}.xml", names) for file in files]
    if (root / "im").is_dir() and (root / "xyc").is_dir():
        return "all-idb1", [_xyc(file, root / "xyc" / f"{file.stem}.xyc") for file in _images(root / "im")]
    raise DatasetError(
        f"{root}: expected JPEGImages/ and Annotations/ (Pascal VOC), or im/ and xyc/ (ALL-IDB1); give such a folder"
    )


def pairs(found: Sequence[Box], field: MarkedField) -> int:
    """The most one-to-one pairs of found cells and marks that belong together."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    if not found or not field.marked:
        return 0
    centres = [((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in found]
    if field.boxes:
        together = [[_holds(box, centre) for box in field.boxes] for centre in centres]
    else:
        together = [[_holds(box, centroid) for centroid in field.centroids] for box in found]
    return int((maximum_bipartite_matching(csr_matrix(np.array(together, np.uint8))) >= 0).sum())


def _score(field: MarkedField, channel: Channel, red_cell_diameter_px: float | None) -> FieldScore:
    pixels = read_rgb(field.file)
    started = time.process_time_ns()
    located = locate(pixels, channel=channel, red_cell_diameter_px=red_cell_diameter_px)
    ms = (time.process_time_ns() - started) / 1e6
    boxes = [cell.box for cell in located.cells]
    size = pixels.shape[1], pixels.shape[0]
    return FieldScore(field.file.name, size, field.marked, len(boxes), pairs(boxes, field), located.red_cell_diameter_px, ms)


def _holds(box: Box, point: Point) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def _images(folder: Path) -> list[Path]:
    found = [file for file in list_images(folder).images if file.parent == folder]
    if not found:
        raise DatasetError(f"{folder}: no image in this folder")
    return found


def _voc(image: Path, annotation: Path, names: Collection[str]) -> MarkedField:
    try:
        content = read_bytes(annotation, "a Pascal VOC annotation of every image", DatasetError)
        objects = ElementTree.fromstring(content).findall("object")
        boxes = [
            tuple(round(float(one.findtext(f"bndbox/{edge}") or "")) for edge in ("xmin", "ymin", "xmax", "ymax"))
            for one in objects
            if one.findtext("name") in names
        ]
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise DatasetError(f"{annotation}: cannot be read as Pascal VOC ({error}); every image needs its annotation") from error
    return MarkedField(image, tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in boxes), (), marks_all=True)


def _xyc(image: Path, centroids: Path) -> MarkedField:
    """Blasts alone are marked; a healthy field's file is empty."""
    try:
        text = read_text(centroids, "a line 'x y' a blast", DatasetError)
        lines = [line.split() for line in text.splitlines() if line.strip()]
        points = tuple((float(x), float(y)) for x, y in lines)
    except ValueError as error:
        raise DatasetError(f"{centroids}: expected a line 'x y' a blast ({error})") from error
    return MarkedField(image, (), points, marks_all=False)


def _share(k: int, n: int) -> tuple[float | None, tuple[float, float] | None]:
    return (k / n if n else None), wilson_interval(k, n)
