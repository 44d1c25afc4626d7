import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolite.errors import LeukoliteError
from leukolite.files import check_new_file, check_replaceable, new_file, new_folder, short_names, write_file, write_json
from leukolite.path_text import json_text, path_of_text, text_of_path

MARK, OLD = "manifest.json", '{"schema_version": 1}'


def fill_and_fail(path: Path) -> None:
    with new_folder(path, replace_if_holds=MARK, force=True) as folder:
        (folder / MARK).write_text("new")
        raise ZeroDivisionError


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A folder that may be replaced, for it holds MARK."""
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / MARK).write_text(OLD)
    return folder


@pytest.fixture
def impossible(tmp_path: Path) -> Path:
    """A place below a regular file: nobody can write there, root neither."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "below"


def test_a_file_whose_writing_breaks_off_leaves_the_old_one_and_nothing_beside_it(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(TypeError), new_file(tmp_path / "a", force=True) as file:
        file.writelines([b"new", "no bytes"])
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names_in(tmp_path) == ["a"]


def test_a_file_holds_what_was_written_and_nothing_lies_beside_it(tmp_path):
    write_file(tmp_path / "a.txt", "µm\n")
    assert (tmp_path / "a.txt").read_bytes() == "µm\n".encode()
    assert names_in(tmp_path) == ["a.txt"]


def test_writing_a_file_replaces_the_old_one_and_makes_missing_folders(tmp_path):
    for content in (b"old", b"new"):
        write_file(tmp_path / "deep" / "er" / "a", content, force=True)
    assert (tmp_path / "deep" / "er" / "a").read_bytes() == b"new"


def test_a_written_file_is_as_readable_as_any_other(tmp_path):
    (tmp_path / "usual").write_text("")
    write_file(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_file_that_cannot_be_moved_to_its_place_leaves_nothing(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(LeukoliteError, match="taken: cannot be written"):
        write_file(tmp_path / "taken", "x")
    assert names_in(tmp_path) == ["taken"]


def test_a_file_in_an_impossible_place_is_one_line_of_error(impossible):
    with pytest.raises(LeukoliteError, match=r"^[^\n]*below: cannot be written[^\n]*$"):
        write_file(impossible, "x")


def test_a_new_folder_appears_when_its_block_ends(tmp_path):
    with new_folder(tmp_path / "new") as folder:
        (folder / "a").write_text("a")
        assert not (tmp_path / "new").exists()
    assert names_in(tmp_path) == ["new"]
    assert names_in(tmp_path / "new") == ["a"]


def test_a_block_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        fill_and_fail(tmp_path / "new")
    assert names_in(tmp_path) == []


def test_a_block_that_fails_keeps_the_old_folder(ours):
    with pytest.raises(ZeroDivisionError):
        fill_and_fail(ours)
    assert (ours / MARK).read_text() == OLD
    assert names_in(ours.parent) == ["ours"]


def test_a_folder_of_ours_is_replaced_as_a_whole(ours):
    (ours / "more").write_text("old")
    with new_folder(ours, replace_if_holds=MARK, force=True) as folder:
        (folder / MARK).write_text("new")
    assert names_in(ours) == [MARK]
    assert (ours / MARK).read_text() == "new"
    assert names_in(ours.parent) == ["ours"]


def test_on_linux_the_old_folder_and_the_new_change_places_in_one_step(ours, monkeypatch):
    if sys.platform != "linux":
        pytest.skip("the one-step exchange is Linux's")
    monkeypatch.setattr(Path, "rename", lambda path, target: pytest.fail("two steps"))
    with new_folder(ours, replace_if_holds=MARK, force=True) as folder:
        (folder / MARK).write_text("new")
    assert (ours / MARK).read_text() == "new"
    assert names_in(ours.parent) == ["ours"]


def test_where_no_exchange_is_known_a_folder_is_replaced_all_the_same(ours, monkeypatch):
    monkeypatch.setattr("leukolite.files._exchange", lambda first, second: False)
    with new_folder(ours, replace_if_holds=MARK, force=True) as folder:
        (folder / MARK).write_text("new")
    assert (ours / MARK).read_text() == "new"
    assert names_in(ours.parent) == ["ours"]


@pytest.mark.parametrize("interruption", [OSError(16, "busy"), KeyboardInterrupt()])
@pytest.mark.parametrize("failing_move", [0, 1])
def test_a_replacement_that_is_cut_short_keeps_the_old_folder(ours, monkeypatch, interruption, failing_move):
    rename, moves = Path.rename, []

    def rename_cut_short(path: Path, target: Path) -> Path:
        moves.append(path)
        if len(moves) == failing_move + 1:
            raise interruption
        return rename(path, target)

    monkeypatch.setattr("leukolite.files._exchange", lambda first, second: False)
    monkeypatch.setattr(Path, "rename", rename_cut_short)
    with pytest.raises((LeukoliteError, KeyboardInterrupt)), new_folder(ours, replace_if_holds=MARK, force=True) as folder:
        (folder / MARK).write_text("new")
    assert (ours / MARK).read_text() == OLD
    assert names_in(ours.parent) == ["ours"]


def test_an_empty_folder_is_a_free_place(tmp_path):
    (tmp_path / "empty").mkdir()
    with new_folder(tmp_path / "empty") as folder:
        (folder / "a").write_text("a")
    assert names_in(tmp_path / "empty") == ["a"]


@pytest.mark.parametrize("mark", [MARK, None])
def test_somebody_elses_folder_is_refused_and_kept(tmp_path, mark):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "cat.jpg").write_text("cat")
    with pytest.raises(LeukoliteError, match="pictures: the folder exists"), new_folder(pictures, replace_if_holds=mark):
        pytest.fail("the block must not run")
    assert names_in(pictures) == ["cat.jpg"]
    assert names_in(tmp_path) == ["pictures"]


def test_a_link_is_refused_even_to_a_folder_of_ours(ours):
    link = ours.parent / "link"
    link.symlink_to(ours)
    with pytest.raises(LeukoliteError, match="found a file or link"):
        check_replaceable(link, MARK)


def test_a_file_where_a_folder_shall_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LeukoliteError, match="found a file or link"):
        check_replaceable(tmp_path / "file", None)


def test_a_folder_in_an_impossible_place_is_one_line_of_error(impossible):
    with pytest.raises(LeukoliteError, match=r"^[^\n]*below: cannot be written[^\n]*$"), new_folder(impossible):
        pytest.fail("the block must not run")


@pytest.mark.parametrize("content", ['{"manifest_version": 3}', "[]", "not JSON"])
def test_somebody_elses_manifest_does_not_make_a_folder_ours(ours: Path, content: str) -> None:
    (ours / MARK).write_text(content)
    with pytest.raises(LeukoliteError, match="not one of leukolite's"):
        check_replaceable(ours, MARK)


def test_where_one_stands_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LeukoliteError, match="where you are"):
        check_replaceable(Path(), None)


