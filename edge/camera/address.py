"""Network addresses as they may be shown and recorded: without user and password, also where those are badly written."""

from urllib.parse import SplitResult, urlsplit


def without_user(name: str) -> str:
    """A camera's name as it may be recorded: of a network address all but user and password."""
    scheme, is_address, rest = name.partition("://")
    if not is_address:
        return name
    try:
        parts = urlsplit(name)
        is_clear = rest.startswith(parts.netloc) and not is_badly_quoted(parts)
    except ValueError:  # as of half a bracket
        is_clear = False
    if not is_clear:  # what seems a host may be a user and the beginning of a password
        return f"{scheme}://{rest.rpartition('@')[2]}"
    return f"{scheme}://{parts.netloc.rpartition('@')[2]}{rest[len(parts.netloc) :]}"


def without_password(url: str) -> str:
    """The address as it may be shown: without user, password and query. Raises: ValueError, if it is not well formed."""
    return urlsplit(without_user(url))._replace(query="", fragment="").geturl()


def is_badly_quoted(parts: SplitResult) -> bool:
    """Whether a port is no number, or what seems a path holds the end of a password."""
    try:
        port = parts.port
    except ValueError:
        return True
    hidden = "@" in f"{parts.path}{parts.query}{parts.fragment}" and "@" not in parts.netloc
    return hidden and port is not None and "." not in (parts.hostname or "") and parts.hostname != "localhost"
