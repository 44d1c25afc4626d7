"""What connections to the live page can do to judging and recording; slow, so run by hand: python tests/attack/connections.py

`edge-run` classifies and records the synthetic camera at 20 frames a second and serves its page on this machine alone. In
turns it is left alone and attacked: 2,000 connections without the token that send nothing, and come back when they are thrown
out, and 20 viewers of whom ten never read. Then strangers come at a steady rate, who send nothing, half a request, a request byte
by byte, or whole ones without the token, while the owner makes a hundred requests. The attack is a process of its own and costs
little, so that what is measured is the page. Nothing leaves this machine; see --help for other numbers.
"""

import argparse
import contextlib
import http.client
import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np

WARM_UP_S = 3.0  # not measured: imports, the first pictures, the attack's own beginning
EDGE_RUN = "from leukolite.edge.start import main; main()"

ATTACK = r"""
import select, socket, sys, time
port, token, idle, readers, deaf, again = int(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
VIEW = f"GET /view HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
poll, sockets, gone, looking = select.epoll(), {}, 0, {}

def begin(viewer):
    one = socket.socket()
    one.setblocking(False)
    if viewer == "deaf":
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    try:
        one.connect(("127.0.0.1", port))
    except BlockingIOError:
        pass
    except OSError:
        return
    sockets[one.fileno()] = one
    looking[one.fileno()] = viewer
    if viewer != "deaf":
        poll.register(one, select.EPOLLIN | select.EPOLLHUP)

wanted = ["idle"] * idle + ["reader"] * readers + ["deaf"] * deaf
asked_at = allowed_at = time.monotonic()
allowed = float(len(wanted))  # all at once, then `again` in a second
while True:
    now = time.monotonic()
    allowed, allowed_at = min(allowed + (now - allowed_at) * again, len(wanted)), now
    while wanted and allowed >= 1:
        allowed -= 1
        begin(wanted.pop())
    for number, _ in poll.poll(0.05):
        try:
            data = sockets[number].recv(2**20)
        except BlockingIOError:
            continue
        except OSError:
            data = b""
        if not data:
            poll.unregister(number)
            sockets.pop(number).close()
            wanted.append(looking.pop(number))
    if now - asked_at >= 0.25:
        asked_at = now
        for number, viewer in list(looking.items()):
            if viewer != "idle":
                try:
                    sockets[number].send(VIEW)
                except BlockingIOError:
                    pass
                except OSError:
                    if viewer == "deaf":
                        sockets.pop(number).close()
                        wanted.append(looking.pop(number))
"""

STRANGERS = r"""
import collections, socket, sys, time
port, kind, rate = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
HEAD = b"GET /view HTTP/1.1\r\nHost: localhost\r\n"
FIRST = {"idle": b"", "half": HEAD[:1], "trickling": HEAD[:1], "refused": HEAD + b"\r\n"}[kind]
strangers, began, made, trickled_at, sent = collections.deque(), time.monotonic(), 0, 0.0, 1
while True:
    now = time.monotonic()
    while made < (now - began) * rate:
        made += 1
        one = socket.socket()
        one.settimeout(3)
        try:
            one.connect(("127.0.0.1", port))
            one.setblocking(False)
            one.send(FIRST)
        except OSError:
            pass
        strangers.append(one)
        if len(strangers) > 300:
            strangers.popleft().close()
    if kind == "trickling" and now - trickled_at >= 0.1:
        trickled_at = now
        for one in strangers:
            try:
                one.send(HEAD[sent % len(HEAD) :][:1])
            except OSError:
                pass
        sent += 1
    time.sleep(0.002)
"""
KINDS = ("idle", "half", "trickling", "refused")


