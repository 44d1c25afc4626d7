"""One line from a file or from stdin."""

import io
import os
import sys
import threading

import pytest

from leukolite.errors import LeukoliteError
from leukolite.one_line import first_line_of


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"A17", "A17"),
        (b"A17\n", "A17"),
        (b"A17\r\nB2\r\n", "A17"),
        (b"\xef\xbb\xbfA17\n", "A17"),
        ("Pr\u00e4parat 7\n".encode(), "Pr\u00e4parat 7"),
        (b" A17 \n", " A17 "),
        (b"A" * 4096, "A" * 4096),
    ],
)
def test_the_first_line_counts(tmp_path, monkeypatch, content, line):
    (tmp_path / "x").write_bytes(content)
    assert first_line_of(tmp_path / "x", "a name") == line
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert first_line_of(type(tmp_path)("-"), "a name") == line


@pytest.mark.parametrize("content", [b"", b"\n", b" \nA17", b"A" * 4097, b"\xff\xfeA\0", b"A\0", b"caf\xe9", b"\xef\xbb\xbf"])
def test_what_is_no_line_of_text_is_refused(tmp_path, monkeypatch, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(LeukoliteError, match="expected a name"):
        first_line_of(tmp_path / "x", "a name")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    with pytest.raises(LeukoliteError, match=r"stdin: .*expected a name"):
        first_line_of(type(tmp_path)("-"), "a name")


def test_what_is_no_file_is_named(tmp_path, monkeypatch):
    with pytest.raises(LeukoliteError, match="a folder, not a file; expected a file that holds a name in one line"):
        first_line_of(tmp_path, "a name")
    with pytest.raises(LeukoliteError, match="no such file"):
        first_line_of(tmp_path / "no", "a name")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(LeukoliteError, match="stdin is closed; expected a name in one line"):
        first_line_of(type(tmp_path)("-"), "a name")


def test_a_pipe_is_read_and_a_device_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o644)
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"A17\n",))
    writer.start()
    assert first_line_of(tmp_path / "pipe", "a name", private=True) == "A17"
    writer.join()
    with pytest.raises(LeukoliteError, match="a device, not a file"):
        first_line_of(type(tmp_path)("/dev/zero"), "a name")
