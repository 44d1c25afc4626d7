"""Where the classes of a folder of pictures lie, whoever packed it: which folders are classes, which are parts of a split,
and which are neither, such as wrappers, folds, masks and the two treatments of one picture."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from leukolite.classes import label_key
from leukolite.errors import DatasetError
from leukolite.image_files import ImageList, Unusable

BESIDE = "it lies beside the class folders, so its class is unknown"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


PARTS = ("train", "validation", "test")
_PART_OF_WORD = {
    **dict.fromkeys(("train", "training", "trainset", "traindata", "trn"), "train"),
    **dict.fromkeys(
        ("val", "valid", "validation", "validate", "valset", "validset", "valdata", "dev", "eval", "evaluation"), "validation"
    ),
    **dict.fromkeys(("test", "testing", "testset", "testdata", "tst", "holdout", "unseen"), "test"),
}
_SAYS_NOTHING = _set(
    "cnmc data dataset datasets files final folder image images img imgs of part phase pictures prelim set sets split the"
)
_TREATMENTS = _set(  # of one picture, or what lies beside it
    "annotated annotation annotations aug augmentation augmentations augmented bbox bboxes boxes contours cropped binary"
    " blurred clean crops denoised enhanced filtered gray grayscale grey groundtruth gt heatmaps imagesets hr hsv input"
    " inputs jpegimages json label labels left lowres lr macenko mask masked masks noisy normalised normalized original"
    " originals output outputs overlay overlays patches photo photos picture preprocessed processed raw resized results rgb"
    " right segmentation segmentationclass segmentations segmented stain thumbnails tiles truth ground unlabeled unlabelled"
    " xml bmp jpeg jpg png tif tiff"
)
_NO_PICTURES = _set("annotation annotations groundtruth gt labels mask masks overlays segmentation segmented")  # within a class
_NUMBERED = _set(  # of one thing several, where a number or a letter follows
    "batch case center centre chunk clinic cohort cv day device donor exp experiment fold hospital kfold lab microscope"
    " part pat patient person pt run sample scan scanner section series session set site slide smear specimen split study"
    " subject trial visit vol volume wsi uid id no nr number user operator observer week month year day timepoint replicate"
    " cam camera field fov frame plate well"
)
_TIMES = _set("before after baseline followup")  # of one patient, whatever else the name says
_DAYS = _set(
    "january february march april may june july august september october november december jan feb mar apr jun jul aug sep sept"
    " oct nov dec monday tuesday wednesday thursday friday saturday sunday"
)
_DATE = re.compile(r"(?:19|20)\d\d(?:[-_. ]?(?:0[1-9]|1[0-2])(?:[-_. ]?[0-3]\d)?)?|[0-3]?\d[-_. ][0-3]?\d[-_. ](?:19|20)\d\d")
_NUMBERED_LETTER = re.compile(r"[a-z][-_ ]?0\d+|[ps][-_ ]?\d{3,}")  # P01, S-001; L1, M7 and K562 name classes
_PAIRS = tuple(map(_set, ("pre post", "old new", "top bottom", "front back", "od os")))  # each alone may be a class
_NUMBERS = _set("one two three four five first second third fourth fifth")
_MAGNIFICATION = re.compile(r"(?<![a-z\d])(\d+x|x\d+|\d+x\d+)(?![a-z\d])")  # or a size: 40X, 224x224
_SURE_CLASSES = _set(  # a single folder of such a name is a class, not a wrapper
    "all aml all_blast benign blast blasts cll cml early healthy hem leukemia leukaemia lymphoblast lymphoblasts"
    " lymphocyte malignant normal pre pro positive negative"
)


@dataclass(frozen=True)
class ClassFolders:
    """What a folder's folders say of its pictures.

    Attributes:
        labels: names of the classes, sorted; one of no image is among them.
        label_of: of each image in a class.
        unusable: images that are in no class.
    """

    labels: tuple[str, ...]
    label_of: dict[Path, str]
    unusable: tuple[Unusable, ...]


@dataclass
class _Folder:
    """A folder, or several of one name in the parts of a split."""

    name: str
    paths: list[Path] = field(default_factory=list)
    images: list[Path] = field(default_factory=list)
    below: dict[str, "_Folder"] = field(default_factory=dict)

    def every_image(self) -> Iterator[Path]:
        yield from self.images
        for child in self.below.values():
            yield from child.every_image()

    @property
    def holds_any(self) -> bool:
        return bool(self.images) or any(child.holds_any for child in self.below.values())

    def holding(self) -> list["_Folder"]:
        return [child for child in self.below.values() if child.holds_any]


def find_class_folders(listed: ImageList, known: Sequence[Sequence[str]] = ()) -> ClassFolders | None:
    """Which folder is the class of each image.

    train, validation and test are parts of a split (see `parts_of`), above or below the classes. A folder alone that is no
    class is a wrapper. Names match by `label_key`.

    Args:
        known: sets of labels; where folders have all names of one, they are the classes.

    Returns:
        None where no folders could be classes.

    Raises:
        DatasetError: folders that are no classes (folds, treatments of one picture, patients) hold them, or two class folders
            differ only by case.
    """
    top = _tree(listed)
    loose: list[Path] = []
    while (wrapper := _wrapper_in(top)) is not None:
        loose += top.images
        top = wrapper
    loose += top.images
    sure = {label_key(label) for labels in known for label in labels}
    holding = top.holding()
    aside = [folder for folder in holding if not _may_be_class(folder, sure)]
    classes = [folder for folder in top.below.values() if _may_be_class(folder, sure)]
    if not holding or (len(classes) < 2 and not aside):
        return None
    keys = {label_key(folder.name) for folder in classes}
    elsewhere = {label_key(name) for folder in aside for name in _classes_within(folder, sure)[1]}
    if keys in _PAIRS and not keys <= sure:
        aside, classes = [folder for folder in classes if folder.holds_any], []
    if len(classes) < 2 or (len(elsewhere) >= 2 and not elsewhere <= keys):
        raise _refusal(listed.root, aside, sure)
    is_known = keys <= _SURE_CLASSES or any({label_key(label) for label in labels} <= keys for labels in known)
    if not is_known and _lie_deeper([folder for folder in classes if folder.holds_any]):
        raise _refusal(listed.root, [folder for folder in classes if folder.holds_any], sure)
    for folder in classes:
        _refuse_two_spellings(listed.root, folder)
    label_of = {image: _label(folder) for folder in classes for image in folder.every_image()}
    unusable = [Unusable(path, BESIDE) for path in loose]
    unusable += [
        Unusable(path, f"in a folder that is no class ({folder.name})") for folder in aside for path in folder.every_image()
    ]
    beside = {folder for folder in {path.parent for path in label_of} if _is_beside_the_pictures(listed.root, folder, keys)}
    masks = [path for path in label_of if path.parent in beside]
    for path in masks:
        del label_of[path]
    unusable += [Unusable(path, f"mask or annotation by its folder ({path.parent.name})") for path in masks]
    return ClassFolders(
        tuple(sorted(_label(folder) for folder in classes)), label_of, tuple(sorted(unusable, key=lambda item: item.path))
    )


def truths(listed: ImageList, labels: Sequence[str]) -> dict[Path, str]:
    """What is known of each image by its folders: the one that a model's label names, whatever is packed around it.

    Args:
        labels: the model's. Without any, and for images in none of them, the class folder that there is.

    Returns:
        Image -> name of its class folder; images of two labels' folders, and of no class folder, are left out.
    """
    try:
        found = find_class_folders(listed, [labels] if labels else [])
    except DatasetError:  # nobody says that these pictures have classes
        found = None
    known = {} if found is None else dict(found.label_of)
    names = {label_key(label) for label in labels}

    @cache
    def named(folder: Path) -> dict[str, str]:
        """Label's key -> name of the folder on the way that is one."""
        return {key: name for name in folder.relative_to(listed.root).parts if (key := label_key(name)) in names}

    for image in listed.images:
        if len(folders := named(image.parent)) == 1:
            known[image] = next(iter(folders.values()))
        elif folders:
            known.pop(image, None)
    return known


