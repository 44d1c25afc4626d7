"""What a deployed model is: a folder, or the same files in one zip, that holds all a device needs and nothing else.

    model.tflite    the network
    manifest.json   what it expects, what it answers, where it comes from, how well it did
    labels.txt      the labels, one a line
    golden.npz      `frames`, the `inputs` they must become and the `outputs` they must give

`Bundle.load` checks that the files belong together; `leukolite.classifier.open_classifier` goes on to check the tensors and the
golden outputs on the runtime at hand.
"""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from leukolite.errors import BundleError, reason_of
from leukolite.files import new_folder
from leukolite.folder_kinds import what_folder
from leukolite.manifest import READABLE, Manifest
from leukolite.names import look_alikes
from leukolite.places import problem_at
from leukolite.schema import newer_schema
from leukolite.textfiles import decode_text, parse_json
from leukolite.wording import shown_json

MODEL, MANIFEST, LABELS, GOLDEN, CARD = "model.tflite", "manifest.json", "labels.txt", "golden.npz", "README.md"
MAX_FILE_BYTES = 256_000_000  # of a model or the golden arrays
MAX_TEXT_BYTES = 16_000_000  # of manifest and labels, which fill 0.1 MB

_DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)  # RuntimeError: encrypted, or an unknown compression


@dataclass(frozen=True)
class Golden:
    """Synthetic captures and what must become of them.

    Attributes:
        frames: uint8 RGB, shape (n, height, width, 3), at a capture's resolution.
        inputs: what preprocessing makes of them, shape (n, input height, input width, 3), of the input tensor's type.
        outputs: float32 probabilities of the reference runtime, shape (n, classes), before any temperature.
    """

    frames: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray

    def to_bytes(self) -> bytes:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, frames=self.frames, inputs=self.inputs, outputs=self.outputs)
        return buffer.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> "Golden":
        """Raises: ValueError, KeyError, OSError or one of `_DAMAGED_ZIP` on anything but three plain arrays."""
        with zipfile.ZipFile(io.BytesIO(data)) as archive:  # it checks each array's sum before NumPy reads the array
            infos = [archive.getinfo(f"{name}.npy") for name in ("frames", "inputs", "outputs")]
            if sum(info.file_size for info in infos) > MAX_FILE_BYTES:
                raise ValueError(f"its arrays are larger than {MAX_FILE_BYTES // 1_000_000} MB")
            files = [io.BytesIO(archive.read(info)) for info in infos]
        return Golden(*(np.lib.format.read_array(file, allow_pickle=False) for file in files))


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files were checked to belong together."""

    path: Path
    manifest: Manifest
    model: bytes
    golden: Golden
    compiled: dict[str, bytes] = field(default_factory=dict)

    def model_for(self, target: str) -> bytes:
        """The model compiled for an accelerator, else the one that runs anywhere."""
        return self.compiled.get(target, self.model)

    @staticmethod
    def load(path: Path) -> "Bundle":
        """Read a bundle and check its schema, hash, labels and golden arrays.

        Args:
            path: the bundle's folder, or its zip file.

        Raises:
            BundleError: names the field, what was expected and what was found.
        """
        manifest_bytes = _member(path, MANIFEST)
        manifest = _parse_manifest(path, manifest_bytes)
        model = _member(path, MODEL)
        found = hashlib.sha256(model).hexdigest()
        if found != manifest.model_sha256:
            raise BundleError(
                f"{path}: {MODEL} does not match its manifest (sha256 {found[:12]}, expected {manifest.model_sha256[:12]});"
                " copy the bundle again"
            )
        _check_labels(path, _member(path, LABELS), manifest)
        return Bundle(path, manifest, model, _parse_golden(path, _member(path, GOLDEN), manifest), _compiled(path, manifest))


def write_bundle(
    path: Path,
    manifest: Manifest,
    model: bytes,
    golden: Golden,
    card: str,
    compiled: Mapping[str, bytes] | None = None,
    *,
    force: bool = False,
) -> None:
    """Write a bundle's folder whole or not at all.

    Args:
        compiled: target -> model, of those that the manifest gives a file.
        force: replace a bundle at `path`.

    Raises:
        LeukoliteError: `path` is taken, or cannot be written.
    """
    with new_folder(path, replace_if_holds=MANIFEST, force=force) as folder:
        (folder / MODEL).write_bytes(model)
        (folder / MANIFEST).write_text(shown_json(manifest.model_dump_json(indent=1)) + "\n", encoding="utf-8")
        (folder / LABELS).write_text("".join(f"{label}\n" for label in manifest.labels), encoding="utf-8")
        (folder / GOLDEN).write_bytes(golden.to_bytes())
        (folder / CARD).write_text(card, encoding="utf-8")
        for one in manifest.compiled:
            if one.file is not None:
                (folder / one.file).write_bytes((compiled or {})[one.target])


def _compiled(path: Path, manifest: Manifest) -> dict[str, bytes]:
    found = {}
    for one in manifest.compiled:
        if one.file is None:
            continue
        found[one.target] = _member(path, one.file)
        if hashlib.sha256(found[one.target]).hexdigest() != one.sha256:
            raise BundleError(f"{path}: {one.file} does not match its manifest; copy the bundle again")
    return found


def _member(path: Path, name: str) -> bytes:
    most = MAX_TEXT_BYTES if name in (MANIFEST, LABELS) else MAX_FILE_BYTES
    if problem := problem_at(path, "file or folder", noun="bundle"):
        raise BundleError(f"{path}: {problem}; expected a folder or zip with {MODEL}, {MANIFEST}, {LABELS}, {GOLDEN}")
    try:
        if path.is_dir():
            file = path / name
            if not file.exists():
                what = None if name != MANIFEST or (path / MODEL).is_file() else what_folder(path)
                raise BundleError(
                    f"{path}: {name} is missing; expected a bundle with {MODEL}, {MANIFEST}, {LABELS}, {GOLDEN}"
                    if what is None
                    else f"{path}: this is {what}"
                )
            if problem := problem_at(file, "file"):
                raise BundleError(f"{file}: {problem}; copy the bundle again")
            if file.stat().st_size > most:
                raise BundleError(f"{file}: larger than {most // 1_000_000} MB; this is not one of leukolite's bundles")
            return file.read_bytes()
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(name)
            if info.file_size > most:
                raise BundleError(f"{path}: {name} is larger than {most // 1_000_000} MB; this is not one of leukolite's bundles")
            return archive.read(info)
    except KeyError as error:
        raise BundleError(f"{path}: the archive has no {name} at its top; {_what_archive(path)}") from error
    except _DAMAGED_ZIP as error:
        if zipfile.is_zipfile(path):
            remedy = "zip it without a password" if isinstance(error, RuntimeError) else "copy the bundle again"
            raise BundleError(f"{path}: the zip file cannot be read ({error}); {remedy}") from error
        raise BundleError(f"{path}: neither a bundle folder nor a whole zip file ({error}){_what_file(path)}") from error
    except OSError as error:
        raise BundleError(f"{path}: {name} cannot be read ({reason_of(error)})") from error


def _what_file(path: Path) -> str:
    """What a file is that is no zip, and what to do with it; empty where nobody can tell."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError:
        return ""
    if head[4:] == b"TFL3":
        return "; this is a TFLite model alone, and a bundle says what it expects and answers: convert the model it was made of"
    if head == b"\x89HDF\r\n\x1a\n":
        return "; this is a Keras model: convert it to a bundle first"
    if head[:2] in (b"\x1f\x8b", b"7z", b"Ra", b"BZ") or head[:4] == b"\xfd7zX":
        return "; this is another kind of archive: unpack it, and give the folder"
    return ""