@dataclass
class Found:
    """What one run, or all of a kind, gave.

    Attributes:
        ages_ms: from capture to verdict, of each frame.
        frames, recorded: classified, and in the journal.
        overtaken: frames that came while another was classified.
        pause_s: how long the owner's new connection took to be answered that the session is paused.
    """

    ages_ms: list[float] = field(default_factory=list)
    frames: int = 0
    recorded: int = 0
    overtaken: int = 0
    pause_s: list[float] = field(default_factory=list)
    descriptors: int = 0
    memory_mb: float = 0.0
    codes: list[int] = field(default_factory=list)

    def add(self, other: "Found") -> None:
        for name in ("ages_ms", "pause_s", "codes"):
            getattr(self, name).extend(getattr(other, name))
        for name in ("frames", "recorded", "overtaken"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.descriptors, self.memory_mb = max(self.descriptors, other.descriptors), max(self.memory_mb, other.memory_mb)


def session(seconds: float, attack: tuple[int, int, int, int] | None, limit: int | None) -> Found:
    """One session of `edge-run`, attacked by so many (idle, reading, deaf, coming again in a second) or left alone."""
    with tempfile.TemporaryDirectory() as folder:
        place, found = Path(folder), Found()
        with edge_run(place, limit) as (runner, port, token):
            arguments = None if attack is None else [ATTACK, str(port), token, *map(str, attack)]
            with attacked_by(arguments):
                ends_at, watched_pause = time.monotonic() + WARM_UP_S + seconds, time.monotonic() + WARM_UP_S
                while time.monotonic() < ends_at and runner.poll() is None:
                    found.descriptors = max(found.descriptors, sum(1 for _ in Path(f"/proc/{runner.pid}/fd").iterdir()))
                    found.memory_mb = max(found.memory_mb, memory_mb(runner.pid))
                    if time.monotonic() >= watched_pause:
                        found.pause_s.append(press(port, token, "pause"))
                        press(port, token, "start")
                        watched_pause += 5
                    time.sleep(0.2)
                runner.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    runner.wait(60)
        found.codes.append(runner.returncode)
        read_results(place, found)
        if found.codes != [0]:
            sys.stdout.write((place / "errors").read_text(errors="replace")[-2000:])
    return found


def owner_among_strangers(kind: str, rate: float, requests: int, limit: int | None) -> list[float]:
    """How long each of the owner's requests took, each over a new connection, while so many strangers come in a second; infinite
    where it failed."""
    with tempfile.TemporaryDirectory() as folder, edge_run(Path(folder), limit) as (_, port, token):  # noqa: SIM117
        with attacked_by([STRANGERS, str(port), kind, str(rate)]):
            time.sleep(WARM_UP_S)
            took = []
            for _ in range(requests):
                took.append(press(port, token, "start"))
                time.sleep(0.05)
            return took


@contextlib.contextmanager
def edge_run(place: Path, limit: int | None) -> Iterator[tuple["subprocess.Popen[bytes]", int, str]]:
    """A session that records into `place` and serves a page: its process, the page's port and token."""
    command = [sys.executable, "-c", EDGE_RUN, "--bundle", "synthetic-cells", "--camera", "synthetic:20", "--every-frame"]
    command += ["--quiet", "--serve", "0", "--record", str(place / "session"), "--json", str(place / "o.json")]
    bound = None if limit is None else lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    with (place / "said").open("wb") as said, (place / "errors").open("wb") as errors:
        runner = subprocess.Popen(command, stdout=said, stderr=errors, preexec_fn=bound)
    try:
        yield runner, *page_of(place / "errors", runner)
    finally:
        runner.kill()
        runner.wait()


@contextlib.contextmanager
def attacked_by(arguments: list[str] | None) -> Iterator[None]:
    """Within the block a script with its arguments runs beside; None runs nothing."""
    if arguments is None:
        yield
        return
    attacker = subprocess.Popen([sys.executable, "-c", *arguments], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        attacker.kill()
        attacker.wait()


def read_results(place: Path, found: Found) -> None:
    """The frames' ages from the JSON, and what the journal kept."""
    from leukolite.edge.journal.format import read
    from leukolite.edge.journal.records import FrameRecord

    if (place / "o.json").exists():
        frames = json.loads((place / "o.json").read_text())["frames"]
        found.frames = len(frames)
        found.ages_ms = [frame["age_ms"] for frame in frames[int(20 * WARM_UP_S) :]]
    kept = [entry.record for entry in read(place / "session") if isinstance(entry.record, FrameRecord)]
    found.recorded, found.overtaken = len(kept), sum(record.skipped for record in kept)


def page_of(errors: Path, runner: "subprocess.Popen[bytes]") -> tuple[int, str]:
    """The page's port and token, from the line that `edge-run` prints."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and runner.poll() is None:
        for line in errors.read_text().splitlines():
            if line.startswith("live page: "):
                url = urlsplit(line.removeprefix("live page: "))
                return int(url.port or 0), parse_qs(url.query)["token"][0]
        time.sleep(0.05)
    raise SystemExit(f"edge-run serves no page: {errors.read_text()}")


def press(port: int, token: str, button: str) -> float:
    """Press a button over a new connection.

    Returns:
        How long it took to be answered, seconds; infinite where it was not.
    """
    began, connection = time.monotonic(), http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", f"/{button}", headers={"Authorization": f"Bearer {token}"})
        return time.monotonic() - began if connection.getresponse().status == 204 else float("inf")
    except (OSError, http.client.HTTPException):
        return float("inf")
    finally:
        connection.close()


def memory_mb(process: int) -> float:
    """Resident at its highest, 2**20 bytes."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4, help="runs of each kind, in turns")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run that are measured")
    parser.add_argument("--idle", type=int, default=2000, help="connections that send nothing")
    parser.add_argument("--readers", type=int, default=10, help="viewers that read")
    parser.add_argument("--deaf", type=int, default=10, help="viewers that never read")
    parser.add_argument("--again", type=int, default=100, help="connections a second that come back after they were thrown out")
    parser.add_argument("--rates", type=float, nargs="*", default=[50, 200, 400], help="strangers a second, of each kind")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS, help="of strangers")
    parser.add_argument("--requests", type=int, default=100, help="of the owner's, among strangers")
    parser.add_argument("--limit", type=int, help="descriptors that edge-run may have, as ulimit -n")
    wanted = parser.parse_args()
    own = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (own[1], own[1]))  # inherited by the attack
    held = not wanted.rounds or idle_and_viewers(wanted)
    if wanted.rates and wanted.kinds:
        held &= strangers(wanted)
    return 0 if held else 1


