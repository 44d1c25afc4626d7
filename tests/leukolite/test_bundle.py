import hashlib
import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from leukolite.bundle import CARD, GOLDEN, LABELS, MANIFEST, MAX_TEXT_BYTES, MODEL, Bundle, Golden, write_bundle
from leukolite.errors import BundleError, LeukoliteError
from leukolite.golden_verdicts import VERDICTS
from leukolite.manifest import Manifest
from leukolite.sums import SUMS

PARTS = [MODEL, MANIFEST, LABELS, GOLDEN]


def zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder))


def change_manifest(folder: Path, change: Callable[[dict], object]) -> None:
    content = json.loads((folder / MANIFEST).read_text())
    change(content)
    (folder / MANIFEST).write_text(json.dumps(content))


def change_golden(folder: Path, **arrays: np.ndarray) -> None:
    golden = Golden.from_bytes((folder / GOLDEN).read_bytes())
    (folder / GOLDEN).write_bytes(replace(golden, **arrays).to_bytes())


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize("place", [lambda folder: folder, zipped], ids=["folder", "zip"])
def test_a_bundle_reads_back_as_it_was_written(bundle_folder, manifest, tiny_model, golden, place):
    loaded = Bundle.load(place(bundle_folder))
    assert (loaded.manifest, loaded.model) == (manifest, tiny_model)
    for name in ("frames", "inputs", "outputs"):
        assert np.array_equal(getattr(loaded.golden, name), getattr(golden, name))


def test_a_bundle_is_seven_files(sealed_folder):
    assert sorted(path.name for path in sealed_folder.iterdir()) == sorted([*PARTS, CARD, SUMS, VERDICTS])


def test_a_bundle_replaces_an_older_one(bundle_folder, manifest, tiny_model, golden):
    (bundle_folder / "stray").touch()
    write_bundle(bundle_folder, manifest.model_copy(update={"name": "newer"}), tiny_model, golden, "", force=True)
    assert Bundle.load(bundle_folder).manifest.name == "newer"
    assert not (bundle_folder / "stray").exists()


def test_a_bundle_never_replaces_another_folder(tmp_path, manifest, tiny_model, golden):
    (tmp_path / "cat.jpg").touch()
    with pytest.raises(LeukoliteError, match="choose another place"):
        write_bundle(tmp_path, manifest, tiny_model, golden, "")


@pytest.mark.parametrize("name", PARTS)
def test_a_missing_file_is_named(bundle_folder, name):
    (bundle_folder / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        Bundle.load(bundle_folder)


@pytest.mark.parametrize("name", PARTS)
def test_a_file_missing_from_a_zip_is_named(bundle_folder, name):
    (bundle_folder / name).unlink()
    with pytest.raises(BundleError, match=f"the archive has no {name}"):
        Bundle.load(zipped(bundle_folder))


def test_a_place_without_anything_is_no_bundle(tmp_path):
    with pytest.raises(BundleError, match="nothing: no such bundle"):
        Bundle.load(tmp_path / "nothing")


def test_a_file_that_is_no_zip_is_no_bundle(tmp_path):
    (tmp_path / "model.tflite").write_bytes(b"TFL3")
    with pytest.raises(BundleError, match="neither a bundle folder nor a whole zip file"):
        Bundle.load(tmp_path / "model.tflite")


def test_an_encrypted_zip_is_no_bundle(bundle_folder):
    path = zipped(bundle_folder)
    data = bytearray(path.read_bytes())
    for entry in re.finditer(rb"PK\x01\x02", data):
        data[entry.start() + 8] |= 1  # the flags of each file in the central directory
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"the zip file cannot be read .*encrypted.*; zip it without a password"):
        Bundle.load(path)


def test_a_model_of_another_hash_is_refused(bundle_folder):
    model = (bundle_folder / MODEL).read_bytes() + b"\0"
    (bundle_folder / MODEL).write_bytes(model)
    with pytest.raises(BundleError, match=rf"model\.tflite does not match .*sha256 {hashlib.sha256(model).hexdigest()[:12]}"):
        Bundle.load(bundle_folder)


