"""Videos that are torn, lack frames, are zeroed in part, or are of a codec that nobody here decodes."""

import re
from pathlib import Path

import numpy as np
import pytest
from camera_items import items_of, jpeg

from leukolite.edge.camera.nal_units import zeroed_slice
from leukolite.edge.camera.open import open_source
from leukolite.edge.camera.source import Frame, Gap
from leukolite.edge.camera.torn import is_torn
from leukolite.edge.camera.video import VideoFile
from leukolite.errors import SourceError

pytest.importorskip("av")
import av
from videos import FRAMES, GROUP, coded, damaged, gone, pictures, zeroed

X264 = {  # ways in which frames depend on each other
    "no B-frames": {"bf": "0"},
    "B-frames": {"bf": "3", "x264-params": "b-pyramid=normal:ref=4"},
    "open groups": {"x264-params": "open-gop=1:bframes=2"},
    "fields": {"x264-params": "interlaced=1"},
    "slices": {"x264-params": "slices=4"},
    "constant rate": {"x264-params": "nal-hrd=cbr:bitrate=300:vbv-maxrate=300:vbv-bufsize=300:filler=1"},
    "baseline": {"profile": "baseline"},
}
CONTAINERS = {  # that say how long they are
    "mkv": ("libx264", "yuv420p"),
    "webm": ("libvpx", "yuv420p"),
    "ts": ("libx264", "yuv420p"),
    "m2ts": ("libx264", "yuv420p"),
    "flv": ("flv", "yuv420p"),
    "wmv": ("wmv2", "yuv420p"),
    "ivf": ("libvpx", "yuv420p"),
    "mka.mkv": ("mjpeg", "yuvj420p"),
}
MJPEG = [jpeg(i) for i in range(5)]


def gaps(items: list[Frame | Gap]) -> list[tuple[int, str]]:
    return [(item.index, item.reason) for item in items if isinstance(item, Gap)]


@pytest.mark.parametrize("options", X264.values(), ids=X264)
@pytest.mark.parametrize("ending", ["mp4", "264", "ts"])
def test_sound_h264_of_any_kind_has_no_gap(tmp_path, options, ending):
    items, notes = items_of(coded(tmp_path / f"a.{ending}", "libx264", options=options))
    assert [type(item) for item in items] == [Frame] * FRAMES
    assert notes == []


@pytest.mark.parametrize("ending", ["264", "avi", "mp4", "mkv"])
@pytest.mark.parametrize("number", range(GROUP, GROUP + 4))
def test_a_partly_zeroed_frame_of_h264_gives_no_wrong_picture(tmp_path, ending, number):
    whole = coded(tmp_path / f"a.{ending}", "libx264", options={"bf": "2"})
    sound = [item.pixels for item in items_of(whole)[0]]
    items, _ = items_of(damaged(whole, number, zeroed))
    assert gaps(items)
    assert all(any(np.array_equal(item.pixels, one) for one in sound) for item in items if isinstance(item, Frame))


@pytest.mark.parametrize(("codec", "ending"), [("libx264", "264"), ("libx264", "mp4"), ("libx265", "h265"), ("libx265", "mp4")])
def test_zeros_in_a_slice_are_seen_and_sound_frames_have_none(tmp_path, codec, ending):
    path = coded(tmp_path / f"a.{ending}", codec)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        name, extradata = stream.codec_context.name, stream.codec_context.extradata
        stored = [bytes(packet) for packet in container.demux(stream) if packet.size]
    assert [zeroed_slice(frame + bytes(99), name, extradata) for frame in stored] == [None] * FRAMES  # padded as well
    largest = max(stored, key=len)
    bad = largest[:-90] + bytes(40) + largest[-50:]
    assert zeroed_slice(bad, name, extradata) == "damaged (zeros in the place of pixels)"
    assert zeroed_slice(bad, "mpeg4", extradata) is None


