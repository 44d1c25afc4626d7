"""Network addresses as they may be shown and recorded: what may be a secret is `***`, also where it is badly written.

Cameras take their password before the host, in the query (`?user=a&pwd=b`), or in the path (`/user=a_password=b_channel=1`,
`/0/USER:PASSWORD/main`, `/TOKEN`). Nobody knows every maker's name of a password, and no token can be told from a name. So what
is kept is listed, not what is left out: scheme, host, port; the path up to its first part that is not of `_WORDS` and short
numbers; and of the query what chooses a picture by such a word or number.
"""

import base64
import re
from collections.abc import Iterator
from urllib.parse import SplitResult, unquote, urlsplit

HIDDEN = "***"
SHORTEST_SOUGHT = 3  # characters; a shorter secret is part of too many words

# what parts of cameras' paths, and values in their queries, are made of
_WORDS = """
action amp api app asf audio auto av axis bench bin bitrate bottom cam camera cameras cgi ch channel channels chn codec
compression dev dual encoder encoding faststream feed field fluent flv fps frame front get h263 h264 h265 hd height hevc high
hls html http image images img index input ipcam isapi jpeg jpg lab left live livestream login low m3u8 main media medium
microscope mid mjpeg mjpg mono motion mp4 mpeg mpeg4 multi multicast my nph off on onvif path picture play preview primary
profile profiles push quality rate raw realmonitor rear resolution right rtp rtsp scope sd sdp second secondary server service
side size slide smp snap snapshot stage standard stereo stream streaming streams sub subtype tcp third top track trackid
transport ts tv ucast udp uhd unicast vga video videos view viewer vod web webcam width
"""
# what Axis, Dahua, Hikvision, Reolink and mjpg-streamer call what chooses a stream
_STREAM_NAMES = """
action audio bitrate cam camera cameraid ch channel chn cmd codec compression format fps framerate h height id inst line mode
profile proto protocol quality rate res resolution rotation size stream streamprofile streamtype subtype tcp transport
transportmode type unicast video videocodec w width
"""
_HARMLESS = frozenset(_STREAM_NAMES.split())
# names of parameters that may be shown, so that who reads an address sees what is missing; any other may be a secret itself
_SECRET_NAMES = frozenset(
    "auth key login loginpas loginuse pass passwd password pin pwd sig token user username usr".split()  # noqa: SIM905
)
_SECRET_NAME = re.compile(
    "pas|pw|psw|^p$|^u$|usr|user|login|account|token|key|auth|sig|secret|cred|sess|sid$|jwt|hash|nonce|code|pin|cookie|access"
)
_WORD = rf"(?:{'|'.join(sorted(_WORDS.split(), key=len, reverse=True))})"
_OF_WORDS = re.compile(rf"{_WORD}{{1,4}}[0-9]{{0,3}}")
_SHORT = re.compile(r"[a-z]?[0-9]{1,3}|[a-z]")
_SIZE = re.compile(r"[0-9]{2,4}x[0-9]{2,4}")
_NUMBER = re.compile(r"[0-9]{1,4}")  # of a parameter that is known
_LONGEST_PART, _MOST_TOKENS, _MOST_SHORT = 40, 5, 2
_BETWEEN_TOKENS = re.compile(r"[-_.,+]+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,15}")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(%\w+)?\]|[\w.-]*)(:[0-9]{1,5})?")
_MISTYPED = re.compile(r"(rtsps?|https?)(:[/\\]*)(.*)", re.IGNORECASE | re.DOTALL)
_ENCODED_AT = re.compile(r"%(?:25)*40", re.IGNORECASE)
_IN_QUERY = re.compile(r"[^&;]+")
_LOGIN_IN_TEXT = re.compile(
    r"(\b(?:(?!file:)[A-Za-z][A-Za-z0-9+.-]*://|(?:rtsps?|https?):/(?!/)))(?!USER:PASSWORD@)\S*(?:@|%(?:25)*40)(?=\S)",
    re.IGNORECASE,
)
_PARAMETER_IN_TEXT = re.compile(r"(?<=[?&;])([A-Za-z0-9_%.-]+)=[^\s&;#]+?(?=['\"]?(?:[\s&;#]|$))")
_ADDRESS_IN_TEXT = re.compile(
    r"\b(rtsps?|https?)://(?!USER:PASSWORD@)([^\s/]*)(\S*?)(?=['\"),.:;!?>\]}]*(?:\s|$))", re.IGNORECASE
)
_WORD_ALONE = re.compile("[A-Za-z]?[a-z]{1,8}")  # a path's part that may be a word of any sentence
_WITHIN_PART = re.compile("[:@=;&,]")
_MAY_BE_SECRET = re.compile("[:@=;%?]")


def without_secrets(name: str) -> str:
    """A camera's name as it may be recorded: of a network address no more than the module's docstring lists.

    What is left out is `***`, so that who opens the address again knows that it must be given again: see `has_hidden`.
    """
    scheme, is_address, rest = name.partition("://")
    if is_address:
        return f"{scheme if _SCHEME.fullmatch(scheme) else HIDDEN}://{_shown(f'any://{rest}')}"
    if mistyped := _MISTYPED.fullmatch(name):  # of a slash too few
        return f"{mistyped[1]}{mistyped[2]}{_shown(f'any://{mistyped[3]}')}"
    is_device = name.startswith("/dev/") or ":/dev/" in name  # whose names have @, : and = in them
    if not is_device and re.search("[@/]", name) and re.search("[@:=;%?&]", name):  # an address without its scheme
        return _shown(f"any://{name}")
    return name


