"""Videos whose decoders would take more memory than a session may are refused by their headers, and no others."""

import pytest

from leukolite.edge.camera.decoder_memory import MOST_BYTES, DecoderMemory, check_decoder_memory
from leukolite.edge.camera.opencv_video import OpenCvVideo
from leukolite.edge.camera.pyav_video import PyAvVideo
from leukolite.errors import SourceError

UHD, CINEMA, QHD, HD = (3840, 2160), (4096, 2304), (2560, 1440), (1920, 1080)


@pytest.mark.parametrize(
    ("size", "codec", "references"),
    [
        (CINEMA, "mjpeg", None),
        (CINEMA, "mpeg4", None),
        (CINEMA, "h264", 4),
        (UHD, "h264", 6),  # what level 5.1 allows, and a frame that is shown later
        (UHD, "hevc", 6),
        (QHD, "vp9", None),
        (QHD, "dav1d", None),
        (QHD, "h264", None),
        (HD, "h264", None),
        (HD, "hevc", None),
        (HD, "a codec of nobody", None),
    ],
)
def test_a_video_that_fits_is_taken(size, codec, references):
    check_decoder_memory(DecoderMemory(*size, codec, references=references), "a.mp4", "")


@pytest.mark.parametrize(
    ("size", "codec", "references"),
    [(CINEMA, "h264", 16), (CINEMA, "h264", None), (UHD, "h264", 16), (UHD, "hevc", 16), (CINEMA, "vp9", None)],
)
def test_a_video_that_would_not_fit_is_refused_in_one_line(size, codec, references):
    memory = DecoderMemory(*size, codec, references=references)
    with pytest.raises(
        SourceError, match=rf"frames of {size[0]}x{size[1]} in {codec} take up to \d+ MB of memory, at most 210; x"
    ):
        check_decoder_memory(memory, "a.mp4", "x")


def test_finer_samples_more_threads_and_pictures_that_wait_take_more():
    plain = DecoderMemory(*HD, "h264")
    for more in ({"sample_bytes": 3.0}, {"threads": 2}, {"copies": 1}):
        assert DecoderMemory(*HD, "h264", **more).bytes > plain.bytes


@pytest.fixture(scope="module")
def h264(tmp_path_factory):
    """A small video of 16 references."""
    av = pytest.importorskip("av")
    if "libx264" not in av.codecs_available:
        pytest.skip("PyAV cannot encode H.264")
    path = tmp_path_factory.mktemp("h264") / "refs.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast", "x264-params": "ref=16:bframes=0"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(320, 240, "yuv420p")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "mjpeg"])
def test_a_cameras_stream_of_2560x1440_is_taken(codec):
    check_decoder_memory(DecoderMemory(*QHD, codec, threads=2, copies=1, live=True), "http://camera", "")


def test_pyav_counts_the_references_of_its_header(h264, monkeypatch):
    most = DecoderMemory(320, 240, "h264", references=16).bytes
    monkeypatch.setattr("leukolite.edge.camera.decoder_memory.MOST_BYTES", most)
    PyAvVideo(h264).close()
    monkeypatch.setattr("leukolite.edge.camera.decoder_memory.MOST_BYTES", most - 1)
    with pytest.raises(SourceError, match="frames of 320x240 in h264 take up to 4 MB of memory"):
        PyAvVideo(h264)


def test_opencv_counts_as_many_as_there_can_be_and_says_what_helps(h264, monkeypatch):
    OpenCvVideo(h264).close()
    monkeypatch.setattr("leukolite.edge.camera.decoder_memory.MOST_BYTES", MOST_BYTES * 320 * 240 / (3840 * 2160))
    with pytest.raises(SourceError, match=r"in h264 take up to .*; install leukolite\[video\], or convert the video to"):
        OpenCvVideo(h264)
