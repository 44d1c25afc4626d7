"""Files that unpack to gigabytes, say what is not so, or are no files: each is refused in one line, in little memory and time.

    python tests/attack/parsers.py             # all
    python tests/attack/parsers.py golden zip  # those whose names begin so

Each case is made in a temporary folder and given to the function that the commands call, in a process of its own, which reports
its peak memory. Needs Linux; takes about a minute.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

MOST_MB, MOST_S = 400, 30.0
BLOCK = 1 << 26
Attempt = Callable[[Path], object]
Make = Callable[[Path], Path]
Content = Callable[[], bytes]  # made when its case is tried


# --- making


def sound_bundle(place: Path) -> Path:
    from leukolite.shipped import find_bundle

    return Path(shutil.copytree(find_bundle(Path("synthetic-cells")), place / "bundle"))


@cache
def zeros(blocks: int) -> bytes:
    """A deflated stream of zeros, 64 MB a block, made in no time."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * blocks + zlib.compressobj(9, zlib.DEFLATED, -15).flush()


def archive(members: list[tuple[str, bytes, int]], *, flags: int = 0, mode: int = 0, entries: int = 1, extra: int = 0) -> bytes:
    """A zip file of deflated members (name, stream, size that it claims).

    Args:
        mode: of each file, as Unix has it.
        entries: how often the directory names each member.
        extra: bytes of junk beside each entry of the directory.
    """
    body, directory = b"", b""
    for name, stream, size in members:
        is_bomb = size >= BLOCK or len(stream) > 1000 * max(size, 1)  # whose sum nobody will ask for
        crc = 0 if is_bomb else zlib.crc32(zlib.decompress(stream, -15))
        head = struct.pack("<5H3I2H", 20, flags, 8, 0, 0, crc, len(stream), size, len(name), 0)
        for k in range(entries):
            shown = name if k == 0 else f"{name}.{k}"
            central = struct.pack("<5H3I", 20, flags, 8, 0, 0, crc, len(stream), size)
            central += struct.pack("<5H2I", len(shown), extra, 0, 0, 0, mode << 16, len(body))
            directory += b"PK\x01\x02\x14\x03" + central + shown.encode() + bytes(extra)
        body += b"PK\x03\x04" + head + name.encode() + stream
    n = min(len(members) * entries, 65_534)
    return body + directory + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, n, n, len(directory), len(body), 0)


def deflated(content: bytes) -> bytes:
    return zlib.compress(content, 9)[2:-4]


def npy(header: str, content: bytes = b"", *, length: int | None = None) -> bytes:
    return b"\x93NUMPY\x02\0" + struct.pack("<I", len(header) if length is None else length) + header.encode() + content


def golden(content: Content) -> Make:
    """A bundle with this golden.npz."""

    def make(place: Path) -> Path:
        bundle = sound_bundle(place)
        (bundle / "golden.npz").write_bytes(content())
        return bundle

    return make


def golden_array(member: bytes) -> Make:
    return golden(lambda: archive([(f"{name}.npy", deflated(member), len(member)) for name in ("frames", "inputs", "outputs")]))


def manifest(change: Callable[[str], str | bytes]) -> Make:
    """A bundle whose manifest's text is another."""

    def make(place: Path) -> Path:
        bundle = sound_bundle(place)
        changed = change((bundle / "manifest.json").read_text())
        (bundle / "manifest.json").write_bytes(changed.encode() if isinstance(changed, str) else changed)
        return bundle

    return make


def with_field(**values: Any) -> Callable[[str], str]:
    return lambda text: json.dumps(json.loads(text) | values)


def inserted(text: str) -> Callable[[str], str]:
    """Text put first into the manifest's object."""
    return lambda found: found.replace("{", "{" + text, 1)


def seen_hashes(text: str) -> str:
    found = json.loads(text)
    found["training"] |= {"seen": [], "seen_pictures": [], "seen_hashes": ["x"] * 390_000}
    return json.dumps(found)


