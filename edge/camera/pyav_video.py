"""Video files by PyAV (the extra `video`), which tells what FFmpeg's decoders found wrong with each frame.

FFmpeg fills in what is damaged from the frames around it, and gives it out as any other. It says so in its log alone. Pixels
are OpenCV's to the bit: the same decoders, and the same conversion to R,G,B. docs/evidence/damaged-pictures.md says which
codecs show their damage.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leukolite.edge.camera.bare_mjpeg import BetweenPictures
from leukolite.edge.camera.boundary import bound_ffmpeg
from leukolite.edge.camera.containers import counts_its_frames, name_for_ffmpeg
from leukolite.edge.camera.decoder_memory import DecoderMemory, check_decoder_memory
from leukolite.edge.camera.nal_units import zeroed_slice
from leukolite.edge.camera.opencv import jpeg_fault, to_rgb
from leukolite.edge.camera.video_reader import CANNOT_BE_OPENED, SMALLER, Pictures
from leukolite.errors import SourceError

if TYPE_CHECKING:
    from av import Packet, VideoFrame

LEAST_PYAV = 18  # 13 to 17 crash the process when their log is heard
SHOWS_DAMAGE = frozenset(  # measured; others, as H.265, VP8, VP9 and WMV, decode some damage into other pictures without a word
    {"ffv1", "flv", "h264", "mjpeg", "mpeg2video", "mpeg4", "png"}
)
_NEVER_ZERO = SHOWS_DAMAGE | {"dav1d", "hevc", "vp8", "vp9"}  # of others a black picture may be zeros
_ERROR, _INFO, _DEBUG = 16, 32, 48  # FFmpeg's levels of logging; what it conceals it says as an information
_IS_MISSING = "Frame num gap"  # what H.264's decoder says, for debugging alone, of frames that others are made from
_AFTER_DAMAGE = "after a damaged frame, until the next whole picture"

Log = list[tuple[int, str, str]]  # level, who, what


class PyAvVideo:
    """See `PictureReader`.

    Raises:
        SourceError: the file cannot be decoded, or holds no video.
        ImportError: PyAV is not installed, or too old.
    """

    def __init__(self, path: Path) -> None:
        import av

        if int(av.__version__.partition(".")[0]) < LEAST_PYAV:
            raise ImportError(f"PyAV {av.__version__} is older than {LEAST_PYAV}")
        bound_ffmpeg()
        self.is_torn = self._has_begun = False
        try:
            with _listening(), name_for_ffmpeg(path) as name:
                self._container = av.open(name, metadata_errors="ignore", options={"protocol_whitelist": "file"})
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(str(path), CANNOT_BE_OPENED) from error
        streams = [stream for stream in self._container.streams.video if not _is_cover(stream)]
        if not streams:
            self._container.close()
            raise SourceError(str(path), "no video in this file, only sound or other tracks")
        self._stream = streams[0]
        self._decoder = self._stream.codec_context
        if self._decoder is None:
            self._container.close()
            raise SourceError(str(path), "the video's codec is not known here; convert it to H.264 first")
        self._codec = self._decoder.name.removeprefix("lib")
        self._memory = DecoderMemory(
            self._decoder.width, self._decoder.height, self._codec, _sample_bytes(self._decoder.pix_fmt), self._references()
        )
        try:
            check_decoder_memory(self._memory, str(path), SMALLER)
        except SourceError:
            self._container.close()
            raise
        self._decoder.thread_type, self._decoder.thread_count = "SLICE", 1  # its log is heard in its own thread alone
        self._between = BetweenPictures(path)
        self._to_bgr = av.video.reformatter.VideoReformatter()
        self.announced = self._stream.frames if counts_its_frames(path) else 0
        self._level = _DEBUG if self._codec == "h264" else _INFO
        is_blind = self._codec not in SHOWS_DAMAGE
        self.unchecked = f"damage within its frames may go unnoticed: {self._codec} does not show it" if is_blind else None

    def pictures(self) -> Pictures:
        suspects, lost = _Suspects(), _Lost()
        for number, packet in enumerate(self._packets()):
            shown_at = None if packet is None else packet.pts
            frames, fault, is_lost = self._decode(packet, number)
            if packet is not None:
                suspects.add(number, fault, is_lost=is_lost)
                lost.add(number, shown_at, fault if is_lost else None)
            while frames:
                frame = frames.pop(0)
                yield from lost.before(frame)
                reason, missing = suspects.of(frame)
                yield from [_AFTER_DAMAGE] * missing
                yield self._pixels(frame) if reason is None else reason
                del frame  # before the next is decoded
            if packet is not None and self._codec == "mjpeg" and fault is None:
                yield from self._between.lost(bytes(packet))
        yield from lost.before(None)
        yield from [_AFTER_DAMAGE] * suspects.missing()

    def close(self) -> None:
        self._container.close()

    def _packets(self) -> Iterator["Packet | None"]:
        """The stored frames, and None at the end for those that the decoder holds back."""
        import av

        packets = self._container.demux(self._stream)
        while True:
            with _listening() as log:
                try:
                    packet = next(packets, None)
                except av.error.FFmpegError:
                    packet, self.is_torn = None, True
            self.is_torn |= any(level <= _ERROR and "prematurely" in text for level, _, text in log)
            if packet is None:
                break
            if packet.size > 0:  # an empty one repeats the frame before
                yield packet
        yield None

    def _decode(self, packet: "Packet | None", number: int) -> tuple[list["VideoFrame"], str | None, bool]:
        """The frames that come out, what is wrong with the one that went in, and whether that will never come out.

        A frame's `pts` is its packet's number.
        """
        import av

        if packet is not None:
            if self._codec == "mjpeg" and (fault := jpeg_fault(bytes(packet))) is not None:
                return [], fault, True
            if self._codec in _NEVER_ZERO and not any(bytes(packet)):
                return [], "damaged (nothing but zeros)", True
            packet.pts = packet.dts = number
        with _listening(self._level) as log:
            try:
                frames = self._decoder.decode(packet)
            except av.error.FFmpegError as error:
                return [], f"damaged ({error.strerror})", packet is not None
        found = [text.strip() for level, _, text in log if level <= _ERROR or "concealing" in text]
        if packet is not None and packet.is_corrupt:
            found.append("breaks off")
        self._has_begun |= packet is not None and packet.is_keyframe  # a recording may begin between two whole pictures
        if self._has_begun and any(_IS_MISSING in text for _, _, text in log) and not self._may_lack_frames:
            found.append("a frame before it is missing")
        if found:
            return frames, f"damaged ({found[0]})", False
        return frames, None if packet is None else zeroed_slice(bytes(packet), self._codec, self._decoder.extradata), False

    @cached_property
    def _may_lack_frames(self) -> bool:
        """Whether the stream says that frames may be left out, as those of a finer rate are."""
        return 1 in self._in_header("gaps_in_frame_num_allowed_flag")

    def _references(self) -> int | None:
        """How many frames the stream says that its decoder must hold; None where it does not say."""
        match self._codec:
            case "h264":
                held, shown_later = self._in_header("max_num_ref_frames"), self._in_header("max_num_reorder_frames")
                return max(held) + max(shown_later, default=2) if held else None
            case "hevc":
                held = self._in_header("sps_max_dec_pic_buffering_minus1")
                return max(held) if held else None  # beside the one in the making
        return None

    def _in_header(self, field: str) -> list[int]:
        """What stands under a name before the first frame."""
        return [int(value) for line in self._header if field in line and (value := line.split("=")[-1].strip()).isdecimal()]

    @cached_property
    def _header(self) -> list[str]:
        """A line for each number in what stands before the first frame of H.264 and H.265."""
        import av

        with _listening(_DEBUG) as log, suppress(av.error.FFmpegError, ValueError):  # it is damaged, or of another codec
            av.BitStreamFilterContext("trace_headers", self._stream)
        return [text for _, _, text in log]

    def _pixels(self, frame: "VideoFrame") -> np.ndarray | str:
        try:  # its size may change on the way
            check_decoder_memory(replace(self._memory, width=frame.width, height=frame.height), "", SMALLER)
        except SourceError as error:
            return error.reason
        picture = self._to_bgr.reformat(frame, format="bgr24", interpolation="BICUBIC").to_ndarray()  # as OpenCV does
        pixels = to_rgb(picture.copy() if frame.format.name == "bgr24" else picture)  # the decoder's own is not to be turned
        del picture
        return np.ascontiguousarray(np.rot90(pixels, frame.rotation // 90)) if frame.rotation else pixels


def _sample_bytes(pix_fmt: str | None) -> float:
    """Of a pixel as it is decoded, by FFmpeg's name of its format."""
    import av

    return 1.5 if pix_fmt is None else av.VideoFormat(pix_fmt).padded_bits_per_pixel / 8


