"""Every bit of a shipped bundle's manifest.json, flipped: is the bundle refused, or are its verdicts the same?

    python tests/attack/manifest_bits.py                        # 2,000 bits of synthetic-cells, drawn at random
    python tests/attack/manifest_bits.py mobilenet_m-cnmc --all            # each one
    python tests/attack/manifest_bits.py mobilenet_m-cnmc --all --unseen   # but those of the lists of training images

Three ways: with the bundle's SHA256SUMS, without it, and with sums that were written again to fit. What is accepted is asked for
verdicts that have nothing to do with the golden ones: random answers of the network, random measurements of a picture against
the gates, the crop of pictures of many sizes, the cut of cells. Nothing is written; the exit code is 1 if a verdict changed.
"""

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np

from leukolite import bundle as bundles
from leukolite.appearance import ImageStats
from leukolite.bundle import CARD, GOLDEN, LABELS, MANIFEST, MODEL, Bundle, Golden
from leukolite.classifier import check_tensors
from leukolite.decision import calibrate, decide
from leukolite.edge.field.quality import unlike_training
from leukolite.errors import BundleError
from leukolite.golden_verdicts import VERDICTS, GoldenVerdicts
from leukolite.manifest import Manifest, TensorFormat
from leukolite.preprocess import crop_and_resize, input_table
from leukolite.runtime import TfliteRuntime
from leukolite.shipped import shipped_path
from leukolite.sums import SUMS, sums_of, sums_text

PLACE = Path("bundle")
WAYS = ("with its SHA256SUMS", "without SHA256SUMS", "with SHA256SUMS written again")
REFUSED, SAME, CHANGED = "refused", "accepted, same verdicts", "accepted, other verdicts"
SAMPLE, PROBES, SEED = 2000, 2000, 20261125


class Memory:
    """A bundle's files in memory, read in the place of a folder's; what cannot have changed is hashed and unpacked once."""

    def __init__(self, name: str) -> None:
        folder = shipped_path(name)
        self.original = {file: (folder / file).read_bytes() for file in (MODEL, MANIFEST, LABELS, GOLDEN, CARD, VERDICTS, SUMS)}
        self.files = dict(self.original)
        self._sums = sums_of(self.original)
        self._golden = Golden.from_bytes(self.original[GOLDEN])
        self._verdicts = GoldenVerdicts.from_bytes(self.original[VERDICTS])

    @contextmanager
    def opened(self) -> Iterator[None]:
        with (
            mock.patch.object(bundles, "_member", self.member),
            mock.patch.object(bundles, "_names", self.names),
            mock.patch.object(bundles, "sums_of", self.sums_of),
            mock.patch.object(Golden, "from_bytes", return_value=self._golden),
            mock.patch.object(GoldenVerdicts, "from_bytes", return_value=self._verdicts),
        ):
            yield

    def member(self, path: Path, name: str) -> bytes:
        return self.files[name]

    def names(self, path: Path) -> set[str]:
        return set(self.files)

    def sums_of(self, files: dict[str, bytes]) -> dict[str, str]:
        return {
            name: self._sums[name] if content is self.original.get(name) else sums_of({name: content})[name]
            for name, content in files.items()
        }

    def put(self, manifest: bytes, way: str) -> None:
        self.files = self.original | {MANIFEST: manifest}
        if way == WAYS[1]:
            del self.files[SUMS]
        if way == WAYS[2]:
            self.files[SUMS] = sums_text(self.sums_of({k: v for k, v in self.files.items() if k != SUMS})).encode()


def verdicts(manifest: Manifest, tensor: TensorFormat) -> list[object]:
    """What a manifest makes of the probes: whatever else it says, these are the verdicts.

    Args:
        tensor: the model's own input.
    """
    rng = np.random.default_rng(SEED)
    found: list[object] = [manifest.unit, manifest.cell]
    answers = rng.dirichlet(np.full(len(manifest.labels), 0.4), PROBES)
    for answer in np.round(answers * 256) / 256:
        probabilities = calibrate(answer, manifest.decision.temperature)
        index = decide(probabilities, manifest.decision, manifest.classes.malignant_indices)
        label = None if index is None else manifest.labels[index]
        found.append((label, label in manifest.malignant, round(float(probabilities.max()), 6)))
    low = ImageStats(lit=0, light=0, blown=0, contrast=0, stain=-0.5, red_over_blue=-2, focus=-3)
    high = ImageStats(lit=1, light=255, blown=1, contrast=60, stain=2, red_over_blue=1, focus=1)
    for numbers in rng.uniform(low, high, (PROBES, len(low))):
        for k in range(len(numbers)):  # one measurement at a time: a picture that lies beyond in several hides a changed bound
            stats = _usual(manifest)._replace(**{ImageStats._fields[k]: float(numbers[k])})
            excluded = manifest.appearance and unlike_training(stats, manifest.appearance, manifest.unit)
            found.append(excluded is None or excluded.kind)
    for side in rng.integers(manifest.input.width, 700, 12):
        pixels = rng.integers(0, 256, (int(side), int(side) + 17, 3)).astype(np.uint8)
        found.append(crop_and_resize(pixels, manifest.input).tobytes())
    table = input_table(manifest.input, tensor.dtype, tensor.scale, tensor.zero_point)
    found.append(None if table is None else table.tobytes())
    return found


