"""The border to drivers and decoders: whatever they raise is a reason, and what they give is checked before it is used."""

import ctypes
from contextlib import closing
from pathlib import Path

import numpy as np

from leukolite.edge.camera.source import Arriving, Frame, FrameSource, Gap, Items, Note
from leukolite.errors import LeukoliteError, SourceError, first_line
from leukolite.jpeg import MAX_PIXELS

FFMPEG_BYTES = 96 * 2**20  # in one piece: a 4K frame of 16-bit R,G,B takes 50 MB, a camera's picture less
LIVE_PIXELS = 20_000_000  # of a camera's picture: with two of them and its noise a session stays within a service's 400 MB
LIBRARIES = Path("/proc/self/maps")  # what this process has loaded


def checked_items(source: FrameSource) -> Items:
    """A source's items, as a session may take them; a frame whose pixels are none is a gap.

    Raises:
        SourceError: the source ended itself, or its driver or decoder raised something; then the reason names it.
    """
    try:
        with closing(source.frames()) as items:
            for item in items:
                if isinstance(item, Frame) and (reason := why_no_picture(item.pixels, live=source.live)) is not None:
                    item = Gap(item.index, item.source, reason)
                if not isinstance(item, Frame | Gap | Note | Arriving):
                    raise SourceError(source.name, f"the driver gives {type(item).__name__}, which is no frame")
                yield item
                del item  # the next picture is made while this one is not held any more: large ones would not fit twice
    except SourceError:
        raise
    except LeukoliteError as error:
        if not source.live:
            raise
        raise SourceError(source.name, str(error), advice=error.advice) from error  # a camera is opened again, whatever it was
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # also what is no Exception, as a panic of a library in Rust, or a driver's sys.exit
        raise SourceError(source.name, failure_of("the driver", error)) from error


def failure_of(who: str, error: BaseException) -> str:
    """'the decoder fails (ValueError: ...)', for what no library says it raises."""
    text = first_line(error)
    kind = type(error).__name__
    return f"{who} fails ({kind if text == kind else f'{kind}: {text}'})"


def why_no_picture(pixels: object, *, live: bool) -> str | None:
    """What is wrong with an array that should be uint8 RGB of shape (height, width, 3); None if nothing is.

    Args:
        live: it is a camera's, of which two are held at a time: one that is classified, one that waits or is in the making.
    """
    if not isinstance(pixels, np.ndarray):
        return f"expected a picture, found {type(pixels).__name__}"
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        return f"expected 8-bit R,G,B of shape (height, width, 3), found {pixels.dtype} of {pixels.shape}"
    most = LIVE_PIXELS if live else MAX_PIXELS
    if pixels.shape[0] * pixels.shape[1] > most:
        return (
            f"{pixels.shape[1]}x{pixels.shape[0]} is more than {most // 1_000_000} megapixels; set the camera to a smaller size"
        )
    return None


def bound_ffmpeg() -> None:
    """Let no copy of FFmpeg in this process allocate more than `FFMPEG_BYTES` in one piece.

    A stream says itself how long its next picture is, and FFmpeg believes it. Neither OpenCV nor PyAV hands on its setting.
    Where the libraries are not known, as outside Linux, there is no bound.
    """
    try:
        lines = LIBRARIES.read_text(errors="replace").splitlines()
    except OSError:
        return
    for path in {line.split(maxsplit=5)[-1] for line in lines if "libavutil" in line}:
        try:
            ctypes.CDLL(path).av_max_alloc(ctypes.c_size_t(FFMPEG_BYTES))
        except (OSError, AttributeError):  # unlinked by an update meanwhile; another library by that name
            continue
