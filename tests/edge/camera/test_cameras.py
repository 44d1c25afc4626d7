"""Hardware at its seams: a fake picamera2 with the real one's calls and pixel layout, OpenCV's capture on a real MJPEG server."""

import itertools
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from fake_picamera2 import MS, RED, FakePicamera2

from leukolite.edge.camera import picamera as cameras
from leukolite.edge.camera.discover import CameraInfo, list_cameras, parse_capabilities
from leukolite.edge.camera.picamera import PREVIEW_SIZE, PiCamera
from leukolite.edge.camera.source import Frame, FrameSource, Gap, Note
from leukolite.edge.camera.stream import StreamCamera, without_password
from leukolite.edge.camera.v4l2 import V4l2Camera
from leukolite.errors import SourceError

WIDTH, HEIGHT = 66, 50  # 66 * 3 bytes are no multiple of the 64 that libcamera pads rows to


# picamera2


@pytest.fixture
def picamera2(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., type[FakePicamera2]]]:
    """A fake library with the attributes given."""
    module = ModuleType("picamera2")
    monkeypatch.setitem(sys.modules, "picamera2", module)
    monkeypatch.setattr(FakePicamera2, "made", [])

    def plug(**attributes: object) -> type[FakePicamera2]:
        for name, value in attributes.items():
            monkeypatch.setattr(FakePicamera2, name, value)
        module.Picamera2 = FakePicamera2  # type: ignore[attr-defined]
        return FakePicamera2

    plug()
    return plug


def first(source: FrameSource, count: int) -> list[Frame | Gap | Note]:
    items = source.frames()
    try:
        return list(itertools.islice(items, count))
    finally:
        items.close()


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
    with pytest.raises(SourceError, match="the camera gives BGR888 of 640x480; ask for that with --camera-size"):
        first(pi_camera(), 1)


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


def test_the_small_stream_comes_as_the_preview(picamera2):
    _, frame = first(PiCamera(0, (640, 480)), 2)
    assert frame.preview.shape == (PREVIEW_SIZE[1], PREVIEW_SIZE[0], 3)
    assert np.abs(frame.preview.astype(int) - 90).max() <= 2


def test_a_picture_smaller_than_the_preview_has_none(picamera2):
    _, frame = first(PiCamera(0, (224, 224)), 2)
    assert frame.pixels.shape == (224, 224, 3)
    assert frame.preview is None


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


# a real stream server


def jpeg(number: int) -> bytes:
    """A red picture with some texture whose top left corner holds its number."""
    noise = np.random.default_rng(number).integers(0, 40, (120, 160, 3))
    picture = (np.array(RED) * 0.8 + cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 3)).astype(np.uint8)
    picture[:32, :32] = number * 16
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def everything(source: FrameSource) -> tuple[list[Frame | Gap | Note], str]:
    """What it gives until it is lost, and how it said so."""
    items: list[Frame | Gap | Note] = []
    try:
        items.extend(source.frames())
    except SourceError as error:
        return items, str(error)
    raise AssertionError("a live source has no end of its own")


def number_of(frame: Frame) -> int:
    return round(frame.pixels[8:24, 8:24].mean() / 16)


def test_an_mjpeg_stream_comes_in_rgb_and_in_order(serve):
    items, lost = everything(StreamCamera(serve([jpeg(i) for i in range(8)]).url))
    frames = items[1:]
    assert [number_of(frame) for frame in frames] == list(range(8))
    assert [frame.index for frame in frames] == list(range(8))
    assert frames[0].pixels.shape == (120, 160, 3)
    red, green, blue = frames[0].pixels[60:, 60:].reshape(-1, 3).mean(axis=0)
    assert red > blue > green
    assert {frame.timed_by for frame in frames} == {"arrival"}
    assert "no more frames come" in lost


def test_a_picture_that_breaks_off_is_a_gap_and_never_a_mixture_with_the_one_before(serve):
    pictures = [jpeg(i) for i in range(6)]
    pictures[3] = pictures[3][: len(pictures[3]) // 2]
    items, _ = everything(StreamCamera(serve(pictures).url))
    assert [type(item) for item in items[1:]] == [Frame, Frame, Frame, Gap, Frame, Frame]
    gap = items[4]
    assert (gap.index, "truncated" in gap.reason) == (3, True)


def test_a_stream_of_rubbish_counts_as_lost(serve):
    good, cut = jpeg(0), jpeg(1)[:600]
    items, lost = everything(StreamCamera(serve([good, *[cut] * 30]).url))
    assert sum(isinstance(item, Gap) for item in items) == cameras.READ_FAILURES
    assert "20 pictures in a row cannot be decoded" in lost


def test_a_server_that_is_gone_is_refused_and_nothing_is_printed(serve, capfd):
    server = serve([jpeg(0)])
    server.shutdown()
    server.server_close()
    with pytest.raises(SourceError, match="no video to be had there"):
        first(StreamCamera(server.url), 1)
    assert capfd.readouterr() == ("", "")


def test_broken_pictures_print_nothing(serve, capfd):
    everything(StreamCamera(serve([jpeg(0), jpeg(1)[:900], b"nonsense" * 50, jpeg(2)]).url))
    assert capfd.readouterr() == ("", "")


def test_a_stream_counts_on_when_it_is_opened_again(serve):
    camera = StreamCamera(serve([jpeg(i) for i in range(4)]).url)
    before, _ = everything(camera)
    after, _ = everything(camera)
    assert [item.index for item in (*before[1:], *after[1:])] == list(range(8))


def test_a_video_served_over_http_comes_in_rgb(tmp_path, serve):
    path = tmp_path / "red.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), 10, (32, 24))
    for _ in range(3):
        writer.write(np.full((24, 32, 3), RED[::-1], np.uint8))
    writer.release()
    items, _ = everything(StreamCamera(path.as_uri().replace("file://", "file:")))
    frames = [item for item in items if isinstance(item, Frame)]
    assert len(frames) == 3
    assert np.abs(frames[0].pixels.reshape(-1, 3).mean(axis=0) - RED).max() < 3


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://doctor:secret@cam:554/live", "rtsp://cam:554/live"),
        ("http://cam/video?user=a&pwd=secret", "http://cam/video"),
        ("http://10.0.0.2:8080/?action=stream", "http://10.0.0.2:8080/"),
    ],
)
def test_a_password_is_never_shown(url, shown):
    assert without_password(url) == shown
    assert StreamCamera(url).name == shown


