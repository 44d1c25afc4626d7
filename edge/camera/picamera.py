"""A camera on the Raspberry Pi's ribbon cable, through picamera2. Pictures are R,G,B in memory, or refused."""

import importlib
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from leukolite.clock import Clock
from leukolite.edge.camera.source import CameraInfo, CameraOptions, Frame, Gap, Items, Note, Size, is_believable
from leukolite.errors import SourceError, first_line

NO_PICAMERA2 = (
    "the Raspberry Pi camera needs picamera2, which comes with the system's Python ({}): sudo apt install python3-picamera2,"
    " and make the virtual environment with python3 -m venv --system-site-packages"
)
STILL_SIZE: Size = (1296, 972)  # a quarter of the OV5647's and IMX219's pixels, 4:3, binned on the sensor
RGB_IN_MEMORY = "BGR888"  # libcamera names the channels from the word's high end: BGR888 lies as R,G,B in memory
SETTLING_FRAMES, SETTLING_S = 90, 10.0  # at most, whichever is over first
SETTLED_FRAMES, SETTLED_WITHIN = 5, 0.01  # alike in a row; relative change
FRAME_WITHIN_S = 5.0  # picamera2 raises TimeoutError then; an old one waits for ever, and the capture's watchdog steps in
APPLIED_WITHIN_FRAMES = 12  # libcamera applies controls some frames after they were set


class PiCamera:
    """A camera on the Raspberry Pi's ribbon cable, through picamera2.

    Exposure, gain and white balance settle by themselves, are then locked, so that a stain looks alike all session long, and
    told in a `Note`.

    Args:
        number: of the camera, from 0.
        size: of the pictures.

    Raises:
        SourceError: from `frames`: picamera2 or the camera is missing, or gives another pixel layout than asked for.
    """

    truths: tuple[str, ...] = ()
    live = True

    def __init__(self, number: int = 0, size: Size = STILL_SIZE, *, clock: Clock = time.perf_counter_ns) -> None:
        self.name = f"picamera2:{number}"
        self._number, self._size, self._clock, self._next = number, size, clock, 0

    def frames(self) -> Items:
        camera = self.open_device()
        try:
            self._configure(camera)
            camera.start()
            yield Note(self.name, _lock(camera, self._clock))
            while True:
                item = self._capture(camera)
                self._next += 1
                yield item
        except TimeoutError as error:
            raise SourceError(self.name, f"no frame within {FRAME_WITHIN_S:g} s; check its cable") from error
        except (RuntimeError, OSError, KeyError) as error:
            raise SourceError(self.name, f"the camera is lost ({first_line(error)}); check its cable") from error
        finally:
            self._close(camera)

    def open_device(self) -> Any:
        """The camera as picamera2 has it, not yet configured. Raises: SourceError."""
        library = import_picamera2()
        found = library.Picamera2.global_camera_info()
        if self._number >= len(found):
            have = ", ".join(f"{info['Num']}: {info['Model']}" for info in found) or "none"
            raise SourceError(self.name, f"no such camera (found {have}); check its cable", advice="list-cameras")
        try:
            return library.Picamera2(self._number)
        except (RuntimeError, OSError, IndexError) as error:
            raise SourceError(self.name, f"cannot be opened ({first_line(error)}); does another program hold it?") from error

    def _close(self, camera: Any) -> None:
        try:
            camera.close()  # stops it, too
        except (RuntimeError, OSError) as error:  # as picamera2 does when the camera is gone
            raise SourceError(self.name, f"cannot be closed ({first_line(error)}); check its cable") from error

    def _configure(self, camera: Any) -> None:
        camera.configure(
            camera.create_still_configuration(
                main={"format": RGB_IN_MEMORY, "size": self._size},
                buffer_count=3,
                queue=False,  # never a picture from before it was asked for
                display=None,
                encode=None,
            )
        )
        main = camera.camera_configuration()["main"]
        if main["format"] != RGB_IN_MEMORY or tuple(main["size"]) != self._size:
            is_size = main["format"] == RGB_IN_MEMORY
            raise SourceError(
                self.name,
                f"expected {RGB_IN_MEMORY} of {self._size[0]}x{self._size[1]}, the camera gives {main['format']}"
                f" of {main['size'][0]}x{main['size'][1]}{'' if is_size else '; a USB camera is v4l2:/dev/videoN'}",
                advice="camera-size-of-its-own" if is_size else None,
            )

    def _capture(self, camera: Any) -> Frame | Gap:
        started = self._clock()
        request = camera.capture_request(wait=FRAME_WITHIN_S)
        try:
            pixels = np.ascontiguousarray(request.make_array("main"))
            stamp = request.get_metadata().get("SensorTimestamp")
        finally:
            request.release()
        ended = self._clock()
        width, height = self._size
        if pixels.dtype != np.uint8 or pixels.shape != (height, width, 3):
            return Gap(self._next, self.name, f"expected {height}x{width}x3 bytes, found {pixels.dtype} of {pixels.shape}")
        taken = None if stamp is None else _from_boot_time(int(stamp), ended)
        return Frame(
            pixels,
            self._next,
            ended if taken is None else taken,
            (ended - started) / 1e6,
            self.name,
            None,
            "arrival" if taken is None else "sensor",
        )


def open_picamera2(name: str, options: CameraOptions) -> PiCamera | None:
    """The camera named 'picamera2' or 'picamera2:N'; None for another name."""
    number = name.partition(":")[2]
    if number and not number.isdecimal():
        return None
    return PiCamera(int(number or 0), options.size or STILL_SIZE)


def plugged_in_picamera2() -> tuple[list[CameraInfo], list[str]]:
    """The cameras on the ribbon cables, and why they could not be asked for."""
    try:
        infos: Sequence[Mapping[str, Any]] = import_picamera2().Picamera2.global_camera_info()
    except SourceError as error:
        return [], [str(error)]
    return [CameraInfo(f"picamera2:{info['Num']}", str(info["Model"])) for info in infos], []


def _lock(camera: Any, clock: Clock) -> str:
    """Let exposure, gain and white balance settle, hold them there, and say what they are."""
    before, alike, settled, started = camera.capture_metadata(wait=FRAME_WITHIN_S), 0, False, clock()
    if not {"ExposureTime", "AnalogueGain"} <= before.keys():
        raise SourceError("", "the camera does not tell its exposure, so it cannot be locked; a USB camera is v4l2:/dev/videoN")
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
    return now - age if is_believable(age) else None


def import_picamera2() -> Any:
    """The library. Raises: SourceError, where it is not installed or does not load."""
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "ERROR")  # its information lines would run across the verdicts
    try:
        return importlib.import_module("picamera2")
    except Exception as error:  # whatever: a ValueError of its simplejpeg beside another NumPy, for one
        raise SourceError("", NO_PICAMERA2.format(first_line(error))) from error
