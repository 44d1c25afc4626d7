"""Inside the virtual machine: edge-run on the kernel's own V4L2 camera (vivid: colour bars, 25 frames a second)."""

import fcntl
import itertools
import json
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from leukolite.edge.camera.discover import list_cameras
from leukolite.edge.camera.source import Frame
from leukolite.edge.camera.v4l2 import V4l2Camera
from leukolite.errors import SourceError

DEVICE = "/dev/video0"
VIDIOC_QUERYCTRL, VIDIOC_S_CTRL, NEXT_CONTROL = 0xC0445624, 0xC008561C, 0x80000000  # linux/videodev2.h
# vivid's first four bars of eight, at 75% as in SMPTE's
BARS = {"white": (191, 191, 191), "yellow": (191, 191, 0), "cyan": (0, 191, 191), "green": (0, 191, 0)}


def shown(count: int) -> list[Frame]:
    items = V4l2Camera(DEVICE, (640, 360)).frames()
    try:
        return [item for item in itertools.islice(items, count) if isinstance(item, Frame)]
    finally:
        items.close()


def set_control(wanted: str, value: int) -> None:
    """Set one of vivid's own controls, found by its name."""
    with open(DEVICE, "r+b", buffering=0) as camera:  # noqa: PTH123
        control, name = 0, ""
        while name != wanted:
            asked = bytearray(struct.pack("=II32s4iI8x", control | NEXT_CONTROL, 0, b"", 0, 0, 0, 0, 0))
            fcntl.ioctl(camera, VIDIOC_QUERYCTRL, asked)
            control, _, raw = struct.unpack_from("=II32s", asked)
            name = raw.split(b"\0")[0].decode()
        fcntl.ioctl(camera, VIDIOC_S_CTRL, struct.pack("=Ii", control, value))


def check_listing() -> None:
    found, _ = list_cameras()
    assert [camera.name for camera in found] == [f"v4l2:{DEVICE}"], found
    click.echo(f"listed: {found[0]}")


def check_frames() -> None:
    """Size, time stamps, and channels in their order."""
    # by default vivid stamps the simulated end of exposure, which mostly lies in the future and then is not believed
    set_control("Timestamp Source", 1)
    frames = shown(31)
    assert {frame.pixels.shape for frame in frames} == {(360, 640, 3)}
    assert {frame.timed_by for frame in frames} == {"sensor"}, "V4L2's buffers carry their time"
    gaps_ms = np.diff([frame.captured_at for frame in frames]) / 1e6
    click.echo(f"frames {len(frames)}, between time stamps: median {np.median(gaps_ms):.1f} ms, least {gaps_ms.min():.1f} ms")
    assert gaps_ms.min() > 0
    assert 20 < np.median(gaps_ms) < 400
    row = frames[-1].pixels[300]  # below the text that vivid writes
    for k, (name, colour) in enumerate(BARS.items()):
        pixel = row[40 + 80 * k]
        click.echo(f"bar {name}: {pixel.tolist()}")
        assert np.abs(pixel.astype(int) - colour).max() < 20, f"{name} should be {colour}: are the channels in order?"


def check_size() -> None:
    try:
        next(V4l2Camera(DEVICE, (641, 13)).frames())
    except SourceError as error:
        click.echo(f"refused: {error}")
    else:
        raise AssertionError("a size that the camera does not have was taken")


def edge_run(seconds: float, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from leukolite.edge.cli import main; main()", "--bundle", "synthetic-cells"]
    options = ["--camera", f"v4l2:{DEVICE}", "--duration", str(seconds), "--json", str(out), "--quiet"]
    return subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str], out: Path) -> dict[str, Any]:
    said, complaints = process.communicate(timeout=300)
    click.echo(f"{said}{complaints}exit code {process.returncode}")
    assert process.returncode == 0
    content: dict[str, Any] = json.loads(out.read_text())
    counts = content["counts"]
    click.echo(f"{counts['frames']} frames, {counts['skipped']} skipped, age {content['latency_ms']['age']}")
    return content


def check_session() -> None:
    out = Path("/tmp/session.json")
    content = finished(edge_run(8, out), out)
    assert content["counts"]["frames"] > 10
    assert content["gaps"] == []
    assert {frame["timed_by"] for frame in content["frames"]} == {"sensor"}


def check_unplugging() -> None:
    """Pull the cable (vivid's control 'Disconnect'), plug it in again: a gap, then frames that count on."""
    out = Path("/tmp/unplugged.json")
    process = edge_run(30, out)
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "opened" in line, line
    time.sleep(4)
    set_control("Disconnect", 0)
    for _ in range(100):  # it can be unloaded once edge-run has let go of it
        if subprocess.run(["modprobe", *sys.argv[1:], "-r", "vivid"], check=False, capture_output=True).returncode == 0:
            break
        time.sleep(0.2)
    subprocess.run(["modprobe", *sys.argv[1:], "vivid", "n_devs=1", "node_types=0x1"], check=True)
    content = finished(process, out)
    reasons = [gap["reason"] for gap in content["gaps"]]
    assert any(reason.startswith("signal lost: no more frames come") for reason in reasons), reasons
    indices = [frame["index"] for frame in content["frames"]]
    assert indices == sorted(set(indices))
    notes = [note["text"] for note in content["notes"]]
    assert sum(note.startswith("opened") for note in notes) == 2, notes


if __name__ == "__main__":
    check_listing()
    check_frames()
    check_size()
    check_session()
    check_unplugging()