# V4L2: OpenCV's capture is the seam; tests/vm has the real thing


class FakeVideo:
    """OpenCV's VideoCapture on a UVC camera that gives JPEG, its buffers stamped 30 ms before they are read."""

    fourcc = b"MJPG"
    sizes = ((640, 480),)
    opened: "FakeVideo"

    def __init__(self, device: str, backend: int) -> None:
        assert backend == cv2.CAP_V4L2
        self.device, self.settings, self.released, self.count = device, {}, False, 0
        self.size = self.sizes[0]
        FakeVideo.opened = self

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def set(self, which: int, value: float) -> bool:
        self.settings[which] = value
        wanted = (self.settings.get(cv2.CAP_PROP_FRAME_WIDTH), self.settings.get(cv2.CAP_PROP_FRAME_HEIGHT))
        self.size = wanted if wanted in self.sizes else self.size
        return True

    def get(self, which: int) -> float:
        if which == cv2.CAP_PROP_POS_MSEC:
            return time.perf_counter_ns() / 1e6 - 30
        if which == cv2.CAP_PROP_FOURCC:
            return int.from_bytes(self.fourcc, "little")
        return {cv2.CAP_PROP_FRAME_WIDTH: self.size[0], cv2.CAP_PROP_FRAME_HEIGHT: self.size[1]}[which]

    def grab(self) -> bool:
        self.count += 1
        return self.count <= 3

    def retrieve(self) -> tuple[bool, np.ndarray]:
        if self.settings.get(cv2.CAP_PROP_CONVERT_RGB) == 0:
            data = jpeg(self.count)
            return True, np.frombuffer(data[:700] if self.count == 2 else data, np.uint8)[np.newaxis]
        return True, np.full((480, 640, 3), RED[::-1], np.uint8)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def v4l2(monkeypatch, tmp_path) -> str:
    device = tmp_path / "video0"
    device.touch()
    monkeypatch.setattr(cameras.cv2, "VideoCapture", FakeVideo)
    return str(device)


def test_a_uvc_camera_has_a_buffer_of_one_and_its_jpegs_are_proved(v4l2):
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


# what is plugged in


def capability(driver: bytes, card: bytes, whole: int, node: int) -> bytes:
    return struct.pack("=16s32s32sIII12x", driver, card, b"usb-1.2", 0x060100, whole, node)


def test_a_capability_is_that_of_the_node_where_the_driver_tells_it():
    node = capability(b"uvcvideo", b"USB Microscope: USB Mic", 0x84A00001, 0x04A00000)  # the metadata node of a camera
    assert parse_capabilities(node) == ("uvcvideo", "USB Microscope: USB Mic", 0x04A00000)
    assert parse_capabilities(capability(b"old", b"Old", 0x1, 0x0))[2] == 0x1


def test_cameras_are_listed_and_codecs_metadata_nodes_and_raw_sensors_are_not(tmp_path, picamera2):
    nodes = {
        "video0": ("unicam", "unicam", 0x1),
        "video1": ("uvcvideo", "USB Microscope", 0x04200001),
        "video2": ("uvcvideo", "USB Microscope", 0x04A00000),
        "video10": ("bcm2835-codec", "bcm2835-codec-decode", 0x04204000),
    }
    for name in nodes:
        (tmp_path / name).touch()
    found, troubles = list_cameras(tmp_path, lambda device: nodes[device.name])
    assert found == [CameraInfo("picamera2:0", "ov5647"), CameraInfo(f"v4l2:{tmp_path / 'video1'}", "USB Microscope")]
    assert troubles == []


def test_what_cannot_be_asked_is_told(tmp_path, monkeypatch):
    def refuse(device: Path) -> tuple[str, str, int]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setitem(sys.modules, "picamera2", None)
    (tmp_path / "video0").touch()
    found, troubles = list_cameras(tmp_path, refuse)
    assert found == []
    assert "python3-picamera2" in troubles[0]
    assert troubles[1] == f"{tmp_path / 'video0'}: Permission denied"


def test_the_kernel_is_asked_and_a_file_is_no_camera(tmp_path):
    (tmp_path / "video0").write_text("no camera")
    found, troubles = list_cameras(tmp_path)
    assert found == []
    assert "video0" in troubles[-1]
