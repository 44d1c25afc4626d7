"""What is attacked: each reader of what comes from outside, the whole files that it takes, and the variants that are tried."""

import io
import json
import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from hypothesis import strategies as st
from mutations import as_json_bytes, damaged_archives, damaged_bytes, damaged_json, members
from PIL import Image, ImageCms

sys.path.insert(0, str(Path(__file__).parent.parent / "helpers"))  # journals

Target = Callable[[Path], tuple[st.SearchStrategy[Any], Callable[[Any], object]]]

SHARED = Path(os.environ.get("LEUKOLITE_DATA", Path(__file__).parents[3] / "shared" / "data"))
SHARED_EACH = 3  # real files of a kind


def images(_: Path) -> tuple[st.SearchStrategy[bytes], Callable[[bytes], object]]:
    """Image files of every format, with profiles, orientation and several pages."""
    from leukolite.images import decode_rgb

    return damaged_bytes(_pictures()), lambda data: decode_rgb(data, "fuzzed")


def _pictures() -> list[bytes]:
    rng = np.random.default_rng(0)
    pixels = cv2.GaussianBlur(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8), (0, 0), 3)
    rgb = Image.fromarray(pixels)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    found = []
    for kind, options in (
        ("JPEG", {"quality": 90}),
        ("JPEG", {"progressive": True, "icc_profile": profile, "exif": exif}),
        ("JPEG", {"subsampling": 0, "restart_marker_blocks": 2}),
        ("PNG", {"icc_profile": profile}),
        ("PNG", {"save_all": True, "append_images": [rgb.rotate(90)]}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw", "icc_profile": profile}),
        ("TIFF", {"compression": "tiff_adobe_deflate", "save_all": True, "append_images": [rgb]}),
        ("TIFF", {"compression": "jpeg"}),
        ("WEBP", {"lossless": True, "exif": exif}),
        ("WEBP", {"save_all": True, "append_images": [rgb.rotate(90)]}),
        ("GIF", {}),
        ("EPS", {}),
    ):
        file = io.BytesIO()
        rgb.save(file, kind, **options)
        found.append(file.getvalue())
    for mode in ("L", "P", "1", "CMYK", "RGBA", "I;16"):
        file = io.BytesIO()
        rgb.convert("L").convert(mode if mode != "I;16" else "I").save(file, "TIFF")
        found.append(file.getvalue())
    for pattern in ("taleqani/Original/*/*.jpg", "ALL_IDB2/img/*.tif", "C-NMC_Leukemia/training_data/*/*/*.webp"):
        found += [path.read_bytes() for path in sorted(SHARED.glob(pattern))[:SHARED_EACH]]
    return found


def videos(folder: Path) -> tuple[st.SearchStrategy[Any], Callable[[Any], object]]:
    """Video files: MJPEG and inter-coded, in each container that OpenCV writes here."""
    from leukolite.edge.camera.open import open_source

    films = []
    rng = np.random.default_rng(0)
    base = cv2.GaussianBlur(rng.integers(0, 256, (96, 96, 3), dtype=np.uint8), (0, 0), 4)
    for ending, code in ((".avi", "MJPG"), (".mkv", "MJPG"), (".mp4", "mp4v"), (".avi", "FFV1")):
        path = folder / f"film{ending}"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 10, (64, 64))
        for i in range(8):
            writer.write(np.ascontiguousarray(base[i : i + 64, i : i + 64]))
        writer.release()
        films.append((ending, path.read_bytes()))
    for path in sorted((SHARED.parent / "cases" / "video").glob("*")):
        films.append((path.suffix, path.read_bytes()))

    def attempt(case: tuple[str, bytes]) -> None:
        ending, data = case
        path = folder / f"fuzzed{ending}"
        path.write_bytes(data)
        with closing(open_source(path).frames()) as items:
            for n, _ in enumerate(items):
                if n > 60:
                    break

    return st.one_of([damaged_bytes([data]).map(lambda found, e=ending: (e, found)) for ending, data in films]), attempt


def _bundle(folder: Path) -> tuple[Path, bytes]:
    """A shipped bundle as a folder of its own, and as one zip; without its sums, which would refuse all of it at once."""
    import zipfile

    from leukolite.shipped import find_bundle
    from leukolite.sums import SUMS

    bundle, packed = find_bundle(Path("synthetic-cells")), io.BytesIO()
    place = folder / "bundle"
    place.mkdir(exist_ok=True)
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (path for path in bundle.iterdir() if path.name != SUMS):
            archive.writestr(path.name, path.read_bytes())
            (place / path.name).write_bytes(path.read_bytes())
    return place, packed.getvalue()


