"""Network addresses as they may be shown and recorded: what may be a secret is `***`, also where it is badly written.

Cameras take their password before the host, in the query (`?user=a&pwd=b`), or in the path (`/user=a_password=b_channel=1`).
Of parameters only what is known to choose a picture is kept, for nobody knows every maker's name of a password.
"""

import base64
import re
from collections.abc import Iterator
from urllib.parse import SplitResult, unquote, urlsplit

HIDDEN = "***"
SHORTEST_SOUGHT = 3  # characters; a shorter secret is part of too many words

# what Axis, Dahua, Hikvision, Reolink and mjpg-streamer call what chooses a stream
_STREAM_NAMES = """
action audio bitrate cam camera cameraid ch channel chn cmd codec compression format fps framerate h height id inst line mode
profile proto protocol quality rate res resolution rotation size stream streamtype subtype tcp transport transportmode type
unicast video videocodec w width
"""
_HARMLESS = frozenset(_STREAM_NAMES.split())
_VALUE = re.compile(r"[\w.,-]{0,40}", re.ASCII)  # no address within the address
_SECRET_NAME = re.compile(
    "pas|pw|psw|^p$|^u$|usr|user|login|account|token|key|auth|sig|secret|cred|sess|sid$|jwt|hash|nonce|code|pin|cookie|access"
)
_SHORT_NUMBER = re.compile(r"\d{1,3}(x\d{1,4})?", re.ASCII)
_ENCODED_AT = re.compile(r"%(?:25)*40", re.IGNORECASE)
_IN_PATH, _IN_QUERY = re.compile(r"[^/&;]+"), re.compile(r"[^&;]+")
_LOGIN_IN_TEXT = re.compile(
    r"(\b(?:(?!file:)[A-Za-z][A-Za-z0-9+.-]*://|(?:rtsps?|https?):/(?!/)))(?!USER:PASSWORD@)\S*(?:@|%(?:25)*40)(?=\S)",
    re.IGNORECASE,
)
_PARAMETER_IN_TEXT = re.compile(r"(?<=[?&;])([A-Za-z0-9_%.-]+)=[^\s&;#]+?(?=['\"]?(?:[\s&;#]|$))")


def without_secrets(name: str) -> str:
    """A camera's name as it may be recorded: of a network address without user, password, fragment and what else may be secret.

    What is left out is `***`, so that who opens the address again knows that a login is missing: see `has_hidden`.
    """
    scheme, is_address, _ = name.partition("://")
    if not is_address:
        return with_logins_hidden(name)
    login, tail = split_login(name)
    path, has_query, query = tail.partition("#")[0].partition("?")
    host, slash, path = path.partition("/")
    path = _IN_PATH.sub(lambda found: _hidden(found[0]) if "=" in found[0] else found[0], path)
    query = _IN_QUERY.sub(lambda found: _hidden(found[0]), query)
    return f"{scheme}://{f'{HIDDEN}@' if login else ''}{host}{slash}{path}{has_query}{query}"


def without_login(name: str) -> str:
    """What two addresses of one camera share that differ in their login alone."""
    address, _, query = without_secrets(name).replace(f"://{HIDDEN}@", "://", 1).partition("?")
    kept = [one for one in re.split("[&;]", query) if one and HIDDEN not in one]
    return f"{address}?{'&'.join(kept)}" if kept else address


def without_password(url: str) -> str:
    """The address as it may be shown: without login and query. Raises: ValueError, if it is not well formed."""
    if url.startswith("//"):  # of a redirection, which takes the scheme as it is
        return without_password(f"http:{url}").removeprefix("http:")
    return urlsplit(without_login(url))._replace(query="", fragment="").geturl()


def has_hidden(name: str) -> bool:
    """Whether it is an address of which `without_secrets` has left something out: it cannot be opened."""
    return "://" in name and HIDDEN in name


def with_logins_hidden(text: str) -> str:
    """A text, as an error's, without what may be the login of an address in it."""
    if ":/" not in text:
        return text
    hidden = _PARAMETER_IN_TEXT.sub(lambda found: f"{found[1]}={HIDDEN}" if _names_secret(found[1]) else found[0], text)
    return _LOGIN_IN_TEXT.sub(rf"\1{HIDDEN}@", hidden)


def with_secrets_hidden(text: str, url: str) -> str:
    """What a server or library said of `url`, without those of its secrets that it repeats."""
    for secret in sorted(set(_secrets_of(url)), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return with_logins_hidden(text)


def split_login(address: str) -> tuple[str, str]:
    """What stands in an address before its host, and the host with all that follows; both without the @ between them."""
    rest = address.partition("://")[2]
    try:
        parts = urlsplit(address)
        is_clear = rest.startswith(parts.netloc) and not is_badly_quoted(parts)
    except ValueError:  # as of half a bracket
        is_clear = False
    if not is_clear:  # what seems a host may be a user and the beginning of a password
        login, _, tail = _ENCODED_AT.sub("@", rest).rpartition("@")
        return login, tail
    login, _, host = parts.netloc.rpartition("@")
    return login, f"{host}{rest[len(parts.netloc) :]}"


def is_badly_quoted(parts: SplitResult) -> bool:
    """Whether a port is no number, or what seems a host or path holds a password."""
    try:
        port = parts.port
    except ValueError:
        return True
    if _ENCODED_AT.search(parts.netloc.rpartition("@")[2]):
        return True
    query = "" if "=" in parts.query else parts.query  # a parameter may be ?pwd=a@b
    hidden = "@" in f"{parts.path}{query}{parts.fragment}" and "@" not in parts.netloc
    return hidden and port is not None and "." not in (parts.hostname or "") and parts.hostname != "localhost"


def _hidden(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    if _is_harmless(name, value):
        return parameter
    return f"{name}={HIDDEN}" if equals and value else HIDDEN  # a token's own end is = too


def _is_harmless(name: str, value: str) -> bool:
    """Whether a parameter chooses a picture, and can hold no secret."""
    if _VALUE.fullmatch(value) is None:
        return False
    return _plain(name) in _HARMLESS or (_SHORT_NUMBER.fullmatch(value) is not None and not _names_secret(name))


def _names_secret(name: str) -> bool:
    return _SECRET_NAME.search(_plain(name)) is not None


def _plain(name: str) -> str:
    while (once := unquote(name)) != name:
        name = once
    return name.lower()


def _secrets_of(url: str) -> Iterator[str]:
    """As they stand in the address, and as they are sent."""
    login, tail = split_login(url)
    user, _, password = login.partition(":")
    address, _, fragment = tail.partition("#")
    found = [login, user, password, fragment]
    path, _, query = address.partition("?")
    for parameter in (*_IN_PATH.findall(path), *_IN_QUERY.findall(query)):
        name, _, value = parameter.partition("=")
        if "=" in parameter and not _is_harmless(name, value):
            found.append(value)
    for one in found:
        if len(one) >= SHORTEST_SOUGHT:
            yield from (one, unquote(one))
    if login:
        yield base64.b64encode(unquote(login).encode()).decode()