def test_a_device_is_written_into_and_stays_a_device() -> None:
    write_file(Path("/dev/null"), "x")
    assert Path("/dev/null").is_char_device()


def test_a_links_target_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_file(tmp_path / "link", "new", force=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def test_a_folder_of_ours_is_not_replaced_unasked(ours: Path) -> None:
    with pytest.raises(LeukoliteError, match=r"ours: exists \(written 20..-..-.. ..:.. UTC\)") as caught:
        check_replaceable(ours, MARK)
    assert caught.value.advice == "force"
    with pytest.raises(LeukoliteError, match="ours: exists"), new_folder(ours, replace_if_holds=MARK):
        pytest.fail("the block must not run")
    assert (ours / MARK).read_text() == OLD


def test_force_does_not_make_somebody_elses_folder_ours(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "cat.jpg").write_text("cat")
    with pytest.raises(LeukoliteError, match="not one of leukolite's"):
        check_replaceable(tmp_path / "pictures", MARK, force=True)


def test_what_came_to_a_folders_place_meanwhile_stays(tmp_path: Path) -> None:
    with pytest.raises(LeukoliteError, match="new: cannot be written"), new_folder(tmp_path / "new", replace_if_holds=MARK):
        write_file(tmp_path / "new" / MARK, OLD)
    assert (tmp_path / "new" / MARK).read_text() == OLD
    assert names_in(tmp_path) == ["new"]


def test_a_file_is_not_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(LeukoliteError, match=r"a: exists \(written 20.* UTC\); choose another file"):
        write_file(tmp_path / "a", "new")
    with pytest.raises(LeukoliteError, match="a: exists"):
        check_new_file(tmp_path / "a")
    check_new_file(tmp_path / "a", force=True)
    assert (tmp_path / "a").read_text() == "old"


def test_an_empty_file_is_a_free_place(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    check_new_file(tmp_path / "a")
    write_file(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"


def test_what_came_to_a_files_place_meanwhile_stays(tmp_path: Path) -> None:
    with pytest.raises(LeukoliteError, match="a: exists"), new_file(tmp_path / "a"):
        (tmp_path / "a").write_text("meanwhile")
    assert (tmp_path / "a").read_text() == "meanwhile"
    assert names_in(tmp_path) == ["a"]


@pytest.mark.parametrize("check", [check_new_file, lambda path: check_replaceable(path, None)])
@pytest.mark.parametrize("place", ["a", "not/yet/there/a", "n" * 250, "\u00e9" * 120])
def test_trying_a_place_leaves_nothing_there(tmp_path: Path, check, place: str) -> None:
    check(tmp_path / place)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("check", [check_new_file, lambda path: check_replaceable(path, None)])
@pytest.mark.parametrize("place", ["n" * 300, "d" * 300 + "/a", "file/a", "loop/a"])
def test_a_place_that_cannot_be_is_one_line_before_the_work(tmp_path: Path, check, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(LeukoliteError, match=r"^[^\n]*: cannot be written \([^\n]*\); choose [^\n]*$"):
        check(tmp_path / place)
    assert names_in(tmp_path) == ["file", "loop"]


def test_a_full_disk_is_found_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LeukoliteError, match=r"a: cannot be written \(disk full\)"):
        check_new_file(tmp_path / "deep" / "a")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("check", [check_new_file, lambda path: check_replaceable(path, None)])
def test_a_read_only_disk_is_found_before_the_work_by_root_too(tmp_path: Path, check) -> None:
    (tmp_path / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", str(tmp_path / "disk")]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root")
    try:
        with pytest.raises(LeukoliteError, match=r"new/a: cannot be written \(Read-only file system\)"):
            check(tmp_path / "disk" / "new" / "a")
    finally:
        subprocess.run(["umount", tmp_path / "disk"], check=True)


def test_a_name_as_long_as_the_system_allows_is_written(tmp_path: Path) -> None:
    write_file(tmp_path / ("n" * 255), "x")
    with new_folder(tmp_path / ("\u00e9" * 127)) as folder:
        (folder / "a").touch()
    assert len(names_in(tmp_path)) == 2


ODD_NAMES = ["caf\udce9.jpg", r"caf\udce9.jpg", r"\udc5c", "\\\udcff", "a\nb", "\u202e", "\U0001f480", "plain"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_path_survives_being_kept_as_text(name: str) -> None:
    text = text_of_path(Path(name))
    assert path_of_text(text) == Path(name)
    assert json.loads(json_text({text: [text]})) == {text: [text]}
    assert text.encode()  # UTF-8, so any parser reads it


@given(st.binary(min_size=1).map(lambda name: os.fsdecode(name.replace(b"\0", b"0").replace(b"/", b"\\udc"))))
def test_any_files_name_survives_being_kept_as_text(name: str) -> None:
    assert str(path_of_text(text_of_path(name))) == str(Path(name))


def test_json_holds_a_path_as_text_whoever_made_it_text() -> None:
    name = "caf\udce9.jpg"
    assert json.loads(json_text({name: [name, text_of_path(name)]})) == {text_of_path(name): [text_of_path(name)] * 2}


def test_text_without_odd_bytes_is_kept_as_it_is() -> None:
    assert text_of_path("/data/\u00e9t\u00e9 \U0001f480/C:\\udata\\x") == "/data/\u00e9t\u00e9 \U0001f480/C:\\udata\\x"


def test_json_is_plain_ascii_without_control_characters(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "".join(ODD_NAMES) + "\x1b]0;t\x07\x7f\x9b"})
    content = (tmp_path / "a.json").read_bytes()
    assert all(32 <= byte < 127 or byte == 10 for byte in content)


def test_the_last_part_of_a_path_is_its_short_name_unless_another_ends_alike(tmp_path):
    first, second, third = tmp_path / "a" / "runs", tmp_path / "b" / "runs", tmp_path / "b" / "m"
    assert short_names([first, third]) == ["runs", "m"]
    assert short_names([first, second, third]) == [str(first), str(second), "m"]
