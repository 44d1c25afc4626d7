"""Serves the live page from a thread of its own, and ends without waiting for anybody."""

import socket
import threading

import uvicorn
from starlette.types import ASGIApp

from leukolite.edge.control import Control
from leukolite.edge.events import Event
from leukolite.edge.host.health import HealthMonitor
from leukolite.edge.journal.sink import JournalSink
from leukolite.edge.page.app import application
from leukolite.edge.page.listen import Listener
from leukolite.edge.page.state import Estimate, Live, Share
from leukolite.prevalence import Validation, prevalence

MOST_CONNECTIONS = 64
ENDS_WITHIN_S = 5.0


class PageServer:
    """A `Sink` that shows a page while the session lasts, and closes it at its end.

    Args:
        live: what is shown.
        app: shows it.
        bound: where; the server closes it.
    """

    def __init__(self, live: Live, app: ASGIApp, bound: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=1,
        )
        self._live, self._server = live, _Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([bound],), name="live page", daemon=True)
        self._thread.start()

    def take(self, event: Event) -> None:
        self._live.take(event)

    def close(self) -> None:
        """Close every connection; who does not read is not waited for."""
        self._live.close()
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(ENDS_WITHIN_S)


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
        estimate=_corrected_by(validation),
    )
    return PageServer(live, app, listener.bound)


def _corrected_by(validation: Validation | None) -> Estimate:
    def estimate(called: int, n: int) -> Share:
        found = prevalence(called, n, validation)
        if found.fraction is None:
            return Share(found.apparent, found.apparent_interval, f"as counted, not corrected: {found.note}")
        return Share(found.fraction, found.interval, "corrected for the model's errors")

    return estimate


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()  # closing would first wait until all is read
        await super().shutdown(sockets)
