"""Labelled folders of blood-smear images in their native layouts.

Taleqani    Original/{Benign,Early,Pre,Pro}/*.jpg              whole fields       Aria et al. 2021
C-NMC 2019  [training_data/]fold_*/{all,hem}/UID_*             one segmented cell Gupta et al., TCIA
ALL-IDB2    [img/]ImNNN_{1,0}.tif                              one centred cell   Scotti et al. 2011
synthetic   {blast,healthy}/*.png beside synthetic.json        one centred cell   `leukolite synthetic`
folders     CLASS/**                                           as the user says
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from leukolite import synthetic
from leukolite.classes import LONGEST_LABEL, is_label
from leukolite.errors import DatasetError, ImageError
from leukolite.images import SUFFIXES, is_image_name, read_rgb
from leukolite.manifest import Unit
from leukolite.preprocess import InputSpec, crop_and_resize
from leukolite.wording import count

TALEQANI_CLASSES = ("Benign", "Early", "Pre", "Pro")
CNMC_CLASSES = ("all", "hem")
_CNMC_NAME = re.compile(r"^UID_(H?\d+)_\d+_\d+_(all|hem)$", re.IGNORECASE)
_ALLIDB2_NAME = re.compile(r"^Im\d+_([01])$", re.IGNORECASE)
ALLIDB2_CLASSES = ("healthy", "lymphoblast")  # the names' _0 and _1
LARGEST_ALLIDB2_SIDE = 514  # pixels: twice what its cells have
SYNTHETIC_MARK = "synthetic.json"


@dataclass(frozen=True)
class Sample:
    """One labelled image file.

    Attributes:
        path: the file.
        label: index into the dataset's labels.
        subject: whose blood it is, where the file's name says so.
        sha256: of the file's bytes, 64 hex digits.
    """

    path: Path
    label: int
    subject: str | None
    sha256: str


@dataclass(frozen=True)
class Unusable:
    """A file that cannot be used, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Dataset:
    """What a data folder holds.

    Attributes:
        layout: 'taleqani', 'c-nmc', 'all-idb2', 'synthetic' or 'folders'.
        unit: what one image shows, a cell or a field; None where the layout does not say.
        malignant: those of the labels that mean leukaemia; empty where the layout does not say.
        unusable: files that were skipped, each with its reason; never silently.

    Raises:
        DatasetError: a class's name cannot be a label.
    """

    root: Path
    layout: str
    unit: Unit | None
    labels: tuple[str, ...]
    malignant: tuple[str, ...]
    samples: tuple[Sample, ...]
    unusable: tuple[Unusable, ...]

    def __post_init__(self) -> None:
        for label in self.labels:
            if not is_label(label):
                raise DatasetError(
                    f"{self.root}: {label!r} cannot be a class's name: expected UTF-8, one line of at most {LONGEST_LABEL}"
                    " characters and none that controls a terminal; rename its folder"
                )

    def counts(self, indices: Iterable[int] | None = None) -> dict[str, int]:
        """Images a class, of all samples or of those at `indices`."""
        chosen = self.samples if indices is None else [self.samples[i] for i in indices]
        tally = Counter(sample.label for sample in chosen)
        return {label: tally[k] for k, label in enumerate(self.labels)}

    def fingerprint(self) -> str:
        """SHA-256 over every image's hash and label, whatever the files' order and place."""
        lines = sorted(f"{sample.sha256} {self.labels[sample.label]}" for sample in self.samples)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def open_dataset(root: Path) -> Dataset:
    """Recognise the layout below `root` and list its images; pixels are not decoded yet.

    Raises:
        DatasetError: no such folder, an unknown layout, or a class without an image.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; expected a data folder (Taleqani, C-NMC, ALL-IDB2, or a folder a class)")
    for recognise in (_taleqani, _cnmc, _allidb2, _synthetic, _class_folders):
        found = recognise(root)
        if found is not None:
            return _with_hashes(found, root)
    raise DatasetError(
        f"{root}: unknown layout; expected Original/{{{','.join(TALEQANI_CLASSES)}}}, fold_*/{{all,hem}},"
        " ImNNN_{0,1}.tif, or two or more folders, one a class, with images"
    )


def load_images(dataset: Dataset, spec: InputSpec, on_image: Callable[[], None] = lambda: None) -> tuple[Dataset, np.ndarray]:
    """Decode every image once, cropped and resized for the network.

    Args:
        on_image: called after each file, for a progress bar.

    Returns:
        The dataset of those that could be decoded (the others joined `unusable`), and their pixels, uint8 RGB of
        shape (n, spec.height, spec.width, 3), in the samples' order.

    Raises:
        DatasetError: a class has no image that can be decoded.
    """
    pixels = np.empty((len(dataset.samples), spec.height, spec.width, 3), np.uint8)
    kept: list[Sample] = []
    unusable = list(dataset.unusable)
    for sample in dataset.samples:
        try:
            pixels[len(kept)] = crop_and_resize(read_rgb(sample.path), spec)
            kept.append(sample)
        except ImageError as error:
            unusable.append(Unusable(sample.path, error.reason))
        on_image()
    readable = replace(dataset, samples=tuple(kept), unusable=tuple(unusable))
    _refuse_empty_classes(readable)
    return readable, pixels[: len(kept)]


def describe_unusable(unusable: Iterable[Unusable], limit: int = 10) -> list[str]:
    """Lines for the terminal: how many files were skipped, and each one's name and reason, up to `limit`."""
    listed = list(unusable)
    if not listed:
        return []
    lines = [f"{count(len(listed), 'file')} skipped:"]
    lines += [f"  {item.path}: {item.reason}" for item in listed[:limit]]
    return lines + ([f"  ... and {len(listed) - limit} more"] if len(listed) > limit else [])


