"""A journal that others wrote, every hash of which is right: what fills the memory or can be read two ways is refused."""

import hashlib
import os
from pathlib import Path

import pytest

from leukolite.edge.journal.format import GENESIS, MOST_LINE_VALUES, verify
from leukolite.errors import JournalError

DEEP = "[" * 15_000 + "]" * 15_000


def write_line(folder: Path, record: str) -> None:
    body = f'{{"seq":0,"at":"2026-01-01T00:00:00Z","up_ms":0,"prev":"{GENESIS}","record":{record}'.encode()
    line = body + f',"sha256":"{hashlib.sha256(body).hexdigest()}"}}\n'.encode()
    (folder / "journal-000000.jsonl").write_bytes(line)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ('{"kind":"start","kind":"end"}', "the key 'kind' twice in one object"),
        ('{"kind":"start","seed":1,"\\u0073eed":2}', "the key 'seed' twice in one object"),
        (f'{{"kind":"start","sigmas":[{"0," * MOST_LINE_VALUES}0]}}', "more than 20,000 values"),
        (f'{{"kind":"start","settings":{DEEP}}}', "line 1: "),
        ('{"kind":"start","sigmas":[NaN]}', "line 1: "),
        ('{"kind":"start","sigmas":[1e999]}', "line 1: "),
        (f'{{"kind":"start","sigmas":[{"9" * 5000}]}}', "line 1: "),
    ],
    ids=["twice", "twice, escaped", "values", "brackets", "NaN", "1e999", "digits"],
)
def test_a_line_that_no_leukolite_wrote_is_refused_in_one_line(tmp_path, record, said):
    write_line(tmp_path, record)
    with pytest.raises(JournalError) as caught:
        verify(tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pipe_in_a_journal_s_place_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "journal-000000.jsonl")
    with pytest.raises(JournalError, match="a pipe, not a file"):
        verify(tmp_path)
