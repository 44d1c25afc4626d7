"""Whole sessions of the largest pictures that are taken: how much memory `edge-run` held at most in each.

    python tests/attack/memory.py                        # all of them, some ten minutes
    python tests/attack/memory.py --only webp --fields /path/to/fields

Each session has several pictures in a row, for what one leaves behind counts beside the next, and by turns noise, a page that
somebody looks at, a journal with kept frames, and results. Exit code 1 if one took over 400 MB, or ended in another way than
expected. Videos need PyAV with its encoders.
"""

import argparse
import http.client
import http.server
import io
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import click
import numpy as np
from PIL import Image

from leukolite.edge.camera.boundary import LIVE_PIXELS
from leukolite.edge.camera.decoder_memory import MOST_BYTES, DecoderMemory
from leukolite.images import _BYTES_A_PIXEL, MAX_MEMORY
from leukolite.synthetic import render_field

MOST_KIB = 400 * 1024
TIMEOUT_S = 300
FIELDS, CELLS = "mobilenet_m-taleqani", "mobilenet_m-allidb2"
PAGE, KEPT, OUT, NOISE = ("--serve", "0"), ("--journal", "{}/journal", "--keep-frames"), ("--out", "{}/out"), ("--noise", "0,10")
ALL = (*NOISE, *PAGE, *KEPT, *OUT)
_FILE_BYTES = {"JPEG": 0.6, "PNG": 1.4, "TIFF": 3.0, "BMP": 3.0, "WEBP": 0.4}  # a pixel, of a stained field, at most

_CHILD = """
import sys
if {hidden!r}:
    sys.modules[{hidden!r}] = None
from leukolite.edge.start import main
sys.argv = {arguments!r}
try:
    main()
finally:
    print([line for line in open("/proc/self/status") if line.startswith("VmHWM")][0], file=sys.stderr)
"""


@dataclass(frozen=True)
class Session:
    """One that is measured.

    Attributes:
        name: for the table; what is asked for with --only is looked for in it.
        arguments: of `edge-run`, without its source.
        source: makes what is classified below a folder, and gives the arguments that name it.
        hides: a module that the session does not have.
        expected: what should become of it.
    """

    name: str
    arguments: tuple[str, ...]
    source: Callable[[Path], Sequence[str]]
    hides: str = ""
    expected: str = "classified"


@dataclass(frozen=True)
class Outcome:
    """What became of a session, in a word, and the most memory that it held, KiB."""

    became: str
    peak_kib: int


@cache
def field() -> Image.Image:
    """A stained field; another where --fields names a folder."""
    return Image.fromarray(render_field(np.random.default_rng(0), width=1296, height=972, white_cells=6).pixels)


