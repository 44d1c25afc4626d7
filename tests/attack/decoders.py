"""Mutants of pictures and drivers that raise or give anything: what became of each, and how much memory it took.

    python tests/attack/decoders.py --pictures 20000 --seed 0

Every mutant is decoded as a file of the edge is. It must give a picture, or a refusal in one line; anything else is counted as
escaped. Then pictures at the limit of what is taken are decoded in processes of their own. Exit code 1 if anything escaped, hung
or took over 400 MB. Whole sessions of several are memory.py's.
"""

import argparse
import io
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import click
import numpy as np
from PIL import Image

from leukolite.errors import ImageError
from leukolite.images import _BYTES_A_PIXEL, MAX_MEMORY, decode_rgb
from leukolite.synthetic import LABELS, render_cell

MOST_MEMORY, MOST_SECONDS = 400 * 2**20, 10.0
ODD = (
    b"",
    b"\0",
    b"\xff",
    b"\0" * 64,
    b"\xff" * 64,
    b"%!PS-Adobe-3.0\n{} loop\n",
    b"\xff\xd8",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
)
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{} loop\n%%EOF\n"


def seeds() -> dict[str, bytes]:
    """One small picture in every format that is read, and in several kinds of each."""
    picture = Image.fromarray(render_cell(np.random.default_rng(0), LABELS[0], size=96))
    kinds = {
        "jpeg": ("JPEG", {"quality": 85}),
        "jpeg progressive": ("JPEG", {"progressive": True}),
        "jpeg restarts": ("JPEG", {"restart_marker_rows": 1}),
        "jpeg exif": ("JPEG", {"exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"}),
        "png": ("PNG", {}),
        "png palette": ("PNG", {}),
        "tiff": ("TIFF", {}),
        "tiff lzw": ("TIFF", {"compression": "tiff_lzw"}),
        "tiff deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
        "tiff jpeg": ("TIFF", {"compression": "jpeg"}),
        "bmp": ("BMP", {}),
        "gif": ("GIF", {}),
        "webp": ("WEBP", {}),
        "webp lossless": ("WEBP", {"lossless": True}),
    }
    found = {"postscript": POSTSCRIPT}
    for name, (kind, options) in kinds.items():
        file = io.BytesIO()
        (picture.convert("P") if "palette" in name else picture).save(file, kind, **options)
        found[name] = file.getvalue()
    return found


def mutant(data: bytes, rng: random.Random) -> bytes:
    """The same with one to six runs of bytes changed."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(max(1, min(len(changed), rng.choice((64, 600, len(changed))))))
        n = rng.choice((1, 1, 2, 4, 8, 64))
        match rng.randrange(6):
            case 0:
                changed[at : at + n] = rng.randbytes(n)
            case 1 if changed:
                changed[at % len(changed)] ^= 1 << rng.randrange(8)
            case 2:
                changed[at:at] = rng.choice(ODD)
            case 3:
                del changed[at : at + n]
            case 4:
                changed[at:at] = changed[at : at + n]
            case _:
                del changed[max(at, 32) :]
    return bytes(changed)


def attack_decoder(count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """What became of `count` mutants, and what escaped."""
    rng, files = random.Random(seed), list(seeds().items())
    became, escaped = Counter[str](), list[str]()
    for number in range(count):
        name, data = files[number % len(files)]
        file = mutant(data, rng)
        started = time.monotonic()
        try:
            pixels = decode_rgb(file, "mutant")
            became["a picture"] += 1
            if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
                escaped.append(f"{number} ({name}): {pixels.dtype} of {pixels.shape}")
        except ImageError as error:
            became["refused"] += 1
            if "\n" in str(error):
                escaped.append(f"{number} ({name}): two lines, {error!r}")
        except BaseException as error:  # noqa: BLE001  # that is what is counted
            escaped.append(f"{number} ({name}): {type(error).__name__}: {error}")
        if time.monotonic() - started > MOST_SECONDS:
            escaped.append(f"{number} ({name}): took {time.monotonic() - started:.0f} s")
    return became, escaped


def attack_memory() -> list[tuple[str, str, int]]:
    """Pictures as large as are taken, and larger ones: what `edge-run` said of each, and the most memory it held, bytes."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, a_pixel in _BYTES_A_PIXEL.items():
            if kind == "MPO":
                continue
            taken = 0.98 * MAX_MEMORY / (a_pixel + (3 if kind in ("BMP", "TIFF") else 0.3))
            for what, pixels in (("taken", min(taken, 49e6)), ("refused", 60e6)):
                width = 8000
                path = Path(folder, f"{kind}-{what}.{kind.lower()}")
                cell = Image.fromarray(render_cell(np.random.default_rng(0), LABELS[0], size=400))
                cell.resize((width, int(pixels / width)), Image.Resampling.BILINEAR).save(path, kind)
                found.append((f"{kind} of {pixels / 1e6:.0f} megapixels", *_edge_run(path)))
                path.unlink()
    return found


def _edge_run(path: Path) -> tuple[str, int]:
    arguments = ["edge-run", "--bundle", "synthetic-cells", "--source", str(path), "--ungated", "--quiet", "--noise", "0,10"]
    code = (
        "import sys; from leukolite.edge.start import main\n"
        f"sys.argv = {arguments!r}\n"
        "try: main()\n"
        "finally: print([l for l in open('/proc/self/status') if l.startswith('VmHWM')][0], file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    lines = result.stderr.splitlines()
    peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    return (
        "classified" if result.returncode == 0 else "refused" if result.returncode == 1 else f"exit {result.returncode}"
    ), peak


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.monotonic()
    became, escaped = attack_decoder(arguments.pictures, arguments.seed)
    click.echo(
        f"{arguments.pictures:,} mutants in {time.monotonic() - started:.0f} s: "
        + ", ".join(f"{n:,} {what}" for what, n in became.items())
    )
    click.echo(f"escaped: {len(escaped)}")
    for line in escaped[:20]:
        click.echo(f"  {line}")
    is_over = False
    for what, said, peak in attack_memory():
        is_over |= peak > MOST_MEMORY or said not in ("classified", "refused")
        click.echo(f"{what}: {said}, at most {peak / 2**20:.0f} MB")
    return int(bool(escaped) or is_over)


if __name__ == "__main__":
    sys.exit(main())