class _Suspects:
    """Which frames are damaged or were made from one that is: all that are decoded behind it, until a whole picture is shown.

    Frames are named by their number in the order of decoding, and asked about in the order in which they are shown.
    """

    def __init__(self) -> None:
        self._faults: dict[int, str] = {}
        self._awaited: set[int] = set()

    def add(self, number: int, fault: str | None, *, is_lost: bool) -> None:
        """What went into the decoder; of a lost one nothing will come out."""
        if fault is not None:
            self._faults[number] = fault
        if not is_lost:
            self._awaited.add(number)

    def of(self, frame: "VideoFrame") -> tuple[str | None, int]:
        """Why a frame is not to be trusted, and how many that should have been shown before it never were."""
        number = max(self._awaited, default=0) if frame.pts is None else frame.pts
        self._awaited.discard(number)
        if frame.is_corrupt:
            self._faults.setdefault(number, "damaged")
        if number in self._faults:
            return self._faults[number], 0
        if not frame.key_frame:
            return _AFTER_DAMAGE if any(fault < number for fault in self._faults) else None, 0
        missing = self.missing(before=number)
        self._faults = {fault: why for fault, why in self._faults.items() if fault > number}
        return None, missing

    def missing(self, before: int | None = None) -> int:
        """How many frames, of those behind damage, never came out of the decoder."""
        past = {number for number in self._awaited if before is None or number < before}
        self._awaited -= past
        first = min(self._faults, default=None)
        return 0 if first is None else sum(number >= first for number in past)


