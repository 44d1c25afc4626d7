"""Damage that the coded bytes of H.264 and H.265 show by themselves, where FFmpeg's decoders say nothing.

An encoder breaks up every run of zeros within a slice (ITU-T H.264, 7.4.1: 0x000000, 0x000001 and 0x000002 shall not occur in a
NAL unit), so that a zeroed sector cannot be a picture's.
"""

import re
from collections.abc import Iterator

_BREAK = b"\0\0\1"  # between two NAL units of Annex B; zeros before it belong to neither
_NEVER = re.compile(rb"\0\0[\0-\2]")
_SLICES = {"h264": (0, 0x1F, range(1, 6)), "hevc": (1, 0x3F, range(32))}  # where in the first byte the type is, and a slice's


def zeroed_slice(stored: bytes, codec: str, extradata: bytes | None) -> str | None:
    """What is wrong with a stored frame; None if nothing is to be seen, or the codec is another.

    Args:
        stored: the frame as its container holds it.
        codec: 'h264' or 'hevc'.
        extradata: the stream's; from it is known how NAL units are told apart.
    """
    if codec not in _SLICES:
        return None
    shift, mask, slices = _SLICES[codec]
    for unit in _units(stored, codec, extradata or b""):
        if unit and unit[0] >> shift & mask in slices and _NEVER.search(unit):
            return "damaged (zeros in the place of pixels)"
    return None


def _units(stored: bytes, codec: str, extradata: bytes) -> Iterator[bytes]:
    """Without the zeros behind them, which some muxers keep."""
    if extradata[:1] != b"\1" or stored.startswith(b"\0" + _BREAK):  # some write Annex B into MP4
        for unit in stored.split(_BREAK)[1:]:
            yield unit.rstrip(b"\0")
        return
    length_bytes = (extradata[4 if codec == "h264" else 21 :][:1] or b"\3")[0] % 4 + 1
    at = 0
    while at + length_bytes < len(stored):
        first = at + length_bytes
        at = first + int.from_bytes(stored[at:first], "big")
        yield stored[first:at].rstrip(b"\0")
