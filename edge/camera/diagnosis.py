"""Why a network camera gives no video, asked of its server after FFmpeg, which does not say, gave up."""

import base64
import errno
import hashlib
import http.client
import re
import socket
import ssl
import urllib.error
import urllib.request
from urllib.parse import SplitResult, unquote, urlsplit

from leukolite.edge.camera.address import is_badly_quoted

TIMEOUT_S = 4.0
MOST_BYTES = 65_536  # of an answer
PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
STATUS = {
    403: "this user may not see it; allow it in the camera's settings",
    404: "the server runs, but has nothing at this path; look up the stream's address in the camera's manual",
    407: "a proxy wants a user and password; see the variable http_proxy",
    429: "too many requests; wait, then try again",
    454: "the camera has closed the session; try again",
    461: "the camera does not send over this transport; try its http:// address",
    503: "the camera is busy; has it too many viewers?",
}


def why_no_video(url: str, timeout_s: float = TIMEOUT_S) -> str:
    """Why there is no video at an address, and what to do; never with its user or password.

    Args:
        url: http, https, rtsp or rtsps.
        timeout_s: for each step of the asking.
    """
    parts = urlsplit(url)
    if is_badly_quoted(parts):
        return (
            "the address is not well formed; in a user or password write # as %23, / as %2F, ? as %3F, @ as %40"
            if "@" in url
            else f"the address is not well formed: expected a port number, found {parts.netloc.rpartition(':')[2]!r}"
        )
    if not parts.hostname or parts.scheme not in PORTS:
        return "the address names no host; expected one like rtsp://HOST/PATH or http://HOST/PATH"
    port = parts.port or PORTS[parts.scheme]
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
    try:
        return _ask_rtsp(parts, bare, port, timeout_s) if parts.scheme.startswith("rtsp") else _ask_http(parts, bare, timeout_s)
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        return _connection_failed(error, parts, port, timeout_s)


def _connection_failed(error: Exception, parts: SplitResult, port: int, timeout_s: float) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception) else error
    host = parts.hostname
    match reason:
        case socket.gaierror() | UnicodeError():
            return f"the host {host!r} is not known; check its name, or give its number"
        case ConnectionRefusedError():
            return f"connection refused: nothing answers at port {port} of {host}; does the server run, and is the port right?"
        case TimeoutError():
            return f"{host} does not answer within {timeout_s:g} s; is it on, and on this network?"
        case ssl.SSLError():
            plain = parts.scheme.removesuffix("s")
            return f"no TLS at port {port} of {host} ({reason.reason or 'it fails'}); is the address {plain}://?"
        case http.client.HTTPException() | ConnectionResetError() | BrokenPipeError():
            other = "rtsp://" if parts.scheme.startswith("http") else "http://"
            return f"port {port} of {host} does not speak {parts.scheme}; is the address {other}?"
        case OSError(errno=errno.EHOSTUNREACH | errno.ENETUNREACH):
            return f"no way to {host}; are both on one network?"
        case _:
            return f"{host} cannot be asked ({getattr(reason, 'strerror', None) or reason})"


def _of_status(status: int, reason: str, parts: SplitResult) -> str:
    said = f"{status} {reason}".strip()
    if status == 401 and parts.username is None:
        return f"{said}: the address needs a user and password ({parts.scheme}://USER:PASSWORD@{parts.hostname}/...)"
    if status == 401:
        return f"{said}: the camera refuses this user or password; check both, and write special characters as %40 for @"
    meaning = STATUS.get(status) or ("the camera fails; start it again" if status >= 500 else "the server refuses the address")
    return f"{said}: {meaning}"