@pytest.mark.parametrize("text", [b"", b"{", b"schema_version: 1", b"[" * 100_000])
def test_a_manifest_that_is_not_json_is_refused(bundle_folder, text):
    (bundle_folder / MANIFEST).write_bytes(text)
    with pytest.raises(BundleError, match=r"manifest\.json is not JSON"):
        Bundle.load(bundle_folder)


@pytest.mark.parametrize("text", ["{}", '{"schema_version": 0}', '{"schema_version": true}', '{"schema_version": "1"}'])
def test_an_unknown_schema_version_is_refused(bundle_folder, text):
    (bundle_folder / MANIFEST).write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json schema_version: expected .*, found .*; convert the run again"):
        Bundle.load(bundle_folder)


@pytest.mark.parametrize("text", ["[]", "1", "null"])
def test_a_manifest_that_is_no_object_is_refused(bundle_folder, text):
    (bundle_folder / MANIFEST).write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json: expected a JSON object, found a "):
        Bundle.load(bundle_folder)


def test_a_bundle_of_a_newer_schema_asks_for_a_newer_leukolite_and_not_for_another_conversion(bundle_folder):
    (bundle_folder / MANIFEST).write_text('{"schema_version": 99}')
    with pytest.raises(BundleError, match=r"a bundle of schema 99; leukolite \S+ reads schemas 1 to \d: update leukolite$"):
        Bundle.load(bundle_folder)


def test_byte_order_marks_are_no_part_of_a_manifest_or_of_labels(bundle_folder):
    for name in (MANIFEST, LABELS):
        path = bundle_folder / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert Bundle.load(bundle_folder).manifest.labels


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("name", [MANIFEST, LABELS])
def test_notepads_unicode_is_refused_by_its_name(bundle_folder, name, encoding):
    path = bundle_folder / name
    path.write_text(path.read_text(encoding="utf-8"), encoding=encoding)
    with pytest.raises(BundleError, match=f"{name} is {encoding.upper()}, expected UTF-8; save it again"):
        Bundle.load(bundle_folder)


def test_labels_that_look_alike_are_told_apart(bundle_folder):
    first, *others = Bundle.load(bundle_folder).manifest.labels
    (bundle_folder / LABELS).write_text("".join(f"{label}\n" for label in (f"{first}\u00a0", *others)), encoding="utf-8")
    with pytest.raises(BundleError) as caught:
        Bundle.load(bundle_folder)
    assert f"; expected '{first}', found '{first}\\xa0'" in str(caught.value)


