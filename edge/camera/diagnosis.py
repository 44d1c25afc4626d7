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
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from leukolite.address import is_badly_quoted, with_secrets_hidden, without_password
from leukolite.errors import first_line, reason_of

TIMEOUT_S = 4.0
MOST_BYTES = 65_536  # of an answer
PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
LOOK_UP = "look up the stream's address in the camera's manual"
OTHER_LOGIN = "choose Basic or Digest (MD5) in its settings"
STATUS = {
    400: f"the server does not understand the address; {LOOK_UP}",
    403: "this user may not see it; allow it in the camera's settings",
    404: f"the server runs, but has nothing at this path; {LOOK_UP}",
    407: "a proxy wants a user and password; see the variable http_proxy",
    410: f"the server runs, but has nothing at this path any more; {LOOK_UP}",
    429: "the camera was asked too often; wait a minute, then try again",
    454: "the camera has closed the session; try again",
    461: "the camera does not send over this transport; try its http:// address",
    502: "a server in between does not reach the camera; is the camera on?",
    503: "the camera is busy; has it too many viewers?",
    504: "a server in between does not reach the camera; is the camera on?",
}


def why_no_video(url: str, timeout_s: float = TIMEOUT_S) -> str:
    """Why there is no video at an address, and what to do; never with its user or password.

    Args:
        url: http, https, rtsp or rtsps.
        timeout_s: for each step of the asking.
    """
    return with_secrets_hidden(_why_no_video(url, timeout_s), url)  # servers repeat what they were sent


def _why_no_video(url: str, timeout_s: float) -> str:
    parts = urlsplit(url)
    if is_badly_quoted(parts):
        return (
            "the address is not well formed; in a user or password write # as %23, / as %2F, ? as %3F, @ as %40"
            if "@" in unquote(url)
            else "the address is not well formed: expected a port number, 1 to 65535, after the host"
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
        case TimeoutError() if isinstance(error, urllib.error.URLError) and "handshake" not in str(reason):
            return f"{host} does not answer within {timeout_s:g} s; is it on, and on this network?"
        case TimeoutError():
            return (
                f"port {port} of {host} takes the connection, and says nothing for {timeout_s:g} s;"
                " is the port right? else start the camera again"
            )
        case ssl.SSLError():
            plain = parts.scheme.removesuffix("s")
            return f"no TLS at port {port} of {host} ({reason.reason or 'it fails'}); is the address {plain}://?"
        case http.client.RemoteDisconnected() | ConnectionResetError() | BrokenPipeError():
            return (
                f"port {port} of {host} ends the connection without an answer; is the address {_others(parts.scheme)}?"
                " else start the camera again"
            )
        case http.client.HTTPException():
            return f"port {port} of {host} does not speak {parts.scheme}; is the address {_others(parts.scheme)}?"
        case OSError(errno=errno.EHOSTUNREACH | errno.ENETUNREACH):
            return f"no way to {host}; are both on one network?"
        case _:
            return f"{host} cannot be asked ({reason_of(reason) if isinstance(reason, OSError) else first_line(reason)})"


def _others(scheme: str) -> str:
    """What an address may begin with whose server does not speak `scheme`."""
    return {"http": "rtsp:// or https://", "https": "http:// or rtsps://", "rtsp": "http:// or rtsps://"}.get(scheme, "rtsp://")


def _of_status(status: int, reason: str, parts: SplitResult) -> str:
    said = f"{status} {reason}".strip()
    if status == 401 and parts.username is None:
        return f"{said}: the address needs a user and password ({parts.scheme}://USER:PASSWORD@{parts.hostname}/...)"
    if status == 401:
        return f"{said}: the camera refuses this user or password; check both, and write special characters as %40 for @"
    meaning = STATUS.get(status) or (
        "the camera fails; start it again" if status >= 500 else f"the server refuses this; {LOOK_UP}"
    )
    return f"{said}: {meaning}"


def _of_redirect(location: str) -> str:
    """What to say of a server that sends on to an address that was not followed."""
    scheme, address = location.partition(":")[0].lower() if "://" in location else "", _shown_address(location)
    if not location:
        return f"the server sends on to another address, and does not say which; {LOOK_UP}"
    if scheme in PORTS and not scheme.startswith("http"):
        return f"the server sends on to {address}; give that address"
    if scheme not in ("http", "https", ""):
        return f"the server sends on to {address}, which is no address of a video; {LOOK_UP}"
    return f"the server sends on from one address to the next without end (a redirect loop); {LOOK_UP}"


def _shown_address(location: str) -> str:
    """An address that a server gave, without password."""
    try:
        return without_password(location)
    except ValueError:
        return "an address that is not well formed"


class _Redirects(urllib.request.HTTPRedirectHandler):
    """urllib's, which remembers where it was sent on to."""

    at: str | None = None

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        self.at = newurl
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _ask_http(parts: SplitResult, bare: str, timeout_s: float) -> str:
    """Raises: OSError, HTTPException."""
    answer = _get(parts, bare, timeout_s, [])
    if parts.username is None or not answer.startswith("401 "):
        return answer
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    server = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"
    passwords.add_password(None, server, unquote(parts.username), unquote(parts.password or ""))
    try:
        return _get(parts, bare, timeout_s, [_BasicAuth(passwords), _DigestAuth(passwords)])
    except (OSError, http.client.HTTPException):  # it did answer, until it got this password
        return answer


class _BasicAuth(urllib.request.HTTPBasicAuthHandler):
    """urllib's, which leaves a way to log in that it does not know to others."""

    def http_error_401(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any) -> Any:
        is_basic = any(one.lower().startswith("basic") for one in headers.get_all("WWW-Authenticate", ()))
        return super().http_error_401(req, fp, code, msg, headers) if is_basic else None


class _DigestAuth(urllib.request.HTTPDigestAuthHandler):
    """urllib's, with the first Digest among several ways to log in."""

    def http_error_auth_reqed(self, auth_header: Any, host: Any, req: Any, headers: Any) -> Any:
        offered = [one for one in headers.get_all(auth_header, ()) if one.lower().startswith("digest")]
        if not offered:
            return None
        chosen = http.client.HTTPMessage()
        chosen[auth_header] = offered[0]
        return super().http_error_auth_reqed(auth_header, host, req, chosen)


def _get(parts: SplitResult, bare: str, timeout_s: float, logins: list[urllib.request.BaseHandler]) -> str:
    """Raises: OSError, HTTPException."""
    redirects = _Redirects()
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=_unverified()), redirects, *logins)
    try:
        with opener.open(urllib.request.Request(bare, headers={"User-Agent": "leukolite"}), timeout=timeout_s) as answer:
            return _of_answer(answer, timeout_s)
    except urllib.error.HTTPError as error:
        if 300 <= error.code < 400:
            return f"{error.code}: {_of_redirect(error.headers.get('Location', ''))}"
        offered = [one.partition(" ")[0] for one in error.headers.get_all("WWW-Authenticate", ())]
        if error.code == 401 and logins and offered and not {one.lower() for one in offered} & {"basic", "digest"}:
            return f"401: the camera asks for a login that is not known here ({offered[0][:40]}); {OTHER_LOGIN}"
        wait = error.headers.get("Retry-After", "")
        phrase = http.client.responses.get(error.code, "")  # the reason may be urllib's own
        said = _of_status(error.code, phrase, parts)
        return f"{said} (it says: {wait} s)" if wait.isdecimal() and len(wait) < 6 else said
    except UnicodeError:  # a ValueError too
        raise
    except ValueError as error:  # of a login that urllib does not know, or of an address that it cannot parse
        what = "asks for a login that is not known here" if logins else "cannot be asked"
        return f"the server {what} ({first_line(error)}){f'; {OTHER_LOGIN}' if logins else ''}"
    except (OSError, http.client.HTTPException) as error:
        if redirects.at is None:
            raise
        there = urlsplit(redirects.at)
        why = _connection_failed(error, there, there.port or PORTS.get(there.scheme, 80), timeout_s)
        return f"the server sends on to {_shown_address(redirects.at)}: {why}"


