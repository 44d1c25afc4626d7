"""What the quality gates of the shipped bundles refuse: good pictures that training never saw, and pictures with a fault.

    python -m leukolite.benchmarks.gates DATA CELLS

DATA holds the data sets in their native layouts, CELLS is what `leukolite synthetic --count 1500 --seed 20` made. It prints the
tables of docs/evidence/quality-gates.md. Faults are made on the picture as the network gets it, from good pictures of the
unseen ones.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np

from leukolite.appearance import measure
from leukolite.benchmarks.locating import read_marks
from leukolite.benchmarks.shipped import shipped
from leukolite.bundle import Bundle
from leukolite.classifier import open_classifier
from leukolite.edge.field.exclusion import Exclusion
from leukolite.edge.field.quality import nothing_to_see, unlike_training
from leukolite.images import read_rgb
from leukolite.metrics import wilson_interval
from leukolite.noise import add_gaussian_noise, noise_rng
from leukolite.preprocess import crop_and_resize
from leukolite.train.datasets import open_dataset
from leukolite.wording import percent_with_interval

FOLDERS = {"taleqani": "taleqani", "c-nmc": "C-NMC_Leukemia", "all-idb2": "ALL_IDB2"}
NOISE = (10.0, 20.0)  # sigma, at the capture's own resolution

Change = Callable[[np.ndarray], np.ndarray]


def blurred(sigma: float) -> Change:
    return lambda pixels: cv2.GaussianBlur(pixels, (0, 0), sigma)


def exposed(factor: float) -> Change:
    return lambda pixels: cv2.convertScaleAbs(pixels, alpha=factor)


def hue_turned(degrees: int) -> Change:
    def turn(pixels: np.ndarray) -> np.ndarray:
        colours = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
        colours[..., 0] = (colours[..., 0].astype(int) + degrees // 2) % 180
        return cv2.cvtColor(colours, cv2.COLOR_HSV2RGB)

    return turn


def blurred_then_cut_out(sigma: float) -> Change:
    """What a cell cut out on black by software looks like when the lens was out of focus: soft inside, a sharp outline."""

    def blur(pixels: np.ndarray) -> np.ndarray:
        inside = (pixels.max(axis=2) > 0).astype(np.float32)[..., np.newaxis]
        spread = cv2.GaussianBlur(inside, (0, 0), sigma)[..., np.newaxis]
        soft = cv2.GaussianBlur(pixels * inside, (0, 0), sigma) / np.maximum(spread, 1e-3)
        return np.clip(np.rint(soft * inside), 0, 255).astype(np.uint8)

    return blur


def swapped(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels[..., ::-1])


def uniform(level: int) -> Change:
    return lambda pixels: np.full_like(pixels, level)


FAULTS: dict[str, Change] = {
    **{f"blur, sigma {sigma}": blurred(sigma) for sigma in (1, 2, 3, 5)},
    **{f"exposure x{factor}": exposed(factor) for factor in (0.3, 0.5, 1.6, 2.2)},
    "red and blue swapped": swapped,
    **{f"hue turned by {degrees}": hue_turned(degrees) for degrees in (60, 120, 180, 240, 300)},
    **{name: uniform(level) for name, level in (("black", 0), ("grey", 128), ("white", 255))},
}


def exclusion_of(pixels: np.ndarray, bundle: Bundle) -> Exclusion | None:
    """What the gate says of a picture as the network gets it."""
    stats, ranges = measure(pixels), bundle.manifest.appearance
    assert ranges is not None, "the shipped bundles have their ranges"
    return nothing_to_see(stats) or unlike_training(stats, ranges, bundle.manifest.unit)


def refused(pictures: Iterable[np.ndarray], bundle: Bundle) -> str:
    """How many of the pictures the gate refuses, with a 95% Wilson interval, and why."""
    exclusions = [exclusion_of(pixels, bundle) for pixels in pictures]
    kinds = Counter(exclusion.kind for exclusion in exclusions if exclusion is not None)
    count, n = sum(kinds.values()), len(exclusions)
    why = ", ".join(f"{kind} {k}" for kind, k in kinds.most_common())
    return f"{count} of {n}: {percent_with_interval(count / n, wilson_interval(count, n))}" + (f"; {why}" if why else "")


def captures(bundle: Bundle, data: Path, cells: Path) -> list[np.ndarray]:
    """The pictures that the bundle's training never saw, uint8 RGB at their own resolution."""
    training = bundle.manifest.training
    assert training is not None
    seen = set(training.seen)
    folder = cells if training.dataset == "synthetic" else data / FOLDERS[training.dataset]
    return [read_rgb(sample.path) for sample in open_dataset(folder).samples if sample.sha256[:12] not in seen]


def background(data: Path, side: int = 224) -> list[np.ndarray]:
    """One window a frame of BCCD that touches no white cell and no platelet, where there is one."""
    rng, found = np.random.default_rng(0), []
    for field in read_marks(data / "BCCD", ("WBC", "Platelets"))[1]:
        frame = read_rgb(field.file)
        for _ in range(60):
            x, y = int(rng.integers(0, frame.shape[1] - side)), int(rng.integers(0, frame.shape[0] - side))
            if all(x1 < x or x0 > x + side or y1 < y or y0 > y + side for x0, y0, x1, y1 in field.boxes):
                found.append(frame[y : y + side, x : x + side])
                break
    return found


