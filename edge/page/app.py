"""The live page's server side: one page, its state as JSON with the picture in it, and three buttons.

Picture and boxes come in one answer, so that no box is ever drawn on another frame. A viewer asks for each state: one that is
slow gets fewer, none gets an old one, and one that does not read costs a buffer.
"""

import asyncio
import base64
import hmac
import ipaddress
import json
import math
import secrets
import time
from collections.abc import Awaitable, Callable
from importlib.resources import files
from urllib.parse import urlsplit

import cv2
import numpy as np
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leukolite.clock import Clock
from leukolite.edge.control import Control
from leukolite.edge.host.health import Health
from leukolite.edge.journal.sink import RecordingState
from leukolite.edge.page.state import Estimate, Live, LiveState, as_counted, shown_pixels, state_json
from leukolite.textfiles import parse_json
from leukolite.wording import all_shown, count

JPEG_QUALITY = 85  # of the picture that is shown, percent
PERIOD_S = 0.2  # a state is made at most so often, however many look
LARGEST_POST = 4096  # bytes
SLIDES_AT_ONCE, SLIDE_S = (
    5,
    2.0,
)  # so many slides may begin at once, then one in so many seconds: names are not tried out by machine

_FILES = {"/": ("live.html", "text/html"), "/live.css": ("live.css", "text/css"), "/live.js": ("live.js", "text/javascript")}

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def application(
    live: Live,
    control: Control,
    health: Callable[[], Health],
    recording: Callable[[], RecordingState | None] = lambda: None,
    *,
    port: int,
    token: str,
    is_local: bool,
    estimate: Estimate = as_counted,
    clock: Clock = time.perf_counter_ns,
) -> Starlette:
    """The page as an ASGI application.

    Args:
        health: the machine's latest reading; called from the server's thread, as is `recording`.
        port: where it is served.
        token: what a viewer must have.
        is_local: it must also be asked for as this very machine.
        clock: the one that frames are timed by.
    """
    slides = Allowance(SLIDES_AT_ONCE, SLIDE_S)
    states = _States(lambda state: state_json(state, live.about, control, health(), recording(), clock(), estimate), live)

    async def show(request: Request) -> Response:
        return Response(await states.body(request.query_params.get("has", "")), media_type="application/json")

    async def pause(_: Request) -> Response:
        control.pause()
        states.forget()
        return Response(status_code=204)

    async def start(_: Request) -> Response:
        control.resume()
        states.forget()
        return Response(status_code=204)

    async def new_slide(request: Request) -> Response:
        try:
            content = parse_json(await request.body())
            if not isinstance(content, dict) or not isinstance(content.get("name"), str):
                return PlainTextResponse('expected {"name": "..."}', 400)
            if wait_s := slides.wait_s():
                seconds = math.ceil(wait_s)
                return PlainTextResponse(
                    f"too many slides in a short time: try again in {count(seconds, 'second')}",
                    429,
                    {"Retry-After": str(seconds)},
                )
            live.new_slide(content["name"])
        except (ValueError, ClientDisconnect) as error:
            return PlainTextResponse(str(error), 400)
        states.forget()
        return Response(status_code=204)

    routes = [Route(path, _file(name, media), methods=["GET"]) for path, (name, media) in _FILES.items()]
    routes += [
        Route("/view", show, methods=["GET"]),
        Route("/pause", pause, methods=["POST"]),
        Route("/start", start, methods=["POST"]),
        Route("/slide", new_slide, methods=["POST"]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, port=port, token=token, is_local=is_local)])