def _usual(manifest: Manifest) -> ImageStats:
    """A picture in the middle of every range."""
    numbers = {"contrast": 30.0}
    for name in ImageStats._fields:
        if name == "contrast":
            continue
        low, high = (None, None) if manifest.appearance is None else getattr(manifest.appearance, name)
        ends = [end for end in (low, high) if end is not None]
        numbers[name] = (sum(ends) / 2 if len(ends) == 2 else ends[0] + (0.01 if high is None else -0.01)) if ends else 0.0
    return ImageStats(**numbers)


def flip(name: str, bits: Iterable[int], *, on_bit: Callable[[], None] = lambda: None) -> dict[str, Counter[str]]:
    """Flip each of the bits by itself, in each of `WAYS`.

    Args:
        name: of the shipped bundle.
        bits: positions in manifest.json, the first byte's lowest bit is 0.
    """
    memory = Memory(name)
    counts: dict[str, Counter[str]] = {way: Counter() for way in WAYS}
    with memory.opened():
        memory.put(memory.original[MANIFEST], WAYS[0])
        sound = Bundle.load(PLACE).manifest
        runtime = TfliteRuntime(memory.original[MODEL])
        expected = verdicts(sound, runtime.input.format)
        deciding = ("unit", "labels", "malignant", "input", "decision", "appearance", "cell")
        for position in bits:
            flipped = bytearray(memory.original[MANIFEST])
            flipped[position // 8] ^= 1 << position % 8
            for way in WAYS:
                memory.put(bytes(flipped), way)
                try:
                    loaded = Bundle.load(PLACE)
                    check_tensors(loaded, runtime)
                    found = loaded.manifest
                except BundleError:
                    counts[way][REFUSED] += 1
                    continue
                same = (
                    all(getattr(found, field) == getattr(sound, field) for field in deciding)
                    or verdicts(found, runtime.input.format) == expected
                )
                counts[way][SAME if same else CHANGED] += 1
                if not same:
                    sys.stderr.write(f"bit {position}, {way}: {bytes(flipped[position // 8 - 40 : position // 8 + 20])!r}\n")
            on_bit()
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", default="synthetic-cells", help="a shipped bundle's name")
    parser.add_argument("--all", action="store_true", help="every bit, some minutes for each 100,000")
    parser.add_argument("--unseen", action="store_true", help="leave out the hashes of training images, most of a manifest")
    parser.add_argument("--part", default="0/1", metavar="K/N", help="every N-th bit from the K-th, for several processes")
    arguments = parser.parse_args()
    content = (shipped_path(arguments.bundle) / MANIFEST).read_bytes()
    places = list(range(8 * len(content)))
    if arguments.unseen:
        lists = [range(8 * found.start(), 8 * found.end()) for found in re.finditer(rb'"seen\w*": \[[^]]*\]', content)]
        places = [place for place in places if not any(place in one for one in lists)]
    total = len(places)
    first, step = map(int, arguments.part.split("/"))
    drawn = range(total) if arguments.all else sorted(np.random.default_rng(SEED).choice(total, SAMPLE, replace=False).tolist())
    bits = [places[k] for k in drawn][first::step]
    started = time.perf_counter()
    counts = flip(arguments.bundle, bits)
    sys.stdout.write(f"{arguments.bundle}: {len(bits):,} of the {8 * len(content):,} bits of {MANIFEST}\n")
    for way, counted in counts.items():
        sys.stdout.write(f"  {way:<31}" + ", ".join(f"{what} {counted[what]:,}" for what in (REFUSED, SAME, CHANGED)) + "\n")
    sys.stderr.write(f"{time.perf_counter() - started:.0f} s\n")
    return 1 if any(counted[CHANGED] for counted in counts.values()) or counts[WAYS[0]][SAME] else 0


if __name__ == "__main__":
    sys.exit(main())
