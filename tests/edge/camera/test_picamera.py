"""The Raspberry Pi's camera at its seam: a fake picamera2 with the real one's calls and pixel layout; see also tests/vm."""

import sys
import time

import numpy as np
import pytest
from camera_items import first
from fake_picamera2 import MS, RED, FakePicamera2

from leukolite.edge.camera.picamera import PiCamera
from leukolite.edge.camera.source import Note
from leukolite.errors import SourceError

WIDTH, HEIGHT = 66, 50  # 66 * 3 bytes are no multiple of the 64 that libcamera pads rows to


def pi_camera() -> PiCamera:
    return PiCamera(0, (WIDTH, HEIGHT))


def test_a_pi_camera_s_frames_are_r_g_b_whatever_the_padding_of_its_rows(picamera2):
    _, frame = first(pi_camera(), 2)
    assert (frame.pixels.dtype, frame.pixels.shape) == (np.uint8, (HEIGHT, WIDTH, 3))
    assert np.unique(frame.pixels.reshape(-1, 3), axis=0).tolist() == [list(RED)]
    assert frame.pixels.flags.c_contiguous


def test_a_driver_that_gives_another_channel_order_is_refused(picamera2):
    picamera2(gives={"format": "RGB888"})
    with pytest.raises(SourceError, match="expected BGR888 of 66x50, the camera gives RGB888 of 66x50; a USB camera is"):
        first(pi_camera(), 1)


def test_a_driver_that_gives_another_size_is_refused(picamera2):
    picamera2(gives={"size": (640, 480)})
    with pytest.raises(SourceError, match=r"the camera gives BGR888 of 640x480$") as refused:
        first(pi_camera(), 1)
    assert refused.value.advice == "camera-size-of-its-own"


def test_exposure_gain_and_white_balance_are_locked_once_they_have_settled_and_are_told(picamera2):
    note, _ = first(pi_camera(), 2)
    (camera,) = picamera2().made
    assert camera.controls == {
        "AeEnable": False,
        "ExposureTime": 8000,
        "AnalogueGain": 2.0,
        "AwbEnable": False,
        "ColourGains": (1.5, 1.2),
    }
    assert note == Note("picamera2:0", "locked: exposure 8000 us, gain 2.000, white balance red 1.500 blue 1.200")


def test_a_light_that_never_settles_is_told(picamera2):
    picamera2(settles_after=10_000)
    note, _ = first(pi_camera(), 2)
    assert note.text.endswith("not settled: check the light")


def test_a_sensor_without_colours_is_locked_without_white_balance(picamera2):
    picamera2(metadata={"ExposureTime": 8000, "AnalogueGain": 2.0})
    note, _ = first(pi_camera(), 2)
    assert "white balance" not in note.text
    assert "AwbEnable" not in picamera2().made[0].controls


def test_a_camera_that_does_not_tell_its_exposure_is_refused(picamera2):
    picamera2(metadata={})
    with pytest.raises(SourceError, match="does not tell its exposure, so it cannot be locked"):
        first(pi_camera(), 1)


def test_a_frame_s_number_is_never_used_twice(picamera2):
    camera = pi_camera()
    assert [item.index for _ in range(2) for item in first(camera, 4)[1:]] == list(range(6))


def test_a_frame_carries_the_sensors_own_time(picamera2):
    now = time.perf_counter_ns()
    _, frame = first(PiCamera(0, (WIDTH, HEIGHT), clock=lambda: now), 2)
    assert frame.timed_by == "sensor"
    assert now - 80 * MS < frame.captured_at <= now - 40 * MS


@pytest.mark.parametrize("age", [None, -5 * MS, 3600 * 1000 * MS])
def test_a_time_stamp_that_cannot_be_is_not_used(picamera2, age):
    picamera2(stamp_age_ns=age)
    _, frame = first(PiCamera(0, (WIDTH, HEIGHT), clock=lambda: 77), 2)
    assert (frame.timed_by, frame.captured_at) == ("arrival", 77)


def test_the_camera_makes_no_stream_that_nobody_reads(picamera2):
    first(PiCamera(0, (640, 480)), 1)
    (camera,) = picamera2().made
    assert camera.camera_configuration()["lores"] is None


def test_every_request_is_given_back_and_the_camera_closed(picamera2):
    first(pi_camera(), 4)
    (camera,) = picamera2().made
    assert camera.released == 3
    assert camera.calls == ["configure", "start", "close"]


@pytest.mark.parametrize(
    ("error", "told"),
    [(TimeoutError(), r"no frame within 5 s"), (RuntimeError("dma\nfailed"), r"the camera is lost \(dma failed\)")],
)
def test_a_camera_that_fails_is_closed_and_counts_on_when_it_is_opened_again(picamera2, error, told):
    picamera2(breaks_after=2, breaks_with=error)
    camera = pi_camera()
    with pytest.raises(SourceError, match=rf"picamera2:0: {told}; check its cable"):
        list(camera.frames())
    assert picamera2().made[0].calls[-1] == "close"
    again = first(camera, 2)
    assert again[1].index == 2


def test_a_camera_that_cannot_even_be_closed_is_lost_and_no_programming_error(picamera2, monkeypatch):
    def fail(self: FakePicamera2) -> None:
        raise RuntimeError("release failed")

    picamera2(breaks_after=0)
    monkeypatch.setattr(FakePicamera2, "close", fail)
    with pytest.raises(SourceError, match=r"cannot be closed \(release failed\)"):
        list(pi_camera().frames())


def test_a_missing_camera_is_refused_with_those_there_are(picamera2):
    with pytest.raises(SourceError, match="picamera2:3: no such camera \\(found 0: ov5647\\)"):
        first(PiCamera(3), 1)
    picamera2(plugged=())
    with pytest.raises(SourceError, match="found none"):
        first(PiCamera(0), 1)


def test_without_picamera2_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(SourceError, match=r"sudo apt install python3-picamera2,.*--system-site-packages"):
        first(PiCamera(), 1)
