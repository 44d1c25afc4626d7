"""A slide's id that does not tell the slide: salted, with the laboratory's own salt."""

import hashlib
import hmac
import os
import secrets
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from leukolite.edge.journal.writer import sync_folder
from leukolite.errors import JournalError, reason_of

SLIDE_DIGITS = 16  # of the HMAC: 64 bits, more slides than a laboratory will ever have
SALT_BYTES = 32
SLIDE_NAME_CHARACTERS = 200
OTHER_SALT = "let this user read and write it, or put back the laboratory's own; with a new one every slide has a new id"


def slide_id(name: str, salt: bytes) -> str:
    """A slide's name that does not tell the slide: HMAC-SHA256 under the laboratory's salt, 16 hex digits.

    Whoever has the salt can show that an id is a given slide's; without it names cannot be tried out.
    """
    return hmac.new(salt, plain_name(name).encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:SLIDE_DIGITS]


def is_slide_name(name: str) -> bool:
    """Whether a slide can be called so: neither empty nor longer than `SLIDE_NAME_CHARACTERS`."""
    return 0 < len(plain_name(name)) <= SLIDE_NAME_CHARACTERS


def plain_name(name: str) -> str:
    """A slide's name however it was typed: without spaces around it, accents composed."""
    return unicodedata.normalize("NFC", name.strip())


def load_salt(path: Path) -> bytes:
    """The laboratory's salt, 32 random bytes in a file that only its owner may read; made, whole, where there is none.

    Raises:
        JournalError: the file cannot be read or made, or is no salt.
    """
    if path.exists() and not path.is_file():  # of a pipe nothing may ever come
        what = "folder" if path.is_dir() else "device or pipe"
        raise JournalError(
            f"{path}: the salt of the slides' ids cannot be read (a {what}, not a file); put the laboratory's own there"
        )
    try:
        salt = path.read_bytes() if path.exists() else b""
        if not salt:  # of an empty file, which a power cut leaves, no id was ever made
            path.parent.mkdir(parents=True, exist_ok=True)
            salt = _make_salt(path)
    except OSError as error:
        raise JournalError(
            f"{path}: the salt of the slides' ids cannot be read or made ({reason_of(error)}); {OTHER_SALT}"
        ) from error
    if len(salt) != SALT_BYTES:
        raise JournalError(f"{path}: expected a salt of {SALT_BYTES} bytes, found {len(salt)}; {OTHER_SALT}")
    return salt


def laboratory_salt() -> bytes:
    """The salt of the slides' ids: the first of `salt_places` that is there, else made at the first that can be written.

    Raises:
        JournalError: one cannot be read, or none can be made.
    """
    places = salt_places(os.environ)
    for path in places:
        if _is_there(path):
            return load_salt(path)
    refusals, home = [], os.environ.get("HOME")
    for path in places:
        if home and path.is_relative_to(home) and not os.path.isdir(home):  # noqa: PTH112  # a closed one is none either
            refusals.append(f"{path}: the salt of the slides' ids cannot be made (there is no home {home})")  # nor is one made
            continue
        try:
            return load_salt(path)
        except JournalError as error:
            refusals.append(str(error))
    raise JournalError(
        f"{'; '.join(refusals) or 'no folder is known for the salt of the slides, neither of the user nor of a service'};"
        " set XDG_CONFIG_HOME to a folder that can be written and is kept"
    )


def salt_places(environment: Mapping[str, str]) -> list[Path]:
    """Where the salt may lie, in this order: the user's configuration folder, then the folder that systemd keeps for a service,
    whose user often has no home.

    Args:
        environment: XDG_CONFIG_HOME or HOME, and STATE_DIRECTORY.
    """
    folders = []
    if Path(environment.get("XDG_CONFIG_HOME", "")).is_absolute():  # by its specification another is to be ignored
        folders.append(Path(environment["XDG_CONFIG_HOME"]))
    elif environment.get("HOME"):
        folders.append(Path(environment["HOME"]) / ".config")
    else:
        with suppress(RuntimeError):  # a user whom the system does not know
            folders.append(Path.home() / ".config")
    states = [Path(folder) for folder in environment.get("STATE_DIRECTORY", "").split(":")[:1] if folder]
    return [*(folder / "leukolite" / "salt" for folder in folders), *(folder / "salt" for folder in states)]


def slide_of(name: str | None) -> str | None:
    """A slide's salted id."""
    return slide_id(name, laboratory_salt()) if name else None


def _is_there(path: Path) -> bool:
    try:
        return path.stat().st_size > 0 or not path.is_file()  # a pipe is no salt, and is told
    except OSError:  # also a home that a service may not look into
        return False


def _make_salt(path: Path) -> bytes:
    """Of two processes that make one at the same time both get the same."""
    salt = secrets.token_bytes(SALT_BYTES)
    made = path.with_name(f".salt.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(salt)
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(made)
        except FileExistsError:
            if not _is_there(path):
                made.replace(path)
        except OSError:  # a file system without links
            made.replace(path)
    finally:
        made.unlink(missing_ok=True)
    sync_folder(path.parent)
    return path.read_bytes()
