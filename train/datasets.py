"""Labelled folders of blood-smear images in their native layouts.

Taleqani    Original/{Benign,Early,Pre,Pro}/*.jpg              whole fields       Aria et al. 2021
C-NMC 2019  [training_data/]fold_*/{all,hem}/UID_*             one segmented cell Gupta et al., TCIA
ALL-IDB2    [img/]ImNNN_{1,0}.tif                              one centred cell   Scotti et al. 2011
synthetic   {blast,healthy}/*.png beside synthetic.json        one centred cell   `leukolite synthetic`
folders     CLASS/**                                           as the user says
table       a CSV of labels beside them                        as the user says

Names match whatever their case; wrapper folders and the parts of a split may lie around the classes.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from leukolite import synthetic
from leukolite.class_folders import BESIDE, PARTS, find_class_folders, parts_of
from leukolite.classes import LONGEST_LABEL, is_label, label_key, taken_meaning
from leukolite.errors import DatasetError, ImageError, reason_of
from leukolite.image_files import SYNTHETIC_MARK, ImageList, Unusable, by_kind_of_file, list_images, without_second_names
from leukolite.images import read_rgb, size_of
from leukolite.manifest import Unit
from leukolite.people import person_key
from leukolite.places import problem_at
from leukolite.preprocess import InputSpec, crop_and_resize
from leukolite.train.label_table import CNMC_NAME, LabelTable, read_labels_of
from leukolite.train.subjects import SubjectPattern, first_spelling
from leukolite.wording import count

TALEQANI_CLASSES = ("Benign", "Early", "Pre", "Pro")
CNMC_CLASSES = ("all", "hem")
FOLD_NAME = re.compile(r"fold[\W_]*(\d+)$", re.IGNORECASE)
_ALLIDB2_NAME = re.compile(r"^Im\d+_([01])$", re.IGNORECASE)
ALLIDB2_CLASSES = ("healthy", "lymphoblast")  # the names' _0 and _1
LARGEST_ALLIDB2_SIDE = 514  # pixels: twice what its cells have
MOST_FOLDERS = 8  # that an error names


@dataclass(frozen=True)
class Sample:
    """One labelled image file.

    Attributes:
        path: the file.
        label: index into the dataset's labels.
        subject: whose blood it is, where the file's name, the table or a pattern says so; of one spelling in a dataset.
        sha256: of the file's bytes, 64 hex digits.
        part: 'train', 'validation' or 'test' where folders or the table split the data, of all its samples; else None.
        linked: name of the person, where pictures link several ids into one; see `leukolite.train.people`.
    """

    path: Path
    label: int
    subject: str | None
    sha256: str
    part: str | None = None
    linked: str | None = None

    @property
    def person(self) -> str | None:
        """Whose blood it is, linked ids counted as one person."""
        return self.linked or self.subject


@dataclass(frozen=True)
class Dataset:
    """What a data folder holds.

    Attributes:
        layout: 'taleqani', 'c-nmc', 'all-idb2', 'synthetic', 'folders' or 'table'.
        unit: what one image shows, a cell or a field; None where the layout does not say.
        malignant: those of the labels that mean leukaemia; empty where the layout does not say.
        unusable: files that were skipped, each with its reason; never silently.
        table: that said the labels; None where folders and names did.
        splits_by: what makes the parts, in words.
        notes: what a person should know of how the data was read, a line each.
        subject_from: the pattern that said the subjects; None where names or the table did.

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
    table: LabelTable | None = None
    splits_by: str = "its folders"
    notes: tuple[str, ...] = ()
    subject_from: SubjectPattern | None = None

    def __post_init__(self) -> None:
        for label in self.labels:
            if not is_label(label):
                raise DatasetError(
                    f"{self.root}: {label!r} cannot be a class's name: expected UTF-8, one line of at most {LONGEST_LABEL}"
                    " characters and none that controls a terminal or turns the direction of text; rename its folder"
                )
        if taken := taken_meaning(self.labels):
            raise DatasetError(f"{self.root}: {taken}; rename the class's folder, or its label in the table")

    def counts(self, indices: Iterable[int] | None = None) -> dict[str, int]:
        """Images a class, of all samples or of those at `indices`."""
        chosen = self.samples if indices is None else [self.samples[i] for i in indices]
        tally = Counter(sample.label for sample in chosen)
        return {label: tally[k] for k, label in enumerate(self.labels)}

    @property
    def parts(self) -> dict[str, tuple[int, ...]]:
        """Indices of the samples in each part that folders or the table make; empty where they make none."""
        found = {part: tuple(i for i, sample in enumerate(self.samples) if sample.part == part) for part in PARTS}
        return {part: indices for part, indices in found.items() if indices}

    @property
    def names_people(self) -> bool:
        """Every picture's person is known."""
        return bool(self.samples) and all(sample.subject is not None for sample in self.samples)

    def fingerprint(self) -> str:
        """SHA-256 over every image's hash and label, whatever the files' order and place."""
        lines = sorted(f"{sample.sha256} {self.labels[sample.label]}" for sample in self.samples)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def open_dataset(root: Path, table: LabelTable | None = None, subject_from: SubjectPattern | None = None) -> Dataset:
    """Recognise the layout below `root` and list its images; pixels are not decoded yet.

    Args:
        table: says the labels; None: folders and names do.
        subject_from: says whose blood each picture is of, whatever names or the table say; None: those do.

    Raises:
        DatasetError: no such folder, an unknown layout, folders that are no classes, a class without an image, or a picture whose
            path the pattern does not fit.
    """
    dataset = _opened(root, table)
    return dataset if subject_from is None else with_subjects(dataset, subject_from)


