"""Serves the live page from a thread of its own, and ends without waiting for anybody."""

import asyncio
import socket
import sys
import threading

import uvicorn
from starlette.types import ASGIApp

from leukolite.edge.control import Control
from leukolite.edge.events import Event
from leukolite.edge.host.health import HealthMonitor
from leukolite.edge.journal.sink import JournalSink
from leukolite.edge.page.app import application
from leukolite.edge.page.door import HEAD_S, MOST_CONNECTIONS, Door, Visitor
from leukolite.edge.page.listen import Listener
from leukolite.edge.page.state import Estimate, Live, Share
from leukolite.prevalence import Validation, prevalence

ENDS_WITHIN_S = 5.0
GIVES_WAY_S = 0.0005  # the page may hold Python for so long; its own 5 ms are longer than a frame takes


class PageServer:
    """A `Sink` that shows a page while the session lasts, and closes it at its end.

    Args:
        live: what is shown.
        app: shows it.
        bound: where; the server closes it.
        connections: at once, at most.
    """

    def __init__(self, live: Live, app: ASGIApp, bound: socket.socket, connections: int = MOST_CONNECTIONS) -> None:
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=Visitor,
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=int(HEAD_S) - 1,
            timeout_graceful_shutdown=1,
        )
        self._live, self._server = live, _Server(config, Door(connections), bound)
        self._switch_interval_s = sys.getswitchinterval()
        sys.setswitchinterval(GIVES_WAY_S)
        self._thread = threading.Thread(target=self._server.run, args=([bound],), name="live page", daemon=True)
        self._thread.start()

    def take(self, event: Event) -> None:
        self._live.take(event)

    def close(self) -> None:
        """Close every connection; who does not read is not waited for."""
        self._live.close()
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(ENDS_WITHIN_S)
        sys.setswitchinterval(self._switch_interval_s)


def serve_page(
    live: Live,
    listener: Listener,
    control: Control,
    monitor: HealthMonitor,
    recording: JournalSink | None,
    validation: Validation | None,
) -> PageServer:
    """Begin to show a session's page.

    Args:
        recording: the session's; None where it is not recorded.
        validation: of the model, by which the blast fraction is corrected; None leaves it as counted.
    """
    app = application(
        live,
        control,
        lambda: monitor.latest,
        lambda: None if recording is None else recording.state,
        port=listener.port,
        token=listener.token,
        is_local=listener.is_local,
        estimate=_corrected_by(validation),
    )
    return PageServer(live, app, listener.bound, listener.connections)


def _corrected_by(validation: Validation | None) -> Estimate:
    def estimate(n_malignant: int, n: int) -> Share:
        found = prevalence(n_malignant, n, validation)
        if found.fraction is None:
            return Share(found.apparent, found.apparent_interval, f"as counted, not corrected: {found.note}")
        return Share(found.fraction, found.interval, "corrected for the model's errors")

    return estimate


class _Server(uvicorn.Server):
    """Uvicorn's, whose connections come through a door."""

    def __init__(self, config: uvicorn.Config, door: Door, bound: socket.socket) -> None:
        super().__init__(config)
        self._door, self._bound = door, bound
        self._accepting: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])  # nothing for it to accept
        self._accepting = asyncio.create_task(self._door.keep(self._bound, self._visitor))

    async def on_tick(self, counter: int) -> bool:
        self._door.sweep()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
        self._door.close()
        await super().shutdown(sockets)

    def _visitor(self, arrived: float) -> Visitor:
        return Visitor(
            self._door, arrived, config=self.config, server_state=self.server_state, app_state=getattr(self.lifespan, "state", {})
        )
