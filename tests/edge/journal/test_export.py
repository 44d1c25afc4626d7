"""A journal's records as CSV and JSON."""

import csv
import json
from collections.abc import Callable

from leukolite.cli import main as leukolite
from leukolite.edge.journal.format import journal_files, verify


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
