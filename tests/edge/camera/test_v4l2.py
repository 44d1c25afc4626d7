"""V4L2 cameras: OpenCV's capture is the seam, and the kernel's answers; tests/vm has the real thing."""

import struct
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from camera_items import everything, first, number_of
from fake_picamera2 import MS, RED
from fake_v4l2 import FakeVideo

from leukolite.edge.camera.source import CameraOptions, Frame, Gap, Note
from leukolite.edge.camera.v4l2 import Capability, V4l2Camera, open_v4l2, parse_capabilities, serial_of
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
    assert parse_capabilities(node) == Capability("uvcvideo", "USB Microscope: USB Mic", "usb-1.2", 0x04A00000)
    assert parse_capabilities(capability(b"old", b"Old", 0x1, 0x0)).flags == 0x1


FIRST = Capability("uvcvideo", "USB Microscope", "usb-1.2", 0x1, "A17")


def reopened(device: str, *answers: Capability | None) -> list[str]:
    """What a camera says each time it is opened, with what the kernel answers then."""
    left = iter(answers)

    def ask(_: Path) -> Capability:
        if (answer := next(left)) is None:
            raise OSError(25, "Inappropriate ioctl for device")
        return answer

    camera, said = V4l2Camera(device, capabilities=ask), []
    for _ in answers:
        try:
            (note,) = first(camera, 1)
            said.append(note.text)
        except SourceError as error:
            said.append(error.reason)
    return said


def test_the_record_says_which_camera_was_opened(v4l2):
    assert reopened(v4l2, FIRST) == ["opened: 640x480, MJPG; USB Microscope at usb-1.2, serial A17"]


@pytest.mark.parametrize(
    "other",
    [
        replace(FIRST, card="Laptop Camera", bus="usb-1.3", serial=""),
        replace(FIRST, card="Laptop Camera"),
        replace(FIRST, serial="B4"),
    ],
)
def test_another_camera_at_the_same_device_is_refused_and_both_are_named(v4l2, other):
    begun, refused, again = reopened(v4l2, FIRST, other, FIRST)
    assert refused == (
        f"another camera is there now ({other}), the session began with USB Microscope at usb-1.2, serial A17;"
        " plug the first one in again, or begin a new session"
    )
    assert begun == again


def test_a_camera_with_a_serial_number_may_move_to_another_socket(v4l2):
    assert reopened(v4l2, FIRST, replace(FIRST, bus="usb-1.4"))[1].startswith("opened: ")


def test_a_twin_without_a_serial_number_in_another_socket_is_not_taken_for_the_same(v4l2):
    bare = replace(FIRST, serial="")
    assert reopened(v4l2, bare, bare)[1].startswith("opened: ")
    assert reopened(v4l2, bare, replace(bare, bus="usb-1.4"))[1].startswith("another camera is there now")


def test_a_kernel_that_does_not_say_stops_nothing(v4l2):
    assert reopened(v4l2, None, FIRST, None) == [
        "opened: 640x480, MJPG",
        "opened: 640x480, MJPG; USB Microscope at usb-1.2, serial A17",
        "opened: 640x480, MJPG",
    ]


def test_a_link_by_id_is_followed_anew_each_time(v4l2, tmp_path):
    link = tmp_path / "usb-Maker_Microscope_A17-video-index0"
    link.symlink_to(v4l2)
    camera = open_v4l2(f"v4l2:{link}", CameraOptions("field", ("a", "b"), 0))
    assert camera is not None
    first(camera, 1)
    assert (camera.name, FakeVideo.opened.device) == (f"v4l2:{link}", v4l2)
    moved = tmp_path / "video3"
    moved.touch()
    link.unlink()
    link.symlink_to(moved)
    first(camera, 1)
    assert FakeVideo.opened.device == str(moved)


def test_the_serial_number_is_that_of_the_usb_device(tmp_path):
    usb = tmp_path / "usb" / "1-1.2"
    (usb / "1-1.2:1.0").mkdir(parents=True)
    (usb / "serial").write_text("A17\n")
    (tmp_path / "sysfs" / "video0").mkdir(parents=True)
    (tmp_path / "sysfs" / "video0" / "device").symlink_to(usb / "1-1.2:1.0")
    assert serial_of(Path("/dev/video0"), tmp_path / "sysfs") == "A17"
    assert serial_of(Path("/dev/video1"), tmp_path / "sysfs") == ""