def with_subjects(dataset: Dataset, subject_from: SubjectPattern) -> Dataset:
    """The dataset with the subjects that a pattern finds in its files' paths.

    Raises:
        DatasetError: a picture's path does not fit.
    """
    subjects = subject_from.subjects([sample.path for sample in dataset.samples], dataset.root)
    named = tuple(replace(sample, subject=subject) for sample, subject in zip(dataset.samples, subjects, strict=True))
    return replace(dataset, samples=named, subject_from=subject_from)


def _opened(root: Path, table: LabelTable | None) -> Dataset:
    if problem := problem_at(root, "folder"):
        raise DatasetError(f"{root}: {problem}; expected a data folder (Taleqani, C-NMC, ALL-IDB2, or a folder a class)")
    try:
        listed = list_images(root)
    except OSError as error:
        raise DatasetError(f"{root}: cannot be read ({reason_of(error)})") from error
    if table is not None:
        return replace(_with_hashes(_of_table(listed, table), root), table=table)
    for recognise in (_taleqani, _cnmc, _allidb2, _class_folders):
        found = recognise(listed)
        if found is not None:
            return _with_hashes(found, root)
    has_table = any(item.path.suffix.lower() in (".csv", ".tsv") for item in listed.skipped)
    raise DatasetError(
        f"{root}: unknown layout; expected Original/{{{','.join(TALEQANI_CLASSES)}}}, fold_*/{{all,hem}},"
        f" ImNNN_{{0,1}}.tif, or two or more folders, one a class, with images; found {_what_is_there(listed)}",
        advice="labels-csv" if has_table else None,
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
    refuse_empty_classes(readable)
    return readable, pixels[: len(kept)]


@dataclass(frozen=True)
class _Listing:
    """What a layout makes of a folder. Its files' order is that of the dataset, by which a seed splits it."""

    layout: str
    unit: Unit | None
    labels: tuple[str, ...]
    malignant: tuple[str, ...]
    files: list[tuple[Path, int, str | None]]  # path, label, subject
    unusable: list[Unusable]
    parts: dict[Path, str] | None = None  # None: folders make them
    splits_by: str = "its folders"
    notes: tuple[str, ...] = ()


def _taleqani(listed: ImageList) -> _Listing | None:
    """Its four folders, whatever lies beside them; those in `Original`, where that is beside its `Segmented` twin."""
    keys = {label_key(label) for label in TALEQANI_CLASSES}
    places = [folder for folder, names in _names_below(listed).items() if keys <= names]
    originals = [folder for folder in places if label_key(folder.name) == "original"]
    place = next((found[0] for found in (places, originals) if len(found) == 1), None)
    if place is None:
        return None
    label_of = {label_key(label): k for k, label in enumerate(TALEQANI_CLASSES)}
    files: list[tuple[Path, int, str | None]] = []
    unusable = list(listed.skipped)
    outside: Counter[Path] = Counter()
    for image in listed.images:
        inner = image.relative_to(place).parts if image.is_relative_to(place) else ()
        label = label_of.get(label_key(inner[0])) if len(inner) > 1 else None
        if label is not None:
            files.append((image, label, None))
        elif len(image.relative_to(listed.root).parts) > 1:
            outside[_branch(image, place, listed.root)] += 1
        else:
            unusable.append(Unusable(image, BESIDE))
    unusable += [Unusable(folder, f"none of the four classes' folders ({count(n, 'image')})", n) for folder, n in outside.items()]
    return _Listing("taleqani", "field", TALEQANI_CLASSES, TALEQANI_CLASSES[1:], _by_class(files), unusable)


def _cnmc(listed: ImageList) -> _Listing | None:
    """Folders `all` and `hem`, in folds or not, with files named as C-NMC's: by their names, since folds are no classes."""
    names: dict[Path, str] = {}
    for image in listed.images:
        within = [label_key(name) for name in image.relative_to(listed.root).parts[:-1]]
        if (name := next((name for name in reversed(within) if name in CNMC_CLASSES), None)) is not None:
            names[image] = name
    named = {image: found for image in names if (found := CNMC_NAME.match(image.stem)) is not None}
    folds = [folder for folder in listed.folders if FOLD_NAME.match(folder.name)]
    if not named or not (folds or FOLD_NAME.match(listed.root.resolve().name) or 2 * len(named) > len(listed.images)):
        return None
    names_below = _names_below(listed)
    partial = [fold for fold in folds if not set(CNMC_CLASSES) <= names_below.get(fold, set())]
    in_partial = {image: fold for image in listed.images for fold in partial if image.is_relative_to(fold)}
    files: list[tuple[Path, int, str | None]] = []
    unusable = list(listed.skipped)
    for fold in partial:
        n = sum(place == fold for place in in_partial.values())
        unusable.append(Unusable(fold, f"a fold needs the folders all and hem ({count(n, 'image')})", n))
    for image in listed.images:
        if image in in_partial:
            continue
        if image not in names:
            unusable.append(Unusable(image, "in no folder all or hem; a table of labels may name its class"))
        elif image not in named or named[image][2].lower() != names[image]:
            wanted = f"UID_<subject>_<image>_<cell>_{names[image]}"
            unusable.append(Unusable(image, f"its name is not {wanted}, so its subject is unknown"))
        else:
            files.append((image, CNMC_CLASSES.index(names[image]), named[image][1].upper()))
    return _Listing("c-nmc", "cell", CNMC_CLASSES, ("all",), _by_class(files), unusable)


def _allidb2(listed: ImageList) -> _Listing | None:
    """Files whose names tell their class, all in one folder or both classes in each."""
    named = {image: found for image in listed.images if (found := _ALLIDB2_NAME.match(image.stem)) is not None}
    folders: dict[Path, set[str]] = {}
    for image, found in named.items():
        folders.setdefault(image.parent, set()).add(found[1])
    if not named or 2 * len(named) < len(listed.images) or (len(folders) > 1 and {"0", "1"} not in folders.values()):
        return None
    whole = {image: size for image in named if max(size := _size_of(image)) > LARGEST_ALLIDB2_SIDE}
    if len(whole) == len(named):
        path, (width, height) = next(iter(whole.items()))
        raise DatasetError(
            f"{path}: {width}x{height} is a whole field, as in ALL-IDB1; expected ALL-IDB2's images of one cell (257x257)"
        )
    files: list[tuple[Path, int, str | None]] = [
        (image, int(found[1]), None) for image, found in named.items() if image not in whole
    ]
    unusable = list(listed.skipped)
    unusable += [Unusable(path, f"whole field, as in ALL-IDB1 ({w}x{h})") for path, (w, h) in whole.items()]
    unusable += [Unusable(path, "its name is not ImNNN_0.tif or ImNNN_1.tif") for path in listed.images if path not in named]
    return _Listing("all-idb2", "cell", ALLIDB2_CLASSES, ("lymphoblast",), files, unusable)


def _size_of(path: Path) -> tuple[int, int]:
    """Width and height by the header alone; 0x0 of a file that is named when the images are decoded."""
    try:
        return size_of(path)
    except ImageError:
        return 0, 0


def _class_folders(listed: ImageList) -> _Listing | None:
    """Any other folders, one a class; those of `leukolite synthetic` among them."""
    found = find_class_folders(listed, (synthetic.LABELS, CNMC_CLASSES, TALEQANI_CLASSES))
    if found is None:
        return None
    is_synthetic = {label_key(label) for label in found.labels} == set(synthetic.LABELS) and any(
        (folder / SYNTHETIC_MARK).is_file() for folder in (listed.root, *listed.folders)
    )
    is_taleqani = {label_key(label) for label in found.labels} == {label_key(label) for label in TALEQANI_CLASSES}
    labels = synthetic.LABELS if is_synthetic else TALEQANI_CLASSES if is_taleqani else found.labels
    number = {label_key(label): k for k, label in enumerate(labels)}
    files = _by_class(
        [(image, number[label_key(found.label_of[image])], None) for image in listed.images if image in found.label_of]
    )
    unusable = [*listed.skipped, *found.unusable]
    if is_synthetic:
        return _Listing("synthetic", "cell", labels, synthetic.MALIGNANT, files, unusable)
    if is_taleqani:  # in the parts of a split
        return _Listing("taleqani", "field", labels, labels[1:], files, unusable)
    return _Listing("folders", None, labels, (), files, unusable)


def _of_table(listed: ImageList, table: LabelTable) -> _Listing:
    found = read_labels_of(listed, table)
    spelling: dict[str, str] = {}
    for file in found.files:
        spelling.setdefault(label_key(file.label), file.label)
    labels = CNMC_CLASSES if found.is_cnmc else tuple(sorted(spelling.values()))
    if len(labels) < 2:
        raise DatasetError(f"{table.path}: expected two or more labels, found {', '.join(labels)} alone")
    number = {label_key(label): k for k, label in enumerate(labels)}
    files: list[tuple[Path, int, str | None]] = [(file.path, number[label_key(file.label)], file.subject) for file in found.files]
    own = table.path.resolve()
    unusable = [item for item in listed.skipped if item.path.resolve() != own] + list(found.unusable)
    parts = {file.path: file.part for file in found.files if file.part is not None}
    notes = []
    if len(set(parts.values())) == 1:
        notes.append(f"{table.path}: column {found.split_column} says {next(iter(parts.values()))} of all, so it is no split")
        parts = {}
    if found.unused_columns:
        notes.append(f"{table.path}: columns not used: {', '.join(found.unused_columns)}")
    layout, malignant = ("c-nmc", ("all",)) if found.is_cnmc else ("table", ())
    unit: Unit | None = "cell" if found.is_cnmc else None
    splits_by = "its folders" if found.split_column is None else f"column {found.split_column} of {table.path.name}"
    return _Listing(
        layout,
        unit,
        labels,
        malignant,
        _by_class(files),
        unusable,
        None if found.split_column is None else parts,
        splits_by,
        tuple(notes),
    )


def _by_class(files: Iterable[tuple[Path, int, str | None]]) -> list[tuple[Path, int, str | None]]:
    """Class by class, within each as they are."""
    return sorted(files, key=lambda file: file[1])


def _names_below(listed: ImageList) -> dict[Path, set[str]]:
    """Keys of the folders right in each folder that has some."""
    names: dict[Path, set[str]] = {}
    for folder in listed.folders:
        names.setdefault(folder.parent, set()).add(label_key(folder.name))
    return names


def _branch(image: Path, place: Path, root: Path) -> Path:
    """The highest folder with an image in it that does not hold `place`."""
    return next(folder for folder in reversed(image.parents) if folder.is_relative_to(root) and not place.is_relative_to(folder))


def _what_is_there(listed: ImageList) -> str:
    folders = [folder for folder in listed.folders if folder.parent == listed.root]
    inside = {folder: sum(image.is_relative_to(folder) for image in listed.images) for folder in folders[:MOST_FOLDERS]}
    names = ", ".join(f"{folder.name} ({count(n, 'image')})" for folder, n in inside.items())
    more = f" and {len(folders) - len(inside)} more" if len(folders) > len(inside) else ""
    beside = sum(image.parent == listed.root for image in listed.images)
    skipped = f", skipped: {by_kind_of_file(listed.skipped)}" if listed.skipped else ""
    if not folders:
        return f"{count(len(listed.images), 'image')} in no folder below it{skipped}"
    loose = f", and {count(beside, 'image')} in none" if beside else ""
    return f"the {'folder' if len(folders) == 1 else 'folders'} {names}{more}{loose}{skipped}"


def _with_hashes(listing: _Listing, root: Path) -> Dataset:
    unusable = list(listing.unusable)
    once: set[Path] = set()
    for label in range(len(listing.labels)):
        kept, second = without_second_names([path for path, its_label, _ in listing.files if its_label == label])
        once.update(kept)
        unusable += second
    files = [file for file in listing.files if file[0] in once]
    part_of = listing.parts
    if part_of is None:
        part_of = parts_of(root, {path: listing.labels[label] for path, label, _ in files})
    samples: list[Sample] = []
    spelling = first_spelling(subject for _, _, subject in files if subject is not None)
    for path, label, subject in files:
        whose = None if subject is None else spelling[person_key(subject)]
        try:
            samples.append(Sample(path, label, whose, hashlib.sha256(path.read_bytes()).hexdigest(), part_of.get(path)))
        except OSError as error:
            unusable.append(Unusable(path, f"cannot be read ({reason_of(error)})"))
    samples, contradictory = _without_contradictions(samples, listing.labels)
    dataset = Dataset(
        root,
        listing.layout,
        listing.unit,
        listing.labels,
        listing.malignant,
        tuple(samples),
        (*unusable, *contradictory),
        splits_by=listing.splits_by,
        notes=listing.notes,
    )
    refuse_empty_classes(dataset)
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


def refuse_empty_classes(dataset: Dataset) -> None:
    """Raises: DatasetError, if a class has no image, naming one that was skipped."""
    empty = [label for label, n in dataset.counts().items() if n == 0]
    if empty:
        keys = {label_key(label) for label in empty}
        of_it = [item for item in dataset.unusable if keys & {label_key(name) for name in item.path.parts}]
        telling = (of_it or dataset.unusable)[-1:]  # what the decoder refused comes last
        detail = "".join(f" ({item.path}: {item.reason})" for item in telling)
        raise DatasetError(f"{dataset.root}: no usable image of class {', '.join(empty)}{detail}; every class needs some")
