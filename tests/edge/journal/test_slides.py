"""A slide's id does not tell the slide."""

import pytest

from leukolite.edge.journal.slides import load_salt, slide_id
from leukolite.errors import JournalError


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
