"""How often zeros in the place of pixels are refused in formats without a checksum, and how often sound pictures are.

    python -m leukolite.benchmarks.zeroed DATA COUNT [FORMAT]

Of COUNT pictures of each set below DATA it prints the figures of docs/evidence/damaged-pictures.md.
"""

import io
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from leukolite.errors import ImageError
from leukolite.image_files import list_images
from leukolite.images import decode_rgb, read_rgb
from leukolite.zeros import SECTOR

SIDE = 800  # pixels at most
FORMATS: dict[str, dict[str, object]] = {
    "BMP": {"format": "BMP"},
    "TIFF": {"format": "TIFF"},
    "TIFF in strips": {"format": "TIFF", "strip_size": 4096},
    "TIFF, LZW": {"format": "TIFF", "compression": "tiff_lzw"},
    "TIFF, PackBits": {"format": "TIFF", "compression": "packbits"},
    "WebP 30": {"format": "WEBP", "quality": 30, "method": 1},
    "WebP 80": {"format": "WEBP", "quality": 80, "method": 1},
    "WebP lossless": {"format": "WEBP", "lossless": True, "quality": 50, "method": 3},
    "WebP lossless, fastest": {"format": "WEBP", "lossless": True, "quality": 10, "method": 0},
}


def letterbox(image: Image.Image) -> Image.Image:
    bars = Image.new("RGB", image.size)
    bars.paste(image.resize((image.width, image.height * 2 // 3)), (0, image.height // 6))
    return bars


def round_field(image: Image.Image) -> Image.Image:
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).ellipse((3, 3, image.width - 4, image.height - 4), fill=255)
    return Image.composite(image, Image.new("RGB", image.size), mask)


def fluorescence(image: Image.Image) -> Image.Image:
    return Image.fromarray((np.clip(165 - np.asarray(image).astype(int), 0, 255) * [0, 1, 0]).astype(np.uint8))


SOUND: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda image: image,
    "black borders": letterbox,
    "round field": round_field,
    "turned": lambda image: image.rotate(7),
    "turned a little": lambda image: image.rotate(1, Image.Resampling.BILINEAR, expand=True),
    "fluorescence": fluorescence,
}


def spoiled(data: bytes, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    size = len(data)
    start = rng.randrange(size // 10, size * 8 // 10)
    sector = start // SECTOR * SECTOR
    for name, first, last in (
        ("tail", start, size),
        ("tail from a sector", sector, size),
        ("last tenth", size * 9 // 10, size),
        ("a sector", sector, sector + SECTOR),
        ("8 sectors", sector, sector + 8 * SECTOR),
        ("128 sectors", sector, sector + 128 * SECTOR),
    ):
        if first >= SECTOR and last <= size:
            yield name, data[:first] + bytes(last - first) + data[last:]


def is_refused(data: bytes) -> bool:
    try:
        decode_rgb(data, "a")
    except ImageError:
        return True
    return False


def lines(data: Path, pictures: int, wanted: str) -> Iterator[str]:
    rng = random.Random(0)
    sets: dict[Path, list[Path]] = {}
    for path in list_images(data).images:
        sets.setdefault(path.parent, []).append(path)
    paths = [path for found in sets.values() for path in rng.sample(found, min(pictures, len(found)))]
    sound: Counter[str] = Counter()
    refused: Counter[tuple[str, str]] = Counter()
    tried: Counter[tuple[str, str]] = Counter()
    for path in paths:
        try:
            image = Image.fromarray(read_rgb(path))
        except ImageError:
            continue
        image.thumbnail((SIDE, SIDE))
        for name, options in FORMATS.items():
            if wanted not in name:
                continue
            for change, make in SOUND.items():
                file = io.BytesIO()
                make(image).save(file, **options)  # type: ignore[arg-type]
                sound["tried"] += 1
                if is_refused(file.getvalue()):
                    sound["refused"] += 1
                    yield f"sound, refused: {path}, {name}, {change}"
                elif change == "as it is":
                    for damage, broken in spoiled(file.getvalue(), rng):
                        tried[name, damage] += 1
                        refused[name, damage] += is_refused(broken)
    yield f"sound: {sound['refused']} of {sound['tried']} refused"
    for name, damage in sorted(tried):
        yield f"| {name} | {damage} | {refused[name, damage]} of {tried[name, damage]} |"


if __name__ == "__main__":
    for line in lines(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else ""):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
