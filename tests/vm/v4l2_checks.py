"""Inside the virtual machine: edge-run on the kernel's own V4L2 camera (vivid: colour bars, 25 frames a second)."""

import fcntl
import itertools
import json
import struct
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np

from leukolite.edge.cameras import V4l2Camera, list_cameras
from leukolite.edge.frames import Frame
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


def stamp_start_of_exposure() -> None:
    """Set vivid's control 'Timestamp Source', found by its name, to 1, as cameras do it."""
    with open(DEVICE, "r+b", buffering=0) as camera:  # noqa: PTH123
        control, name = 0, b""
        while name != b"Timestamp Source":
            asked = bytearray(struct.pack("=II32s4iI8x", control | NEXT_CONTROL, 0, b"", 0, 0, 0, 0, 0))
            fcntl.ioctl(camera, VIDIOC_QUERYCTRL, asked)
            control, _, raw = struct.unpack_from("=II32s", asked)
            name = raw.split(b"\0")[0]
        fcntl.ioctl(camera, VIDIOC_S_CTRL, struct.pack("=Ii", control, 1))


def main() -> None:
    found, _ = list_cameras()
    assert [camera.name for camera in found] == [f"v4l2:{DEVICE}"], found
    click.echo(f"listed: {found[0]}")

    # by default vivid stamps the simulated end of exposure, which mostly lies in the future and then is not believed
    stamp_start_of_exposure()
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

    try:
        next(V4l2Camera(DEVICE, (641, 13)).frames())
    except SourceError as error:
        click.echo(f"refused: {error}")
    else:
        raise AssertionError("a size that the camera does not have was taken")

    out = Path("/tmp/session.json")
    command = [sys.executable, "-c", "from leukolite.edge.cli import main; main()", "--bundle", "synthetic-cells"]
    options = ["--camera", f"v4l2:{DEVICE}", "--duration", "8", "--json", str(out), "--quiet"]
    started = time.monotonic()
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    click.echo(f"{done.stdout}{done.stderr}exit code {done.returncode} after {time.monotonic() - started:.0f} s")
    assert done.returncode == 0
    content = json.loads(out.read_text())
    assert content["n_frames"] > 10
    assert content["gaps"] == []
    assert {frame["timed_by"] for frame in content["frames"]} == {"sensor"}
    click.echo(f"{content['n_frames']} frames, {content['n_skipped']} skipped, age {content['age_ms']}")


if __name__ == "__main__":
    main()
