"""What viewers of the live page cost the runner; slow, so run by hand: python tests/edge/page/viewers.py

`edge-run` classifies the synthetic camera at 20 frames a second: with the page off, with nobody looking, and with ten viewers
that ask four times a second as the page does, one of which never reads. The rounds take turns, so that what else the machine
does meets all alike; viewers are a process of their own.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

ROUNDS, SECONDS = 4, 15
RUN = [sys.executable, "-c", "from leukolite.edge.cli import main; main()", "--bundle", "synthetic-cells"]
RUN += ["--camera", "synthetic:20", "--duration", str(SECONDS), "--quiet"]

VIEWERS = """
import http.client, socket, sys, threading, time
port, token = int(sys.argv[1]), sys.argv[2]
def look():
    viewer = http.client.HTTPConnection("127.0.0.1", port)
    while True:
        viewer.request("GET", "/view", headers={"Authorization": f"Bearer {token}"})
        viewer.getresponse().read()
        time.sleep(0.25)
def never_read():
    with socket.create_connection(("127.0.0.1", port)) as deaf:
        deaf.setblocking(False)
        while True:
            try:
                deaf.send(f"GET /view HTTP/1.1\\r\\nHost: localhost\\r\\nAuthorization: Bearer {token}\\r\\n\\r\\n".encode())
            except BlockingIOError:
                pass
            time.sleep(0.25)
for target in [look] * 9 + [never_read]:
    threading.Thread(target=target, daemon=True).start()
time.sleep(600)
"""


def measure(serve: bool, viewers: bool) -> tuple[int, list[float]]:
    """Frames classified, and each one's milliseconds from capture to verdict, the first second's left out."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "session.json"
        command = [*RUN, "--json", str(out), *(["--serve", "0"] if serve else [])]
        runner = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        looking = None
        if viewers:
            url = urlsplit(runner.stderr.readline().removeprefix("live page: ").strip())
            arguments = (str(url.port), url.query.removeprefix("token="))
            looking = subprocess.Popen([sys.executable, "-c", VIEWERS, *arguments], stderr=subprocess.DEVNULL)
        runner.communicate()
        if looking is not None:
            looking.kill()
            looking.wait()
        frames = json.loads(out.read_text())["frames"]
    return len(frames), [frame["age_ms"] for frame in frames[20:]]


def main() -> None:
    settings = {"no page": (False, False), "page, no viewer": (True, False), "page, 10 viewers": (True, True)}
    counts, ages = dict.fromkeys(settings, 0), {name: [] for name in settings}
    for _ in range(ROUNDS):
        for name, (serve, viewers) in settings.items():
            n, found = measure(serve, viewers)
            counts[name] += n
            ages[name] += found
    sys.stdout.write(f"{'':<18}frames/s   age ms: p50    p90    p99    max\n")
    for name, n in counts.items():
        p50, p90, p99 = np.percentile(ages[name], [50, 90, 99])
        sys.stdout.write(f"{name:<18}{n / ROUNDS / SECONDS:8.2f}{p50:14.2f}{p90:7.2f}{p99:7.2f}{max(ages[name]):7.1f}\n")


if __name__ == "__main__":
    main()