@dataclass(frozen=True)
class _Listing:
    layout: str
    unit: Unit | None
    labels: tuple[str, ...]
    malignant: tuple[str, ...]
    files: list[tuple[Path, int, str | None]]  # path, label, subject
    unusable: list[Unusable]


def _taleqani(root: Path) -> _Listing | None:
    folder = root / "Original" if (root / "Original").is_dir() else root
    if not all((folder / name).is_dir() for name in TALEQANI_CLASSES):
        return None
    files, unusable = _files_a_class([folder], TALEQANI_CLASSES)
    return _Listing("taleqani", "field", TALEQANI_CLASSES, TALEQANI_CLASSES[1:], files, unusable)


def _cnmc(root: Path) -> _Listing | None:
    named = [root] if root.resolve().name.startswith("fold_") else []
    named += [path for pattern in ("fold_*", "*/fold_*") for path in sorted(root.glob(pattern))]
    folds = [fold for fold in named if all((fold / name).is_dir() for name in CNMC_CLASSES)]
    if not folds:
        return None
    listed, unusable = _files_a_class(folds, CNMC_CLASSES)
    unusable += [Unusable(fold, "a fold needs the folders all and hem") for fold in named if fold not in folds]
    files: list[tuple[Path, int, str | None]] = []
    for path, label, _ in listed:
        name = _CNMC_NAME.match(path.stem)
        if name is None or name[2].lower() != CNMC_CLASSES[label]:
            wanted = f"UID_<subject>_<image>_<cell>_{CNMC_CLASSES[label]}"
            unusable.append(Unusable(path, f"its name is not {wanted}, so its subject is unknown"))
        else:
            files.append((path, label, name[1].upper()))
    return _Listing("c-nmc", "cell", CNMC_CLASSES, ("all",), files, unusable)


def _allidb2(root: Path) -> _Listing | None:
    for folder in (root, root / "img"):
        if not folder.is_dir():
            continue
        entries = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
        named = {path: _ALLIDB2_NAME.match(path.stem) for path in entries}
        files = [(path, int(name[1]), None) for path, name in named.items() if name and is_image_name(path)]
        if files:
            _refuse_whole_fields(files[0][0])
            others = set(entries) - {path for path, _, _ in files}
            unusable = [Unusable(path, "its name is not ImNNN_0.tif or ImNNN_1.tif") for path in sorted(others)]
            return _Listing("all-idb2", "cell", ALLIDB2_CLASSES, ("lymphoblast",), list(files), unusable)
    return None


