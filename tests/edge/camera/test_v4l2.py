"""V4L2 cameras: OpenCV's capture is the seam, and the kernel's answers; tests/vm has the real thing."""

import struct
import time

import cv2
import numpy as np
import pytest
from camera_items import everything, first, number_of
from fake_picamera2 import MS, RED
from fake_v4l2 import FakeVideo

from leukolite.edge.camera.source import Frame, Gap, Note
from leukolite.edge.camera.v4l2 import V4l2Camera, parse_capabilities
from leukolite.errors import SourceError


def test_a_uvc_camera_has_a_buffer_of_one_and_its_jpegs_are_checked(v4l2):
    items, lost = everything(V4l2Camera(v4l2))
    assert [type(item) for item in items] == [Note, Frame, Gap, Frame]
    assert items[0].text == "opened: 640x480, MJPG"
    assert [number_of(items[1]), number_of(items[3])] == [1, 3]
    assert FakeVideo.opened.settings[cv2.CAP_PROP_BUFFERSIZE] == 1
    assert FakeVideo.opened.released
    assert "still plugged in" in lost


def test_a_uvc_frame_carries_its_buffers_time(v4l2):
    _, frame = first(V4l2Camera(v4l2), 2)
    assert frame.timed_by == "sensor"
    assert 25 * MS < time.perf_counter_ns() - frame.captured_at < 10_000 * MS


def test_a_uvc_camera_without_jpeg_is_turned_from_b_g_r(v4l2, monkeypatch):
    monkeypatch.setattr(FakeVideo, "fourcc", b"YUYV")
    _, frame = first(V4l2Camera(v4l2), 2)
    assert np.unique(frame.pixels.reshape(-1, 3), axis=0).tolist() == [list(RED)]


def test_a_size_that_the_camera_does_not_have_is_refused(v4l2):
    first(V4l2Camera(v4l2, (640, 480)), 1)
    with pytest.raises(SourceError, match="gives 640x480 where 1280x960 was asked for"):
        first(V4l2Camera(v4l2, (1280, 960)), 1)


def test_a_missing_device_is_refused(tmp_path):
    with pytest.raises(SourceError, match="no such device; is the camera plugged in"):
        first(V4l2Camera(str(tmp_path / "video9")), 1)


def test_a_file_that_is_no_camera_is_refused_and_nothing_is_printed(tmp_path, capfd):
    (tmp_path / "video0").write_text("not a camera")
    with pytest.raises(SourceError, match="cannot be opened"):
        first(V4l2Camera(str(tmp_path / "video0")), 1)
    assert capfd.readouterr() == ("", "")


def capability(driver: bytes, card: bytes, whole: int, node: int) -> bytes:
    return struct.pack("=16s32s32sIII12x", driver, card, b"usb-1.2", 0x060100, whole, node)


def test_a_capability_is_that_of_the_node_where_the_driver_tells_it():
    node = capability(b"uvcvideo", b"USB Microscope: USB Mic", 0x84A00001, 0x04A00000)  # the metadata node of a camera
    assert parse_capabilities(node) == ("uvcvideo", "USB Microscope: USB Mic", 0x04A00000)
    assert parse_capabilities(capability(b"old", b"Old", 0x1, 0x0))[2] == 0x1
