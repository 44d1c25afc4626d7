"""Labels in a table beside the pictures."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from leukolite.cli import main as leukolite
from leukolite.errors import DatasetError
from leukolite.train.datasets import Dataset, open_dataset
from leukolite.train.label_table import LabelTable

PRELIMINARY = """Patient_ID,new_names,labels
UID_57_29_1_all.bmp,1.bmp,1
UID_57_22_2_all.bmp,2.bmp,1
UID_H12_8_3_hem.bmp,3.bmp,0
"""


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list("/".join(path.parts[-3:]).encode()))
    Image.fromarray(rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def root(tmp_path) -> Path:
    for name in ("1.bmp", "2.bmp", "3.bmp"):
        picture(tmp_path / "data" / name)
    return tmp_path / "data"


@pytest.fixture
def opened(root, tmp_path) -> Callable[..., Dataset]:
    def of(text: str | bytes, **columns: str) -> Dataset:
        table = tmp_path / "labels.csv"
        table.write_bytes(text if isinstance(text, bytes) else text.encode())
        return open_dataset(root, LabelTable(table, columns))

    return of


def labels(dataset: Dataset) -> dict[str, str]:
    return {sample.path.name: dataset.labels[sample.label] for sample in dataset.samples}


def subjects(dataset: Dataset) -> list[str | None]:
    return [sample.subject for sample in dataset.samples]


@pytest.fixture
def refusal(opened) -> Callable[..., str]:
    def of(text: str | bytes, **columns: str) -> str:
        with pytest.raises(DatasetError) as caught:
            opened(text, **columns)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return of


# C-NMC's preliminary phase


def test_the_preliminary_phase_of_cnmc_is_read_with_its_subjects(opened):
    dataset = opened(PRELIMINARY)
    assert (dataset.layout, dataset.unit, dataset.malignant) == ("c-nmc", "cell", ("all",))
    assert labels(dataset) == {"1.bmp": "all", "2.bmp": "all", "3.bmp": "hem"}
    assert subjects(dataset) == ["57", "57", "H12"]
    assert dataset.unusable == ()


def test_the_table_may_lie_among_the_pictures_in_a_wrapper(root):
    inner = root / "C-NMC_test_prelim_phase_data"
    inner.mkdir()
    for name in ("1.bmp", "2.bmp", "3.bmp"):
        (root / name).rename(inner / name)
    table = root / "C-NMC_test_prelim_phase_data_labels.csv"
    table.write_text(PRELIMINARY)
    dataset = open_dataset(root, LabelTable(table))
    assert (dataset.counts(), dataset.unusable) == ({"all": 2, "hem": 1}, ())


def test_pictures_that_were_saved_in_another_format_are_found_by_their_names(root, opened):
    (root / "1.bmp").rename(root / "1.webp")
    assert labels(opened(PRELIMINARY)) == {"1.webp": "all", "2.bmp": "all", "3.bmp": "hem"}
    picture(root / "1.png")
    with pytest.raises(DatasetError, match=r"line 2 names '1.bmp', which may be 1.png and 1.webp"):
        opened(PRELIMINARY)


def test_numbers_with_a_fraction_of_zero_are_the_numbers(opened):
    assert opened(PRELIMINARY.replace(",1\n", ",1.0\n").replace(",0\n", ",0.0\n")).counts() == {"all": 2, "hem": 1}


def test_a_row_whose_label_contradicts_the_name_is_refused(refusal):
    assert "line 2 calls UID_57_29_1_all 0 (hem); its name says all" in refusal(PRELIMINARY.replace("1.bmp,1", "1.bmp,0", 1))


def test_numbers_without_such_names_stay_the_labels(opened):
    dataset = opened("file,label\n1.bmp,1\n2.bmp,0\n3.bmp,0\n")
    assert (dataset.layout, dataset.unit, dataset.labels, dataset.malignant) == ("table", None, ("0", "1"), ())


# how tables are written


ROWS = [("file", "label", "subject"), ("1.bmp", "ALL", "p1"), ("2.bmp", "ALL", "p2"), ("3.bmp", "normal", "p3")]


def written(delimiter: str = ",", newline: str = "\n", quote: str = "") -> str:
    return newline.join(delimiter.join(f"{quote}{cell}{quote}" for cell in row) for row in ROWS) + newline


@pytest.mark.parametrize(
    "text",
    [
        written(),
        written(newline="\r\n"),
        written(newline="\r"),
        written(";"),
        written("\t"),
        written("|"),
        written(quote='"'),
        written(", "),
        "\ufeff" + written(),
        "\ufeff" + written(";", "\r\n", '"'),
        "sep=;\n" + written(";"),
        "\n" + written() + "\n,,\n\n",
        written() + "1.bmp,ALL,p1\n",  # a row twice
        written().replace("1.bmp", "1").replace("2.bmp", "2"),
        written().replace("1.bmp", "1.BMP"),
        written().replace("1.bmp", "./1.bmp"),
        written().replace("1.bmp", "data/1.bmp"),
        written().replace("1.bmp", "/home/somebody/cells/1.bmp"),
        written().replace("1.bmp", r"C:\Users\somebody\1.bmp"),
        written().replace("2.bmp,ALL", "2.bmp,all "),
    ],
)
def test_a_table_is_read_however_it_was_written(opened, text):
    dataset = opened(text)
    assert labels(dataset) == {"1.bmp": "ALL", "2.bmp": "ALL", "3.bmp": "normal"}
    assert subjects(dataset) == ["p1", "p2", "p3"]
    assert dataset.unusable == ()


@pytest.mark.parametrize(
    "header",
    [
        "filename,class,patient",
        "Image,Diagnosis,Patient ID",
        "image_id,labels,subject_id",
        "File Name,Label,UID",
        "img,target,case_id",
        "path,category,donor",
    ],
)
def test_columns_are_recognised_by_their_names(opened, header):
    assert subjects(opened(written().replace("file,label,subject", header))) == ["p1", "p2", "p3"]


def test_columns_of_other_names_are_given(opened, refusal):
    text = written().replace("file,label,subject", "bild,befund,mensch")
    assert "no column of the files; its header is 'bild', 'befund', 'mensch'" in refusal(text)
    assert subjects(opened(text, file="bild", label="Befund", subject="mensch")) == ["p1", "p2", "p3"]


def test_of_two_columns_that_may_be_the_file_the_one_that_fits_is_taken(opened):
    text = "filename,image,label\nx,1.bmp,a\ny,2.bmp,a\nz,3.bmp,b\n"
    assert opened(text).counts() == {"a": 2, "b": 1}


def test_two_columns_that_may_be_the_label_are_asked_for(opened, refusal):
    text = "file,label,diagnosis\n1.bmp,a,x\n2.bmp,a,x\n3.bmp,b,y\n"
    assert "several columns that could be the label (label, diagnosis)" in refusal(text)
    assert opened(text, label="diagnosis").labels == ("x", "y")


def test_a_given_column_that_is_not_there_is_refused(refusal):
    assert "no column 'nowhere'" in refusal(written(), label="nowhere")


def test_a_folder_in_the_row_tells_files_of_one_name_apart(root, opened, refusal):
    picture(root / "a" / "1.bmp")
    assert labels(opened("file,label\na/1.bmp,x\n2.bmp,y\n")) == {"1.bmp": "x", "2.bmp": "y"}
    picture(root / "b" / "1.bmp")
    (root / "1.bmp").unlink()
    assert "which may be a/1.bmp and b/1.bmp; give its folder" in refusal("file,label\n1.bmp,x\n2.bmp,y\n")


def test_a_row_never_leads_out_of_the_folder(root, opened):
    picture(root.parent / "outside.bmp")
    dataset = opened("file,label\n../outside.bmp,x\n1.bmp,x\n2.bmp,y\n3.bmp,y\n")
    assert [item.reason for item in dataset.unusable] == ["named in labels.csv, but not there (line 2)"]


# what is named


def test_a_file_without_a_row_a_row_without_a_file_and_one_without_a_label_are_named(root, opened):
    picture(root / "4.bmp")
    dataset = opened("file,label\n1.bmp,a\n2.bmp,b\n3.bmp,\ngone.bmp,b\n")
    assert {item.path.name: item.reason for item in dataset.unusable} == {
        "3.bmp": "no label in labels.csv (line 4)",
        "4.bmp": "no row in labels.csv",
        "gone.bmp": "named in labels.csv, but not there (line 5)",
    }
    assert dataset.counts() == {"a": 1, "b": 1}


def test_rows_that_contradict_each_other_are_refused_with_their_lines(refusal):
    assert "lines 2 and 5 give 1.bmp two labels, 'ALL' and 'normal'" in refusal(written() + "1.bmp,normal,p1\n")
    assert "lines 2 and 5 give 1.bmp two subjects, 'p1' and 'p9'" in refusal(written() + "1.bmp,ALL,p9\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "empty; expected a header"),
        (b"\n \n", "empty; expected a header"),
        (b"file,label\n", "none of its 0 rows names an image"),
        (b"1.bmp,ALL\n2.bmp,normal\n", "no column of the files"),
        (b"file,label\nx.bmp,a\ny.bmp,b\n", "none of its 2 rows names an image"),
        (b"file,label\n1.bmp,a\n2.bmp,a\n", "expected two or more labels, found a alone"),
        (b"file,label\n,a\n", "line 2 names no file"),
        (b"PK\x03\x04\x14\0", "an Excel or other zipped file, not a table of text; save it as CSV"),
        (b"\xd0\xcf\x11\xe0", "an old Excel file"),
        ("file,label\n1.bmp,Leucémie\n".encode("latin-1"), "is not UTF-8: byte 0xe9 in line 2"),
        ("file,label\n1.bmp,a\n".encode("utf-16"), "is UTF-16, expected UTF-8"),
        (b"file,label\n1.bmp,\0\n", "zero bytes"),
        (b'file,label\n1.bmp,"a\n', "no CSV"),
        (b"file,label\n1.bmp,ALL, early\n", "line 2 has 3 cells, its header 2; put cells that hold the separator in quotes"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_one_line(refusal, text, words):
    assert words in refusal(text)


def test_a_table_that_is_missing_or_a_folder_is_refused(root, tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere\.csv: no such file; expected a CSV file of labels"):
        open_dataset(root, LabelTable(tmp_path / "nowhere.csv"))
    with pytest.raises(DatasetError, match="folder, not a file; expected a CSV file of labels"):
        open_dataset(root, LabelTable(tmp_path))


def test_a_row_of_a_file_that_is_no_picture_is_named_for_what_it_is(root, opened):
    (root / "4.heic").write_bytes(b"x")
    dataset = opened("file,label\n1.bmp,a\n2.bmp,b\n3.bmp,b\n4.heic,b\n")
    assert [(item.path.name, item.kind) for item in dataset.unusable] == [("4.heic", "HEIC picture")]


# a split, and other columns


def parts(dataset: Dataset) -> dict[str, str | None]:
    return {sample.path.name: sample.part for sample in dataset.samples}


def split_by(column: str, *values: str) -> str:
    rows = zip(("1.bmp,ALL", "2.bmp,ALL", "3.bmp,normal"), values, strict=True)
    return f"file,label,{column}\n" + "".join(f"{row},{value}\n" for row, value in rows)


@pytest.mark.parametrize("column", ["split", "Set", "partition", "subset", "fold", "data_split", "phase"])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("train", "val", "test"), ("train", "validation", "test")),
        (("Training", "VALID", "Testing"), ("train", "validation", "test")),
        (("train", "dev", "train"), ("train", "validation", "train")),
    ],
)
def test_a_column_of_parts_is_the_split(opened, column, values, expected):
    dataset = opened(split_by(column, *values))
    assert parts(dataset) == dict(zip(("1.bmp", "2.bmp", "3.bmp"), expected, strict=True))
    assert (dataset.splits_by, dataset.notes) == (f"column {column} of labels.csv", ())


def test_a_column_that_says_the_same_of_all_is_no_split_and_said_so(opened):
    dataset = opened(split_by("split", "train", "train", "train"))
    assert dataset.parts == {}
    assert [note.partition(": ")[2] for note in dataset.notes] == ["column split says train of all, so it is no split"]


def test_the_table_s_split_goes_before_the_folders(root, opened):
    for name, part in (("1.bmp", "train"), ("2.bmp", "test"), ("3.bmp", "test")):
        (root / part).mkdir(exist_ok=True)
        (root / name).rename(root / part / name)
    table = "file,label\n1.bmp,ALL\n2.bmp,ALL\n3.bmp,normal\n"
    assert parts(opened(table)) == {"1.bmp": "train", "2.bmp": "test", "3.bmp": "test"}
    assert parts(opened(split_by("split", "test", "train", "train"))) == {"1.bmp": "test", "2.bmp": "train", "3.bmp": "train"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("train", "test", ""), "line 4, column 'split': expected train, validation or test, found nothing"),
        (("train", "test", "later"), "column 'split': expected train, validation or test, found 'later'"),
        (("0", "1", "2"), "column 'split': expected train, validation or test, found '0', '1', '2'"),
    ],
)
def test_a_split_that_is_not_clear_is_refused(refusal, values, expected):
    assert expected in refusal(split_by("split", *values))


def test_two_rows_of_a_file_in_two_parts_are_refused(refusal):
    assert "lines 2 and 5 give 1.bmp two parts, 'train' and 'test'" in refusal(
        split_by("split", "train", "test", "test") + "1.bmp,ALL,test\n"
    )


def test_a_column_can_be_named_as_the_split(opened, refusal):
    table = split_by("use", "train", "test", "test")
    assert parts(opened(table, split="use")) == {"1.bmp": "train", "2.bmp": "test", "3.bmp": "test"}
    assert "column 'use': expected train, validation or test, found '0'" in refusal(split_by("use", "0", "1", "1"), split="use")


@pytest.mark.parametrize(("column", "values"), [("fold", "012"), ("set", "ABA"), ("age", "789"), ("sex", "mfm")])
def test_a_column_that_says_nothing_here_is_named(opened, column, values):
    dataset = opened(split_by(column, *values))
    assert dataset.parts == {}
    assert [note.partition(": ")[2] for note in dataset.notes] == [f"columns not used: {column}"]


def test_the_commands_use_the_split_and_name_what_they_do_not_use(call, root, tmp_path):
    table = tmp_path / "labels.csv"
    rows = ["1.bmp,ALL,train,7", "2.bmp,ALL,test,8", "3.bmp,normal,train,9", "4.bmp,normal,test,7"]
    picture(root / "4.bmp")
    table.write_text("\n".join(["file,label,split,age", *rows]))
    result = call(leukolite, "data", root, "--labels-csv", table)
    assert "columns not used: age" in result.stderr
    assert "split by column split of labels.csv: train 2, test 2 images" in result.stdout


def test_names_that_are_not_utf_8_are_without_a_row(root, opened):
    (root / "3.bmp").rename(os.fsdecode(os.fsencode(root) + b"/\xff.bmp"))
    dataset = opened("file,label\n1.bmp,a\n2.bmp,b\n")
    assert [item.reason for item in dataset.unusable] == ["no row in labels.csv"]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_one_line(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("table")
    picture(folder / "1.bmp")
    (folder / "labels.csv").write_bytes(data)
    with pytest.raises(DatasetError) as caught:
        open_dataset(folder, LabelTable(folder / "labels.csv"))
    assert not re.search(r"[\n\r]", str(caught.value))


@given(st.permutations(ROWS[1:]), st.sampled_from(",;\t"), st.booleans())
def test_the_order_of_rows_and_columns_does_not_matter(tmp_path_factory, rows, delimiter, turned):
    folder = tmp_path_factory.mktemp("table")
    for name in ("1.bmp", "2.bmp", "3.bmp"):
        picture(folder / name)
    lines = [delimiter.join(row[::-1] if turned else row) for row in (ROWS[0], *rows)]
    (folder / "labels.csv").write_text("\n".join(lines))
    dataset = open_dataset(folder, LabelTable(folder / "labels.csv"))
    assert labels(dataset) == {"1.bmp": "ALL", "2.bmp": "ALL", "3.bmp": "normal"}
    assert subjects(dataset) == ["p1", "p2", "p3"]


def test_a_table_is_never_replaced_by_what_is_read_from_it(refuses, root, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,label\n1.bmp,a\n2.bmp,b\n")
    commands = (
        ("data", root, "--json"),
        ("evaluate", "synthetic-cells", "--data", root, "--json"),
        ("train", "small_cnn", "--data", root, "--preview"),
    )
    for command in commands:
        line = refuses(leukolite, *command, table, "--labels-csv", table, "--force")
        assert "would be replaced, and is part of" in line
    assert table.read_text().startswith("file,label")
