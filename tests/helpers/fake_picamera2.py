"""A picamera2 without a camera, for tests in this process and, on the path as `picamera2`, in others."""

import time
from typing import Any

import numpy as np

RED = (200, 30, 60)
MS = 1_000_000


class FakePicamera2:
    """What leukolite uses of picamera2 0.3: names, arguments, and buffers laid out as libcamera's, rows padded to 64 bytes."""

    plugged: tuple[str, ...] = ("ov5647",)
    gives: dict[str, Any] = {}  # noqa: RUF012  # what the driver makes of the configuration
    metadata: dict[str, Any] = {"ExposureTime": 8000, "AnalogueGain": 2.0, "ColourGains": (1.5, 1.2)}  # noqa: RUF012
    settles_after = 10
    stamp_age_ns: int | None = 40 * MS
    breaks_after: int | None = None
    breaks_with: Exception = TimeoutError()
    made: "list[FakePicamera2]" = []  # noqa: RUF012

    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return [
            {"Model": model, "Location": 2, "Rotation": 0, "Id": f"/base/soc/i2c0mux/i2c@1/{model}@36", "Num": i}
            for i, model in enumerate(FakePicamera2.plugged)
        ]

    def __init__(self, camera_num: int = 0) -> None:
        self.number, self.calls, self.controls, self.released, self.shown = camera_num, [], {}, 0, 0
        FakePicamera2.made.append(self)

    def create_still_configuration(
        self, main: dict, buffer_count: int, queue: bool, display: None, encode: None, lores: dict | None = None
    ) -> dict:
        return {"use_case": "still", "main": main, "lores": lores, "buffer_count": buffer_count, "queue": queue}

    def configure(self, config: dict) -> None:
        self.calls.append("configure")
        self._config = {**config, "main": {**config["main"], **self.gives}}
        row = self._config["main"]["size"][0] * 3
        self._config["main"]["stride"] = -(-row // 64) * 64

    def camera_configuration(self) -> dict:
        return self._config

    def start(self) -> None:
        self.calls.append("start")

    def close(self) -> None:
        self.calls.append("close")

    def set_controls(self, controls: dict) -> None:
        self.controls |= controls

    def capture_metadata(self, wait: float) -> dict[str, Any]:
        self.shown += 1
        found = dict(self.metadata)
        if "ExposureTime" in self.controls:
            return found | {"ExposureTime": self.controls["ExposureTime"], "AnalogueGain": self.controls["AnalogueGain"]}
        if self.shown < self.settles_after:  # the automatic exposure is still on its way
            found["ExposureTime"] = 5000 + 1000 * (self.shown % 2)
        return found

    def capture_request(self, wait: float) -> "FakeRequest":
        if self.breaks_after is not None and self.released >= self.breaks_after:
            raise self.breaks_with
        return FakeRequest(self)

    def scene(self, width: int, height: int) -> np.ndarray:
        """What lies before the lens: uint8 RGB, shape (height, width, 3)."""
        return np.full((height, width, 3), RED, np.uint8)


class FakeRequest:
    def __init__(self, camera: FakePicamera2) -> None:
        self._camera = camera

    def make_array(self, name: str) -> np.ndarray:
        config = self._camera.camera_configuration()[name]
        (width, height), stride = config["size"], config["stride"]
        memory = np.zeros((height, stride), np.uint8)  # one row after the other, each padded
        channels = {"BGR888": 1, "RGB888": -1}[config["format"]]  # libcamera: BGR888 lies as R, G, B
        memory[:, : width * 3] = self._camera.scene(width, height)[..., ::channels].reshape(height, -1)
        return np.asarray(memory[:, : width * 3], order="C").reshape(height, width, 3)

    def get_metadata(self) -> dict[str, Any]:
        age = self._camera.stamp_age_ns
        stamp = {} if age is None else {"SensorTimestamp": time.clock_gettime_ns(time.CLOCK_BOOTTIME) - age}
        return self._camera.metadata | stamp

    def release(self) -> None:
        self._camera.released += 1