def _what_archive(path: Path) -> str:
    """What a zip file is that is no bundle, and what to do with it."""
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    if "config.json" in names or "model.weights.h5" in names:
        return "this is a Keras model: convert it to a bundle first"
    if any(name.endswith(f"/{MANIFEST}") for name in names):
        return "zip the files of a bundle, not its folder"
    return f"expected a bundle's {MODEL}, {MANIFEST}, {LABELS} and {GOLDEN}"


def _parse_manifest(path: Path, data: bytes) -> Manifest:
    try:
        raw = parse_json(data)
    except ValueError as error:
        raise BundleError(f"{path}: {MANIFEST} {error}; copy the bundle again") from error
    if not isinstance(raw, dict):
        raise BundleError(f"{path}: {MANIFEST}: expected a JSON object, found a {type(raw).__name__}; copy the bundle again")
    version = raw.get("schema_version")
    if is_newer := newer_schema(raw, READABLE[-1]):
        raise BundleError(f"{path}: a bundle {is_newer}")
    if version not in READABLE or type(version) is not int:
        known = " or ".join(map(str, READABLE))
        raise BundleError(f"{path}: {MANIFEST} schema_version: expected {known}, found {version!r}; convert the run again")
    try:
        return Manifest.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        shown = repr(first.get("input"))[:80]
        raise BundleError(f"{path}: {MANIFEST} {where}: {first['msg']}, found {shown}") from error


def _check_labels(path: Path, data: bytes, manifest: Manifest) -> None:
    try:
        lines = decode_text(data).splitlines()
    except ValueError as error:
        raise BundleError(f"{path}: {LABELS} {error}, or copy the bundle again") from error
    if lines != manifest.labels:
        alike = look_alikes(lines, manifest.labels)
        raise BundleError(f"{path}: {LABELS} has {lines}, expected the manifest's labels {manifest.labels}{alike}")


def _parse_golden(path: Path, data: bytes, manifest: Manifest) -> Golden:
    try:
        golden = Golden.from_bytes(data)
    except (ValueError, KeyError, OSError, *_DAMAGED_ZIP) as error:
        raise BundleError(f"{path}: {GOLDEN} is damaged ({error}); copy the bundle again") from error
    n = golden.frames.shape[0] if golden.frames.ndim else 0
    expected = {
        "frames": (golden.frames, "uint8", (n, *golden.frames.shape[1:3], 3)),
        "inputs": (golden.inputs, manifest.input_tensor.dtype, (n, manifest.input.height, manifest.input.width, 3)),
        "outputs": (golden.outputs, "float32", (n, len(manifest.labels))),
    }
    for name, (array, dtype, shape) in expected.items():
        if 0 in shape or array.dtype != dtype or array.shape != shape:
            raise BundleError(
                f"{path}: {GOLDEN} {name}: expected {dtype} of shape {shape}, found {array.dtype} of shape {array.shape}"
            )
    return golden
