"""UVC microscopes and other cameras at /dev/videoN: read through OpenCV, found through the kernel's V4L2."""

import fcntl
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2

from leukolite.clock import Clock
from leukolite.edge.camera.opencv import describe, fourcc, read_frames, silence_opencv
from leukolite.edge.camera.source import Arriving, CameraInfo, CameraOptions, Items, Note, Size
from leukolite.errors import SourceError, reason_of

BY_ID = Path("v4l/by-id"), Path("v4l/by-path")  # below /dev: links whose names udev keeps when devices are numbered anew
SYSFS = Path("/sys/class/video4linux")


@dataclass(frozen=True, slots=True)
class Capability:
    """What the kernel says of a device node (struct v4l2_capability).

    Attributes:
        card: what the camera calls itself.
        bus: where it is plugged in, as 'usb-0000:01:00.0-1.2'.
        flags: of the node.
        serial: of the camera; empty where it has none, or nobody tells.
    """

    driver: str
    card: str
    bus: str
    flags: int
    serial: str = ""

    def is_other_than(self, first: "Capability") -> bool:
        """Whether it is another camera than the `first`, or one that cannot be told from another."""
        if self.card != first.card or self.serial != first.serial:
            return True
        return not self.serial and self.bus != first.bus

    def __str__(self) -> str:
        return f"{self.card} at {self.bus}{f', serial {self.serial}' if self.serial else ''}"


Capabilities = Callable[[Path], Capability]  # of a device node

VIDIOC_QUERYCAP, CAPABILITY_BYTES = 0x80685600, 104  # linux/videodev2.h, struct v4l2_capability
V4L2_CAP_VIDEO_CAPTURE, V4L2_CAP_DEVICE_CAPS = 0x1, 0x80000000
RAW_SENSOR_DRIVERS = frozenset({"unicam", "rp1-cfe", "bcm2835-isp"})  # the Pi's own camera: through picamera2 only


class V4l2Camera:
    """A UVC microscope or another camera at /dev/videoN, with a buffer of one frame.

    Pictures that come as JPEG are decoded strictly, so that a damaged one is a gap; OpenCV would fill in grey.

    Raises:
        SourceError: from `frames`: the device is missing, closed to this user, gives another size than asked for, or is another
            camera than when it was first opened.
    """

    truths: tuple[str, ...] = ()
    live = True

    def __init__(
        self,
        device: str,
        size: Size | None = None,
        *,
        clock: Clock = time.perf_counter_ns,
        capabilities: Capabilities | None = None,
    ) -> None:
        self.name = f"v4l2:{device}"
        self._device, self._size, self._clock, self._next = device, size, clock, 0
        self._capabilities = capabilities or v4l2_capabilities
        self._first: Capability | None = None

    def frames(self) -> Items:
        _check_device(self.name, Path(self._device))
        silence_opencv()
        device = str(Path(self._device).resolve())  # a link of udev's leads elsewhere after a replug
        video = cv2.VideoCapture(device, cv2.CAP_V4L2)
        try:
            if not video.isOpened():
                raise SourceError(self.name, "cannot be opened; is it a camera, and does another program hold it?")
            what = self._same_camera(Path(device))
            video.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            if self._size is not None:
                _set_size(self.name, video, self._size)
            encoded = fourcc(video) in ("MJPG", "JPEG") and video.set(cv2.CAP_PROP_CONVERT_RGB, 0)
            yield Note(self.name, describe(video) + ("" if what is None else f"; {what}"))
            for item in read_frames(video, self.name, self._next, self._clock, encoded=encoded, stamped=True):
                if not isinstance(item, Arriving):
                    self._next = item.index + 1
                yield item
        finally:
            video.release()

    def _same_camera(self, device: Path) -> Capability | None:
        """What was opened; None where the kernel does not say.

        Raises:
            SourceError: it is another camera than the one that this session began with.
        """
        try:
            found = self._capabilities(device)
        except OSError:
            return None
        if self._first is None:
            self._first = found
        if found.is_other_than(self._first):
            raise SourceError(
                self.name,
                f"another camera is there now ({found}), the session began with {self._first};"
                " plug the first one in again, or begin a new session",
            )
        return found


def open_v4l2(name: str, options: CameraOptions) -> V4l2Camera | None:
    """The camera named 'v4l2:/dev/videoN'; None for another name."""
    device = name.partition(":")[2]
    return V4l2Camera(device, options.size) if device.startswith("/") else None


def plugged_in_v4l2(devices: Path = Path("/dev"), capabilities: Capabilities | None = None) -> tuple[list[CameraInfo], list[str]]:
    """The V4L2 cameras that are plugged in, and why a device could not be asked.

    Args:
        devices: where the video devices and udev's links to them lie.
        capabilities: asks one device; None: `v4l2_capabilities`, the kernel.
    """
    ask = capabilities or v4l2_capabilities
    found, troubles = [], []
    for device in sorted(devices.glob("video*"), key=lambda path: (len(path.name), path.name)):
        try:
            camera = ask(device)
        except OSError as error:
            troubles.append(f"{device}: {reason_of(error)}")
            continue
        if camera.flags & V4L2_CAP_VIDEO_CAPTURE and camera.driver not in RAW_SENSOR_DRIVERS:
            found.append(CameraInfo(f"v4l2:{device}", camera.card, tuple(f"v4l2:{link}" for link in _links_to(device, devices))))
    return found, troubles


def _links_to(device: Path, devices: Path) -> list[Path]:
    """The names of a device that stay: by its maker, model and serial number, and by the socket it is plugged into."""
    links = [link for folder in BY_ID for link in sorted((devices / folder).glob("*"))]
    return [link for link in links if link.resolve() == device.resolve()]


def v4l2_capabilities(device: Path) -> Capability:
    """What the kernel says of a video device. Raises: OSError, if it cannot be opened or is none."""
    handle = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    try:
        answer = bytearray(CAPABILITY_BYTES)
        fcntl.ioctl(handle, VIDIOC_QUERYCAP, answer)
    finally:
        os.close(handle)
    return parse_capabilities(bytes(answer), serial_of(device))


def parse_capabilities(answer: bytes, serial: str = "") -> Capability:
    """A struct v4l2_capability; the flags are those of the device node where the driver tells them."""
    driver, card, bus, _, whole, node = struct.unpack_from("=16s32s32sIII", answer)
    flags = node if whole & V4L2_CAP_DEVICE_CAPS else whole
    return Capability(_c_string(driver), _c_string(card), _c_string(bus), flags, serial)


def serial_of(device: Path, sysfs: Path = SYSFS) -> str:
    """A USB camera's serial number; empty where it has none."""
    try:
        return (sysfs / device.resolve().name / "device" / ".." / "serial").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _c_string(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode(errors="replace")


def _check_device(name: str, device: Path) -> None:
    if not device.exists():
        raise SourceError(name, "no such device; is the camera plugged in?", advice="list-cameras")
    if not os.access(device, os.R_OK | os.W_OK):
        raise SourceError(name, "this user may not use it; sudo usermod -aG video $USER, then log in again")


def _set_size(name: str, video: cv2.VideoCapture, size: Size) -> None:
    video.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
    video.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
    found = (int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    if found != size:
        raise SourceError(name, f"gives {found[0]}x{found[1]} where {size[0]}x{size[1]} was asked for", advice="camera-size")
