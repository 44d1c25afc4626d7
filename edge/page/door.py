"""The live page's door: how many connections there are, for how long each may keep still, and who gives way when it is full.

A connection costs a descriptor and a thread's time, both of which the session needs, so both are bounded here, where it is
accepted. Until it sends something it waits in the lobby, where it costs next to nothing. Whoever has shown the token is a guest,
all others are strangers, whatever else they have sent. A newcomer takes the place of the stranger who has been here longest, so
that he has as long to show the token as it takes all the strangers' places to be taken again, and where more come at once than
that, a moment; the others wait in the kernel. A place is never taken from a guest for a stranger.
"""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 64
FEWEST_CONNECTIONS = 8  # with fewer a browser, which opens six, would drive itself out
HEAD_S = 5.0  # until a request's head has come whole, from the connection's beginning or the last answer's end
MOMENT_S = 0.02  # that nobody is denied: a request comes right behind its connection, and is read within a few turns of the loop
REQUEST_S = 20.0  # from a head to its answer's last byte: also a body that trickles, and an answer that nobody reads
BACKLOG = 1024  # connections that the kernel keeps until they are accepted; others come again after a second
SEND_BUFFER_BYTES = 256 * 1024  # the kernel's, for each connection: what is not read costs no more

_PAUSE_S = 0.1  # before trying again to accept, where the machine has no descriptor left


class Visitor(H11Protocol):
    """One connection: Uvicorn's, with a time limit on each step."""

    def __init__(self, door: "Door", arrived: float, **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self._door, self._page = door, self.app
        self.app = self._answer
        self.is_guest = False
        self.place = ""
        self.arrived = arrived
        self.deadline = arrived + HEAD_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
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
        lobby: connections that have sent nothing yet: where from, and since when.
        visitors: the others.
    """

    def __init__(self, most: int = MOST_CONNECTIONS, clock: Callable[[], float] = time.monotonic) -> None:
        self.most, self.clock = most, clock
        self.lobby: dict[socket.socket, tuple[str, float]] = {}
        self.visitors: dict[Visitor, None] = {}
        self._entering: set[asyncio.Task[None]] = set()

    async def keep(self, bound: socket.socket, visitor: Callable[[float], Visitor]) -> None:
        """Accept connections until cancelled.

        Args:
            visitor: makes one, who came at a time of `clock`.
        """
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
                await self._make_room()
                continue
            try:
                while self._is_full() and await self._make_room():
                    pass
            except asyncio.CancelledError:
                accepted.close()
                raise
            self.lobby[accepted] = _place(address), self.clock()
            loop.add_reader(accepted, self._enter, accepted, visitor)
            await asyncio.sleep(0)  # between two newcomers everybody inside has his turn

    def sweep(self) -> None:
        """Throw out who kept still for too long."""
        now = self.clock()
        for accepted in [one for one, (_, arrived) in self.lobby.items() if now > arrived + HEAD_S]:
            self._throw_out(accepted)
        for visitor in [one for one in self.visitors if now > one.deadline]:
            self._throw_out(visitor)

    def close(self) -> None:
        """Throw out everybody."""
        for accepted in list(self.lobby):
            self._throw_out(accepted)
        for visitor in list(self.visitors):
            self._throw_out(visitor)

    def welcome(self, guest: Visitor) -> None:
        """`guest` is one from now on; some places always stay for newcomers, so of too many guests one goes."""
        others = [one for one in self.visitors if one.is_guest and one is not guest and not one.transport.is_closing()]
        if len(others) >= self.most - self._kept_places:
            min(others, key=lambda one: one.deadline).throw_out()

    @property
    def _kept_places(self) -> int:
        """For newcomers, who may be guests, while guests have all others; and for guests while strangers have all others."""
        return max(self.most // 8, 1)

    def _enter(self, accepted: socket.socket, visitor: Callable[[float], Visitor]) -> None:
        _, arrived = self._leave_lobby(accepted)
        task = asyncio.get_running_loop().create_task(_connect(accepted, partial(visitor, arrived)))
        self._entering.add(task)  # a task that nobody holds may vanish
        task.add_done_callback(self._entering.discard)

    def _leave_lobby(self, accepted: socket.socket) -> tuple[str, float]:
        asyncio.get_running_loop().remove_reader(accepted)
        return self.lobby.pop(accepted)

    def _throw_out(self, one: socket.socket | Visitor) -> None:
        if isinstance(one, Visitor):
            one.throw_out()
        else:
            self._leave_lobby(one)
            one.close()

    def _is_full(self) -> bool:
        """Whether a newcomer has no place, who is a stranger until he has shown the token."""
        n_outside = len(self.lobby) + len(self._entering)
        n_strangers = n_outside + sum(not one.is_guest for one in self.visitors)
        return n_outside + len(self.visitors) >= self.most or n_strangers >= self.most - self._kept_places

    async def _make_room(self) -> bool:
        """Throw out the oldest stranger of the address that has most of them, or wait until he has had his moment; False where
        there is nobody to go.

        Age counts from the connection's beginning: who has sent half a request is no more welcome than who has sent nothing,
        and no newcomer goes before him. No address is crowded that has a browser's few connections.
        """
        strangers: list[tuple[float, str, socket.socket | Visitor]] = [
            (arrived, place, accepted) for accepted, (place, arrived) in self.lobby.items()
        ]
        strangers += [
            (one.arrived, one.place, one) for one in self.visitors if not one.is_guest and not one.transport.is_closing()
        ]
        wait_s = 0.0
        if strangers:
            of_place = Counter(place for _, place, _ in strangers)
            arrived, _, one = min(strangers, key=lambda each: (-max(of_place[each[1]], self._kept_places), each[0]))
            wait_s = max(arrived + MOMENT_S - self.clock(), 0.0)
            if not wait_s:
                self._throw_out(one)
        has_changed = bool(strangers or self._entering)
        await asyncio.sleep(wait_s)  # in the loop's next turn a visitor who is thrown out is gone, one who enters has entered
        return has_changed


async def _connect(accepted: socket.socket, visitor: Callable[[], Visitor]) -> None:
    try:
        await asyncio.get_running_loop().connect_accepted_socket(visitor, accepted)
    except OSError:
        accepted.close()


def _place(address: object) -> str:
    """Where a connection comes from: an IPv4 address, or the network of an IPv6 one, of which a machine has many addresses."""
    host = str(address[0]) if isinstance(address, tuple) and address else ""
    return ":".join(host.split(":")[:4]) if ":" in host and "." not in host else host