def parts_of(root: Path, label_of: Mapping[Path, str]) -> dict[Path, str]:
    """The part of each labelled image, by its folders; empty where all are in one, which is only a wrapper's name then.

    Raises:
        DatasetError: some are in a part, others in none.
    """
    part_in = {folder: _part_of(root, folder) for folder in {path.parent for path in label_of}}
    found = {path: part_in[path.parent] for path in label_of}
    counted = Counter(found.values())
    parts = [part for part in PARTS if counted[part]]
    if counted[None] and parts:
        outside = sorted({label_of[path] for path, part in found.items() if part is None})
        raise DatasetError(
            f"{root}: holds a split ({', '.join(parts)}), and beside it images of {', '.join(outside)};"
            " put every class into a part, or give one of the folders"
        )
    return {path: part for path, part in found.items() if part is not None} if len(parts) > 1 else {}


def part_named(name: str) -> str | None:
    """The part of a split that a folder's name is, as `training_data`, `Test`, `val2`; None for any other."""
    words = [word for word in _words(name) if not word.isdigit() and word not in _SAYS_NOTHING]
    return _PART_OF_WORD.get(words[0]) if len(words) == 1 else None


def is_never_a_class(name: str) -> bool:
    """True of names of a split, a fold, a treatment, a patient, a date or a size: `train_all`, `Segmented`, `P01`, `40X`."""
    return what_instead(name) is not None


def what_instead(name: str) -> str | None:
    """What folders of such a name are, where they are never classes; None where they may be some."""
    words = _words(name)
    letters = [word for word in words if not word.isdigit()]
    if len(words) == 2 and letters == ["label"]:  # `label_0` names a class by its number
        return None
    if any(word in _PART_OF_WORD for word in letters):
        return "parts of a split"
    if _MAGNIFICATION.search(name.casefold()):
        return "magnifications or sizes"
    if set(letters) & _TIMES or {"follow", "up"} <= set(letters):
        return "times of one patient"
    if letters and all(word in _TREATMENTS or word in _SAYS_NOTHING for word in letters):
        return "treatments of one picture, or what lies beside it"
    if _DATE.fullmatch(name.strip()) or (letters and all(word in _DAYS for word in letters)):
        return "dates"
    plain = [word for word in letters if len(word) > 1 and not set(word) <= set("ivx") and word not in _NUMBERS]
    is_numbered = len(words) > len(plain) and bool(plain)
    if _NUMBERED_LETTER.fullmatch(name.strip().casefold()) or (
        is_numbered and all(word in _NUMBERED or word in _SAYS_NOTHING for word in plain)
    ):
        return "patients, slides, batches or other numbered parts"
    return None


