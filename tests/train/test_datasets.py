import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leukolite.errors import DatasetError
from leukolite.image_files import describe_unusable
from leukolite.preprocess import InputSpec
from leukolite.train.datasets import TALEQANI_CLASSES, Dataset, load_images, open_dataset

SPEC = InputSpec(height=8, width=8)


def picture(path: Path) -> Path:
    """A small image of noise that depends on its path's last parts, so that no two are alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list("/".join(path.parts[-3:]).encode()))
    Image.fromarray(rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)).save(path)
    return path


def taleqani(root: Path) -> Path:
    for name in TALEQANI_CLASSES:
        for i in range(2):
            picture(root / "Original" / name / f"WBC-{name}-{i:03}.jpg")
    return root


def cnmc(root: Path, suffix: str = ".bmp") -> Path:
    """Folds 0 to 2; subject 11 has two cells in each fold, H7 one."""
    for fold in range(3):
        folder = root / "training_data" / f"fold_{fold}"
        picture(folder / "all" / f"UID_11_{fold}_1_all{suffix}")
        picture(folder / "all" / f"UID_11_{fold}_2_all{suffix}")
        picture(folder / "hem" / f"UID_H7_{fold}_1_hem{suffix}")
    return root


def allidb2(root: Path) -> Path:
    for name in ("Im001_1", "Im002_1", "Im131_0"):
        picture(root / "img" / f"{name}.tif")
    return root


def folders(root: Path, classes: tuple[str, ...] = ("cats", "dogs"), images: int = 2) -> Path:
    for name in classes:
        for i in range(images):
            picture(root / name / f"{i}.png")
    return root


def truths(dataset: Dataset) -> dict[str, str]:
    return {sample.path.name: dataset.labels[sample.label] for sample in dataset.samples}


# the native layouts


@pytest.mark.parametrize("inner", ["", "Original"])
def test_taleqani_is_recognised_from_its_root_and_from_original(tmp_path, inner):
    dataset = open_dataset(taleqani(tmp_path) / inner)
    assert (dataset.layout, dataset.unit) == ("taleqani", "field")
    assert dataset.labels == ("Benign", "Early", "Pre", "Pro")
    assert dataset.malignant == ("Early", "Pre", "Pro")
    assert dataset.counts() == dict.fromkeys(TALEQANI_CLASSES, 2)
    assert truths(dataset)["WBC-Pre-001.jpg"] == "Pre"
    assert {sample.subject for sample in dataset.samples} == {None}


@pytest.mark.parametrize("suffix", [".bmp", ".png", ".webp"])
def test_cnmc_is_recognised_in_every_lossless_format(tmp_path, suffix):
    dataset = open_dataset(cnmc(tmp_path, suffix))
    assert (dataset.layout, dataset.unit, dataset.malignant) == ("c-nmc", "cell", ("all",))
    assert dataset.counts() == {"all": 6, "hem": 3}
    assert truths(dataset)[f"UID_H7_2_1_hem{suffix}"] == "hem"


@pytest.mark.parametrize(("inner", "images"), [("", 9), ("training_data", 9), ("training_data/fold_0", 3)])
def test_cnmc_is_recognised_from_any_of_its_folders(tmp_path, inner, images):
    dataset = open_dataset(cnmc(tmp_path / "C-NMC_Leukemia") / inner)
    assert (dataset.layout, len(dataset.samples)) == ("c-nmc", images)


def test_cnmc_is_recognised_by_somebody_who_stands_in_the_fold(tmp_path, monkeypatch):
    monkeypatch.chdir(cnmc(tmp_path) / "training_data" / "fold_0")
    assert open_dataset(Path()).layout == "c-nmc"


def test_a_cnmc_fold_without_one_of_its_classes_is_skipped_by_name(tmp_path):
    shutil.rmtree(cnmc(tmp_path) / "training_data" / "fold_1" / "hem")
    dataset = open_dataset(tmp_path)
    assert [item.path.name for item in dataset.unusable] == ["fold_1"]
    assert dataset.counts() == {"all": 4, "hem": 2}


def test_cnmc_names_tell_the_subject(tmp_path):
    dataset = open_dataset(cnmc(tmp_path))
    assert {sample.path.name.split("_")[1]: sample.subject for sample in dataset.samples} == {"11": "11", "H7": "H7"}


@pytest.mark.parametrize("name", ["UID_11_9_1_hem.bmp", "cell 4.bmp", "UID_11_9_all.bmp"])
def test_a_wrongly_named_cnmc_file_is_skipped_with_the_name_that_was_expected(tmp_path, name):
    wrong = picture(cnmc(tmp_path) / "training_data" / "fold_0" / "all" / name)
    dataset = open_dataset(tmp_path)
    assert [item.path for item in dataset.unusable] == [wrong]
    assert "UID_<subject>_<image>_<cell>_all" in dataset.unusable[0].reason
    assert len(dataset.samples) == 9


@pytest.mark.parametrize("inner", ["", "img"])
def test_allidb2_is_recognised_from_its_root_and_from_img(tmp_path, inner):
    dataset = open_dataset(allidb2(tmp_path) / inner)
    assert (dataset.layout, dataset.unit, dataset.malignant) == ("all-idb2", "cell", ("lymphoblast",))
    assert truths(dataset) == {"Im001_1.tif": "lymphoblast", "Im002_1.tif": "lymphoblast", "Im131_0.tif": "healthy"}


def test_a_wrongly_named_allidb2_file_is_skipped(tmp_path):
    wrong = picture(allidb2(tmp_path) / "img" / "Im140_2.tif")
    dataset = open_dataset(tmp_path)
    assert [item.path for item in dataset.unusable] == [wrong]
    assert len(dataset.samples) == 3


def test_synthetic_cells_are_recognised(cells):
    dataset = open_dataset(cells)
    assert (dataset.layout, dataset.unit, dataset.labels, dataset.malignant) == (
        "synthetic",
        "cell",
        ("blast", "healthy"),
        ("blast",),
    )
    assert dataset.counts() == {"blast": 20, "healthy": 20}


def test_cnmc_is_recognised_whatever_the_case_of_its_folders_and_without_folds(tmp_path):
    for fold in ("Fold_1", "fold 2", "FOLD3"):
        picture(tmp_path / "folds" / fold / "ALL" / f"UID_1{fold[-1]}_1_1_all.bmp")
        picture(tmp_path / "folds" / fold / "Hem" / f"UID_H{fold[-1]}_1_1_HEM.bmp")
    for name in ("all", "hem"):
        picture(tmp_path / "plain" / name / f"UID_7_1_1_{name}.bmp")
    assert (open_dataset(tmp_path / "folds").layout, open_dataset(tmp_path / "folds").counts()) == ("c-nmc", {"all": 3, "hem": 3})
    assert (open_dataset(tmp_path / "plain").layout, open_dataset(tmp_path / "plain").labels) == ("c-nmc", ("all", "hem"))


def test_cnmc_names_its_other_phases_files_whose_class_no_folder_tells(tmp_path):
    picture(cnmc(tmp_path) / "validation_data" / "C-NMC_test_prelim_phase_data" / "1.bmp")
    dataset = open_dataset(tmp_path)
    assert [item.path.name for item in dataset.unusable] == ["1.bmp"]
    assert "a table of labels may name its class" in dataset.unusable[0].reason
    assert (len(dataset.samples), dataset.parts) == (9, {})


def test_folds_without_the_names_of_cnmc_are_refused(tmp_path):
    for fold in ("fold_0", "fold_1"):
        folders(tmp_path / fold, ("all", "hem"))
    assert (
        "fold_0, fold_1 are no classes but look like patients, slides, batches or other numbered parts: the classes all, hem"
        in refusal(tmp_path)
    )


@pytest.mark.parametrize("beside", ["Segmented", "Extra"])
def test_taleqani_beside_another_folder_is_its_original(tmp_path, beside):
    taleqani(tmp_path)
    for name in TALEQANI_CLASSES:
        picture(tmp_path / beside / name / "a.jpg")
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, len(dataset.samples)) == ("taleqani", 8)
    assert [(item.path.name, item.files) for item in dataset.unusable] == [(beside, 4)]


def test_taleqani_is_recognised_whatever_its_case_and_in_a_wrapper(tmp_path):
    for name in ("benign", "EARLY", "pre", "pRO"):
        picture(tmp_path / "ALL dataset" / "original" / name / "a.jpg")
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, dataset.labels) == ("taleqani", TALEQANI_CLASSES)
    assert set(dataset.counts().values()) == {1}


def test_an_extra_folder_in_taleqani_is_named(tmp_path):
    picture(taleqani(tmp_path) / "Original" / "Unknown" / "a.jpg")
    picture(tmp_path / "cover.jpg")
    assert {item.path.name for item in open_dataset(tmp_path).unusable} == {"Unknown", "cover.jpg"}


def test_allidb2_in_a_folder_of_any_name_is_recognised(tmp_path):
    allidb2(tmp_path / "ALL_IDB2")
    assert open_dataset(tmp_path).layout == "all-idb2"


def test_allidb2_names_in_class_folders_are_class_folders(tmp_path):
    picture(tmp_path / "ALL" / "Im001_1.tif")
    picture(tmp_path / "Healthy" / "Im131_0.tif")
    assert (open_dataset(tmp_path).layout, open_dataset(tmp_path).labels) == ("folders", ("ALL", "Healthy"))


def test_whole_fields_among_allidb2_are_named_wherever_they_stand(tmp_path):
    field = allidb2(tmp_path) / "img" / "Im999_1.tif"
    Image.new("RGB", (1712, 1368)).save(field)
    dataset = open_dataset(tmp_path)
    assert [(item.path, item.reason) for item in dataset.unusable] == [(field, "whole field, as in ALL-IDB1 (1712x1368)")]
    assert len(dataset.samples) == 3


FOREIGN = {
    "DDS": b"DDS " + bytes([124, 0, 0, 0]) + bytes(120),
    "AVIF": b"\0\0\0\x1cftypavif" + bytes(60),
    "PostScript": b"%!PS-Adobe-3.0\n",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_picture_of_a_format_that_is_not_meant_is_named_among_allidb2(tmp_path, kind, capfd):
    (allidb2(tmp_path) / "img" / "Im998_0.tif").write_bytes(FOREIGN[kind])
    skipped = load_images(open_dataset(tmp_path), SPEC)[0].unusable
    assert [one.path.name for one in skipped] == ["Im998_0.tif"]
    assert capfd.readouterr() == ("", "")


def test_allidb1_is_refused_by_the_size_of_its_fields(tmp_path):
    for name in ("Im001_1", "Im002_0"):
        (tmp_path / "im").mkdir(exist_ok=True)
        Image.new("RGB", (1712, 1368)).save(tmp_path / "im" / f"{name}.jpg")
    assert "1712x1368 is a whole field, as in ALL-IDB1" in refusal(tmp_path)


# the parts that folders make


def test_folders_of_a_split_are_its_parts_in_any_layout(tmp_path):
    for part in ("train", "val", "test"):
        folders(tmp_path / "plain" / part)
        for name in TALEQANI_CLASSES:
            picture(tmp_path / "taleqani" / part / name / "a.jpg")
    plain, fields = open_dataset(tmp_path / "plain"), open_dataset(tmp_path / "taleqani")
    assert {part: len(indices) for part, indices in plain.parts.items()} == {"train": 4, "validation": 4, "test": 4}
    assert (plain.labels, fields.layout, fields.labels) == (("cats", "dogs"), "taleqani", TALEQANI_CLASSES)
    assert {part: len(indices) for part, indices in fields.parts.items()} == {"train": 4, "validation": 4, "test": 4}


def test_a_set_without_such_folders_has_no_parts(tmp_path):
    assert open_dataset(folders(tmp_path)).parts == {}


def test_one_file_linked_twice_into_a_class_is_one_sample(tmp_path):
    (folders(tmp_path) / "cats" / "again.png").symlink_to(tmp_path / "cats" / "0.png")
    (tmp_path / "dogs" / "dogs again").symlink_to(tmp_path / "dogs")
    dataset = open_dataset(tmp_path)
    assert dataset.counts() == {"cats": 2, "dogs": 2}
    assert {item.path.name: item.kind for item in dataset.unusable} == {
        "again.png": "the same file by another name",
        "dogs again": "link to a folder above it",
    }


def test_a_file_linked_into_another_class_contradicts_itself(tmp_path):
    (folders(tmp_path) / "cats" / "dog.png").symlink_to(tmp_path / "dogs" / "0.png")
    assert {item.reason for item in open_dataset(tmp_path).unusable} == {"the same bytes stand in cats and dogs"}


def test_classes_of_links_into_a_pool_are_classes(tmp_path):
    folders(tmp_path / "pool")
    (tmp_path / "data").mkdir()
    for name in ("cats", "dogs"):
        (tmp_path / "data" / name).symlink_to(tmp_path / "pool" / name)
    assert open_dataset(tmp_path / "data").counts() == {"cats": 2, "dogs": 2}


def test_any_folder_of_class_folders_is_a_dataset_of_unknown_unit_and_malignancy(tmp_path):
    folders(tmp_path)
    picture(tmp_path / "dogs" / "deeper" / "9.tiff")
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, dataset.unit, dataset.labels, dataset.malignant) == ("folders", None, ("cats", "dogs"), ())
    assert dataset.counts() == {"cats": 2, "dogs": 3}


def test_an_image_beside_the_class_folders_is_skipped(tmp_path):
    stray = picture(folders(tmp_path) / "stray.png")
    assert [item.path for item in open_dataset(tmp_path).unusable] == [stray]


# what cannot be used is named and counted


@pytest.fixture
def whole(tmp_path) -> bytes:
    return picture(tmp_path / "elsewhere" / "whole.jpg").read_bytes()


@pytest.mark.parametrize("harm", ["truncated", "text", "empty", "header alone"])
def test_an_unreadable_image_is_named_with_its_reason_and_the_others_stay(tmp_path, whole, harm):
    bad = folders(tmp_path / "data") / "cats" / "1bad.jpg"
    content = {"truncated": whole[: len(whole) // 2], "text": b"no image", "empty": b"", "header alone": whole[:20]}
    bad.write_bytes(content[harm])
    counted: list[None] = []
    dataset, pixels = load_images(open_dataset(tmp_path / "data"), SPEC, lambda: counted.append(None))
    assert [item.path for item in dataset.unusable] == [bad]
    assert str(bad) not in dataset.unusable[0].reason
    assert len(dataset.samples) == len(pixels) == 4
    assert len(counted) == 5


def test_pixels_keep_the_order_of_the_samples_that_could_be_read(tmp_path):
    (folders(tmp_path) / "cats" / "0bad.png").write_text("no image")
    dataset, pixels = load_images(open_dataset(tmp_path), InputSpec(height=10, width=10))
    for sample, image in zip(dataset.samples, pixels, strict=True):
        assert np.array_equal(image, np.asarray(Image.open(sample.path))[1:11])


def test_a_file_that_is_no_image_by_its_name_is_skipped(tmp_path):
    (folders(tmp_path) / "cats" / "notes.txt").write_text("x")
    (tmp_path / "cats" / ".DS_Store").write_text("x")
    assert {item.path.name: item.reason for item in open_dataset(tmp_path).unusable} == {
        "notes.txt": "no picture (a .txt file)",
        ".DS_Store": "file of the system",
    }


def test_the_same_bytes_in_two_classes_are_set_aside(tmp_path):
    copy = folders(tmp_path) / "dogs" / "copy.png"
    shutil.copy(tmp_path / "cats" / "0.png", copy)
    dataset = open_dataset(tmp_path)
    assert {item.path for item in dataset.unusable} == {tmp_path / "cats" / "0.png", copy}
    assert {item.reason for item in dataset.unusable} == {"the same bytes stand in cats and dogs"}
    assert dataset.counts() == {"cats": 1, "dogs": 2}


def test_the_same_bytes_twice_in_one_class_both_stay(tmp_path):
    shutil.copy(folders(tmp_path) / "cats" / "0.png", tmp_path / "cats" / "copy.png")
    assert open_dataset(tmp_path).counts() == {"cats": 3, "dogs": 2}


def test_what_was_skipped_is_listed_in_a_few_lines(tmp_path):
    for i in range(15):
        (folders(tmp_path) / "cats" / f"{i:02}.txt").write_text("x")
    lines = describe_unusable(open_dataset(tmp_path).unusable)
    assert lines[0] == "15 files skipped: no picture 15"
    assert len(lines) == 12
    assert lines[-1].strip() == "... and 5 more"
    assert describe_unusable(()) == []


# what is refused, in one line


def refusal(root: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        load_images(open_dataset(root), SPEC)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_class_that_means_something_else_in_outputs_is_refused_before_training(tmp_path):
    for label in ("Abstain", "blast"):
        (tmp_path / label).mkdir()
        for i in range(3):
            Image.fromarray(np.full((40, 40, 3), 40 * i, np.uint8)).save(tmp_path / label / f"{i}.png")
    assert refusal(tmp_path) == (
        f"{tmp_path}: 'Abstain' cannot be a label: in verdicts and counts it says that a model gave no verdict;"
        " rename the class's folder, or its label in the table"
    )


def test_a_missing_folder_and_a_file_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    assert "no such folder" in refusal(tmp_path / "nowhere")
    assert "a file, not a folder" in refusal(tmp_path / "file")


def test_an_unknown_layout_is_refused_with_those_that_are_known(tmp_path):
    assert "unknown layout" in refusal(tmp_path)
    picture(tmp_path / "loose.png")
    assert "Original/{Benign,Early,Pre,Pro}" in refusal(tmp_path)


def test_a_table_beside_pictures_without_folders_is_pointed_at(tmp_path):
    picture(tmp_path / "1.png")
    with pytest.raises(DatasetError) as without:
        open_dataset(tmp_path)
    (tmp_path / "labels.csv").write_text("file,label")
    with pytest.raises(DatasetError) as beside:
        open_dataset(tmp_path)
    assert (without.value.advice, beside.value.advice) == (None, "labels-csv")


def test_one_class_folder_alone_is_no_dataset(tmp_path):
    assert "unknown layout" in refusal(folders(tmp_path, ("cats",)))


@pytest.mark.parametrize("make", [taleqani, cnmc, folders])
def test_an_empty_class_is_refused_by_name(tmp_path, make):
    make(tmp_path)
    folder = next(path for path in tmp_path.rglob("*") if path.name in ("Early", "hem", "dogs"))
    for path in tmp_path.rglob(f"{folder.name}/*"):
        path.unlink()
    assert f"no usable image of class {folder.name}" in refusal(tmp_path)


def test_a_class_whose_images_are_all_unreadable_is_refused_with_a_reason(tmp_path):
    for path in (folders(tmp_path) / "dogs").iterdir():
        path.write_text("no image")
    line = refusal(tmp_path)
    assert "no usable image of class dogs" in line
    assert "not an image that can be read" in line


# the fingerprint


def test_the_fingerprint_does_not_hang_on_place_or_order(tmp_path):
    here = open_dataset(folders(tmp_path / "here"))
    there = Path(shutil.copytree(tmp_path / "here", tmp_path / "there"))
    (there / "cats" / "0.png").rename(there / "cats" / "zzz.png")
    assert open_dataset(there).fingerprint() == here.fingerprint()
    assert open_dataset(there).samples[0].sha256 != here.samples[0].sha256


def test_the_fingerprint_changes_with_an_image_and_with_a_label(tmp_path):
    first = open_dataset(folders(tmp_path)).fingerprint()
    shutil.move(tmp_path / "cats" / "0.png", tmp_path / "dogs" / "moved.png")
    second = open_dataset(tmp_path).fingerprint()
    picture(tmp_path / "dogs" / "new.png")
    assert len({first, second, open_dataset(tmp_path).fingerprint()}) == 3


# the real sets


@pytest.mark.parametrize(
    ("folder", "layout", "counts"),
    [
        ("taleqani", "taleqani", {"Benign": 353, "Early": 689, "Pre": 674, "Pro": 563}),
        ("C-NMC_Leukemia", "c-nmc", {"all": 1916, "hem": 904}),
        ("ALL_IDB2", "all-idb2", {"healthy": 104, "lymphoblast": 104}),
    ],
)
def test_the_real_sets_have_the_counts_of_their_readme(shared_data, folder, layout, counts):
    dataset = open_dataset(shared_data / folder)
    assert (dataset.layout, dataset.counts(), dataset.unusable) == (layout, counts, ())


def test_fold_0_of_the_real_cnmc_has_28_subjects(shared_data):
    dataset = open_dataset(shared_data / "C-NMC_Leukemia")
    subjects = {sample.subject for sample in dataset.samples}
    assert None not in subjects
    assert len(subjects) == 28