def _shown(address: str) -> str:
    """What may be shown of an address behind its scheme."""
    login, tail = split_login(address)
    path, has_query, query = tail.partition("#")[0].partition("?")
    host, slash, path = path.partition("/")
    host = host if _HOST.fullmatch(host) else HIDDEN
    parts = path.split("/")
    kept = parts[: _known(parts)]
    path = "/".join([*kept, HIDDEN] if len(kept) < len(parts) else kept)
    query = _IN_QUERY.sub(lambda found: _hidden(found[0]), query)
    return f"{f'{HIDDEN}@' if login else ''}{host}{slash}{path}{has_query}{query}"


def _known(parts: list[str]) -> int:
    """How many of a path's parts, from its beginning, are plain; what follows another may be the password to that user."""
    return next((i for i, part in enumerate(parts) if not _is_plain(part)), len(parts))


def _is_plain(part: str) -> bool:
    """Whether it is made of a few `_WORDS` and short numbers, so that it tells nothing that is secret."""
    tokens = [token for token in _BETWEEN_TOKENS.split(part.lower()) if token]
    others = [token for token in tokens if not (_OF_WORDS.fullmatch(token) or _SIZE.fullmatch(token))]
    is_short = len(part) <= _LONGEST_PART and len(tokens) <= _MOST_TOKENS and len(others) <= _MOST_SHORT
    return is_short and all(_SHORT.fullmatch(token) for token in others)


def without_login(name: str) -> str:
    """What two addresses of one camera share that differ in their login alone."""
    address, _, query = without_secrets(name).replace(f"://{HIDDEN}@", "://", 1).partition("?")
    kept = [one for one in re.split("[&;]", query) if one and HIDDEN not in one]
    return f"{address}?{'&'.join(kept)}" if kept else address


def without_password(url: str) -> str:
    """The address as it may be shown: without login and query. Raises: ValueError, if it is not well formed."""
    if url.startswith("//"):  # of a redirection, which takes the scheme as it is
        return without_password(f"http:{url}").removeprefix("http:")
    try:
        urlsplit(url)
    except ValueError:
        raise ValueError("no host can be called so") from None  # Python's own error repeats it
    return urlsplit(without_login(url))._replace(query="", fragment="").geturl()


def has_hidden(name: str) -> bool:
    """Whether it is an address of which `without_secrets` has left something out: it cannot be opened."""
    return "://" in name and HIDDEN in name


def with_logins_hidden(text: str) -> str:
    """A text, as an error's, without what may be the login of an address in it."""
    if ":/" not in text:
        return text
    hidden = _ADDRESS_IN_TEXT.sub(lambda found: without_secrets(found[0]) if _may_be_secret(found) else found[0], text)
    hidden = _PARAMETER_IN_TEXT.sub(lambda found: f"{found[1]}={HIDDEN}" if _names_secret(found[1]) else found[0], hidden)
    return _LOGIN_IN_TEXT.sub(rf"\1{HIDDEN}@", hidden)


def _may_be_secret(address: re.Match[str]) -> bool:
    """Of an address in a text: whether it is a camera's, or holds more than a web page's."""
    return (
        address[1].lower().startswith("rtsp")
        or _HOST.fullmatch(address[2]) is None
        or _MAY_BE_SECRET.search(address[3]) is not None
    )


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
    return f"{name}={HIDDEN}" if equals and value and name.lower() in _HARMLESS | _SECRET_NAMES else HIDDEN


def _is_harmless(name: str, value: str) -> bool:
    """Whether a parameter chooses a picture, and can hold no secret."""
    if not value:
        return _is_plain(name)
    return name.lower() in _HARMLESS and (_is_plain(value) or _NUMBER.fullmatch(value) is not None)


def _names_secret(name: str) -> bool:
    """Whether a parameter in a text, which may be no address, holds a secret by its name."""
    while (once := unquote(name)) != name:
        name = once
    return _SECRET_NAME.search(name.lower()) is not None


def _secrets_of(url: str) -> Iterator[str]:
    """As they stand in the address, and as they are sent."""
    login, tail = split_login(url)
    user, _, password = login.partition(":")
    address, _, fragment = tail.partition("#")
    found = [login, user, password, fragment]
    path, _, query = address.partition("?")
    host, _, path = path.partition("/")
    if not _HOST.fullmatch(host):
        found += [host, *host.split(":")]
    parts = path.split("/")
    for part in parts[_known(parts) :]:
        found += [
            one
            for one in (part, *_WITHIN_PART.split(part))
            if not (_is_plain(one) or (one == part and _WORD_ALONE.fullmatch(one)))
        ]
    for parameter in _IN_QUERY.findall(query):
        name, _, value = parameter.partition("=")
        if not _is_harmless(name, value):
            found += [value, *([] if name.lower() in _HARMLESS | _SECRET_NAMES else [name])]
    for one in found:
        if len(one) >= SHORTEST_SOUGHT:
            yield from (one, unquote(one))
    if login:
        yield base64.b64encode(unquote(login).encode()).decode()