def _of_answer(answer: Any, timeout_s: float) -> str:
    """What to say of an answer, without an error, that is no video."""
    kind = answer.headers.get_content_type() if "Content-Type" in answer.headers else "data of no named kind"
    try:
        start = answer.read1(512)
    except TimeoutError:
        return f"the server answers with {kind}, and then sends nothing for {timeout_s:g} s; start the camera again"
    if not start:
        return f"the server answers with {kind}, and sends nothing; start the camera again, or {LOOK_UP}"
    if kind == "text/html" or re.search(rb"<!doctype html|<html", start, re.IGNORECASE):
        return "a web page, not a video; give the address of the stream itself, which the camera's manual names"
    if kind.startswith("image/") or start.startswith((b"\xff\xd8\xff", b"\x89PNG")):
        return f"a single picture ({kind}), not a video; give the address of the stream"
    if kind.startswith("text/") or kind.endswith(("json", "xml")):
        return f"text ({kind}), not a video; give the address of the stream itself, which the camera's manual names"
    return f"the server answers with {kind}, which is no video that can be decoded; {LOOK_UP}"


def _ask_rtsp(parts: SplitResult, bare: str, port: int, timeout_s: float) -> str:
    """Raises: OSError."""
    try:
        connected = socket.create_connection((parts.hostname or "", port), timeout_s)
    except TimeoutError as error:
        raise urllib.error.URLError(error) from error  # as of HTTP: of the connection, not of an answer
    with connected as plain:
        connection = _unverified().wrap_socket(plain, server_hostname=parts.hostname) if parts.scheme == "rtsps" else plain
        answer = _describe(connection, bare, 1, "")
        challenges = re.findall(r"^WWW-Authenticate:\s*(.*?)\s*$", answer, re.IGNORECASE | re.MULTILINE)
        if parts.username is not None and challenges:
            user, password = unquote(parts.username), unquote(parts.password or "")
            known = next((one for one in challenges if not re.search('algorithm="?SHA', one, re.IGNORECASE)), None)
            if known is None:
                return f"the camera asks for a login that is not known here ({challenges[0][:60]}); {OTHER_LOGIN}"
            # an empty answer: it closes the connection on this password
            answer = _describe(connection, bare, 2, _authorization(known, user, password, bare)) or answer
    if not answer:
        raise ConnectionResetError
    if answer.startswith("HTTP/") or "<html" in answer[:300].lower():
        return f"port {port} of {parts.hostname} speaks HTTP; is the address http://?"
    status = re.match(r"RTSP/\d\.\d (\d{3}) ?([^\r\n]{0,80})", answer)
    if status is None:
        return f"port {port} of {parts.hostname} does not speak RTSP; is it the right port?"
    if status[1] != "200":
        location = re.search(r"^Location:\s*(\S+)", answer, re.IGNORECASE | re.MULTILINE)
        if status[1].startswith("3") and location is not None:
            return f"{status[1]}: the camera sends on to {_shown_address(location[1])}; give that address"
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
