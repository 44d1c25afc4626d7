"""How much memory a video's decoder will hold, told from its header, so that a session with it fits into a service's 400 MB.

A frame may be made from up to sixteen others, which the decoder keeps; a 4K frame takes 19 MB there. What is measured is in
docs/evidence/attacks.md, by tests/attack/memory.py.
"""

from dataclasses import dataclass

from leukolite.edge.camera.source import LARGE_BYTES
from leukolite.errors import SourceError

MOST_BYTES = 210_000_000  # of decoder and pictures together; Python, the runtime and the page take the rest
MOST_PIXELS = 4096 * 2304  # of a frame

_OWN_FRAMES = 2  # of each thread: the frame in the making, and the one that is given out
_R_G_B = 3  # bytes a pixel
_PICTURES = 3.5  # R,G,B: the one that is converted, then classified; its noisy copy, or what encoding it for the journal takes


@dataclass(frozen=True, slots=True)
class _Codec:
    """What a decoder keeps: `references` frames at most, each with its samples and `beside` bytes a pixel of motion."""

    references: int
    beside: float


_CODECS = {
    "h264": _Codec(16, 0.35),
    "hevc": _Codec(16, 0.35),
    "vp8": _Codec(3, 0.3),
    "vp9": _Codec(8, 0.3),
    "av1": _Codec(8, 0.3),
    "dav1d": _Codec(8, 0.3),
    "mpeg4": _Codec(2, 0.35),
    "mpeg2video": _Codec(2, 0.35),
    "flv": _Codec(1, 0.35),
    "mjpeg": _Codec(0, 0.0),
    "png": _Codec(1, 0.0),
    "ffv1": _Codec(1, 0.0),
}
_ANY = _Codec(16, 0.35)


@dataclass(frozen=True, slots=True)
class DecoderMemory:
    """What is known of a video before its first frame is decoded.

    Attributes:
        width, height: of its frames, pixels.
        codec: FFmpeg's name for it, as 'h264'.
        sample_bytes: a pixel, as they are decoded: 1.5 for 8-bit 4:2:0.
        references: frames that another may be made from; None: as many as the codec allows.
        threads: that decode frames at the same time, each its own.
        copies: the library's own of each picture, R,G,B.
        live: one picture waits while another is classified, however large it is.
    """

    width: int
    height: int
    codec: str
    sample_bytes: float = 1.5
    references: int | None = None
    threads: int = 1
    copies: int = 0
    live: bool = False

    @property
    def bytes(self) -> float:
        """At the most."""
        codec = _CODECS.get(self.codec, _ANY)
        references = codec.references if self.references is None else self.references
        frames, pixels = references + _OWN_FRAMES * self.threads, self.width * self.height
        is_large = pixels * _R_G_B >= LARGE_BYTES
        pictures = _PICTURES + self.copies + (self.live or not is_large) + (not is_large)
        return pixels * (frames * (self.sample_bytes + codec.beside) + _R_G_B * pictures)


def check_decoder_memory(decoder: DecoderMemory, name: str, remedy: str) -> None:
    """Before anything is decoded.

    Args:
        remedy: what the user can do.

    Raises:
        SourceError: frames are larger than `MOST_PIXELS`, or decoding would take more than `MOST_BYTES`.
    """
    size = f"{decoder.width}x{decoder.height}"
    if decoder.width * decoder.height > MOST_PIXELS:
        raise SourceError(name, f"frames of {size} are larger than 4K (4096x2304); {remedy}")
    if decoder.bytes > MOST_BYTES:
        raise SourceError(
            name,
            f"frames of {size} in {decoder.codec} take up to {decoder.bytes / 1e6:.0f} MB of memory, at most"
            f" {MOST_BYTES / 1e6:.0f}; {remedy}",
        )
