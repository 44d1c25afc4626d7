"""A slide's id does not tell the slide."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from leukolite.edge.journal.slides import laboratory_salt, load_salt, salt_places, slide_id
from leukolite.errors import JournalError

SALT = bytes(32)


def test_a_slides_id_tells_nothing_without_the_salt_and_is_the_same_with_it(tmp_path):
    salt = load_salt(tmp_path / "here" / "salt")
    assert (tmp_path / "here" / "salt").stat().st_mode & 0o777 == 0o600
    assert slide_id("Smith 12", salt) == slide_id("Smith 12", load_salt(tmp_path / "here" / "salt"))
    assert slide_id("Smith 12", salt) != slide_id("Smith 12", load_salt(tmp_path / "salt"))
    assert slide_id("Smith 12", salt) != slide_id("Smith 13", salt)


def test_a_file_that_is_no_salt_is_refused(tmp_path):
    (tmp_path / "salt").write_bytes(b"short")
    with pytest.raises(JournalError, match="expected a salt of 32 bytes, found 5"):
        load_salt(tmp_path / "salt")


@pytest.mark.parametrize("kind", ["folder", "device or pipe"])
def test_what_lies_in_the_salts_place_and_is_no_file_is_named_with_what_to_do(tmp_path, monkeypatch, kind):
    place = tmp_path / "leukolite" / "salt"
    place.parent.mkdir()
    place.mkdir() if kind == "folder" else os.mkfifo(place)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    with pytest.raises(
        JournalError, match=rf"leukolite/salt: .*cannot be read \(a {kind}, not a file\); put the laboratory's own there"
    ):
        laboratory_salt()


def test_the_same_name_has_the_same_id_however_it_is_typed():
    assert slide_id("Möller 3", SALT) == slide_id(" Mo\u0308ller 3 ", SALT)
    assert slide_id("A\udce9", SALT) != slide_id("A", SALT)  # a command line that is not UTF-8


def test_an_empty_salt_that_a_power_cut_left_is_made_again(tmp_path):
    (tmp_path / "salt").touch()
    assert load_salt(tmp_path / "salt") == load_salt(tmp_path / "salt") == (tmp_path / "salt").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["salt"]


def test_two_processes_that_make_the_salt_at_once_get_the_same(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(load_salt, [tmp_path / "salt"] * 32))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["salt"]


@pytest.mark.parametrize(
    ("environment", "places"),
    [
        ({"XDG_CONFIG_HOME": "/c", "HOME": "/h"}, ["/c/leukolite/salt"]),
        ({"HOME": "/h"}, ["/h/.config/leukolite/salt"]),
        ({"HOME": "/h", "STATE_DIRECTORY": "/s:/t"}, ["/h/.config/leukolite/salt", "/s/salt"]),
        ({"HOME": "/h", "XDG_CONFIG_HOME": "", "STATE_DIRECTORY": ""}, ["/h/.config/leukolite/salt"]),
    ],
)
def test_the_salt_lies_in_the_users_configuration_or_in_the_services_state(environment, places):
    assert list(map(str, salt_places(environment))) == places


def test_a_user_without_a_home_has_the_salt_in_the_services_state(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "file" / "nonexistent"))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    assert laboratory_salt() == (tmp_path / "state" / "salt").read_bytes()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # made later: the salt that is there stays the laboratory's
    assert laboratory_salt() == (tmp_path / "state" / "salt").read_bytes()
    assert not (tmp_path / "home").exists()


def test_a_home_that_is_not_there_is_not_made_for_the_salt(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    assert laboratory_salt() == (tmp_path / "state" / "salt").read_bytes()
    monkeypatch.delenv("STATE_DIRECTORY")
    with pytest.raises(JournalError, match=r"cannot be made \(there is no home .*home\); set XDG_CONFIG_HOME"):
        laboratory_salt()
    assert not (tmp_path / "home").exists()


def test_a_relative_configuration_folder_is_ignored_lest_ids_depend_on_the_place_of_work():
    assert list(map(str, salt_places({"XDG_CONFIG_HOME": "config", "HOME": "/home/x"}))) == ["/home/x/.config/leukolite/salt"]


def test_a_salt_that_can_be_made_nowhere_is_one_error_with_the_remedy(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "file" / "state"))
    with pytest.raises(JournalError, match=r"Not a directory.*; set XDG_CONFIG_HOME to a folder that can be written"):
        laboratory_salt()


def test_a_salt_that_cannot_be_read_is_never_passed_over_for_another(tmp_path, monkeypatch):
    (tmp_path / "leukolite" / "salt").mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    with pytest.raises(JournalError, match="cannot be read"):
        laboratory_salt()
