"""Text files of any editor; and files of a newer schema."""

import json
import os
from pathlib import Path

import pytest

from leukolite.errors import DatasetError, LeukoliteError
from leukolite.schema import newer_than
from leukolite.textfiles import decode_text, parse_json, read_json, read_text


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes(b"\xef\xbb\xbfBenign\r\nEarly\r\n")
    assert read_text(path, "labels").splitlines() == ["Benign", "Early"]
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(path, "JSON") == {"a": 1}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("Benign\n".encode("utf-16"), "is UTF-16, expected UTF-8; save it again with the encoding UTF-8"),
        ("Benign\n".encode("utf-16-be"), "is no UTF-8 text: it has zero bytes (UTF-16, or not text at all)"),
        (b"\xfe\xff\0B", "is UTF-16"),
        ("Benign\n".encode("utf-32"), "is UTF-32"),
        ("a\nFr\u00fch\n".encode("latin-1"), "is not UTF-8: byte 0xfc in line 2 (an older encoding, or no text)"),
    ],
)
def test_another_encoding_is_refused_by_its_name(data, said, tmp_path):
    with pytest.raises(ValueError, match="UTF-8") as caught:
        decode_text(data)
    assert str(caught.value).startswith(said)
    (tmp_path / "x.txt").write_bytes(data)
    with pytest.raises(DatasetError, match=f"{tmp_path / 'x.txt'} is .*; expected a list$"):
        read_text(tmp_path / "x.txt", "a list", DatasetError)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is not JSON: the file is empty"),
        (b"  \n", "is not JSON: the file is empty"),
        (b'{"a": 1,\n}', "is not JSON: line 2, column 1: "),
        (b"[" * 100_000, "is not JSON of ours: nested too deeply"),
    ],
)
def test_damaged_json_says_where(data, said):
    with pytest.raises(ValueError, match="is not JSON") as caught:
        parse_json(data)
    assert str(caught.value).startswith(said)


def test_a_folder_where_a_text_file_is_wanted_is_called_a_folder(tmp_path):
    with pytest.raises(LeukoliteError, match=f"{tmp_path}: a folder, not a file; expected labels"):
        read_text(tmp_path, "labels")


def test_a_pipe_that_nobody_writes_into_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LeukoliteError, match=r"pipe: a pipe, not a file; expected labels$"):
        read_text(tmp_path / "pipe", "labels")


@pytest.mark.parametrize("content", [{"schema_version": 9}, {"schema": 9}, {"schema": {"name": "session", "version": 9}}])
def test_a_newer_schema_asks_for_a_newer_leukolite(content):
    said = newer_than(json.dumps(content), 2)
    assert said is not None
    assert said.startswith("of schema 9; leukolite ")
    assert said.endswith(" reads schemas 1 to 2: update leukolite")


@pytest.mark.parametrize("content", ["{}", "[]", "1", "{", '{"schema_version": 2}', '{"schema_version": "9"}', "null"])
def test_what_is_not_newer_is_not_called_so(content):
    assert newer_than(content, 2) is None
    assert newer_than(content, 2, "record") is None


def test_a_run_of_a_newer_schema_asks_for_a_newer_leukolite(finished_run: Path, refuses, tmp_path):
    import shutil

    from leukolite.cli import main as leukolite

    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"schema_version": 2}))
    line = refuses(leukolite, "train", "--from", run, "--out", tmp_path / "again")
    assert "run.json: of schema 2; leukolite " in line
    assert line.endswith("reads schema 1: update leukolite")
    (run / "run.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(record).encode())
    (run / "split.json").write_bytes(b"\xef\xbb\xbf" + (run / "split.json").read_bytes())
    from leukolite.train.runs import load_run, load_run_split

    assert load_run(run).labels == record["labels"]
    assert load_run_split(run)["train"]
