"""Where the classes of a folder lie."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolite.class_folders import find_class_folders, is_never_a_class, part_named, parts_of, truths
from leukolite.errors import DatasetError
from leukolite.image_files import ImageList

ROOT = Path("root")
TALEQANI = ("Benign", "Early", "Pre", "Pro")


def listing(*folders: str, empty: Iterable[str] = (), images: int = 2) -> ImageList:
    """Images in each folder below `ROOT`; '' is the root itself."""
    found = [ROOT / folder / f"{i}.png" for folder in folders for i in range(images)]
    every = {parent for path in (*found, *(ROOT / name / "x" for name in empty)) for parent in path.parents}
    return ImageList(ROOT, tuple(sorted(found)), (), tuple(sorted(every - {ROOT, Path()})))


def below(tops: Iterable[str], inner: Iterable[str]) -> list[str]:
    return [f"{top}/{name}" for top in tops for name in inner]


def counts(listed: ImageList, *known: tuple[str, ...]) -> dict[str, int]:
    found = find_class_folders(listed, known)
    assert found is not None
    assert len(found.label_of) + len(found.unusable) == len(listed.images)
    tally = Counter(found.label_of.values())
    return {label: tally[label] for label in found.labels}


def refusal(listed: ImageList) -> str:
    with pytest.raises(DatasetError) as caught:
        parts_of(ROOT, find_class_folders(listed).label_of)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# classes


@pytest.mark.parametrize(
    "names", [("cats", "dogs"), ("0", "1"), ("A", "B", "C"), ("L1", "L2", "L3"), ("ALL", "hem"), ("Leukemia", "Normal"), TALEQANI]
)
def test_folders_side_by_side_are_classes(names):
    assert counts(listing(*names)) == dict.fromkeys(names, 2)


def test_images_however_deep_are_of_their_class():
    assert counts(listing("ALL/p1/a", "hem/p2", "hem")) == {"ALL": 2, "hem": 4}


@pytest.mark.parametrize("wrapper", ["archive", "archive/data", "C-NMC_Leukemia", "Original", "train"])
def test_a_single_folder_that_holds_the_classes_is_a_wrapper(wrapper):
    assert counts(listing(*below([wrapper], ["A", "B"]))) == {"A": 2, "B": 2}


def test_a_file_beside_a_wrapper_or_the_classes_is_named():
    found = find_class_folders(listing("", *below(["archive"], ["", "A", "B"])))
    assert [str(item.path.parent) for item in found.unusable] == ["root"] * 2 + ["root/archive"] * 2


@pytest.mark.parametrize("listed", [listing("cats"), listing(""), listing("Malignant/p1", "Malignant/p2"), listing()])
def test_one_class_alone_or_none_is_no_set_of_classes(listed):
    assert find_class_folders(listed) is None


def test_a_class_without_an_image_is_still_a_class():
    assert counts(listing("A", "B", empty=["C"])) == {"A": 2, "B": 2, "C": 0}


def test_classes_with_the_same_folders_within_stay_classes_where_their_names_are_known():
    assert counts(listing(*below(["Benign", "Malignant"], ["p1", "p2"]))) == {"Benign": 4, "Malignant": 4}
    assert counts(listing(*below(["x", "y"], ["p1", "p2"])), ("x", "y")) == {"x": 4, "y": 4}


@pytest.mark.parametrize("inner", [("40X", "100X"), ("patient 1", "patient 2"), ("1", "2", "3"), ("jpg", "png")])
def test_folders_within_a_class_that_can_be_no_classes_leave_it_one(inner):
    assert counts(listing(*below(["x", "y"], inner))) == {"x": 2 * len(inner), "y": 2 * len(inner)}


def test_masks_within_a_class_are_no_pictures_of_it():
    found = find_class_folders(listing(*below(["ALL", "hem"], ["images", "masks"])))
    assert Counter(found.label_of.values()) == {"ALL": 2, "hem": 2}
    assert {item.kind for item in found.unusable} == {"mask or annotation by its folder"}


@pytest.mark.parametrize("other", ["masks", "augmented", "fold_1", "Segmented", "patient 3"])
def test_a_folder_beside_the_classes_that_is_none_is_set_aside_by_name(other):
    found = find_class_folders(listing("ALL", "hem", other))
    assert found.labels == ("ALL", "hem")
    assert [item.reason for item in found.unusable] == [f"in a folder that is no class ({other})"] * 2


def test_classes_within_a_folder_that_is_none_are_not_given_up_for_what_lies_beside_it():
    assert "the classes A, B lie in root/Original" in refusal(listing("Original/A", "Original/B", "figures", "results of 2021"))
    assert counts(listing("A", "B", "augmented/A", "augmented/B")) == {"A": 2, "B": 2}


# spelling


def test_one_class_spelled_in_two_ways_in_the_parts_of_a_split_is_one():
    nfc, nfd = (unicodedata.normalize(form, "Leucémie") for form in ("NFC", "NFD"))
    found = counts(listing(f"train/{nfc}", "train/Sain", f"test/{nfd.upper()}", "test/sain"))
    assert sorted(found.values()) == [4, 4]


@pytest.mark.parametrize(("one", "other"), [("ALL", "all"), ("Pre", "Pre "), ("Leuc\u00e9mie", "Leuce\u0301mie")])
def test_two_folders_that_differ_only_by_spelling_are_refused_with_both_names(one, other):
    line = refusal(listing(one, other, "hem"))
    assert "differ only by case, spaces or accents" in line
    assert line.isascii()


# the parts of a split


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("train", "val", "test"), ("train", "validation", "test")),
        (("Training", "Validation", "Testing"), ("train", "validation", "test")),
        (("train_data", "test_data"), ("train", "test")),
        (("TRAIN", "valid"), ("train", "validation")),
        (("data-train", "testset"), ("train", "test")),
        (("train1", "test 2"), ("train", "test")),
        (("C-NMC_training_data", "C-NMC_test_final_phase_data"), ("train", "test")),
    ],
)
@pytest.mark.parametrize("is_outer", [True, False])
def test_split_folders_above_or_below_the_classes_are_parts_and_no_classes(names, parts, is_outer):
    paths = below(names, ["ALL", "hem"]) if is_outer else below(["ALL", "hem"], names)
    listed = listing(*paths)
    found = find_class_folders(listed)
    assert found.labels == ("ALL", "hem")
    assert Counter(parts_of(ROOT, found.label_of).values()) == dict.fromkeys(parts, 4)


def test_a_single_part_is_a_wrapper():
    found = find_class_folders(listing("training_data/A", "training_data/B"))
    assert parts_of(ROOT, found.label_of) == {}


def test_an_unlabelled_test_folder_is_no_class_and_no_part():
    found = find_class_folders(listing("A", "B", "test"))
    assert (found.labels, len(found.unusable), parts_of(ROOT, found.label_of)) == (("A", "B"), 2, {})


def test_classes_beside_a_part_are_refused():
    assert "holds a split (test), and beside it images of A, B" in refusal(listing("A", "B", "test/A", "test/B"))


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train", "train"),
        ("Val", "validation"),
        ("test_images", "test"),
        ("latest", None),
        ("Pre", None),
        ("train_all", None),
        ("TrainImages", "train"),
        ("testSet2", "test"),
        ("Hold-out", "test"),
        ("trainA", None),
    ],
)
def test_a_part_is_known_by_its_name(name, part):
    assert part_named(name) == part


# what is never a class


@pytest.mark.parametrize(
    ("names", "place"),
    [
        (("Original", "Segmented"), "root/Original"),
        (("original", "mask"), "root/original"),
        (("images", "masks", "labels"), "root/images"),
        (("fold_0", "fold_1"), "root/fold_0"),
        (("Fold 1", "Fold 2"), "root/Fold 1"),
        (("fold1", "fold2"), "root/fold1"),
        (("Dataset 1", "Dataset 2"), "root/Dataset 1"),
        (("dataset1", "dataset2"), "root/dataset1"),
        (("set1", "set2"), "root/set1"),
        (("Set A", "Set B"), "root/Set A"),
        (("batch1", "batch2", "batch3"), "root/batch1"),
        (("Part I", "Part II"), "root/Part I"),
        (("raw", "augmented"), "root/raw"),
        (("Left", "Right"), "root/Left"),
        (("patient_1", "patient_2"), "root/patient_1"),
        (("40X", "100X"), "root/100X"),
        (("Oslo", "Rome"), "root/Oslo"),
    ],
)
def test_folders_that_hold_the_same_classes_are_refused_with_where_those_lie(names, place):
    line = refusal(listing(*below(names, ["ALL", "hem"])))
    assert re.search(r"are no classes( but look like [^:]+)?: the classes ALL, hem lie in ", line)
    assert f"lie in {place}; give that folder" in line


@pytest.mark.parametrize("names", [("images", "masks"), ("fold_1", "fold_2"), ("raw", "augmented"), ("train_all", "test_all")])
def test_folders_that_are_no_classes_and_hold_none_are_refused(names):
    assert re.search(r"are no classes( but look like [^:]+)? and hold none", refusal(listing(*names)))


@pytest.mark.parametrize(
    ("names", "like"),
    [
        (("P01", "P02"), "patients, slides, batches"),
        (("Patient_1", "Patient_2"), "patients, slides, batches"),
        (("subject-03", "subject-04"), "patients, slides, batches"),
        (("pat01", "pat02"), "patients, slides, batches"),
        (("S001", "S002"), "patients, slides, batches"),
        (("slide_1", "slide_2"), "patients, slides, batches"),
        (("batch3", "batch4"), "patients, slides, batches"),
        (("center1", "center2"), "patients, slides, batches"),
        (("day1", "day2"), "patients, slides, batches"),
        (("week1", "week4"), "patients, slides, batches"),
        (("2021", "2022"), "dates"),
        (("2021-05-03", "2021-05-04"), "dates"),
        (("20210503", "20210504"), "dates"),
        (("03.05.2021", "4.5.2021"), "dates"),
        (("Jan 2021", "Feb 2021"), "dates"),
        (("before", "after"), "times of one patient"),
        (("before_treatment", "after_treatment"), "times of one patient"),
        (("baseline", "follow-up"), "times of one patient"),
        (("10x", "40x", "100x"), "magnifications"),
        (("left", "right"), "treatments of one picture"),
        (("img", "mask"), "treatments of one picture"),
        (("raw", "processed"), "treatments of one picture"),
    ],
)
def test_folders_of_persons_times_and_treatments_are_refused_for_what_they_look_like(names, like):
    line = refusal(listing(*names))
    assert f"{', '.join(sorted(names)[:2])}" in line
    assert f"are no classes but look like {like}" in line
    assert line.endswith("and hold none; expected two or more folders, one per class, with images")
    within = refusal(listing(*below(names, ["ALL", "HEM"])))
    assert f"but look like {like}" in within
    assert "the classes ALL, HEM lie in root/" in within


@pytest.mark.parametrize("names", [("pre", "post"), ("old", "new"), ("top", "bottom"), ("OD", "OS")])
def test_names_that_are_a_pair_are_no_classes_together(names):
    assert "are no classes" in refusal(listing(*names))
    assert counts(listing(names[0], "Benign")) == {names[0]: 2, "Benign": 2}


@pytest.mark.parametrize(
    "names",
    [
        *(("ALL", "HEM"), ("hem", "all"), ("L1", "L2", "L3"), ("B1", "T2"), ("Type 1", "Type 2"), ("0", "1"), ("1", "2", "3")),
        *(("M0", "M1", "M2", "M7"), ("AML M1", "AML M3"), ("grade_1", "grade_2"), ("stage1", "stage2"), ("class1", "class2")),
        *(("treated", "untreated"), ("K562", "HL60"), ("CD19", "CD20"), ("P", "N"), ("B-ALL", "T-ALL"), ("group1", "group2")),
    ],
)
def test_names_that_may_be_classes_are_classes(names):
    assert counts(listing(*names)) == dict.fromkeys(names, 2)


def test_a_centre_that_lacks_a_class_makes_the_centres_no_classes():
    assert "the classes ALL, hem lie in root/Rome" in refusal(listing("Rome/ALL", "Rome/hem", "Oslo/ALL"))


@pytest.mark.parametrize(
    "name",
    ["Benign", "Pre", "all", "hem", "L1", "A", "0", "Normal", "blast", "type 1", "class_2", "Stage II", "mix", "label_0", "PreB"],
)
def test_names_of_classes_are_classes(name):
    assert not is_never_a_class(name)


@pytest.mark.parametrize(
    "name",
    [
        "Magnification 100x",
        "Cohort B",
        "Dataset_A",
        "original_images",
        "1. Training",
        "ALL - test",
        "Fold_10",
        "gt",
        "trainA",
        "OriginalImages",
        "SegmentationMasks",
        "DatasetB",
        "setA",
        "first_fold",
        "kfold_2",
        "224x224",
        "HR",
    ],
)
def test_names_of_other_things_are_none(name):
    assert is_never_a_class(name)


@given(st.text(max_size=30))
def test_any_name_is_a_class_or_none(name):
    assert is_never_a_class(name) in (True, False)
    if part_named(name) is not None:
        assert is_never_a_class(name)


# truths for a model


def test_a_models_labels_are_found_whatever_is_packed_around_them():
    listed = listing(*below(["Original", "Segmented"], ["Benign", "PRE"]), "Original/Other", "")
    known = truths(listed, TALEQANI)
    assert Counter(known.values()) == {"Benign": 4, "PRE": 4}


def test_folders_in_two_labels_at_once_say_nothing():
    assert truths(listing("blast/healthy", "blast", "healthy"), ("blast", "healthy")) == {
        ROOT / name / f"{i}.png": name for name in ("blast", "healthy") for i in range(2)
    }


@pytest.mark.parametrize("names", [("slide 1", "slide 2"), ("images", "labels"), ("monday",)])
def test_folders_that_are_no_classes_are_no_truth(names):
    assert truths(listing(*names), ("blast", "healthy")) == {}


def test_class_folders_of_another_model_keep_their_names():
    assert set(truths(listing("Early", "Pre"), ("blast", "healthy")).values()) == {"Early", "Pre"}
    assert set(truths(listing("Early", "Pre"), ()).values()) == {"Early", "Pre"}


def test_one_class_folder_of_the_model_alone_is_a_truth():
    assert set(truths(listing("blast"), ("blast", "healthy")).values()) == {"blast"}
