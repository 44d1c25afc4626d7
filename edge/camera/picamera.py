"""Hardware: the Raspberry Pi camera (picamera2), UVC microscopes (V4L2), network streams (RTSP, HTTP, MJPEG); what is plugged in.

A camera's `frames` opens it, and closes it when the generator is closed. Pictures are R,G,B in memory, or refused.
"""

import fcntl
import importlib
import os
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np

from leukolite.clock import Clock
from leukolite.edge.camera.source import Frame, Gap, Items, Note
from leukolite.errors import ImageError, SourceError
from leukolite.images import decode_rgb

Size = tuple[int, int]  # width, height in pixels
Capabilities = Callable[[Path], tuple[str, str, int]]  # of a device node: driver, card, flags

NO_PICAMERA2 = (
    "the Raspberry Pi camera needs picamera2, which comes with the system's Python ({}): sudo apt install python3-picamera2,"
    " and make the virtual environment with python3 -m venv --system-site-packages"
)
STILL_SIZE: Size = (1296, 972)  # a quarter of the OV5647's and IMX219's pixels, 4:3, binned on the sensor
PREVIEW_SIZE: Size = (320, 240)  # 320 is a multiple of the 64 bytes that libcamera pads YUV420 rows to
RGB_IN_MEMORY = "BGR888"  # libcamera names the channels from the word's high end: BGR888 lies as R,G,B in memory
SETTLING_FRAMES, SETTLING_S = 90, 10.0  # at most, whichever is over first
SETTLED_FRAMES, SETTLED_WITHIN = 5, 0.01  # alike in a row; relative change
FRAME_WITHIN_S = 5.0  # picamera2 raises TimeoutError then; an old one waits for ever, and the capture's watchdog steps in
APPLIED_WITHIN_FRAMES = 12  # libcamera applies controls some frames after they were set
OLDEST_BELIEVABLE_S = 60.0
READ_FAILURES = 20  # unreadable pictures in a row after which a camera counts as lost
OPEN_MS, READ_MS = 5_000, 5_000

VIDIOC_QUERYCAP, CAPABILITY_BYTES = 0x80685600, 104  # linux/videodev2.h, struct v4l2_capability
V4L2_CAP_VIDEO_CAPTURE, V4L2_CAP_DEVICE_CAPS = 0x1, 0x80000000
RAW_SENSOR_DRIVERS = frozenset({"unicam", "rp1-cfe", "bcm2835-isp"})  # the Pi's own camera: through picamera2 only


class PiCamera:
    """A camera on the Raspberry Pi's ribbon cable, through picamera2.

    Exposure, gain and white balance settle by themselves, are then locked, so that a stain looks alike all session long, and
    told in a `Note`.

    Args:
        number: of the camera, from 0.
        size: of the pictures that are judged.

    Raises:
        SourceError: from `frames`: picamera2 or the camera is missing, or gives another pixel layout than asked for.
    """

    truths: tuple[str, ...] = ()
    live = True

    def __init__(self, number: int = 0, size: Size = STILL_SIZE, *, clock: Clock = time.perf_counter_ns) -> None:
        self.name = f"picamera2:{number}"
        self._number, self._size, self._clock, self._next = number, size, clock, 0
        self._has_preview = size[0] >= PREVIEW_SIZE[0] and size[1] >= PREVIEW_SIZE[1]  # the scaler only shrinks

    def frames(self) -> Items:
        camera = self._open()
        try:
            self._configure(camera)
            camera.start()
            yield Note(self.name, _lock(camera, self._clock))
            while True:
                item = self._capture(camera)
                self._next += 1
                yield item
        except TimeoutError as error:
            raise SourceError(f"{self.name}: no frame within {FRAME_WITHIN_S:g} s; check its cable") from error
        except (RuntimeError, OSError, KeyError) as error:
            raise SourceError(f"{self.name}: the camera is lost ({_one_line(error)}); check its cable") from error
        finally:
            self._close(camera)

    def _open(self) -> Any:
        library = _import_picamera2()
        found = library.Picamera2.global_camera_info()
        if self._number >= len(found):
            have = ", ".join(f"{info['Num']}: {info['Model']}" for info in found) or "none"
            raise SourceError(f"{self.name}: no such camera (found {have}); check its cable, then edge-run --list-cameras")
        try:
            return library.Picamera2(self._number)
        except (RuntimeError, OSError, IndexError) as error:
            raise SourceError(f"{self.name}: cannot be opened ({_one_line(error)}); does another program hold it?") from error

    def _close(self, camera: Any) -> None:
        try:
            camera.close()  # stops it, too
        except (RuntimeError, OSError) as error:  # as picamera2 does when the camera is gone
            raise SourceError(f"{self.name}: cannot be closed ({_one_line(error)}); check its cable") from error

    def _configure(self, camera: Any) -> None:
        camera.configure(
            camera.create_still_configuration(
                main={"format": RGB_IN_MEMORY, "size": self._size},
                lores={"format": "YUV420", "size": PREVIEW_SIZE} if self._has_preview else None,
                buffer_count=3,
                queue=False,  # never a picture from before it was asked for
                display=None,
                encode=None,
            )
        )
        main = camera.camera_configuration()["main"]
        if main["format"] != RGB_IN_MEMORY or tuple(main["size"]) != self._size:
            remedy = "ask for that with --camera-size" if main["format"] == RGB_IN_MEMORY else "a USB camera is v4l2:/dev/videoN"
            raise SourceError(
                f"{self.name}: expected {RGB_IN_MEMORY} of {self._size[0]}x{self._size[1]}, the camera gives {main['format']}"
                f" of {main['size'][0]}x{main['size'][1]}; {remedy}"
            )

    def _capture(self, camera: Any) -> Frame | Gap:
        started = self._clock()
        request = camera.capture_request(wait=FRAME_WITHIN_S)
        try:
            pixels = np.ascontiguousarray(request.make_array("main"))
            small = request.make_array("lores") if self._has_preview else None
            stamp = request.get_metadata().get("SensorTimestamp")
        finally:
            request.release()
        ended = self._clock()
        width, height = self._size
        if pixels.dtype != np.uint8 or pixels.shape != (height, width, 3):
            return Gap(self._next, self.name, f"expected {height}x{width}x3 bytes, found {pixels.dtype} of {pixels.shape}")
        taken = None if stamp is None else _from_boot_time(int(stamp), ended)
        preview = None if small is None else cv2.cvtColor(small, cv2.COLOR_YUV2RGB_I420)[: PREVIEW_SIZE[1], : PREVIEW_SIZE[0]]
        return Frame(
            pixels,
            self._next,
            ended if taken is None else taken,
            (ended - started) / 1e6,
            self.name,
            None,
            "arrival" if taken is None else "sensor",
            preview,
        )