def test_what_is_no_bundle_is_called_by_what_it_is(bundle_folder, tmp_path):
    cases = {
        "model.tflite": "this is a TFLite model alone",
        "shelf": f"this is a folder of bundles: give one of them, as {tmp_path / 'shelf' / 'one'}",
        "run": "this is a training run: `leukolite convert` makes a bundle of it",
        "net.keras": "this is a Keras model: convert it",
        "net.h5": "this is a Keras model: convert it",
        "bundle.tar.gz": "another kind of archive: unpack it",
        "text.zip": "neither a bundle folder nor a whole zip file",
    }
    (tmp_path / "model.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(50))
    (tmp_path / "shelf" / "one").mkdir(parents=True)
    (tmp_path / "shelf" / "one" / MANIFEST).write_text("{}")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    (tmp_path / "net.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50))
    (tmp_path / "bundle.tar.gz").write_bytes(b"\x1f\x8b\x08" + bytes(50))
    (tmp_path / "text.zip").write_text("not a zip")
    for name, said in cases.items():
        with pytest.raises(BundleError) as caught:
            Bundle.load(tmp_path / name)
        assert said in str(caught.value)


BAD_FIELDS = {
    "an extra field": ("mean", lambda m: m.update(mean=0.5)),
    "an extra field below": (r"input\.mean", lambda m: m["input"].update(mean=0.5)),
    "a missing field": ("unit", lambda m: m.pop("unit")),
    "an unknown unit": ("unit", lambda m: m.update(unit="smear")),
    "an empty label": (r"labels\.1", lambda m: m.update(labels=["healthy", ""])),
    "a label of two lines": (r"labels\.0", lambda m: m.update(labels=["heal\nthy", "blast"])),
    "a label of two lines in Unicode": (r"labels\.0", lambda m: m.update(labels=["heal\u2028thy", "blast"])),
    "a single label": ("labels", lambda m: m.update(labels=["blast"])),
    "duplicate labels": ("labels must be distinct", lambda m: m.update(labels=["blast", "blast"])),
    "a label that means no verdict": (
        "'Abstain' cannot be a label",
        lambda m: m.update(labels=["healthy", "Abstain"], malignant=[]),
    ),
    "a malignant stranger": (r"malignant names \['tumour'\]", lambda m: m.update(malignant=["tumour"])),
    "a name with a slash": ("name", lambda m: m.update(name="../tiny")),
    "a scale of 0": (r"input_tensor\.scale", lambda m: m["input_tensor"].update(scale=0)),
    "an unknown type": (r"output_tensor\.dtype", lambda m: m["output_tensor"].update(dtype="bool")),
    "a band the wrong way round": ("ordered band", lambda m: m["decision"].update(abstain=[0.9, 0.1])),
    "a hash of the wrong length": ("model_sha256", lambda m: m.update(model_sha256="ab")),
}


@pytest.mark.parametrize("case", BAD_FIELDS)
def test_a_bad_field_of_the_manifest_is_named(bundle_folder, case):
    named, change = BAD_FIELDS[case]
    change_manifest(bundle_folder, change)
    with pytest.raises(BundleError, match=rf"manifest\.json .*{named}"):
        Bundle.load(bundle_folder)


@pytest.mark.parametrize("text", ["", "blast\nhealthy\n", "healthy\nblast\nother\n"])
def test_labels_txt_must_say_what_the_manifest_says(bundle_folder, text):
    (bundle_folder / LABELS).write_text(text)
    with pytest.raises(BundleError, match=r"labels\.txt has .* expected the manifest's labels \['healthy', 'blast'\]"):
        Bundle.load(bundle_folder)


@given(st.lists(st.text(min_size=1, max_size=12), min_size=2, max_size=5))
def test_labels_that_a_manifest_takes_survive_labels_txt(tmp_path_factory, manifest, tiny_model, golden, labels):
    try:
        taken = Manifest.model_validate(manifest.model_dump() | {"labels": labels, "malignant": []})
    except ValidationError:
        return
    folder = tmp_path_factory.mktemp("labels") / "bundle"
    outputs = np.zeros((len(golden.frames), len(labels)), np.float32)
    write_bundle(folder, taken, tiny_model, replace(golden, outputs=outputs), "")
    assert Bundle.load(folder).manifest.labels == labels


BAD_ARRAYS = {
    "frames of another type": ("frames", lambda g: g.frames.astype(np.float32)),
    "grey frames": ("frames", lambda g: g.frames[..., 0]),
    "no frames": ("frames", lambda g: g.frames[:0]),
    "frames without pixels": ("frames", lambda g: g.frames[:, :0]),
    "a number for frames": ("frames", lambda g: np.uint8(0)),
    "inputs of another size": ("inputs", lambda g: g.inputs[:, 1:]),
    "inputs of another type": ("inputs", lambda g: g.inputs.astype(np.int8)),
    "outputs of another count": ("outputs", lambda g: g.outputs[1:]),
    "outputs of three classes": ("outputs", lambda g: np.zeros((3, 3), np.float32)),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_a_golden_array_of_the_wrong_shape_or_type_is_named(bundle_folder, golden, case):
    name, change = BAD_ARRAYS[case]
    change_golden(bundle_folder, **{name: change(golden)})
    with pytest.raises(BundleError, match=rf"golden\.npz {name}: expected .+, found"):
        Bundle.load(bundle_folder)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        npz(frames=np.zeros(1)),
        npz(frames=np.array([{}]), inputs=np.zeros(1), outputs=np.zeros(1)),
        b"\x93NUMPY\x01\0",
    ],
    ids=["empty", "not a zip", "one array alone", "pickled", "npy"],
)
def test_a_golden_file_that_is_not_three_plain_arrays_is_refused(bundle_folder, data):
    (bundle_folder / GOLDEN).write_bytes(data)
    with pytest.raises(BundleError, match=r"golden\.npz is damaged"):
        Bundle.load(bundle_folder)


@pytest.mark.parametrize("pack", [lambda folder: folder, zipped], ids=["folder", "zip"])
def test_a_manifest_of_any_size_is_not_read(bundle_folder, pack):
    (bundle_folder / MANIFEST).write_bytes(b"[]" * (MAX_TEXT_BYTES // 2 + 1))
    with pytest.raises(BundleError, match=r"manifest\.json.* larger than 16 MB"):
        Bundle.load(pack(bundle_folder))


def test_golden_arrays_that_unpack_to_more_than_a_bundle_holds_are_not_unpacked(bundle_folder, monkeypatch):
    monkeypatch.setattr("leukolite.bundle.MAX_GOLDEN_BYTES", (bundle_folder / GOLDEN).stat().st_size + 1)
    with pytest.raises(BundleError, match=r"golden\.npz is damaged \(it unpacks to 0 MB, at most 0 are allowed"):
        Bundle.load(bundle_folder)


@pytest.mark.parametrize("name", PARTS)
def test_a_file_that_is_a_link_out_of_its_bundle_is_not_read(bundle_folder, tmp_path, name):
    (bundle_folder / name).rename(tmp_path / name)
    (bundle_folder / name).symlink_to(tmp_path / name)
    with pytest.raises(BundleError, match=r"a link out of the bundle \(to .+\); put the file itself there"):
        Bundle.load(bundle_folder)


@pytest.mark.parametrize("name", PARTS)
def test_links_within_a_bundle_and_to_the_whole_of_it_are_followed(bundle_folder, tmp_path, name):
    (bundle_folder / name).rename(bundle_folder / "the.file")
    (bundle_folder / name).symlink_to("the.file")
    (tmp_path / "link").symlink_to(bundle_folder)
    assert Bundle.load(tmp_path / "link").manifest.labels


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_pipe_or_device_in_a_file_s_place_is_neither_waited_for_nor_read(bundle_folder, name, kind):
    (bundle_folder / name).unlink()
    os.mkfifo(bundle_folder / name) if kind == "pipe" else (bundle_folder / name).symlink_to("/dev/zero")
    with pytest.raises(BundleError, match=rf"{name}: a {kind}, not a file; copy the bundle again"):
        Bundle.load(bundle_folder)


def test_compiled_models_of_one_large_file_are_held_once_and_of_many_only_so_many(bundle_folder, monkeypatch):
    monkeypatch.setattr("leukolite.bundle.MAX_FILE_BYTES", 100_000)
    (bundle_folder / "model_x.tflite").write_bytes(bytes(60_000))
    one = {"file": "model_x.tflite", "sha256": hashlib.sha256(bytes(60_000)).hexdigest(), "compiler": None}
    change_manifest(bundle_folder, lambda m: m.update(compiled=[one | {"target": f"ethos-u55-{n}"} for n in range(20)]))
    assert len({id(content) for content in Bundle.load(bundle_folder).compiled.values()}) == 1
    (bundle_folder / "model_y.tflite").write_bytes(bytes(60_000))
    both = [one | {"target": "ethos-u55-32"}, one | {"target": "ethos-u55-64", "file": "model_y.tflite"}]
    change_manifest(bundle_folder, lambda m: m.update(compiled=both))
    with pytest.raises(BundleError, match=r"model_y\.tflite: larger than"):
        Bundle.load(bundle_folder)


def test_a_manifest_of_a_hundred_thousand_wrong_values_is_one_error(bundle_folder):
    change_manifest(bundle_folder, lambda m: m.update(objections=[0] * 100_000))
    with pytest.raises(BundleError, match=r"manifest\.json has more than 50,000 values"):
        Bundle.load(bundle_folder)


@pytest.mark.parametrize("place", [lambda folder: folder / GOLDEN, zipped], ids=[GOLDEN, "zip"])
def test_flipped_bits_are_refused_or_harmless(bundle_folder, bundle, place):
    path = place(bundle_folder)
    target = path if path.suffix == ".zip" else bundle_folder
    data = path.read_bytes()

    @given(st.integers(0, len(data) - 1), st.integers(0, 7))
    def check(position: int, bit: int) -> None:
        damaged = bytearray(data)
        damaged[position] ^= 1 << bit
        path.write_bytes(damaged)
        try:
            loaded = Bundle.load(target)
        except BundleError:
            return
        assert (loaded.manifest, loaded.model) == (bundle.manifest, bundle.model)
        assert np.array_equal(loaded.golden.inputs, bundle.golden.inputs)

    check()