def manifests(folder: Path) -> tuple[st.SearchStrategy[bytes], Callable[[bytes], object]]:
    """A bundle whose manifest is another, to the first verdict."""
    place, _ = _bundle(folder)
    manifest = (place / "manifest.json").read_bytes()

    def attempt(data: bytes) -> None:
        (place / "manifest.json").write_bytes(data)
        _use(place)

    return damaged_json([json.loads(manifest)]).map(as_json_bytes) | damaged_bytes([manifest]), attempt


def bundles(folder: Path) -> tuple[st.SearchStrategy[bytes], Callable[[bytes], object]]:
    """A bundle's zip file, damaged without or within; the model's hash is in the manifest, so the model itself is safe."""
    _, packed = _bundle(folder)
    place = folder / "fuzzed.zip"

    def attempt(data: bytes) -> None:
        place.write_bytes(data)
        _use(place)

    return damaged_archives(packed, lambda name, content: damaged_bytes([content])), attempt


def _use(place: Path) -> None:
    from leukolite.bundle import Bundle
    from leukolite.classifier import open_classifier
    from leukolite.info import manifest_rows

    bundle = Bundle.load(place)
    classifier = open_classifier(bundle)
    classifier(np.full((32, 32, 3), 128, np.uint8))
    manifest_rows(bundle.manifest, len(bundle.model))


def _journal() -> list[dict[str, Any]]:
    """A session's records."""
    import journals

    from leukolite.edge.journal.records import EventRecord, GapRecord

    records = [journals.start()]
    for index in range(3):
        records += [journals.frame(index), journals.verdict(index)]
    records += [GapRecord(source="camera", index=3, reason="lost"), journals.frame(4), journals.left_out(4)]
    records += [EventRecord(event="new slide", slide="0123456789abcdef"), EventRecord(event="end")]
    return [record.model_dump(mode="json") for record in records]


def journals_bytes(folder: Path) -> tuple[st.SearchStrategy[bytes], Callable[[bytes], object]]:
    """A journal whose bytes were changed; then it is verified, exported, summarised and resumed."""
    import journals

    place = folder / "session"
    journals.write_sealed(place, _journal())
    content = (place / "journal-000000.jsonl").read_bytes()
    return damaged_bytes([content]), lambda data: _use_journal(folder / "fuzzed", data)


def journals_sealed(folder: Path) -> tuple[st.SearchStrategy[Any], Callable[[Any], object]]:
    """A journal of strange records, every hash of which is right."""
    import journals

    place = folder / "session"

    def attempt(records: Any) -> None:
        if not isinstance(records, list):
            records = [records]
        journals.write_sealed(place, records)
        _use_journal(folder / "fuzzed", (place / "journal-000000.jsonl").read_bytes())

    return damaged_json([_journal()]), attempt