def _lock(camera: Any, clock: Clock) -> str:
    """Let exposure, gain and white balance settle, hold them there, and say what they are."""
    before, alike, settled, started = camera.capture_metadata(wait=FRAME_WITHIN_S), 0, False, clock()
    if not {"ExposureTime", "AnalogueGain"} <= before.keys():
        raise SourceError("the camera does not tell its exposure, so it cannot be locked; a USB camera is v4l2:/dev/videoN")
    for _ in range(SETTLING_FRAMES):
        if clock() - started > SETTLING_S * 1e9:
            break
        now = camera.capture_metadata(wait=FRAME_WITHIN_S)
        alike = alike + 1 if _alike(before, now) else 0
        before = now
        if alike >= SETTLED_FRAMES:
            settled = True
            break
    exposure, gain, colours = int(before["ExposureTime"]), float(before["AnalogueGain"]), before.get("ColourGains")
    controls: dict[str, Any] = {"AeEnable": False, "ExposureTime": exposure, "AnalogueGain": gain}
    if colours is not None:  # a monochrome sensor has none
        controls |= {"AwbEnable": False, "ColourGains": tuple(colours)}
    camera.set_controls(controls)
    for _ in range(APPLIED_WITHIN_FRAMES):
        if _alike(before, camera.capture_metadata(wait=FRAME_WITHIN_S)):
            break
    white = "" if colours is None else f", white balance red {colours[0]:.3f} blue {colours[1]:.3f}"
    how = "" if settled else "; not settled: check the light"
    return f"locked: exposure {exposure} us, gain {gain:.3f}{white}{how}"


def _alike(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    def values(metadata: Mapping[str, Any]) -> np.ndarray:
        light = metadata["ExposureTime"] * metadata["AnalogueGain"]
        return np.array([light, *(metadata.get("ColourGains") or ())], dtype=float)

    return bool(np.all(np.abs(values(now) - values(before)) <= SETTLED_WITHIN * np.abs(values(before))))


def _from_boot_time(stamp: int, now: int) -> int | None:
    """libcamera's SensorTimestamp (CLOCK_BOOTTIME) on the clock of `now`; None where it cannot be a recent picture's."""
    age = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - stamp
    return now - age if 0 <= age <= OLDEST_BELIEVABLE_S * 1e9 else None


def _import_picamera2() -> Any:
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "ERROR")  # its information lines would run across the verdicts
    try:
        return importlib.import_module("picamera2")
    except (ImportError, ValueError, OSError) as error:  # ValueError: its simplejpeg beside another NumPy
        raise SourceError(NO_PICAMERA2.format(_one_line(error))) from error