class _Lost:
    """Frames that will not come out, held back until the place where they would have been shown."""

    def __init__(self) -> None:
        self._shown_at: dict[int, int | None] = {}
        self._reasons: list[tuple[int, str]] = []

    def add(self, number: int, shown_at: int | None, reason: str | None) -> None:
        """A stored frame, when its container says that it is shown, and why it is lost; None if it is not."""
        self._shown_at[number] = shown_at
        if reason is not None:
            self._reasons.append((-1 if shown_at is None else shown_at, reason))

    def before(self, frame: "VideoFrame | None") -> list[str]:
        """Why frames have none that would have been shown before this one; None: all that are left."""
        now = None if frame is None or frame.pts is None else self._shown_at.pop(frame.pts, None)
        due = [reason for at, reason in sorted(self._reasons) if now is None or at < now]
        self._reasons = [(at, reason) for at, reason in self._reasons if now is not None and at >= now]
        return due


@contextmanager
def _listening(level: int = _INFO) -> Iterator[Log]:
    """What FFmpeg logs in this thread, which would else be dropped or printed."""
    from av import logging

    before, skips = logging.get_level(), logging.get_skip_repeated()
    logging.set_level(level)
    logging.set_skip_repeated(False)  # else what was said of the frame before is not said of this one, but of a later one
    try:
        with logging.Capture(local=True) as log:
            yield log
    finally:
        logging.set_level(before)
        logging.set_skip_repeated(skips)


def _is_cover(stream: object) -> bool:
    """The picture on a sound file's cover, which FFmpeg shows as a video of one frame."""
    disposition = getattr(stream, "disposition", None)
    return bool(disposition) and "attached_pic" in str(disposition).lower()