def test_frames_behind_one_that_is_missing_are_gaps_until_the_next_whole_picture(tmp_path):
    whole = coded(tmp_path / "a.264", "libx264", options={"bf": "0"})
    sound = [item.pixels for item in items_of(whole)[0]]
    items, _ = items_of(damaged(whole, GROUP + 2, gone))
    assert [index for index, _ in gaps(items)] == [GROUP + 2, GROUP + 3, GROUP + 4]
    assert gaps(items)[0][1] == "damaged (a frame before it is missing)"
    assert np.array_equal(items[GROUP + 5].pixels, sound[2 * GROUP])


def test_frames_that_a_stream_may_lack_are_not_missed(tmp_path):
    """As where a camera sends a finer rate only to those who want it: the sequence's header says so."""
    path = damaged(coded(tmp_path / "a.264", "libx264", options={"profile": "baseline"}), GROUP + 2, gone)
    assert "a frame before it is missing" in str(gaps(items_of(path)[0]))
    data = bytearray(path.read_bytes())
    for found in re.finditer(b"\0\0\1\x67", data):
        assert data[found.end() + 3 : found.end() + 5] == b"\xd9\x02"
        data[found.end() + 4] |= 0x20  # gaps_in_frame_num_value_allowed_flag, the 35th bit of this encoder's header
    path.write_bytes(data)
    assert gaps(items_of(path)[0]) == []


def test_two_damaged_frames_of_which_ffmpeg_says_the_same_are_both_gaps(tmp_path):
    whole = coded(tmp_path / "a.mp4", "mpeg4")
    twice = damaged(damaged(whole, GROUP - 1, gone), 2 * GROUP - 1, gone)
    items, _ = items_of(twice)
    assert [index for index, _ in gaps(items)] == [GROUP - 1, 2 * GROUP - 1]


@pytest.mark.parametrize("ending", ["mkv", "avi"])
def test_a_stored_frame_of_nothing_but_zeros_is_a_gap_in_its_place(tmp_path, ending):
    items, _ = items_of(damaged(coded(tmp_path / f"a.{ending}", "ffv1"), 2 * GROUP - 1, gone))
    assert (2 * GROUP - 1, "damaged (nothing but zeros)") in gaps(items)
    assert len(items) == FRAMES


