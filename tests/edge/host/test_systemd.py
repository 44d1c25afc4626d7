import configparser
import contextlib
import shlex
import shutil
import socket
import subprocess
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


UNIT = Path(__file__).parents[3] / "docs" / "leukolite.service"


def the_unit() -> configparser.ConfigParser:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment]  # systemd's names have capitals
    unit.read(UNIT)
    return unit


def test_a_long_journal_that_is_read_again_asks_for_more_time_to_start(manager, call, tmp_path):
    session = ("--bundle", "synthetic-cells", "--camera", "synthetic", "--frames", 1, "--quiet", "--record", tmp_path / "s")
    for _ in range(2):
        assert call(edge_run, *session).exit_code == 0
    manager.setblocking(False)
    lines = []
    with contextlib.suppress(BlockingIOError):
        while True:
            lines.append(manager.recv(100).decode())
    begun, again = "\n".join(lines).split("STOPPING=1")[:2]
    assert "EXTEND_TIMEOUT_USEC" not in begun
    assert again.index("EXTEND_TIMEOUT_USEC=60000000") < again.index("READY=1")


def test_the_unit_comes_back_after_all_that_can_be_mended_and_stays_away_from_a_wrong_call():
    unit = the_unit()
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"  # a camera may be plugged in again only in the morning
    assert unit["Service"]["Restart"] == "on-failure"
    assert unit["Service"]["RestartPreventExitStatus"] == "2"


def test_systemd_finds_no_fault_in_the_unit(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd here")
    text = UNIT.read_text().replace("/opt/leukolite/.venv/bin/edge-run", shutil.which("true"))
    (tmp_path / UNIT.name).write_text(text.replace("User=leukolite", "User=daemon"))
    checked = subprocess.run(["systemd-analyze", "verify", tmp_path / UNIT.name], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_unit_in_the_docs_calls_edge_run_as_it_is():
    unit = the_unit()
    command = shlex.split(unit["Service"]["ExecStart"])
    assert Path(command[0]).name == "edge-run"
    with edge_run.make_context("edge-run", command[1:]) as context:
        assert context.params["camera"] == "picamera2"
        assert context.params["bundle"].name in shipped_bundles()
        state = Path("/var/lib") / unit["Service"]["StateDirectory"]
        assert context.params["record"].parent == state  # not the folder itself, in which the salt lies
        longest_wait = context.params["no_answer"]
    assert int(unit["Service"]["WatchdogSec"]) > 2 * longest_wait, "a runtime that hangs is restarted by edge-run first"
    assert unit["Service"]["Type"] == "notify"