def strangers(wanted: argparse.Namespace) -> bool:
    """Print how the owner fares among strangers of each kind and rate; True where all requests were answered within 2 s."""
    sys.stdout.write("strangers   a second  owner's requests failed  longest s\n")
    held = True
    for kind in wanted.kinds:
        for rate in wanted.rates:
            took = owner_among_strangers(kind, rate, wanted.requests, wanted.limit)
            failed = took.count(float("inf"))
            held &= max(took) < 2
            longest = max((seconds for seconds in took if seconds < float("inf")), default=float("inf"))
            sys.stdout.write(f"{kind:<12}{rate:>8g}{failed:>17} of {len(took):<4}{longest:>12.3f}\n")
            sys.stdout.flush()
    return held


def idle_and_viewers(wanted: argparse.Namespace) -> bool:
    """Print what idle connections and viewers cost; True where nothing is lost and the owner is answered."""
    kinds = {"left alone": None, "attacked": (wanted.idle, wanted.readers, wanted.deaf, wanted.again)}
    all_found = {kind: Found() for kind in kinds}
    for _ in range(wanted.rounds):
        for kind, attack in kinds.items():
            all_found[kind].add(session(wanted.seconds, attack, wanted.limit))
    sys.stdout.write(
        f"{'':<12}frames  lost  overtaken  age ms: p50    p99    max   Pause s  descriptors  memory MB  exit codes\n"
    )
    p99 = {}
    for kind, found in all_found.items():
        p50, p99[kind] = np.percentile(found.ages_ms, [50, 99]) if found.ages_ms else (float("nan"), float("nan"))
        lost, codes = found.frames - found.recorded, sorted(set(found.codes))
        sys.stdout.write(
            f"{kind:<12}{found.frames:>6}{lost:>6}{found.overtaken:>11}{p50:>13.2f}{p99[kind]:>7.2f}"
            f"{max(found.ages_ms, default=0):>7.1f}{max(found.pause_s, default=float('inf')):>10.3f}{found.descriptors:>13}"
            f"{found.memory_mb:>11.0f}  {codes}\n"
        )
    attacked = all_found["attacked"]
    ratio = p99["attacked"] / p99["left alone"]
    held = attacked.codes == [0] * wanted.rounds and attacked.frames == attacked.recorded and max(attacked.pause_s) < 2
    sys.stdout.write(f"p99 attacked / left alone: {ratio:.2f}; nothing lost, Pause within 2 s: {'yes' if held else 'NO'}\n")
    return held


if __name__ == "__main__":
    raise SystemExit(main())