def test_a_recording_that_begins_between_two_whole_pictures_is_not_called_damaged(tmp_path, with_pyav):
    stream = coded(tmp_path / "a.ts", "libx264").read_bytes()
    (tmp_path / "b.ts").write_bytes(stream[188 * (len(stream) // 188 // 3) :])
    items, _ = items_of(tmp_path / "b.ts")
    assert len(items) >= FRAMES // 2
    assert gaps(items) == []


@pytest.mark.parametrize("ending", CONTAINERS)
def test_a_container_that_breaks_off_says_so(tmp_path, ending, with_pyav):
    path = coded(tmp_path / f"a.{ending}", *CONTAINERS[ending])
    assert not is_torn(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10 // 188 * 188 + 5])
    items, _ = items_of(path)
    assert 0 < sum(isinstance(item, Frame) for item in items) < FRAMES
    assert "the video breaks off after" in gaps(items)[-1][1]


LIVE = {"mp4": {"movflags": "frag_keyframe+empty_moov"}, "mov": {"movflags": "faststart"}, "mkv": {"live": "1"}}


@pytest.mark.parametrize("ending", LIVE)
def test_a_recording_without_a_length_breaks_off_as_well_and_a_whole_one_does_not(tmp_path, ending, with_pyav):
    path = tmp_path / f"a.{ending}"
    with av.open(str(path), "w", options=LIVE[ending]) as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for picture in pictures():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    assert gaps(items_of(path)[0]) == []
    path.write_bytes(data + b"left behind" * 99)
    assert gaps(items_of(path)[0]) == []
    path.write_bytes(data[: len(data) * 6 // 10])
    assert "the video breaks off after" in gaps(items_of(path)[0])[-1][1]


def test_a_codec_that_opencv_cannot_decode_is_named_with_the_remedy(tmp_path, with_pyav):
    path = coded(tmp_path / "a.mkv", "libsvtav1")
    if with_pyav:
        assert [type(item) for item in items_of(path)[0]] == [Frame] * FRAMES
    else:
        with pytest.raises(SourceError, match=re.escape("(AV01): install leukolite[video], or convert the video to H.264")):
            VideoFile(path)


def test_a_first_frame_that_is_damaged_is_no_missing_decoder(tmp_path, with_pyav):
    items, _ = items_of(damaged(coded(tmp_path / "a.mp4", "mpeg4"), 0, gone))
    assert any(isinstance(item, Frame) for item in items)


def test_a_video_without_a_frame_is_refused(tmp_path, with_pyav):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov"}) as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for picture in pictures():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moof") - 4])
    with pytest.raises(SourceError, match=r"a\.mp4: no frame in this video"):
        list(VideoFile(path).frames())


@pytest.mark.parametrize(
    "lost", [bytes, lambda picture: bytes(700) + picture[700:]], ids=["zeroed whole", "its first bytes zeroed"]
)
def test_a_picture_lost_between_two_of_a_bare_mjpeg_is_a_gap(tmp_path, lost, with_pyav):
    path = tmp_path / "a.mjpeg"
    path.write_bytes(b"".join([*MJPEG[:2], lost(MJPEG[2]) if lost is not bytes else bytes(len(MJPEG[2])), *MJPEG[3:]]))
    items, _ = items_of(path)
    assert [type(item) for item in items] == [Frame, Frame, Gap, Frame, Frame]
    assert gaps(items) == [(2, f"{len(MJPEG[2]):,} bytes behind the picture before are no picture")]


PADDED = {
    "bare": lambda picture: picture,
    "to 16": lambda picture: picture + bytes(-len(picture) % 16),
    "to a page": lambda picture: picture + bytes(-len(picture) % 4096),
    "whole buffers": lambda picture: picture + bytes(38_400 - len(picture)),
    "multipart": lambda picture: picture + b"\r\n--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 12345\r\n\r\n",
}


@pytest.mark.parametrize("pad", PADDED.values(), ids=PADDED)
def test_what_cameras_put_between_pictures_is_no_gap(tmp_path, pad, with_pyav):
    path = tmp_path / "a.mjpeg"
    path.write_bytes(b"".join(pad(picture) for picture in MJPEG))
    assert [type(item) for item in items_of(path)[0]] == [Frame] * len(MJPEG)


def test_pictures_of_two_sizes_in_one_bare_mjpeg_all_come(tmp_path, with_pyav):
    first, second = (coded(tmp_path / f"{n}.mjpeg", "mjpeg", "yuvj420p", size) for n, size in ((1, (160, 120)), (2, (320, 240))))
    first.write_bytes(first.read_bytes() + second.read_bytes())
    assert [type(item) for item in items_of(first)[0]] == [Frame] * 2 * FRAMES


def test_a_damaged_first_picture_does_not_hide_that_a_video_is_mjpeg(tmp_path, with_pyav):
    items, notes = items_of(damaged(coded(tmp_path / "a.avi", "mjpeg", "yuvj420p"), 0, gone))
    assert [index for index, _ in gaps(items)] == [0]
    assert notes == []


def test_a_web_page_of_a_videos_name_is_called_that(tmp_path):
    (tmp_path / "a.mp4").write_text("<!doctype html><html><body>404</body></html>")
    with pytest.raises(SourceError, match="web page or XML"):
        open_source(tmp_path / "a.mp4")


@pytest.mark.parametrize("ending", ["dv", "nut"])
def test_rare_containers_are_known_by_their_names(tmp_path: Path, ending):
    codec, size = ("dvvideo", (720, 576)) if ending == "dv" else ("ffv1", (160, 120))
    path = coded(tmp_path / f"a.{ending}", codec, size=size)
    assert isinstance(next(item for item in open_source(path).frames() if isinstance(item, Frame)), Frame)
