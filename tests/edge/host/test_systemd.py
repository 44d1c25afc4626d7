import configparser
import shlex
import socket
from pathlib import Path

import pytest

from leukolite.edge.cli import main as edge_run
from leukolite.edge.host.systemd import notify
from leukolite.shipped import shipped_bundles


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """A service manager's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listener


def test_a_service_manager_is_told(manager):
    assert notify("READY=1")
    assert manager.recv(100) == b"READY=1"


def test_an_abstract_socket_is_told(monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0leukolite-test-notify")
        monkeypatch.setenv("NOTIFY_SOCKET", "@leukolite-test-notify")
        assert notify("WATCHDOG=1")
        assert listener.recv(100) == b"WATCHDOG=1"


def test_without_a_service_manager_nothing_happens(monkeypatch, tmp_path):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not notify("READY=1")


def test_a_session_says_that_it_is_ready_lives_and_stops(manager, call):
    result = call(edge_run, "--bundle", "synthetic-cells", "--camera", "synthetic", "--frames", 2, "--quiet")
    assert result.exit_code == 0, result.output
    manager.setblocking(False)
    lines = []
    while True:
        try:
            lines.append(manager.recv(100).decode())
        except BlockingIOError:
            break
    assert lines[:2] == ["WATCHDOG=1", "READY=1"]
    assert lines[-1] == "STOPPING=1"


def test_the_unit_in_the_docs_calls_edge_run_as_it_is():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(Path(__file__).parents[3] / "docs" / "leukolite.service")
    command = shlex.split(unit["Service"]["ExecStart"])
    assert Path(command[0]).name == "edge-run"
    with edge_run.make_context("edge-run", command[1:]) as context:
        assert context.params["camera"] == "picamera2"
        assert context.params["bundle"].name in shipped_bundles()
        longest_wait = context.params["no_answer"]
    assert int(unit["Service"]["WatchdogSec"]) > 2 * longest_wait, "a runtime that hangs is restarted by edge-run first"
    assert unit["Service"]["Type"] == "notify"