def _refuse_whole_fields(path: Path) -> None:
    """ALL-IDB1's files are named like ALL-IDB2's but show whole fields, not one cell."""
    try:
        height, width = read_rgb(path).shape[:2]
    except ImageError:
        return  # named when the images are decoded
    if max(height, width) > LARGEST_ALLIDB2_SIDE:
        raise DatasetError(
            f"{path}: {width}x{height} is a whole field, as in ALL-IDB1; expected ALL-IDB2's images of one cell (257x257)"
        )


def _synthetic(root: Path) -> _Listing | None:
    if not (root / SYNTHETIC_MARK).is_file():
        return None
    files, unusable = _files_a_class([root], synthetic.LABELS)
    return _Listing("synthetic", "cell", synthetic.LABELS, synthetic.MALIGNANT, files, unusable)


def _class_folders(root: Path) -> _Listing | None:
    classes = tuple(sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")))
    if len(classes) < 2:
        return None
    files, unusable = _files_a_class([root], classes)
    if not files:
        return None
    stray = [path for path in sorted(root.iterdir()) if path.is_file() and is_image_name(path)]
    unusable += [Unusable(path, "it lies beside the class folders, so its class is unknown") for path in stray]
    return _Listing("folders", None, classes, (), files, unusable)


def _files_a_class(parents: list[Path], classes: tuple[str, ...]) -> tuple[list[tuple[Path, int, str | None]], list[Unusable]]:
    files: list[tuple[Path, int, str | None]] = []
    unusable: list[Unusable] = []
    for label, name in enumerate(classes):
        for parent in parents:
            found, closed = _files_below(parent / name)
            unusable += closed
            for path in found:
                if is_image_name(path):
                    files.append((path, label, None))
                else:
                    unusable.append(Unusable(path, f"not an image's name; expected {', '.join(sorted(SUFFIXES))}"))
    return files, unusable


def _files_below(folder: Path) -> tuple[list[Path], list[Unusable]]:
    """Every file that is not hidden, nor in a hidden folder; and the folders that cannot be read."""
    files: list[Path] = []
    closed: list[Unusable] = []

    def note(error: OSError) -> None:
        closed.append(Unusable(Path(error.filename), f"folder cannot be read ({error.strerror})"))

    for place, folders, names in os.walk(folder, onerror=note):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(place) / name for name in names if not name.startswith(".")]
    return sorted(files), closed


def _with_hashes(listing: _Listing, root: Path) -> Dataset:
    samples: list[Sample] = []
    unusable = list(listing.unusable)
    for path, label, subject in listing.files:
        try:
            samples.append(Sample(path, label, subject, hashlib.sha256(path.read_bytes()).hexdigest()))
        except OSError as error:
            unusable.append(Unusable(path, f"cannot be read ({error.strerror})"))
    samples, contradictory = _without_contradictions(samples, listing.labels)
    dataset = Dataset(
        root, listing.layout, listing.unit, listing.labels, listing.malignant, tuple(samples), (*unusable, *contradictory)
    )
    _refuse_empty_classes(dataset)
    return dataset


def _without_contradictions(samples: list[Sample], labels: tuple[str, ...]) -> tuple[list[Sample], list[Unusable]]:
    """Set aside images whose very bytes stand in two classes: nobody can learn or measure by them."""
    label_of: dict[str, set[int]] = {}
    for sample in samples:
        label_of.setdefault(sample.sha256, set()).add(sample.label)
    clear = [sample for sample in samples if len(label_of[sample.sha256]) == 1]
    contradictory = [
        Unusable(sample.path, f"the same bytes stand in {' and '.join(labels[k] for k in sorted(label_of[sample.sha256]))}")
        for sample in samples
        if len(label_of[sample.sha256]) > 1
    ]
    return clear, contradictory


def _refuse_empty_classes(dataset: Dataset) -> None:
    empty = [label for label, n in dataset.counts().items() if n == 0]
    if empty:
        detail = f" ({describe_unusable(dataset.unusable, 1)[1].strip()})" if dataset.unusable else ""
        raise DatasetError(f"{dataset.root}: no usable image of class {', '.join(empty)}{detail}; every class needs some")