class Guard:
    """Middleware that lets in who brings the token, and puts `HEADERS` on every answer.

    The token comes in the address that was printed, then in a cookie; of a script as a bearer. A page for this machine alone
    must also be asked for by this machine's own name: a web page elsewhere whose name was made to point here (DNS rebinding)
    names another. What changes something must come from the page itself. A refusal ends its connection.
    """

    def __init__(self, app: ASGIApp, *, port: int, token: str, is_local: bool) -> None:
        self._app, self._token, self._is_local, self._cookie = app, token, is_local, f"leukolite-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the live page speaks HTTP alone, not {scope['type']}")
        request = Request(scope)
        brings_token = scope["path"] == "/" and self._is_token(request.query_params.get("token"))
        refusal = self._refusal(request, brings_token)
        if refusal is None:
            scope.get("welcome", _nobody)()

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if refusal is not None:
                    headers["Connection"] = "close"
                elif brings_token:
                    headers.append("Set-Cookie", f"{self._cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/")
            await send(message)

        await (self._app if refusal is None else refusal)(scope, receive, send_guarded)

    def _refusal(self, request: Request, brings_token: bool) -> Response | None:
        host = request.headers.get("host", "").lower()
        is_script = self._is_token(request.headers.get("authorization", "").removeprefix("Bearer "))
        if self._is_local and not _is_this_machine(host):
            return PlainTextResponse("this page is for this machine alone: open it as 127.0.0.1 or localhost", 421)
        if not (brings_token or is_script or self._is_token(request.cookies.get(self._cookie))):
            return PlainTextResponse("open the whole address that edge-run printed when it began, with its token", 401)
        from_itself = _host_of(request.headers.get("origin", "")) == host
        if request.method not in ("GET", "HEAD") and not is_script and not from_itself:
            return PlainTextResponse("this must come from the page itself", 403)
        return _refused_body(request)

    def _is_token(self, given: str | None) -> bool:
        return given is not None and hmac.compare_digest(given.encode(errors="surrogateescape"), self._token.encode())


def _host_of(origin: str) -> str | None:
    """Host and port of an Origin header; None where it is no address."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _refused_body(request: Request) -> Response | None:
    """Why a request's body is not read; None for JSON of a few bytes that says its length, and where there is no body."""
    if "transfer-encoding" in request.headers:
        return PlainTextResponse("expected a body with its Content-Length", 411)
    length = request.headers.get("content-length", "0")
    if not (length.isascii() and length.isdecimal() and int(length) <= LARGEST_POST):
        return PlainTextResponse(f"expected at most {LARGEST_POST} bytes", 413)
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if int(length) and media != "application/json":
        return PlainTextResponse("expected JSON, with the Content-Type application/json", 415)
    return None


def _nobody() -> None:
    """Where no door is kept, as in an ASGI test."""


class Allowance:
    """So many at once, and then one in every `period_s`.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, at_once: int, period_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._at_once, self._period_s, self._clock = at_once, period_s, clock
        self._free_at = -math.inf  # when all that were taken are given back

    def wait_s(self) -> float:
        """Take one: 0 where there is one, else the seconds until there will be."""
        now = self._clock()
        free_at = max(self._free_at, now) + self._period_s
        if wait_s := max(free_at - now - self._at_once * self._period_s, 0.0):
            return wait_s
        self._free_at = free_at
        return 0.0


class _States:
    """The newest state as JSON, made at most every `PERIOD_S` and once for all viewers."""

    def __init__(self, describe: Callable[[LiveState], dict], live: Live) -> None:
        self._describe, self._live = describe, live
        self._session = secrets.token_hex(8)  # a page that outlives the session must not take a picture of the next for its own
        self._making = asyncio.Lock()
        self._made_at = -PERIOD_S
        self._shown = -1
        self._jpeg = ""
        self._name = ""
        self._bare = self._full = b""

    async def body(self, has: str) -> bytes:
        """The state; without the picture for who `has` it already, by the name that came with it."""
        async with self._making:
            if time.monotonic() - self._made_at >= PERIOD_S:
                await asyncio.to_thread(self._make)
                self._made_at = time.monotonic()
            return self._bare if has == self._name else self._full

    def forget(self) -> None:
        """Make a new state for who asks next."""
        self._made_at = -PERIOD_S

    def _make(self) -> None:
        state = self._live.now
        if state.picture != self._shown:
            self._shown, self._name = state.picture, f"{self._session}-{state.picture}"
            self._jpeg = "" if state.result is None else base64.b64encode(picture_jpeg(state.result.frame.pixels)).decode()
        content = {"id": self._name, **all_shown(self._describe(state))}
        self._bare = json.dumps(content, allow_nan=False).encode()
        self._full = json.dumps({**content, "jpeg": self._jpeg}, allow_nan=False).encode()


def picture_jpeg(pixels: np.ndarray) -> bytes:
    """A frame as JPEG, made smaller where a side is longer than `LONGEST_SIDE`.

    Args:
        pixels: uint8 RGB, shape (height, width, 3).
    """
    shown = cv2.cvtColor(shown_pixels(pixels), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()


def _file(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    content = (files("leukolite.edge.page") / name).read_bytes()

    async def serve(_: Request) -> Response:
        return Response(content, media_type=media_type)

    return serve


def _is_this_machine(host: str) -> bool:
    """Whether a Host header names this machine as only itself can: 'localhost' or a loopback address, with any port, since it
    may come through a tunnel."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