def _ask_http(parts: SplitResult, bare: str, timeout_s: float) -> str:
    """Raises: OSError, HTTPException."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=_unverified())]
    if parts.username is not None:  # without, they would say what they lack and not what the server says
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, bare, unquote(parts.username), unquote(parts.password or ""))
        handlers += [urllib.request.HTTPBasicAuthHandler(passwords), urllib.request.HTTPDigestAuthHandler(passwords)]
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(urllib.request.Request(bare, headers={"User-Agent": "leukolite"}), timeout=timeout_s) as answer:
            kind, start = answer.headers.get_content_type(), answer.read1(512)
    except urllib.error.HTTPError as error:
        return _of_status(error.code, error.reason, parts)
    except UnicodeError:  # a ValueError too
        raise
    except ValueError as error:  # of an authentication that urllib does not know, or of an address it cannot parse
        return f"the server cannot be asked ({error})"
    if kind == "text/html" or start.lstrip()[:15].lower().startswith((b"<!doctype", b"<html")):
        return "a web page, not a video; give the address of the stream itself, which the camera's manual names"
    if kind.startswith("image/"):
        return f"a single picture ({kind}), not a video; give the address of the stream"
    return f"the server answers with {kind}{'' if start else ', and sends nothing'}, which is no video that can be decoded"


def _ask_rtsp(parts: SplitResult, bare: str, port: int, timeout_s: float) -> str:
    """Raises: OSError."""
    with socket.create_connection((parts.hostname or "", port), timeout_s) as plain:
        connection = _unverified().wrap_socket(plain, server_hostname=parts.hostname) if parts.scheme == "rtsps" else plain
        answer = _describe(connection, bare, 1, "")
        challenge = re.search(r"^WWW-Authenticate:\s*(.*)$", answer, re.IGNORECASE | re.MULTILINE)
        if parts.username is not None and challenge is not None:
            user, password = unquote(parts.username), unquote(parts.password or "")
            answer = _describe(connection, bare, 2, _authorization(challenge[1].strip(), user, password, bare))
    if answer.startswith("HTTP/") or "<html" in answer[:300].lower():
        return f"port {port} of {parts.hostname} speaks HTTP; is the address http://?"
    status = re.match(r"RTSP/\d\.\d (\d{3}) ?([^\r\n]{0,80})", answer)
    if status is None:
        return f"port {port} of {parts.hostname} does not speak RTSP; is it the right port?"
    if status[1] != "200":
        return _of_status(int(status[1]), status[2], parts)
    return (
        "the camera answers, but its video cannot be decoded; choose H.264 or MJPEG in its settings"
        if "m=video" in answer
        else "the camera answers, but offers no video at this path; look up the stream's address in its manual"
    )


def _describe(connection: socket.socket, url: str, number: int, authorization: str) -> str:
    lines = [f"DESCRIBE {url} RTSP/1.0", f"CSeq: {number}", "Accept: application/sdp", "User-Agent: leukolite"]
    lines += [f"Authorization: {authorization}"] if authorization else []
    connection.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode())
    answer = b""
    while len(answer) < MOST_BYTES and not _is_whole(answer) and (more := connection.recv(4096)):
        answer += more
    return answer.decode("utf-8", "replace")


def _is_whole(answer: bytes) -> bool:
    head, ended, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"^Content-Length:\s*(\d{1,6})", head, re.IGNORECASE | re.MULTILINE)
    return bool(ended) and len(body) >= int(length[1] if length else 0)


def _authorization(challenge: str, user: str, password: str, url: str) -> str:
    """Basic, or Digest as RFC 2069 has it, which every camera takes."""
    if not challenge.lower().startswith("digest"):
        return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    given = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm, nonce = given.get("realm", ""), given.get("nonce", "")
    secret, request = _md5(f"{user}:{realm}:{password}"), _md5(f"DESCRIBE:{url}")
    fields = {"username": user, "realm": realm, "nonce": nonce, "uri": url, "response": _md5(f"{secret}:{nonce}:{request}")}
    return "Digest " + ", ".join(f'{name}="{value}"' for name, value in fields.items())


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _unverified() -> ssl.SSLContext:
    """As FFmpeg asks: cameras sign their own certificates."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
