"""A journal's records as CSV and JSON."""

import csv
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from journals import frame, start, verdict

from leukolite.cli import main as leukolite
from leukolite.edge.journal.format import journal_files, verify
from leukolite.edge.journal.open import create_journal


def test_export_has_a_row_a_verdict_or_exclusion_with_its_slide(call: Callable, session, tmp_path):
    result = call(leukolite, "journal", "export", session, "--csv", tmp_path / "s.csv", "--json", tmp_path / "s.json")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader((tmp_path / "s.csv").read_text().splitlines()))
    assert [(row["index"], row["slide"][:4], row["label"], row["excluded"], row["p_blast"]) for row in rows] == [
        ("0", "0123", "blast", "", "0.9"),
        ("0", "0123", "", "too small", ""),
        ("1", "fedc", "abstain", "", "0.5"),
        ("2", "fedc", "", "blurred (focus 3)", ""),
    ]
    assert (rows[2]["source"], rows[2]["truth"], rows[0]["x1"]) == ('a,"b".png', "healthy", "60")
    content = json.loads((tmp_path / "s.json").read_text())
    assert [item["seq"] for item in content["records"]] == list(range(9))
    assert content["records"][-1]["sha256"] == verify(session).anchor


def test_export_of_a_bad_journal_leaves_no_file(refuses: Callable, session, tmp_path):
    path = journal_files(session)[-1]
    path.write_bytes(path.read_bytes().replace(b"end", b"enb"))
    (tmp_path / "out").mkdir()
    refuses(leukolite, "journal", "export", session, "--csv", tmp_path / "out" / "s.csv")
    assert list((tmp_path / "out").iterdir()) == []


# --- stdout


EXPORT = [sys.executable, "-c", "from leukolite.start import main; main()", "journal", "export"]


@pytest.fixture
def long_journal(tmp_path) -> Path:
    """More than a pipe holds."""
    journal = create_journal(tmp_path / "long", start())
    for index in range(600):
        journal.append(frame(index, verdicts=1), verdict(index))
    journal.close()
    return tmp_path / "long"


def test_a_reader_of_an_export_that_has_enough_is_no_failure_and_the_other_file_is_written(long_journal, tmp_path):
    command = f"set -o pipefail; {shlex.join([*EXPORT, str(long_journal), '--csv', '-', '--json', str(tmp_path / 'all.json')])}"
    done = subprocess.run(["bash", "-c", f"{command} | head -1"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("seq,at,slide,")
    assert done.stderr.splitlines() == [f"{tmp_path / 'all.json'}: 1,201 records"]
    assert len(json.loads((tmp_path / "all.json").read_text())["records"]) == 1201


def test_an_export_onto_a_full_disk_fails_and_the_other_file_is_written(long_journal, tmp_path):
    with Path("/dev/full").open("wb") as full:
        command = [*EXPORT, long_journal, "--csv", "-", "--json", tmp_path / "all.json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: stdout: not all could be written (disk full)")
    assert len(json.loads((tmp_path / "all.json").read_text())["records"]) == 1201


def test_the_journal_is_never_replaced_by_its_export(refuses: Callable, session):
    before = {path: path.read_bytes() for path in journal_files(session)}
    for option, place in (("--csv", journal_files(session)[0]), ("--json", session / "journal-000000.jsonl")):
        line = refuses(leukolite, "journal", "export", session, option, place, "--force")
        assert "would be replaced, and is part of" in line
    assert {path: path.read_bytes() for path in journal_files(session)} == before
    assert verify(session).ended