def of_size(pixels: float, turn: int = 0) -> Image.Image:
    """The field, four by three and no larger than `pixels`; `turn` makes it another picture."""
    width = int((pixels * 4 / 3) ** 0.5) // 16 * 16
    return field().rotate(180 * turn).resize((width, int(width * 0.75) // 2 * 2), Image.Resampling.BILINEAR)


def largest(kind: str) -> float:
    """Pixels of the largest picture of a format that is taken."""
    return 0.99 * MAX_MEMORY / (_BYTES_A_PIXEL[kind] + _FILE_BYTES[kind])


def pictures(kind: str, count: int, folder: Path) -> Sequence[str]:
    for number in range(count):
        picture, path = of_size(largest(kind), number % 2), folder / "pictures" / f"{number}.{kind.lower()}"
        path.parent.mkdir(exist_ok=True)
        if number < 2:
            picture.save(path, kind, **({"compress_level": 1} if kind == "PNG" else {}))
        else:
            path.write_bytes((folder / "pictures" / f"{number % 2}.{kind.lower()}").read_bytes())
    return "--source", str(folder / "pictures")


def video(codec: str, options: dict[str, str], path: Path, size: tuple[int, int] = (4096, 2304), frames: int = 20) -> None:
    """A video whose frames are made from as many others as its codec allows."""
    import av

    picture = field().resize(size, Image.Resampling.BILINEAR)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(frames):
            shifted = Image.fromarray(np.roll(np.asarray(picture), 4 * number, axis=1))
            container.mux(stream.encode(av.VideoFrame.from_image(shifted).reformat(format=stream.pix_fmt)))
        container.mux(stream.encode(None))


@dataclass(frozen=True)
class Encoding:
    """How a video is made, and what its header says of the frames that its decoder holds; None: nothing.

    Attributes:
        codec: as `DecoderMemory` has it.
    """

    encoder: str
    options: dict[str, str]
    ending: str
    codec: str
    references: int | None = None


def _of_h265(**options: object) -> dict[str, str]:
    return {"preset": "ultrafast", "x265-params": ":".join(f"{name}={value}" for name, value in options.items())}


CODECS = {
    "H.264": Encoding("libx264", {"preset": "ultrafast", "x264-params": "ref=16:bframes=0"}, "mkv", "h264", 16),
    "H.264 of six": Encoding("libx264", {"preset": "ultrafast", "x264-params": "ref=4:bframes=3"}, "mkv", "h264", 6),
    "H.265": Encoding("libx265", _of_h265(**{"log-level": "none", "ref": 5, "bframes": 4, "rc-lookahead": 8}), "mkv", "hevc", 6),
    "VP9": Encoding("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "8"}, "webm", "vp9"),
    "AV1": Encoding("libsvtav1", {"preset": "12", "svtav1-params": "lp=2"}, "mkv", "av1"),
    "MPEG-4": Encoding("mpeg4", {"qscale": "4"}, "mp4", "mpeg4"),
    "MJPEG": Encoding("mjpeg", {"qscale": "3"}, "avi", "mjpeg"),
}
Memory = Callable[[Encoding, int, int], DecoderMemory]  # of a video of that width and height
_made = tempfile.TemporaryDirectory(prefix="videos-")  # each video is made once


def by_pyav(encoding: Encoding, width: int, height: int) -> DecoderMemory:
    return DecoderMemory(width, height, encoding.codec, references=encoding.references)


def by_opencv(encoding: Encoding, width: int, height: int) -> DecoderMemory:
    return DecoderMemory(width, height, encoding.codec, copies=1)


def by_network(encoding: Encoding, width: int, height: int) -> DecoderMemory:
    return DecoderMemory(width, height, encoding.codec, threads=2, copies=1, live=True)


def of_4k(encoding: Encoding, width: int, height: int) -> DecoderMemory:
    return DecoderMemory(width, height, encoding.codec, references=0)


def encoded(name: str, memory: Memory) -> Path:
    """A video as large as is taken where decoding takes so much."""
    encoding = CODECS[name]
    sizes = ((width, width * 9 // 16 // 16 * 16) for width in range(4096, 0, -16))
    size = next(size for size in sizes if memory(encoding, *size).bytes <= MOST_BYTES)
    path = Path(_made.name, f"{name.replace(' ', '-')}-{size[0]}x{size[1]}.{encoding.ending}")
    if not path.exists():
        video(encoding.encoder, encoding.options, path, size)
    return path


def video_source(name: str, memory: Memory, _: Path) -> Sequence[str]:
    return "--source", str(encoded(name, memory)), "--frames", "18"


def network_video(name: str, _: Path) -> Sequence[str]:
    return "--camera", _served(encoded(name, by_network)), "--frames", "8", "--every-frame", "--no-frame", "30"


def mjpeg_camera(_: Path) -> Sequence[str]:
    return "--camera", _served(None), "--frames", "6", "--every-frame"


def _served(path: Path | None) -> str:
    """The address of a camera on this machine; None: one that sends MJPEG, as large as is taken."""
    files = []
    for turn in (0, 1) if path is None else ():
        file = io.BytesIO()
        of_size(LIVE_PIXELS, turn).save(file, "JPEG", quality=85)
        files.append(file.getvalue())

    class Camera(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "video/x-matroska" if path else "multipart/x-mixed-replace; boundary=b")
            self.end_headers()
            try:
                if path is not None:
                    self.wfile.write(path.read_bytes())
                for number in range(0 if path else 300):
                    data = files[number % 2]
                    self.wfile.write(b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(data), data))
                    time.sleep(0.1)
            except OSError:
                pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/camera.mkv"


def sessions() -> Iterator[Session]:
    """What is measured."""
    for kind in _FILE_BYTES:
        cells = ("--bundle", CELLS)
        yield Session(f"3 {kind}, noise", (*cells, *NOISE), partial(pictures, kind, 3))
        yield Session(f"6 {kind}, no noise", cells, partial(pictures, kind, 6))
        yield Session(f"3 {kind}, noise, page", (*cells, *NOISE, *PAGE), partial(pictures, kind, 3))
        yield Session(f"3 {kind}, noise, page, kept frames, results", (*cells, *ALL), partial(pictures, kind, 3))
        yield Session(f"3 {kind}, whole fields, all", ("--bundle", FIELDS, *ALL), partial(pictures, kind, 3))
    for codec in CODECS:
        for hides, memory in (("", by_pyav), ("av", by_opencv)):
            by = ", PyAV hidden" if hides else ""
            source = partial(video_source, codec, memory)
            yield Session(f"{codec} video{by}", ("--bundle", FIELDS), source, hides)
            yield Session(f"{codec} video, all{by}", ("--bundle", FIELDS, *ALL), source, hides)
        if codec != "MJPEG":
            yield Session(f"{codec} network camera, all", ("--bundle", CELLS, *ALL), partial(network_video, codec))
    for hides in ("", "av"):
        by = ", PyAV hidden" if hides else ""
        source = partial(video_source, "H.264", of_4k)
        yield Session(f"H.264 video of 4K with 16 references{by}", ("--bundle", FIELDS), source, hides, "refused")
    yield Session("H.264 video, cells, all", ("--bundle", CELLS, *ALL), partial(video_source, "H.264", by_pyav))
    yield Session("MJPEG network camera, noise", ("--bundle", CELLS, *NOISE), mjpeg_camera)
    yield Session("MJPEG network camera, all", ("--bundle", CELLS, *ALL), mjpeg_camera)
    yield Session("MJPEG network camera, whole fields, all", ("--bundle", FIELDS, *ALL), mjpeg_camera)


def measured(session: Session) -> Outcome:
    """Run a session in a process of its own, with somebody who looks at its page."""
    with tempfile.TemporaryDirectory(prefix="session-") as name:
        folder = Path(name)
        arguments = ["edge-run", *(text.format(folder) for text in session.arguments), *session.source(folder)]
        code = _CHILD.format(hidden=session.hides, arguments=[*arguments, "--quiet", "--ungated"])
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
        ) as process:
            clock = threading.Timer(TIMEOUT_S, process.kill)
            clock.start()
            assert process.stderr is not None
            lines: list[str] = []
            for line in process.stderr:
                lines.append(line)
                if found := re.search(r"http://(127\.0\.0\.1:\d+)/\?token=(\S+)", line):
                    threading.Thread(target=_look, args=(found[1], found[2], process), daemon=True).start()
            code_of_exit = process.wait()
            clock.cancel()
        peaks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
        said = [line.strip()[-150:] for line in lines if re.search(r"no picture|gap|at most", line)]
        became = "classified" if code_of_exit == 0 else "refused" if code_of_exit == 1 else f"exit {code_of_exit}"
        if code_of_exit != 0 or said:
            became += f": {said[0] if said else ' '.join(line.strip() for line in lines)[-200:]}"
        return Outcome(became, max(peaks, default=0))


def _look(address: str, token: str, process: "subprocess.Popen[str]") -> None:
    """A viewer, as the page's script is one."""
    request = urllib.request.Request(f"http://{address}/view", headers={"Authorization": f"Bearer {token}"})
    while process.poll() is None:
        with suppress(OSError, http.client.HTTPException):
            urllib.request.urlopen(request, timeout=10).read()
        time.sleep(0.1)


@contextmanager
def fields_of(folder: Path | None) -> Iterator[None]:
    """Use a folder's first picture as the field."""
    if folder is not None:
        global field
        path = next(path for path in sorted(folder.rglob("*")) if path.suffix.lower() in (".jpg", ".png", ".tif"))
        own = Image.open(path, formats=("JPEG", "PNG", "TIFF")).convert("RGB")
        field = lambda: own  # type: ignore[assignment]  # noqa: E731
    yield


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="words that a session's name must hold")
    parser.add_argument("--fields", type=Path, help="folder of stained fields to enlarge; without it one is rendered")
    arguments = parser.parse_args()
    failed = False
    with fields_of(arguments.fields):
        for session in sessions():
            if re.search(arguments.only, session.name) is None:
                continue
            started = time.monotonic()
            outcome = measured(session)
            failed |= outcome.peak_kib > MOST_KIB or outcome.became.partition(":")[0] != session.expected
            click.echo(f"| {session.name} | {outcome.became} | {outcome.peak_kib:,} | {time.monotonic() - started:.0f} s")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
