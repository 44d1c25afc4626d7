"""How many videos with one damaged frame still give a wrong picture, by OpenCV and by PyAV.

    python tests/fuzz/damaged_videos.py

Each of these is coded by FFmpeg's encoders, damaged in one stored frame and read as a session would. A picture is wrong where the
sound video has none like it. Not part of `make test`: it takes a minute. docs/evidence/damaged-pictures.md has the last run.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "helpers"))

from videos import GROUP, coded, damaged, flipped, gone, randomised, zeroed

from leukolite.edge.camera.opencv_video import OpenCvVideo
from leukolite.edge.camera.pyav_video import PyAvVideo

DAMAGES = {"zeros": zeroed, "bits flipped": flipped, "random": randomised, "gone": gone}
STORED = (GROUP, GROUP + 1, GROUP + 2, GROUP + 3)  # the damaged one, as they are stored
CODINGS = {  # codec as people call it -> encoder, its options, endings
    "H.264": ("libx264", {"bf": "2"}, ("mp4", "mkv", "avi", "264", "flv")),
    "H.264, without B-frames": ("libx264", {"bf": "0"}, ("mp4", "mkv", "avi", "264", "flv")),
    "H.264, baseline": ("libx264", {"profile": "baseline"}, ("mp4", "264")),
    "MPEG-4": ("mpeg4", {}, ("mp4", "avi", "mkv")),
    "MPEG-2": ("mpeg2video", {}, ("mkv", "m2v")),
    "Sorenson (FLV)": ("flv", {}, ("flv",)),
    "FFV1": ("ffv1", {}, ("mkv", "avi")),
    "PNG": ("png", {}, ("mov", "avi")),
    "MJPEG": ("mjpeg", {}, ("avi", "mov", "mkv", "mjpeg")),
    "H.265": ("libx265", {}, ("mp4", "mkv", "h265")),
}
FORMATS = {"png": "rgb24", "mjpeg": "yuvj420p"}


def main() -> None:
    sys.stdout.write("| codec | damage | videos | wrong frames by OpenCV | wrong frames by PyAV | no gap by PyAV |\n")
    sys.stdout.write("|---|---|---|---|---|---|\n")
    with tempfile.TemporaryDirectory() as folder:
        for name, (encoder, options, endings) in CODINGS.items():
            wholes = [
                coded(Path(folder) / f"{encoder}.{ending}", encoder, FORMATS.get(encoder, "yuv420p"), options=options)
                for ending in endings
            ]
            for what, damage in DAMAGES.items():
                results = [result for whole in wholes for result in _results(whole, damage)]
                sums = [sum(column) for column in zip(*results, strict=True)]
                sys.stdout.write(f"| {name} | {what} | {len(results)} | {' | '.join(str(n) for n in sums)} |\n")


def _results(whole: Path, damage) -> Iterator[tuple[bool, bool, bool]]:  # type: ignore[no-untyped-def]
    """Of each damaged copy: has it wrong frames by OpenCV, by PyAV, and no gap by PyAV."""
    sound = {picture.tobytes() for picture in PyAvVideo(whole).pictures()}
    for number in STORED:
        copy = damaged(whole, number, damage)
        by_opencv, by_pyav = (list(reader(copy).pictures()) for reader in (OpenCvVideo, PyAvVideo))
        wrong = [any(not isinstance(one, str) and one.tobytes() not in sound for one in found) for found in (by_opencv, by_pyav)]
        yield wrong[0], wrong[1], not any(isinstance(one, str) for one in by_pyav)


if __name__ == "__main__":
    main()
