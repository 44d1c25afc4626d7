"""Network cameras: OpenCV's capture on a real MJPEG server."""

import cv2
import numpy as np
import pytest
from camera_items import everything, first, jpeg, number_of
from fake_picamera2 import RED

from leukolite.address import without_password
from leukolite.edge.camera.opencv import READ_FAILURES
from leukolite.edge.camera.source import Frame, Gap
from leukolite.edge.camera.stream import StreamCamera
from leukolite.errors import SourceError


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
    assert sum(isinstance(item, Gap) for item in items) == READ_FAILURES
    assert "20 pictures in a row cannot be decoded" in lost


def test_a_server_that_is_gone_is_refused_and_nothing_is_printed(serve, capfd):
    server = serve([jpeg(0)])
    server.shutdown()
    server.server_close()
    with pytest.raises(SourceError, match="no video there: connection refused"):
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


def test_a_stream_whose_damage_is_not_seen_says_so_first(tmp_path):
    path = tmp_path / "red.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), 10, (32, 24))
    writer.write(np.full((24, 32, 3), RED[::-1], np.uint8))
    writer.release()
    items, _ = everything(StreamCamera(path.as_uri().replace("file://", "file:")))
    assert "damage within the frames of this stream is not checked" in items[1].text


def test_an_mjpeg_stream_is_checked_and_a_zeroed_picture_is_a_gap(serve):
    pictures = [jpeg(i) for i in range(4)]
    middle = len(pictures[2]) * 2 // 3
    pictures[2] = pictures[2][:middle] + bytes(100) + pictures[2][middle + 100 :]
    items, _ = everything(StreamCamera(serve(pictures).url))
    assert [type(item) for item in items[1:]] == [Frame, Frame, Gap, Frame]
