"""A camera's login, which is never recorded, and so is asked for again: put into its address where it is opened."""

from pathlib import Path
from urllib.parse import quote

from leukolite.address import HIDDEN, has_hidden, split_login, without_login
from leukolite.errors import SourceError
from leukolite.one_line import first_line_of


def address_with_login(address: str, file: Path) -> str:
    """The address to open.

    Args:
        address: of a network camera, as it was given or recorded.
        file: holds USER:PASSWORD as they are, nothing escaped, or the whole address; '-' is stdin.

    Raises:
        LeukoliteError: the file cannot be read, or others may read it.
        SourceError: it holds neither, or another camera's address; what it holds is not named.
    """
    login = first_line_of(file, "a camera's login", private=True)
    if "://" in login:
        if without_login(login) != without_login(address):
            other = f"the address of another camera, {without_login(login)}, not {without_login(address)}"
            raise SourceError(str(file), f"it holds {other}")
        if has_hidden(login):
            raise SourceError(str(file), "expected the camera's whole address, found one of which a part is left out")
        return login
    user, colon, password = login.partition(":")
    if not (user and colon):
        raise SourceError(str(file), "expected one line USER:PASSWORD, or the camera's whole address")
    scheme, tail = address.partition("://")[0], split_login(address)[1]
    if HIDDEN in tail:
        raise SourceError(str(file), f"what {HIDDEN} stands for lies within the address: write the whole address into the file")
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{tail}"