def _use_journal(place: Path, content: bytes) -> None:
    import shutil

    from leukolite.edge.journal.export import write_csv, write_records_json
    from leukolite.edge.journal.format import read, verify
    from leukolite.edge.journal.open import resume_journal
    from leukolite.edge.report.summary import summarise
    from leukolite.edge.report.summary_page import write_summary
    from leukolite.edge.settings import first_record, settings_of

    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    (place / "journal-000000.jsonl").write_bytes(content)
    verify(place)
    settings_of(first_record(place), None)
    write_csv(read(place), io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    write_records_json(read(place), io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    out = place / "summary"
    out.mkdir()
    write_summary(out, summarise(place, read(place)))
    journal, _ = resume_journal(place)
    journal.close()


def labels(folder: Path) -> tuple[st.SearchStrategy[bytes], Callable[[bytes], object]]:
    """Text files of labels."""
    from leukolite.convert.external import read_labels

    place = folder / "labels.txt"

    def attempt(data: bytes) -> None:
        place.write_bytes(data)
        read_labels(place)

    lines = "Benign\nEarly\nPre\nPro\n"
    files = [lines.encode(), lines.encode("utf-8-sig"), lines.encode("utf-16"), "\u00e4, b\r\nc\r\n".encode("latin-1")]
    return damaged_bytes(files), attempt


def label_tables(folder: Path) -> tuple[st.SearchStrategy[bytes], Callable[[bytes], object]]:
    """CSV files that say which picture is of which class and person."""
    from leukolite.train.datasets import open_dataset
    from leukolite.train.label_table import LabelTable

    data = folder / "data"
    data.mkdir(exist_ok=True)
    for i in range(6):
        Image.new("RGB", (24, 24), (40 * i, 0, 0)).save(data / f"{i}.bmp")
    place = folder / "labels.csv"
    rows = [f"UID_{i % 3}_{i}_1_{'all' if i % 2 else 'hem'}.bmp,{i}.bmp,{i % 2}" for i in range(6)]
    table = "\n".join(("Patient_ID,new_names,labels", *rows)) + "\n"
    other = table.replace(",", ";").replace("\n", "\r\n")

    def attempt(content: bytes) -> None:
        place.write_bytes(content)
        open_dataset(data, LabelTable(place))

    return damaged_bytes([table.encode(), other.encode("utf-8-sig"), table.encode("utf-16")]), attempt


def runs(folder: Path) -> tuple[st.SearchStrategy[Any], Callable[[Any], object]]:
    """The record and the split of a run folder."""
    from leukolite.preprocess import InputSpec
    from leukolite.train.recipes import RECIPES
    from leukolite.train.runs import MODEL, RUN, SPLIT, load_run, load_run_split

    (folder / MODEL).write_bytes(b"")
    run = {
        "schema_version": 1,
        "recipe": RECIPES["mobilenet_m"].model_dump(mode="json"),
        "unit": "cell",
        "labels": ["a", "b"],
        "malignant": ["a"],
        "input": InputSpec(height=32, width=32).model_dump(mode="json"),
        "dataset": "folders",
        "data": "data",
        "dataset_fingerprint": "0" * 64,
        "unusable": 0,
        "split": {"train": {"a": 1, "b": 1}, "validation": {"a": 1, "b": 0}, "test": {}},
        "seed": 0,
        "versions": {"python": "3.11"},
        "best_epoch": 1,
        "seconds": 1.0,
        "metrics": {},
    }
    file = {"path": "a/1.png", "label": "a", "sha256": "0" * 64, "group": 0, "subject": None}
    split = {"train": [file], "validation": [file | {"sha256": "1" * 64, "group": 1}], "test": []}

    def attempt(case: tuple[bytes, bytes]) -> None:
        (folder / RUN).write_bytes(case[0])
        (folder / SPLIT).write_bytes(case[1])
        load_run(folder)
        load_run_split(folder)

    def damaged(document: Any) -> st.SearchStrategy[bytes]:
        whole = as_json_bytes(document)
        return st.just(whole) | damaged_json([document]).map(as_json_bytes) | damaged_bytes([whole])

    return st.tuples(damaged(run), damaged(split)), attempt


def keras_archives(folder: Path) -> tuple[st.SearchStrategy[Any], Callable[[Any], object]]:
    """Keras files of both kinds, damaged without or within."""
    import keras

    from leukolite.convert.load_keras import load_keras

    model = keras.Sequential(
        [keras.layers.Input((16, 16, 3)), keras.layers.Conv2D(2, 3), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    )
    model.save(folder / "whole.keras")
    model.save(folder / "whole.h5")
    archive, hdf5 = (folder / "whole.keras").read_bytes(), (folder / "whole.h5").read_bytes()

    def inside(name: str, content: bytes) -> st.SearchStrategy[bytes]:
        if name.endswith(".json"):
            return damaged_json([json.loads(content)]).map(as_json_bytes) | damaged_bytes([content])
        return damaged_bytes([content])

    def attempt(case: tuple[str, bytes]) -> None:
        path = folder / f"fuzzed{case[0]}"
        path.write_bytes(case[1])
        load_keras(path)

    assert "config.json" in members(archive)
    kinds = [
        damaged_archives(archive, inside).map(lambda data: (".keras", data)),
        damaged_bytes([hdf5]).map(lambda data: (".h5", data)),
    ]
    return st.one_of(kinds), attempt


TARGETS: dict[str, Target] = {
    "images": images,
    "videos": videos,
    "manifests": manifests,
    "bundles": bundles,
    "journals": journals_bytes,
    "sealed-journals": journals_sealed,
    "labels": labels,
    "label-tables": label_tables,
    "runs": runs,
    "keras-archives": keras_archives,
}