class V4l2Camera:
    """A UVC microscope or another camera at /dev/videoN, with a buffer of one frame.

    Pictures that come as JPEG are decoded by Pillow, which refuses one that breaks off; OpenCV would fill in grey.

    Raises:
        SourceError: from `frames`: the device is missing, closed to this user, or gives another size than asked for.
    """

    truths: tuple[str, ...] = ()
    live = True

    def __init__(self, device: str, size: Size | None = None, *, clock: Clock = time.perf_counter_ns) -> None:
        self.name = f"v4l2:{device}"
        self._device, self._size, self._clock, self._next = device, size, clock, 0

    def frames(self) -> Items:
        _check_device(self.name, Path(self._device))
        silence_opencv()
        video = cv2.VideoCapture(self._device, cv2.CAP_V4L2)
        try:
            if not video.isOpened():
                raise SourceError(f"{self.name}: cannot be opened; is it a camera, and does another program hold it?")
            video.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            if self._size is not None:
                _set_size(self.name, video, self._size)
            encoded = _fourcc(video) in ("MJPG", "JPEG") and video.set(cv2.CAP_PROP_CONVERT_RGB, 0)
            yield Note(self.name, _described(video))
            for item in _read(video, self.name, self._next, self._clock, encoded=encoded, stamped=True):
                self._next = item.index + 1
                yield item
        finally:
            video.release()


class StreamCamera:
    """A network camera: RTSP, or HTTP with MJPEG or a video.

    MJPEG is decoded by Pillow, which refuses a picture that breaks off; FFmpeg would fill in the picture before.

    Raises:
        SourceError: from `frames`: the server does not answer, or the stream ends.
    """

    truths: tuple[str, ...] = ()
    live = True

    def __init__(self, url: str, *, clock: Clock = time.perf_counter_ns) -> None:
        self.name = without_password(url)
        self._url, self._clock, self._next = url, clock, 0

    def frames(self) -> Items:
        silence_opencv()
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_MS]
        video = cv2.VideoCapture(self._url, cv2.CAP_FFMPEG, limits)
        try:
            if not video.isOpened():
                raise SourceError(f"{self.name}: no video to be had there; does the server run, and is the address right?")
            encoded = _fourcc(video) == "MJPG" and video.set(cv2.CAP_PROP_FORMAT, -1)
            yield Note(self.name, _described(video))
            for item in _read(video, self.name, self._next, self._clock, encoded=encoded, stamped=False):
                self._next = item.index + 1
                yield item
        finally:
            video.release()


def silence_opencv() -> None:
    """Keep OpenCV's and FFmpeg's lines from the terminal; without a redirection, which would swallow other threads' lines."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; read when the first video opens
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def without_password(url: str) -> str:
    """The address as it may be shown and recorded: without user, password and query."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _read(video: cv2.VideoCapture, name: str, index: int, clock: Clock, *, encoded: bool, stamped: bool) -> Iterator[Frame | Gap]:
    """Frames and gaps until the camera is lost.

    Args:
        encoded: it gives JPEG files, not pictures.
        stamped: its positions are V4L2's buffer time stamps, milliseconds of CLOCK_MONOTONIC.

    Raises:
        SourceError: nothing comes any more, or nothing that is a picture.
    """
    failures = 0
    while failures < READ_FAILURES:
        grabbed = video.grab()
        started = clock()
        got, picture = video.retrieve() if grabbed else (False, None)
        if not got or picture is None:
            raise SourceError(f"{name}: no more frames come; is it still plugged in and running?")
        try:
            pixels = decode_rgb(picture.tobytes(), name) if encoded else _to_rgb(picture)
        except ImageError as error:
            failures += 1
            yield Gap(index, name, str(error).removeprefix(f"{name}: "))
        else:
            failures = 0
            age = started - round(video.get(cv2.CAP_PROP_POS_MSEC) * 1e6) if stamped else -1
            believable = stamped and 0 <= age <= OLDEST_BELIEVABLE_S * 1e9
            taken = started - age if believable else started
            yield Frame(pixels, index, taken, (clock() - started) / 1e6, name, None, "sensor" if believable else "arrival")
        index += 1
    raise SourceError(f"{name}: {READ_FAILURES} pictures in a row cannot be decoded")


def _to_rgb(picture: np.ndarray) -> np.ndarray:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ImageError(f"expected 8-bit colour pictures, found {picture.dtype} of shape {picture.shape}")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _check_device(name: str, device: Path) -> None:
    if not device.exists():
        raise SourceError(f"{name}: no such device; is the camera plugged in? edge-run --list-cameras shows what is")
    if not os.access(device, os.R_OK | os.W_OK):
        raise SourceError(f"{name}: this user may not use it; sudo usermod -aG video $USER, then log in again")


def _set_size(name: str, video: cv2.VideoCapture, size: Size) -> None:
    video.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
    video.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
    found = (int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    if found != size:
        raise SourceError(
            f"{name}: gives {found[0]}x{found[1]} where {size[0]}x{size[1]} was asked for; choose another --camera-size"
        )


def _fourcc(video: cv2.VideoCapture) -> str:
    return int(video.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little", signed=False).decode("latin-1")


def _described(video: cv2.VideoCapture) -> str:
    width, height = (int(video.get(which)) for which in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    return f"opened: {width}x{height}, {_fourcc(video).strip(chr(0))}"


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
        infos: Sequence[Mapping[str, Any]] = _import_picamera2().Picamera2.global_camera_info()
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


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