def in_zip(change: Callable[[Path], bytes]) -> Make:
    """What is made of a sound bundle's folder, as a zip file."""

    def make(place: Path) -> Path:
        content = change(sound_bundle(place))
        (place / "bundle.zip").write_bytes(content)
        return place / "bundle.zip"

    return make


def zipped(bundle: Path, prefix: str = "", **odd: Any) -> bytes:
    files = [(f"{prefix}{path.name}", path.read_bytes()) for path in sorted(bundle.iterdir())]
    return archive([(name, deflated(content), len(content)) for name, content in files], **odd)


def twice(bundle: Path) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for path in bundle.iterdir():
            file.writestr(path.name, path.read_bytes())
        file.writestr("manifesT.json", b"{}")
    return out.getvalue().replace(b"manifesT.json", b"manifest.json")


def many_entries(_: Path) -> bytes:
    one = archive([("a", deflated(b""), 0)])
    at, end = one.find(b"PK\x01\x02"), one.find(b"PK\x05\x06")
    directory = one[at:end] * 600_000
    return one[:at] + directory + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 65_535, 65_535, len(directory), at, 0)


def replaced(name: str, put: Callable[[Path], object]) -> Make:
    """A bundle one of whose files is something else."""

    def make(place: Path) -> Path:
        bundle = sound_bundle(place)
        (bundle / name).unlink()
        put(bundle / name)
        return bundle

    return make


