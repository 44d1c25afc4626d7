"""What the edge's tests share as fixtures; their fakes are in tests/helpers/fakes.py."""

import threading
from collections.abc import Callable, Iterator

import pytest
from fakes import StreamServer


@pytest.fixture
def serve() -> Iterator[Callable[..., StreamServer]]:
    servers = []

    def start(parts: list[bytes], pause_s: float = 0.0) -> StreamServer:
        servers.append(StreamServer(parts, pause_s))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
