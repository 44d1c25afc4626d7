import hashlib
import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from leukolite.bundle import CARD, GOLDEN, LABELS, MANIFEST, MODEL, Bundle, Golden, write_bundle
from leukolite.errors import BundleError, LeukoliteError
from leukolite.manifest import Manifest

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


def test_a_bundle_is_five_files(bundle_folder):
    assert sorted(path.name for path in bundle_folder.iterdir()) == sorted([*PARTS, CARD])


def test_a_bundle_replaces_an_older_one(bundle_folder, manifest, tiny_model, golden):
    (bundle_folder / "stray").touch()
    write_bundle(bundle_folder, manifest.model_copy(update={"name": "newer"}), tiny_model, golden, "")
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
    with pytest.raises(BundleError, match=r"neither a bundle folder nor a whole zip file .*encrypted"):
        Bundle.load(path)


def test_a_model_of_another_hash_is_refused(bundle_folder):
    model = (bundle_folder / MODEL).read_bytes() + b"\0"
    (bundle_folder / MODEL).write_bytes(model)
    with pytest.raises(BundleError, match=rf"model\.tflite does not match .*sha256 {hashlib.sha256(model).hexdigest()[:12]}"):
        Bundle.load(bundle_folder)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe\xfa", b"schema_version: 1"])
def test_a_manifest_that_is_not_json_is_refused(bundle_folder, text):
    (bundle_folder / MANIFEST).write_bytes(text)
    with pytest.raises(BundleError, match=r"manifest\.json is not JSON"):
        Bundle.load(bundle_folder)


@pytest.mark.parametrize("text", ["[]", "1", "{}", '{"schema_version": 4}', '{"schema_version": "1"}'])
def test_an_unknown_schema_version_is_refused(bundle_folder, text):
    (bundle_folder / MANIFEST).write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json schema_version: expected 1 or 2 or 3, found"):
        Bundle.load(bundle_folder)


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


@pytest.mark.parametrize("text", ["", "blast\nhealthy\n", "healthy\nblast\nother\n", "\ufeffhealthy\nblast\n"])
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