def bind(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's name is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
    os.chdir(here)


def link_out(path: Path) -> None:
    outside = path.parent.parent / f"outside-{path.name}"
    from leukolite.shipped import find_bundle

    shutil.copy(find_bundle(Path("synthetic-cells")) / path.name, outside)
    path.symlink_to(outside)


def large_model(size: int) -> Make:
    def make(place: Path) -> Path:
        bundle = sound_bundle(place)
        with (bundle / "model.tflite").open("r+b") as file:
            file.truncate(size)
        with (bundle / "model.tflite").open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        text = (bundle / "manifest.json").read_text()
        (bundle / "manifest.json").write_text(with_field(model_sha256=sha256)(text))
        return bundle

    return make


def many_compiled(place: Path) -> Path:
    bundle = sound_bundle(place)
    with (bundle / "model_x.tflite").open("wb") as file:
        file.truncate(200_000_000)
    with (bundle / "model_x.tflite").open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    one = {"file": "model_x.tflite", "sha256": sha256, "compiler": None}
    compiled = [one | {"target": f"ethos-u55-{n}"} for n in range(20)]
    text = (bundle / "manifest.json").read_text()
    (bundle / "manifest.json").write_text(with_field(compiled=compiled)(text))
    return bundle


def one_file(name: str, content: Content) -> Make:
    def make(place: Path) -> Path:
        (place / name).write_bytes(content())
        return place / name

    return make


def odd_file(name: str, put: Callable[[Path], object]) -> Make:
    def make(place: Path) -> Path:
        put(place / name)
        return place / name

    return make


def journal_line(record: str) -> Make:
    """A journal of one line, whose hash is right."""

    def make(place: Path) -> Path:
        body = f'{{"seq":0,"at":"2026-01-01T00:00:00Z","up_ms":0,"prev":"{"0" * 64}","record":{record}'.encode()
        line = body + b',"sha256":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'
        (place / "journal-000000.jsonl").write_bytes(line)
        return place

    return make


def odd_journal(place: Path) -> Path:
    os.mkfifo(place / "journal-000000.jsonl")
    return place


def hdf5(place: Path) -> Path:
    import h5py

    with h5py.File(place / "net.h5", "w") as file:
        file.attrs["model_config"] = '{"class_name": "Sequential"}'
        file.create_dataset("weights", (10**6, 10**6), "f4", chunks=(1000, 1000), compression="gzip")
    return place / "net.h5"


# --- trying


@contextmanager
def as_errors_of_ours() -> Iterator[None]:
    """Of functions whose callers expect a ValueError."""
    from leukolite.errors import LeukoliteError

    try:
        yield
    except ValueError as error:
        raise LeukoliteError(str(error)) from error


def open_bundle(path: Path) -> None:
    from leukolite.bundle import Bundle
    from leukolite.classifier import open_classifier

    open_classifier(Bundle.load(path))


def verify_journal(path: Path) -> None:
    from leukolite.edge.journal.format import verify

    verify(path)


def read_run(path: Path) -> None:
    from leukolite.train.runs import load_split

    load_split(path)


def read_keras(path: Path) -> None:
    from leukolite.train.keras_config import check_config, read_keras_archive

    with as_errors_of_ours():  # as `load_keras` does
        check_config(path, read_keras_archive(path)[1])


def read_h5(path: Path) -> None:
    from leukolite.train.keras_config import read_hdf5
    from leukolite.train.keras_weights import check_hdf5

    check_hdf5(path)  # as `load_keras` does
    read_hdf5(path)


def read_table(path: Path) -> None:
    from leukolite.train.datasets import open_dataset
    from leukolite.train.label_table import LabelTable

    open_dataset(path.parent, LabelTable(path))


def read_labels(path: Path) -> None:
    from leukolite.convert.external import read_labels as read

    read(path)


def read_source(path: Path) -> None:
    from leukolite.edge.camera.open import open_source

    for _ in open_source(path).frames():
        pass


def read_figures(path: Path) -> None:
    from leukolite.benchmarks.reproduce import load_published

    load_published(path)


def post(path: Path) -> None:
    from leukolite.textfiles import parse_json

    with as_errors_of_ours():  # the page reads a body so, and answers with 400
        parse_json(path.read_bytes())


DEEP = "[" * 100_000 + "]" * 100_000
FIFO, DEVICE = os.mkfifo, lambda path: path.symlink_to("/dev/zero")
HEADER = "{'descr': %s, 'fortran_order': %s, 'shape': %s, }\n"
CASES: dict[str, tuple[Attempt, Make]] = {
    "golden.npz that unpacks to 6 GB": (
        open_bundle,
        golden(lambda: archive([(f"{n}.npy", zeros(30), 30 * BLOCK) for n in range(3)])),
    ),
    "golden.npz of 6 GB that claims 1 kB": (open_bundle, golden(lambda: archive([("frames.npy", zeros(90), 1000)]))),
    "golden.npz, twenty entries of one member": (
        open_bundle,
        golden(lambda: archive([("a.npy", zeros(1), BLOCK // 32)], entries=20)),
    ),
    "golden.npz of objects": (open_bundle, golden_array(npy(HEADER % ("'|O'", False, "(3,)"), b"abc"))),
    "golden.npz in Fortran order": (open_bundle, golden_array(npy(HEADER % ("'|u1'", True, "(3,)"), b"abc"))),
    "golden.npz of a negative shape": (open_bundle, golden_array(npy(HEADER % ("'|u1'", False, "(-3,)"), b"abc"))),
    "golden.npz of a huge shape": (open_bundle, golden_array(npy(HEADER % ("'|u1'", False, "(9999999999,)"), b"abc"))),
    "golden.npz of a shape that overflows": (
        open_bundle,
        golden_array(npy(HEADER % ("'|u1'", False, "(4294967296, 4294967297)"))),
    ),
    "golden.npz, a header of 4 GB": (open_bundle, golden_array(npy("{", length=2**32 - 1))),
    "golden.npz, a header of brackets": (open_bundle, golden_array(npy("(" * 9000))),
    "zip, twenty entries of one member (5 GB)": (
        open_bundle,
        in_zip(lambda _: archive([("a", zeros(4), 4 * BLOCK)], entries=20)),
    ),
    "zip, a model of 300 MB": (open_bundle, in_zip(lambda _: archive([("manifest.json", zeros(5), 5 * BLOCK)]))),
    "zip, a manifest of 200 MB": (open_bundle, in_zip(lambda _: archive([("manifest.json", zeros(3), 3 * BLOCK)]))),
    "zip, a manifest of 200 MB that claims 1 kB": (open_bundle, in_zip(lambda _: archive([("manifest.json", zeros(3), 1000)]))),
    "zip, encrypted": (open_bundle, in_zip(lambda bundle: zipped(bundle, flags=1))),
    "zip, names twice": (open_bundle, in_zip(twice)),
    "zip, absolute names": (open_bundle, in_zip(lambda bundle: zipped(bundle, "/"))),
    "zip, names that lead out": (open_bundle, in_zip(lambda bundle: zipped(bundle, "../"))),
    "zip, links": (open_bundle, in_zip(lambda bundle: zipped(bundle, mode=0o120777))),
    "zip, a folder within": (open_bundle, in_zip(lambda bundle: zipped(bundle, "bundle/"))),
    "zip, 600,000 entries": (open_bundle, in_zip(many_entries)),
    "manifest, a text of 50 MB": (open_bundle, manifest(with_field(name="x" * 50_000_000))),
    "manifest, a text of 15 MB": (open_bundle, manifest(with_field(name="x" * 15_000_000))),
    "manifest, brackets 100,000 deep": (open_bundle, manifest(inserted(f'"x":{DEEP},'))),
    "manifest, brackets 900 deep": (open_bundle, manifest(inserted(f'"x":{"[" * 900}{"]" * 900},'))),
    "manifest, NaN": (open_bundle, manifest(inserted('"x":NaN,'))),
    "manifest, Infinity": (open_bundle, manifest(inserted('"x":-Infinity,'))),
    "manifest, 1e999": (open_bundle, manifest(inserted('"x":1e999,'))),
    "manifest, 5,000 digits": (open_bundle, manifest(inserted(f'"x":{"9" * 5000},'))),
    "manifest, a key twice": (open_bundle, manifest(inserted('"name":"x",'))),
    "manifest, five million lists": (open_bundle, manifest(inserted(f'"x":[{"[]," * 5_000_000}[]],'))),
    "manifest, 390,000 wrong values": (open_bundle, manifest(inserted(f'"objections":[{"0," * 390_000}0],'))),
    "manifest, 390,000 wrong hashes": (open_bundle, manifest(seen_hashes)),
    "manifest is a pipe": (open_bundle, replaced("manifest.json", FIFO)),
    "manifest is a folder": (open_bundle, replaced("manifest.json", Path.mkdir)),
    "manifest is a link out": (open_bundle, replaced("manifest.json", link_out)),
    "labels are a pipe": (open_bundle, replaced("labels.txt", FIFO)),
    "labels are a link out": (open_bundle, replaced("labels.txt", link_out)),
    "labels are a device": (open_bundle, replaced("labels.txt", DEVICE)),
    "model is a device": (open_bundle, replaced("model.tflite", DEVICE)),
    "model is a socket": (open_bundle, replaced("model.tflite", bind)),
    "model is a link out": (open_bundle, replaced("model.tflite", link_out)),
    "model, 126 MB": (open_bundle, large_model(126_000_000)),
    "model, 5 GB": (open_bundle, large_model(5_000_000_000)),
    "compiled models, twenty of one file": (open_bundle, many_compiled),
    "golden.npz is a pipe": (open_bundle, replaced("golden.npz", FIFO)),
    "bundle is a pipe": (open_bundle, odd_file("bundle", FIFO)),
    "bundle is a device": (open_bundle, odd_file("bundle", DEVICE)),
    "journal, 400,000 values in a line": (verify_journal, journal_line(f'{{"x":[{"0," * 400_000}0]}}')),
    "journal, brackets": (verify_journal, journal_line(DEEP)),
    "journal, NaN": (verify_journal, journal_line('{"kind":"start","sigmas":[NaN]}')),
    "journal, a key twice": (verify_journal, journal_line('{"kind":"start","kind":"end"}')),
    "journal is a pipe": (verify_journal, odd_journal),
    "split.json, brackets": (read_run, one_file("split.json", lambda: f'{{"train":{DEEP}}}'.encode())),
    "split.json, a key twice": (read_run, one_file("split.json", lambda: b'{"train":[],"train":[],"validation":[],"test":[]}')),
    "split.json is a pipe": (read_run, odd_file("split.json", FIFO)),
    "split.json is a device": (read_run, odd_file("split.json", DEVICE)),
    "keras, 6 GB": (
        read_keras,
        one_file("net.keras", lambda: archive([(name, zeros(45), 45 * BLOCK) for name in ("config.json", "weights")])),
    ),
    "keras, twenty entries of one member": (
        read_keras,
        one_file("net.keras", lambda: archive([("config.json", zeros(1), BLOCK)], entries=20)),
    ),
    "keras, brackets": (
        read_keras,
        one_file("net.keras", lambda: archive([("config.json", deflated(DEEP.encode()), len(DEEP))])),
    ),
    "keras, NaN": (read_keras, one_file("net.keras", lambda: archive([("config.json", deflated(b'{"a":NaN}'), 9)]))),
    "h5, 4 TB": (read_h5, hdf5),
    "labels.csv is a pipe": (read_table, odd_file("labels.csv", FIFO)),
    "labels.csv is a device": (read_table, odd_file("labels.csv", DEVICE)),
    "labels of a network are a pipe": (read_labels, odd_file("labels.txt", FIFO)),
    "source is a pipe": (read_source, odd_file("a.png", FIFO)),
    "source is a device": (read_source, odd_file("a.png", DEVICE)),
    "source, a folder with a pipe alone": (read_source, lambda place: odd_file("a.png", FIFO)(place).parent),
    "the paper's figures, NaN": (
        read_figures,
        one_file("published.json", lambda: b'[{"fold":"a","arm":"b","sigma":NaN,"value":1}]'),
    ),
    "the paper's figures, brackets": (read_figures, one_file("published.json", lambda: DEEP.encode())),
    "POST, brackets": (post, one_file("body", lambda: b'{"name":' + b"[" * 4000)),
    "POST, a key twice": (post, one_file("body", lambda: b'{"name":"a","name":"b"}')),
    "POST, NaN": (post, one_file("body", lambda: b'{"name":NaN}')),
}


def child(name: str, place: Path) -> int:
    """Try one case; says in a line what came of it and the memory that it took."""
    from leukolite.errors import LeukoliteError

    attempt, _ = CASES[name]
    try:
        attempt(place)
        outcome = "taken"
    except LeukoliteError as error:
        outcome = f"refused: {error}" if "\n" not in str(error) else "more than a line"
    except Exception:  # noqa: BLE001  # it is what is looked for
        outcome = f"traceback: {traceback.format_exc().splitlines()[-1]}"
    lines = Path("/proc/self/status").read_text().splitlines()
    peak_mb = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
    sys.stdout.write(json.dumps({"outcome": outcome.replace(str(place), place.name), "mb": peak_mb}))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="beginnings of the names of cases  [default: all]")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        return child(asked.child[0], Path(asked.child[1]))
    chosen = [name for name in CASES if not asked.cases or name.startswith(tuple(asked.cases))]
    wrong = 0
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="attack-") as folder:
            place = CASES[name][1](Path(folder))
            command = [sys.executable, __file__, "--child", name, str(place)]
            environment = os.environ | {"XDG_CACHE_HOME": folder, "KERAS_BACKEND": "jax"}
            began = time.monotonic()
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
                found = json.loads(done.stdout) if done.stdout else {"outcome": f"died ({done.returncode})", "mb": 0}
            except subprocess.TimeoutExpired:
                found = {"outcome": "hangs", "mb": 0}
            seconds = time.monotonic() - began
        is_fine = found["outcome"].startswith("refused") and found["mb"] <= MOST_MB and seconds <= MOST_S
        wrong += not is_fine
        mark = " " if is_fine else "!"
        sys.stdout.write(f"{mark} {found['mb']:4.0f} MB {seconds:5.1f} s  {name}: {found['outcome'][:150]}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(chosen)} cases, {wrong} not refused in one line within {MOST_MB} MB and {MOST_S:g} s\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
