"""A bundle's own hash: what is not listed as it is, is refused by its name; what a user drops in does not break it in silence."""

import hashlib
import json
import re
import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from leukolite.bundle import CARD, GOLDEN, LABELS, MANIFEST, MODEL, UNSEALED, Bundle, bundle_files, write_bundle
from leukolite.cli import main as leukolite
from leukolite.errors import BundleError
from leukolite.golden_verdicts import VERDICTS
from leukolite.manifest import CompiledModel
from leukolite.sums import SUMS, hash_of, parse_sums, sums_of, sums_text

FILES = [MODEL, MANIFEST, LABELS, GOLDEN, CARD, VERDICTS]


def zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder))


def folder(path: Path) -> Path:
    return path


def flip(path: Path, position: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.parametrize("place", [folder, zipped])
def test_a_bundle_as_it_is_made_opens_without_a_note(sealed_folder, place):
    loaded = Bundle.load(place(sealed_folder))
    assert loaded.notes == ()
    assert loaded.sha256 == hashlib.sha256((sealed_folder / SUMS).read_bytes()).hexdigest()


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
def test_sha256sum_itself_reads_the_sums(sealed_folder):
    command = ["sha256sum", "--strict", "--check", SUMS]
    result = subprocess.run(command, cwd=sealed_folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert sorted(result.stdout.split()) == sorted(word for name in FILES for word in (f"{name}:", "OK"))


@pytest.mark.parametrize("place", [folder, zipped])
@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_of_any_file_is_refused_by_the_files_name(sealed_folder, name, place):
    path = sealed_folder / name
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    flip(path, path.stat().st_size // 2)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    said = rf": {re.escape(name)} is not what SHA256SUMS says \(expected sha256 {before[:12]}, found {found[:12]}\)"
    with pytest.raises(BundleError, match=said):
        Bundle.load(place(sealed_folder))


def test_every_byte_of_a_manifest_is_guarded(sealed_folder):
    path = sealed_folder / MANIFEST
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        flip(path, position, position % 8)
        with pytest.raises(BundleError, match=r"manifest\.json is not what SHA256SUMS says"):
            Bundle.load(sealed_folder)
        path.write_bytes(whole)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_listed_and_missing_is_named(sealed_folder, name):
    (sealed_folder / name).unlink()
    with pytest.raises(BundleError, match=rf"{re.escape(name)}.* is missing"):
        Bundle.load(sealed_folder)


@pytest.mark.parametrize("name", [MODEL, MANIFEST, LABELS, GOLDEN, VERDICTS])
def test_a_file_that_decides_something_must_be_listed(sealed_folder, name):
    sums = parse_sums((sealed_folder / SUMS).read_bytes())
    del sums[name]
    (sealed_folder / SUMS).write_text(sums_text(sums))
    with pytest.raises(BundleError, match=rf"SHA256SUMS does not list {re.escape(name)}, which would be read"):
        Bundle.load(sealed_folder)


def test_a_compiled_model_must_be_listed(tmp_path, manifest, tiny_model, golden):
    made = b"compiled"
    record = CompiledModel(target="edgetpu", file="model_edgetpu.tflite", sha256=hashlib.sha256(made).hexdigest(), compiler="c")
    with_it = manifest.model_copy(update={"compiled": [record]})
    write_bundle(tmp_path / "b", with_it, tiny_model, golden, "", {"edgetpu": made})
    assert Bundle.load(tmp_path / "b").compiled == {"edgetpu": made}
    sums = parse_sums((tmp_path / "b" / SUMS).read_bytes())
    del sums["model_edgetpu.tflite"]
    (tmp_path / "b" / SUMS).write_text(sums_text(sums))
    with pytest.raises(BundleError, match=r"SHA256SUMS does not list model_edgetpu\.tflite"):
        Bundle.load(tmp_path / "b")


BROKEN = {
    "empty": b"",
    "no sums": b"hello\n",
    "a short sum": b"abc  manifest.json\n",
    "capitals": b"A" * 64 + b"  manifest.json\n",
    "a path out of the bundle": b"a" * 64 + b"  ../manifest.json\n",
    "an absolute path": b"a" * 64 + b"  /etc/passwd\n",
    "a path below": b"a" * 64 + b"  frames/1.png\n",
    "a hidden name": b"a" * 64 + b"  .hidden\n",
    "one space": b"a" * 64 + b" manifest.json\n",
    "twice": (b"a" * 64 + b"  manifest.json\n") * 2,
    "no UTF-8": b"\xff\xfe\n",
    "zero bytes": b"\0" * 100,
}


@pytest.mark.parametrize("case", BROKEN)
def test_sums_that_are_none_are_refused_in_one_line(sealed_folder, case):
    (sealed_folder / SUMS).write_bytes(BROKEN[case])
    with pytest.raises(BundleError, match=r"SHA256SUMS .*; copy the bundle again") as caught:
        Bundle.load(sealed_folder)
    assert "\n" not in str(caught.value)


def test_the_order_of_the_lines_and_their_marks_do_not_change_a_bundles_hash(sealed_folder):
    before = Bundle.load(sealed_folder).sha256
    lines = (sealed_folder / SUMS).read_text().replace("  ", " *").splitlines()
    (sealed_folder / SUMS).write_bytes("\r\n".join(reversed(lines)).encode())
    assert Bundle.load(sealed_folder).sha256 == before


def test_a_bundle_without_sums_opens_with_one_note_and_a_hash(bundle_folder):
    loaded = Bundle.load(bundle_folder)
    assert loaded.notes == (f"{bundle_folder}: {UNSEALED}",)
    files = {path.name: path.read_bytes() for path in bundle_folder.iterdir()}
    assert loaded.sha256 == hash_of(sums_of(files))


def test_an_older_bundle_is_sealed_by_sha256sum_and_keeps_its_hash(bundle_folder):
    before = Bundle.load(bundle_folder).sha256
    sums = sums_of({path.name: path.read_bytes() for path in bundle_folder.iterdir()})
    (bundle_folder / SUMS).write_text(sums_text(sums))
    sealed = Bundle.load(bundle_folder)
    assert (sealed.sha256, sealed.notes) == (before, ())


@pytest.mark.parametrize("place", [folder, zipped])
def test_hidden_files_and_folders_are_harmless(sealed_folder, place):
    (sealed_folder / ".DS_Store").write_bytes(b"x")
    (sealed_folder / "__MACOSX").mkdir()
    (sealed_folder / "__MACOSX" / "x").write_bytes(b"x")
    assert Bundle.load(place(sealed_folder)).notes == ()


@pytest.mark.parametrize("place", [folder, zipped])
def test_a_file_of_the_users_is_said_and_not_read(sealed_folder, place):
    for name in ("notes.txt", "a.csv"):
        (sealed_folder / name).write_text("mine")
    path = place(sealed_folder)
    (note,) = Bundle.load(path).notes
    assert note == f"{path}: a.csv, notes.txt: no part of the bundle (SHA256SUMS does not list it), and not read"


def test_many_files_of_the_users_are_one_short_note(sealed_folder):
    for i in range(200):
        (sealed_folder / f"{i:03}.png").touch()
    (note,) = Bundle.load(sealed_folder).notes
    assert "000.png, 001.png, 002.png and 197 more" in note


def test_a_card_with_the_users_notes_is_refused_with_the_way_out(sealed_folder):
    (sealed_folder / CARD).write_text("my notes")
    with pytest.raises(BundleError, match=r"README\.md is not what .*, notes of your own go into another file"):
        Bundle.load(sealed_folder)


def test_line_ends_that_were_changed_on_the_way_are_called_by_their_name(sealed_folder):
    for name in (MANIFEST, LABELS):
        path = sealed_folder / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(BundleError, match=r"labels\.txt is not what .*, its line ends were changed: copy it as binary"):
        Bundle.load(sealed_folder)


def test_sums_in_a_zip_list_its_own_files(sealed_folder):
    path = zipped(sealed_folder)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("below/model.tflite", b"other")
    assert Bundle.load(path).notes == ()


@pytest.mark.parametrize(("gone", "sign"), [((SUMS,), VERDICTS), ((SUMS, VERDICTS), CARD)])
def test_a_bundle_that_was_made_with_sums_is_refused_without_them(tiny_bundle, tmp_path, call, gone, sign):
    """By its golden verdicts, or by the card that it got where it was converted; sealed again it opens."""
    folder = Path(shutil.copytree(tiny_bundle, tmp_path / "copy"))
    for name in gone:
        (folder / name).unlink()
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["decision"] = {"temperature": 1.0, "threshold": 0.1, "abstain": None}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(
        BundleError, match=rf"SHA256SUMS is missing, and by its {sign} it was made with one; copy the whole bundle"
    ):
        Bundle.load(folder)
    (folder / CARD).write_text((folder / CARD).read_text().replace("\n", "\r\n"))
    with pytest.raises(BundleError, match=r"SHA256SUMS is missing, and by its (golden|README)"):
        Bundle.load(folder)


def test_the_command_line_says_a_note_once_and_goes_on(bundle_folder, call):
    result = call(leukolite, "info", bundle_folder)
    assert result.exit_code == 0
    assert result.stderr == f"note: {bundle_folder}: {UNSEALED}\n"


def test_info_shows_the_whole_hash(sealed_folder, call):
    result = call(leukolite, "info", sealed_folder)
    assert Bundle.load(sealed_folder).sha256 in result.stdout
    assert result.stderr == ""


def test_what_is_put_together_in_memory_has_no_hash(bundle, manifest, tiny_model, golden):
    assert Bundle(Path("b"), manifest, tiny_model, golden).sha256 == ""
    assert replace(bundle, manifest=manifest).sha256 == bundle.sha256


def test_the_same_bundle_has_the_same_hash_wherever_it_lies(sealed_folder, tmp_path, manifest, tiny_model, golden):
    files = bundle_files(manifest, tiny_model, golden, "# tiny\n")
    assert hash_of({name: total for name, total in sums_of(files).items() if name != SUMS}) == Bundle.load(sealed_folder).sha256
    shutil.copytree(sealed_folder, tmp_path / "elsewhere")
    assert Bundle.load(tmp_path / "elsewhere").sha256 == Bundle.load(zipped(sealed_folder)).sha256
    assert np.array_equal(Bundle.load(tmp_path / "elsewhere").golden.frames, golden.frames)
