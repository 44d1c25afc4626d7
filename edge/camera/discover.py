"""What is plugged in: Raspberry Pi cameras by picamera2, others by the kernel's V4L2."""

import fcntl
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leukolite.edge.camera.picamera import import_picamera2
from leukolite.errors import SourceError

Capabilities = Callable[[Path], tuple[str, str, int]]  # of a device node: driver, card, flags


VIDIOC_QUERYCAP, CAPABILITY_BYTES = 0x80685600, 104  # linux/videodev2.h, struct v4l2_capability


V4L2_CAP_VIDEO_CAPTURE, V4L2_CAP_DEVICE_CAPS = 0x1, 0x80000000


RAW_SENSOR_DRIVERS = frozenset({"unicam", "rp1-cfe", "bcm2835-isp"})  # the Pi's own camera: through picamera2 only


def v4l2_capabilities(device: Path) -> tuple[str, str, int]:
    """Driver, card and capability flags of a video device. Raises: OSError, if it cannot be opened or is none."""
    handle = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    try:
        answer = bytearray(CAPABILITY_BYTES)
        fcntl.ioctl(handle, VIDIOC_QUERYCAP, answer)
    finally:
        os.close(handle)
    return parse_capabilities(bytes(answer))


def parse_capabilities(answer: bytes) -> tuple[str, str, int]:
    """Driver, card and flags of the device node out of a struct v4l2_capability."""
    driver, card, _, _, whole, node = struct.unpack_from("=16s32s32sIII", answer)
    flags = node if whole & V4L2_CAP_DEVICE_CAPS else whole
    return _c_string(driver), _c_string(card), flags


def _c_string(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode(errors="replace")


@dataclass(frozen=True)
class CameraInfo:
    """A camera that is plugged in: what to give to --camera, and what it calls itself."""

    name: str
    model: str


def list_cameras(
    devices: Path = Path("/dev"), capabilities: Capabilities = v4l2_capabilities
) -> tuple[list[CameraInfo], list[str]]:
    """What is plugged in, and why something could not be asked.

    Args:
        devices: where the video devices lie.
        capabilities: asks one device; the kernel by default.
    """
    found, troubles = [], []
    try:
        infos: Sequence[Mapping[str, Any]] = import_picamera2().Picamera2.global_camera_info()
    except SourceError as error:
        troubles.append(str(error))
    else:
        found += [CameraInfo(f"picamera2:{info['Num']}", str(info["Model"])) for info in infos]
    for device in sorted(devices.glob("video*"), key=lambda path: (len(path.name), path.name)):
        try:
            driver, card, flags = capabilities(device)
        except OSError as error:
            troubles.append(f"{device}: {error.strerror or error}")
            continue
        if flags & V4L2_CAP_VIDEO_CAPTURE and driver not in RAW_SENSOR_DRIVERS:
            found.append(CameraInfo(f"v4l2:{device}", card))
    return found, troubles