def white_cells(data: Path) -> list[np.ndarray]:
    """BCCD's white cells, each in a square half as wide again as its box."""
    found = []
    for field in read_marks(data / "BCCD")[1]:
        frame = read_rgb(field.file)
        for x0, y0, x1, y1 in field.boxes:
            half = round(0.75 * max(x1 - x0, y1 - y0))
            x, y = (x0 + x1) // 2, (y0 + y1) // 2
            found.append(frame[max(y - half, 0) : y + half, max(x - half, 0) : x + half])
    return found


def blasts(data: Path, half: int = 128) -> list[np.ndarray]:
    """ALL-IDB1's blasts in squares as ALL-IDB2's cells were cropped, those that lie inside."""
    found = []
    for field in read_marks(data / "ALL_IDB1")[1]:
        frame = read_rgb(field.file)
        for x, y in ((round(x), round(y)) for x, y in field.centroids):
            square = frame[max(y - half, 0) : y + half + 1, max(x - half, 0) : x + half + 1]
            if square.shape[:2] == (2 * half + 1, 2 * half + 1):
                found.append(square)
    return found


def empty_fields(fields: Iterable[np.ndarray], side: int = 80) -> list[np.ndarray]:
    """Parts of fields where nothing is as purple or blue as a third of the field's cells, each mirrored to a whole field."""
    rng, found = np.random.default_rng(0), []
    for field in fields:
        logs = np.log(cv2.blur(field, (5, 5)) + 4.0)
        purple = (logs[..., 0] + logs[..., 2]) / 2 - logs[..., 1]
        hot = purple > 0.35 * np.partition(purple.ravel(), -250)[-250]
        for _ in range(40):
            x, y = rng.integers(0, 200 - side, 2).tolist()  # below and right of 200: the scale bar
            if np.count_nonzero(hot[y : y + side, x : x + side]) < 4:
                rest = ((0, field.shape[0] - side), (0, field.shape[1] - side), (0, 0))
                found.append(np.pad(field[y : y + side, x : x + side], rest, mode="symmetric"))
                break
    return found


def cost(bundle: Bundle, pictures: list[np.ndarray]) -> str:
    """Median of the gate's and of `invoke()`'s time, in turns."""
    classifier = open_classifier(bundle)
    gate_ms, invoke_ms = [], []
    for pixels in (pictures * 10)[:500]:
        started = time.perf_counter_ns()
        exclusion_of(pixels, bundle)
        gated = time.perf_counter_ns()
        classifier.runtime.invoke(pixels[np.newaxis])
        gate_ms.append((gated - started) / 1e6)
        invoke_ms.append((time.perf_counter_ns() - gated) / 1e6)
    gate, invoke = float(np.median(gate_ms)), float(np.median(invoke_ms))
    return f"{gate:.3f} ms, invoke() {invoke:.3f} ms, ratio {gate / invoke:.3f}"


def lines(bundle: Bundle, data: Path, cells: Path) -> Iterable[str]:
    """A bundle's section of docs/evidence/quality-gates.md."""
    manifest = bundle.manifest
    raw = captures(bundle, data, cells)
    good = [crop_and_resize(pixels, manifest.input) for pixels in raw]
    yield f"## {manifest.name}\n"
    yield "| pictures | refused |\n|---|---|"
    yield f"| unseen | {refused(good, bundle)} |"
    for sigma in NOISE:
        noisy = (add_gaussian_noise(pixels, sigma, noise_rng(0, i, sigma)) for i, pixels in enumerate(raw))
        yield f"| unseen, noise sigma {sigma:g} | {refused((crop_and_resize(one, manifest.input) for one in noisy), bundle)} |"
    for name, change in FAULTS.items():
        yield f"| {name} | {refused(map(change, good), bundle)} |"
    dataset = manifest.training.dataset if manifest.training is not None else ""
    if dataset == "c-nmc":
        for sigma in (1, 2, 3, 5):
            yield f"| blur inside a sharp outline, sigma {sigma} | {refused(map(blurred_then_cut_out(sigma), good), bundle)} |"
    if dataset == "taleqani":
        yield f"| empty: parts without white cells, mirrored | {refused(empty_fields(good), bundle)} |"
    if dataset in ("taleqani", "all-idb2"):
        windows = [crop_and_resize(window, manifest.input) for window in background(data)]
        yield f"| empty: background of BCCD | {refused(windows, bundle)} |"
    if dataset == "all-idb2":
        found = [crop_and_resize(cell, manifest.input) for cell in blasts(data)]
        yield f"| ALL-IDB1's blasts, some of them seen in ALL-IDB2 | {refused(found, bundle)} |"
    if dataset in ("c-nmc", "all-idb2"):
        others = [crop_and_resize(cell, manifest.input) for cell in white_cells(data)]
        yield f"| BCCD's white cells, another laboratory's | {refused(others, bundle)} |"
    yield f"\nCost: {cost(bundle, good)}.\n"


if __name__ == "__main__":
    for one in shipped():
        for line in lines(one, Path(sys.argv[1]), Path(sys.argv[2])):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
