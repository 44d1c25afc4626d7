"""What the edge's tests share as fixtures; their fakes are in tests/helpers/fakes.py."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", place], check=True)