def _words(name: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold()  # `trainA`, `OriginalImages`
    return re.findall(r"[^\W\d_]+|\d+", re.sub(r"\b(c)[-_ ](nmc)|\b(hold)[-_ ](out)", r"\1\2\3\4", apart))


def _tree(listed: ImageList) -> _Folder:
    """The folders below the root, without those that are parts of a split: the same names in two parts are one folder."""
    top = _Folder(listed.root.name, [listed.root])

    @cache
    def at(folder: Path) -> _Folder:
        here = top
        walked = listed.root
        for name in folder.relative_to(listed.root).parts:
            walked = walked / name
            if part_named(name) is None:
                here = here.below.setdefault(label_key(name), _Folder(name))
                if walked not in here.paths:
                    here.paths.append(walked)
        return here

    for folder in listed.folders:
        at(folder)
    for image in listed.images:
        at(image.parent).images.append(image)
    return top


def _wrapper_in(top: _Folder) -> _Folder | None:
    """The only folder, where it holds others and is no class: what an archive unpacks to."""
    holding = top.holding()
    others = [folder for folder in top.below.values() if not folder.holds_any and not is_never_a_class(folder.name)]
    if len(holding) != 1 or others or label_key(holding[0].name) in _SURE_CLASSES:
        return None
    return holding[0] if holding[0].holding() else None


def _may_be_class(folder: _Folder, sure: set[str]) -> bool:
    return label_key(folder.name) in sure or not is_never_a_class(folder.name)


def _lie_deeper(folders: Sequence[_Folder]) -> bool:
    """Whether folders hold the same two or more others, as two treatments or centres of one set of classes do."""
    inner = [{key for key, child in folder.below.items() if child.holds_any and _could_be(child.name)} for folder in folders]
    largest = max(inner, key=len)
    return len(largest) >= 2 and all(names and names <= largest for names in inner)


def _could_be(name: str) -> bool:
    return not is_never_a_class(name) and not name.strip().isdigit()


def _refusal(root: Path, folders: Sequence[_Folder], sure: set[str]) -> DatasetError:
    names = ", ".join(folder.name for folder in folders[:5]) + (", ..." if len(folders) > 5 else "")
    kinds = Counter(kind for folder in folders if (kind := what_instead(folder.name)) is not None)
    like = f" but look like {kinds.most_common(1)[0][0]}" if kinds and len(folders) > 1 else ""
    head = f"{root}: {names} {'is no class' if len(folders) == 1 else 'are no classes'}{like}"
    by_promise = sorted(folders, key=lambda folder: not {"original", "originals", "images", "raw"} & set(_words(folder.name)))
    for folder in by_promise:
        place, classes = _classes_within(folder, sure)
        if len(classes) >= 2:
            return DatasetError(
                f"{head}: the classes {', '.join(classes[:5])} lie in {place}; give that folder,"
                " or put all pictures of a class into one folder"
            )
    return DatasetError(
        f"{head} and {'holds' if len(folders) == 1 else 'hold'} none; expected two or more folders, one per class, with images",
        advice="labels-csv",
    )


def _classes_within(folder: _Folder, sure: set[str]) -> tuple[Path, list[str]]:
    """A place below a folder that is no class, and the names there that could be classes."""
    inner = folder
    while (wrapper := _wrapper_in(inner)) is not None:
        inner = wrapper
    names = [child.name for child in inner.holding() if _may_be_class(child, sure)]
    return inner.paths[0], sorted(names)


def _refuse_two_spellings(root: Path, folder: _Folder) -> None:
    parents: dict[Path, str] = {}
    for path in folder.paths:
        other = parents.setdefault(path.parent, path.name)
        if other != path.name:
            raise DatasetError(
                f"{root}: the folders {other!a} and {path.name!a} differ only by case, spaces or accents; join them or rename one"
            )


def _label(folder: _Folder) -> str:
    return unicodedata.normalize("NFC", folder.name.strip())


def _is_beside_the_pictures(root: Path, folder: Path, keys: set[str]) -> bool:
    """Whether a folder is one such as `masks` within a class, or lies in one."""
    names = folder.relative_to(root).parts
    deepest = next((i for i, name in enumerate(names) if label_key(name) in keys), len(names))
    return any(set(_words(name)) & _NO_PICTURES and is_never_a_class(name) for name in names[deepest + 1 :])


def _part_of(root: Path, folder: Path) -> str | None:
    """Of the innermost folder that names one."""
    return next((part for name in reversed(folder.relative_to(root).parts) if (part := part_named(name)) is not None), None)
