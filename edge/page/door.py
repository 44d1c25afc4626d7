"""The live page's door: how many connections there are, for how long each may keep still, and who gives way when it is full.

A connection costs a descriptor and a thread's time, both of which the session needs, so both are bounded here, where it is
accepted. Until it sends something it waits in the lobby, where it costs next to nothing. Whoever has shown the token is a guest,
all others are strangers: a newcomer takes the place of the oldest stranger, so that no number of them keeps a guest out, and a
place is never taken from a guest for a stranger.
"""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 64
FEWEST_CONNECTIONS = 8  # with fewer a browser, which opens six, would drive itself out
HEAD_S = 5.0  # until a request's head has come whole, from the connection's beginning or the last answer's end
REQUEST_S = 20.0  # from a head to its answer's last byte: also a body that trickles, and an answer that nobody reads
BACKLOG = 1024  # connections that the kernel keeps until they are accepted; others come again after a second
SEND_BUFFER_BYTES = 256 * 1024  # the kernel's, for each connection: what is not read costs no more

_PAUSE_S = 0.1  # before trying again to accept, where the machine has no descriptor left


class Visitor(H11Protocol):
    """One connection: Uvicorn's, with a time limit on each step."""

    def __init__(self, door: "Door", **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self._door, self._page = door, self.app
        self.app = self._answer
        self.is_guest = False
        self.place = ""
        self.deadline = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.deadline = self._door.clock() + HEAD_S
        self.place = _place(transport.get_extra_info("peername"))
        self._door.visitors[self] = None
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.visitors.pop(self, None)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        if not self.transport.get_write_buffer_size():  # else the answer still waits to be read, in its own time
            self.deadline = self._door.clock() + HEAD_S
        super().on_response_complete()

    def throw_out(self) -> None:
        """At once: closing would first wait until all is read."""
        self.transport.abort()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.deadline = self._door.clock() + REQUEST_S
        scope["welcome"] = self._welcome
        await self._page(scope, receive, send)

    def _welcome(self) -> None:
        """Who asks has shown the token."""
        if not self.is_guest:
            self.is_guest = True
            self._door.welcome(self)


class Door:
    """Accepts a page's connections.

    Args:
        most: connections at once.
        clock: seconds, monotonic.

    Attributes:
        lobby: connections that have sent nothing yet, oldest first: where from, and until when they may stay.
        visitors: the others, oldest first.
    """

    def __init__(self, most: int = MOST_CONNECTIONS, clock: Callable[[], float] = time.monotonic) -> None:
        self.most, self.clock = most, clock
        self.lobby: dict[socket.socket, tuple[str, float]] = {}
        self.visitors: dict[Visitor, None] = {}
        self._entering: set[asyncio.Task[None]] = set()

    async def keep(self, bound: socket.socket, visitor: Callable[[], Visitor]) -> None:
        """Accept connections until cancelled."""
        loop = asyncio.get_running_loop()
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # accepted ones inherit it
        while True:
            try:
                accepted, address = await loop.sock_accept(bound)
            except ConnectionError:  # it left before it was its turn
                continue
            except OSError:  # the process or the machine has no descriptor left: one fewer here, then again
                await asyncio.sleep(_PAUSE_S)  # time enough for who has just come to show the token
                self._make_room()
                continue
            while self._is_full() and self._make_room():
                await asyncio.sleep(0)  # a visitor who is thrown out is gone in the loop's next turn
            self.lobby[accepted] = _place(address), self.clock() + HEAD_S
            loop.add_reader(accepted, self._enter, accepted, visitor)
            await asyncio.sleep(0)  # between two newcomers everybody inside has his turn

    def sweep(self) -> None:
        """Throw out who kept still for too long."""
        now = self.clock()
        for accepted in [one for one, (_, deadline) in self.lobby.items() if now > deadline]:
            self._leave_lobby(accepted).close()
        for visitor in [one for one in self.visitors if now > one.deadline]:
            visitor.throw_out()

    def close(self) -> None:
        """Throw out everybody."""
        for accepted in list(self.lobby):
            self._leave_lobby(accepted).close()
        for visitor in list(self.visitors):
            visitor.throw_out()

    def welcome(self, guest: Visitor) -> None:
        """`guest` is one from now on; some places always stay for newcomers, so of too many guests one goes."""
        others = [one for one in self.visitors if one.is_guest and one is not guest and not one.transport.is_closing()]
        if len(others) >= self.most - self._kept_places:
            min(others, key=lambda one: one.deadline).throw_out()

    @property
    def _kept_places(self) -> int:
        """For newcomers, who may be guests, while guests have all others; and for guests while strangers have all others."""
        return max(self.most // 8, 1)

    def _enter(self, accepted: socket.socket, visitor: Callable[[], Visitor]) -> None:
        task = asyncio.get_running_loop().create_task(_connect(self._leave_lobby(accepted), visitor))
        self._entering.add(task)  # a task that nobody holds may vanish
        task.add_done_callback(self._entering.discard)

    def _leave_lobby(self, accepted: socket.socket) -> socket.socket:
        asyncio.get_running_loop().remove_reader(accepted)
        del self.lobby[accepted]
        return accepted

    def _strangers(self) -> list[Visitor]:
        return [one for one in self.visitors if not one.is_guest]

    def _is_full(self) -> bool:
        """Whether a newcomer has no place, who is a stranger until he has shown the token."""
        n_strangers = len(self.lobby) + len(self._strangers())
        return len(self.lobby) + len(self.visitors) >= self.most or n_strangers >= self.most - self._kept_places

    def _make_room(self) -> bool:
        """Of the address that has most strangers throw out the oldest, who has sent nothing if there is one; False where there
        are none."""
        strangers = [one for one in self._strangers() if not one.transport.is_closing()]
        places = Counter([place for place, _ in self.lobby.values()] + [one.place for one in strangers])
        if not places:
            return any(one.transport.is_closing() for one in self.visitors)
        (crowded, _), *_ = places.most_common(1)
        silent = next((accepted for accepted, (place, _) in self.lobby.items() if place == crowded), None)
        if silent is not None:
            self._leave_lobby(silent).close()
        else:
            next(one for one in strangers if one.place == crowded).throw_out()
        return True


async def _connect(accepted: socket.socket, visitor: Callable[[], Visitor]) -> None:
    try:
        await asyncio.get_running_loop().connect_accepted_socket(visitor, accepted)
    except OSError:
        accepted.close()


def _place(address: object) -> str:
    """Where a connection comes from: an IPv4 address, or the network of an IPv6 one, of which a machine has many addresses."""
    host = str(address[0]) if isinstance(address, tuple) and address else ""
    return ":".join(host.split(":")[:4]) if ":" in host and "." not in host else host
