"""Inside the virtual machine: leukolite's camera on the real picamera2 and libcamera, whose virtual pipeline shows colour bars.

That pipeline gives NV12 alone, no raw modes, no exposure, and buffers of its own: what `Between` and `Buffers` put right. All
else, from the list of cameras to the sensor's time stamps, is the real library.
"""

import itertools
import mmap
from typing import Any

import click
import cv2
import numpy as np
import pytest

from leukolite.edge.camera import picamera as cameras
from leukolite.edge.camera.discover import list_cameras
from leukolite.edge.camera.picamera import PiCamera
from leukolite.edge.camera.source import CameraInfo, Frame, Note
from leukolite.errors import SourceError

library = cameras.import_picamera2()
from picamera2.allocators.libcameraallocator import LibcameraAllocator  # noqa: E402  # after libcamera was made quiet

SIZE = (640, 480)
BARS = [(255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 0, 255), (255, 0, 0), (0, 0, 255), (0, 0, 0)]  # from x = 40, 80 apart


class Mapped:
    """A buffer's memory: all planes of NV12 in one."""

    def __init__(self, allocator: object, buffer: Any, write: bool) -> None:
        self._file, self._length = buffer.planes[0].fd, max(plane.offset + plane.length for plane in buffer.planes)

    def __enter__(self) -> mmap.mmap:
        self._memory = mmap.mmap(self._file, self._length)
        return self._memory

    def __exit__(self, *_: object) -> None:
        pass


class Buffers(LibcameraAllocator):
    def __init__(self, camera: Any) -> None:
        super().__init__(camera)
        self.sync = Mapped

    def acquire(self, buffers: object) -> None:
        pass

    def release(self, buffers: object) -> None:
        pass

    def cleanup(self) -> None:
        pass


class Between:
    """picamera2's camera, with the exposure that the virtual one lacks, and NV12 turned to R,G,B."""

    def __init__(self, camera: Any) -> None:
        self._camera, self.set = camera, {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._camera, name)

    def capture_metadata(self, wait: float) -> dict[str, Any]:
        return {"ExposureTime": 8000, "AnalogueGain": 1.0} | self._camera.capture_metadata(wait=wait)

    def set_controls(self, controls: dict[str, Any]) -> None:
        self.set |= controls

    def capture_request(self, wait: float) -> Any:
        request = self._camera.capture_request(wait=wait)
        make_array = request.make_array

        def convert(name: str) -> np.ndarray:
            array = np.ascontiguousarray(make_array(name))
            return cv2.cvtColor(array, cv2.COLOR_YUV2RGB_NV12) if name == "main" else array

        request.make_array = convert
        return request


class VirtualCamera(PiCamera):
    def open_device(self) -> Any:
        camera = super().open_device()
        camera.allocator = Buffers(camera.camera)
        return camera


class ConvertedCamera(VirtualCamera):
    def open_device(self) -> Any:
        return Between(super().open_device())


def main() -> None:
    library.Picamera2._get_raw_modes = lambda self: [{"format": "SRGGB8", "size": SIZE}]
    found, _ = list_cameras()
    assert found == [CameraInfo("picamera2:0", "Virtual Video Device")], found
    click.echo(f"listed: {found[0]}")

    with pytest.raises(SourceError, match="expected BGR888 of 640x480, the camera gives NV12") as refused:
        next(VirtualCamera(0, SIZE).frames())
    click.echo(f"refused: {refused.value}")

    cameras.RGB_IN_MEMORY = "NV12"
    camera = ConvertedCamera(0, SIZE)
    indices = []
    for _ in range(2):  # it can be opened again
        items = camera.frames()
        shown = list(itertools.islice(items, 9))
        items.close()
        assert isinstance(shown[0], Note)
        click.echo(f"noted: {shown[0].text}")
        frames = [item for item in shown if isinstance(item, Frame)]
        indices += [frame.index for frame in frames]
        gaps_ms = np.diff([frame.captured_at for frame in frames]) / 1e6
        assert {frame.timed_by for frame in frames} == {"sensor"}
        assert gaps_ms.min() > 0
        bars = frames[-1].pixels[400, 40::80][: len(BARS)].astype(int)
        click.echo(f"{len(frames)} frames, {np.median(gaps_ms):.0f} ms apart at the median; bars {bars.tolist()}")
        assert np.abs(bars - BARS).max() < 8
    assert indices == list(range(16)), indices


if __name__ == "__main__":
    main()
