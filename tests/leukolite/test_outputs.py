from pathlib import Path

import pytest

from leukolite.errors import LeukoliteError
from leukolite.outputs import check_outputs

MARK = "report.json"


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / MARK).write_text('{"schema": 1}')
    return tmp_path / "ours"


def test_results_apart_from_each_other_are_well(tmp_path: Path) -> None:
    check_outputs(
        files=[tmp_path / "a.json", None, Path("-"), Path("/dev/null"), Path("/dev/null")],
        folders={tmp_path / "out": MARK, None: MARK},
        journal=tmp_path / "journal",
        force=False,
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "places",
    [
        {"files": ["a", "a"]},
        {"files": ["a", "./b/../a"]},
        {"files": ["a"], "folders": ["a"]},
        {"folders": ["a"], "journal": "a"},
        {"files": ["-", "-"]},
    ],
)
def test_two_results_in_one_place_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: dict) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LeukoliteError, match="two results cannot go to"):
        check_outputs(
            files=map(Path, places.get("files", [])),
            folders={Path(path): MARK for path in places.get("folders", [])},
            journal=Path(places["journal"]) if "journal" in places else None,
            force=True,
        )


@pytest.mark.parametrize("places", [{"files": ["a/x.json"]}, {"folders": ["a/b"]}, {"journal": "a/j"}])
def test_a_result_within_a_folder_that_is_written_whole_is_refused(tmp_path: Path, places: dict) -> None:
    with pytest.raises(LeukoliteError, match=r"lies in .*/a, which is written as a whole"):
        check_outputs(
            files=[tmp_path / path for path in places.get("files", [])],
            folders=dict.fromkeys([tmp_path / "a", *(tmp_path / path for path in places.get("folders", []))], MARK),
            journal=tmp_path / places["journal"] if "journal" in places else None,
            force=False,
        )


def test_results_within_a_sessions_folder_are_well(tmp_path: Path) -> None:
    (tmp_path / "monday").mkdir()
    check_outputs(folders={tmp_path / "monday" / "results": MARK}, journal=tmp_path / "monday", force=False)


def test_what_is_read_is_not_replaced_though_forced(ours: Path) -> None:
    (ours / "slides").mkdir()
    for read in (ours, ours / "slides"):
        with pytest.raises(LeukoliteError, match=r"would be replaced, and .* is read from there"):
            check_outputs(folders={ours: MARK}, inputs=[read], force=True)


def test_a_file_that_is_read_is_not_replaced_though_forced(ours: Path, tmp_path: Path) -> None:
    picture = tmp_path / "data" / "a.png"
    picture.parent.mkdir()
    picture.write_bytes(b"x")
    for place, read in ((ours / MARK, ours), (ours / MARK, ours / MARK)):
        with pytest.raises(LeukoliteError, match=r"would be replaced, and is part of .*, which is read; choose another place"):
            check_outputs(files=[place], inputs=[read], force=True)
    for read in (picture, picture.parent):
        with pytest.raises(LeukoliteError, match="would be replaced, and is one of the files that are read"):
            check_outputs(files=[picture], data=[read], force=True)


def test_nothing_is_replaced_unasked(ours: Path) -> None:
    with pytest.raises(LeukoliteError, match="exists"):
        check_outputs(folders={ours: MARK}, force=False)
    with pytest.raises(LeukoliteError, match="exists"):
        check_outputs(files=[ours / MARK], force=False)
    check_outputs(folders={ours: MARK}, force=True)
    check_outputs(files=[ours / MARK], force=True)


def test_a_circle_of_links_ends_in_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    loop = tmp_path / "loop"
    check_outputs(files=[tmp_path / "a.json"], journal=loop, inputs=[loop], data=[loop], force=False)


def test_results_among_the_data_are_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_outputs(files=[tmp_path / "sheet.png"], data=[tmp_path], force=False)
    assert "sheet.png lies in" in capsys.readouterr().err
    check_outputs(files=[tmp_path / "sheet.png"], data=[tmp_path / "elsewhere"], inputs=[tmp_path], force=False)
    assert capsys.readouterr().err == ""
