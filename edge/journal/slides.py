"""A slide's id that does not tell the slide: salted, with the laboratory's own salt."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from leukolite.errors import JournalError

SLIDE_DIGITS = 16  # of the HMAC: 64 bits, more slides than a laboratory will ever have
SALT_BYTES = 32


def slide_id(name: str, salt: bytes) -> str:
    """A slide's name that does not tell the slide: HMAC-SHA256 under the laboratory's salt, 16 hex digits.

    Whoever has the salt can show that an id is a given slide's; without it names cannot be tried out.
    """
    return hmac.new(salt, name.encode(), hashlib.sha256).hexdigest()[:SLIDE_DIGITS]


def load_salt(path: Path) -> bytes:
    """The laboratory's salt, 32 random bytes in a file that only its owner may read; made where there is none.

    Raises:
        JournalError: the file cannot be read or made, or is no salt.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            salt = path.read_bytes()
        else:
            salt = secrets.token_bytes(SALT_BYTES)
            with os.fdopen(fd, "wb") as file:
                file.write(salt)
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise JournalError(f"{path}: the salt of the slides' ids cannot be read or made ({error.strerror or error})") from error
    if len(salt) != SALT_BYTES:
        raise JournalError(f"{path}: expected a salt of {SALT_BYTES} bytes, found {len(salt)}; move it away to get a new one")
    return salt


def laboratory_salt() -> bytes:
    """The salt of the slides' ids, in the user's configuration folder. Raises: JournalError, if it cannot be read or made."""
    return load_salt(Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "leukolite" / "salt")


def slide_of(name: str | None) -> str | None:
    """A slide's salted id."""
    return slide_id(name, laboratory_salt()) if name else None
