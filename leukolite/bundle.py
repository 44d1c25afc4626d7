"""What a deployed model is: a folder, or the same files in one zip, that holds all a device needs and nothing else.

    model.tflite    the network
    manifest.json   what it expects, what it answers, where it comes from, how well it did
    labels.txt      the labels, one a line
    golden.npz      `frames`, the `inputs` they must become and the `outputs` they must give
    golden-verdicts.json   what the manifest decides, see `leukolite.golden_verdicts`
    README.md       the card, for people
    SHA256SUMS      the hash of each, see `leukolite.sums`

`Bundle.load` checks that the files belong together; `leukolite.classifier.open_classifier` goes on to check the tensors and the
golden outputs on the runtime at hand.
"""

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from leukolite.errors import BundleError, reason_of
from leukolite.files import new_folder
from leukolite.folder_kinds import what_folder
from leukolite.golden_verdicts import VERDICTS, GoldenVerdicts, contradiction, golden_verdicts
from leukolite.manifest import READABLE, Manifest
from leukolite.names import look_alikes
from leukolite.npz import read_npz
from leukolite.places import problem_at
from leukolite.regular_file import open_regular
from leukolite.schema import newer_schema
from leukolite.sums import SUMS, has_other_line_ends, hash_of, mismatch, parse_sums, sums_of, sums_text
from leukolite.textfiles import decode_text, parse_json
from leukolite.wording import shown_json
from leukolite.zip_members import DAMAGED, open_zip, read_member

MODEL, MANIFEST, LABELS, GOLDEN, CARD = "model.tflite", "manifest.json", "labels.txt", "golden.npz", "README.md"
_PARTS = (MANIFEST, MODEL, LABELS, GOLDEN)  # without which there is no bundle
MAX_FILE_BYTES = 125_000_000  # of the models together: a runtime copies them, and a small machine gives 400 MB to all of it
MAX_ZIP_BYTES = MAX_FILE_BYTES + 100_000_000  # of all members, unpacked
MAX_GOLDEN_BYTES = 64_000_000  # of the golden arrays, which fill 2 MB
MAX_TEXT_BYTES = 16_000_000  # of manifest and labels, which fill 0.1 MB
_LIMITS = {GOLDEN: MAX_GOLDEN_BYTES} | dict.fromkeys((MANIFEST, LABELS, SUMS, VERDICTS, CARD), MAX_TEXT_BYTES)
MOST_OTHER_VALUES = 50_000  # of a manifest, beside the lists of the images that were seen; 1,000 are usual

_SEAL = "or seal it if you trust it (docs/reference/bundle.md)"
UNSEALED = (  # said of a bundle without sums
    f"has no hash over all its files ({SUMS}): they cannot be checked, and a change of its manifest could go unnoticed; convert"
    f" again, {_SEAL}"
)
_OF_SEALED = re.compile(rb"^## Terms\s*$", re.MULTILINE)  # a section that cards have since bundles have sums


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
        """Raises: ValueError, KeyError, OSError or one of `zip_members.DAMAGED` on anything but three plain arrays."""
        arrays = read_npz(data, MAX_GOLDEN_BYTES)
        return Golden(arrays["frames"], arrays["inputs"], arrays["outputs"])


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files were checked to belong together.

    Attributes:
        compiled: target -> model, of those that were compiled for an accelerator.
        sha256: the hash over all its files, see `leukolite.sums`; empty for one that was put together in memory.
        notes: what is to be said of it, in a line each.
    """

    path: Path
    manifest: Manifest
    model: bytes
    golden: Golden
    compiled: dict[str, bytes] = field(default_factory=dict)
    sha256: str = ""
    notes: tuple[str, ...] = ()

    def model_for(self, target: str) -> bytes:
        """The model compiled for an accelerator, else the one that runs anywhere."""
        return self.compiled.get(target, self.model)

    @staticmethod
    def load(path: Path) -> "Bundle":
        """Read a bundle and check its sums, schema, labels, golden arrays and golden verdicts.

        Args:
            path: the bundle's folder, or its zip file.

        Raises:
            BundleError: names the file or field, what was expected and what was found.
        """
        files = _read(path)
        found = sums_of({name: content for name, content in files.items() if name != SUMS})
        listed, notes = _check_sums(path, files, found)
        bundle = _parsed(path, files, found)
        read = [one.file for one in bundle.manifest.compiled if one.file is not None]
        if listed is None:
            found |= sums_of({name: files[name] for name in read})
        elif trouble := mismatch(listed, listed, read):
            raise BundleError(f"{path}: {trouble[1]}; copy the bundle again")
        if VERDICTS in files:
            _check_verdicts(path, files[VERDICTS], bundle)
        return replace(bundle, sha256=hash_of(listed or found), notes=notes)

    @staticmethod
    def load_trusted(path: Path) -> "Bundle":
        """As `load`, but whatever the bundle's sums and golden verdicts say: for who writes them anew."""
        files = {name: _member(path, name) for name in _PARTS}
        return _parsed(path, files, sums_of(files))


def bundle_files(
    manifest: Manifest, model: bytes, golden: Golden, card: str, compiled: Mapping[str, bytes] | None = None
) -> dict[str, bytes]:
    """Every file of a bundle, by name.

    Args:
        compiled: target -> model, of those that the manifest gives a file.
    """
    made = compiled or {}
    files = {
        MODEL: model,
        MANIFEST: (shown_json(manifest.model_dump_json(indent=1)) + "\n").encode(),
        LABELS: "".join(f"{label}\n" for label in manifest.labels).encode(),
        GOLDEN: golden.to_bytes(),
        VERDICTS: golden_verdicts(manifest, golden.outputs).to_bytes(),
        CARD: card.encode(),
        **{one.file: made[one.target] for one in manifest.compiled if one.file is not None},
    }
    return files | {SUMS: sums_text(sums_of(files)).encode()}


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
        for name, content in bundle_files(manifest, model, golden, card, compiled).items():
            (folder / name).write_bytes(content)


def _parsed(path: Path, files: dict[str, bytes], sums: Mapping[str, str]) -> Bundle:
    """A bundle of its files' contents; compiled models that are not among them are added."""
    manifest = _parse_manifest(path, files[MANIFEST])
    if sums[MODEL] != manifest.model_sha256:
        raise BundleError(
            f"{path}: {MODEL} does not match its manifest (sha256 {sums[MODEL][:12]}, expected {manifest.model_sha256[:12]});"
            " copy the bundle again"
        )
    _check_labels(path, files[LABELS], manifest)
    golden = _parse_golden(path, files[GOLDEN], manifest)
    return Bundle(path, manifest, files[MODEL], golden, _compiled(path, manifest, files))


def _read(path: Path) -> dict[str, bytes]:
    """The files that every bundle has, those that its sums list, and those that stand for themselves where it has none."""
    files, names = {name: _member(path, name) for name in _PARTS}, _names(path)
    files |= {name: _member(path, name) for name in (SUMS, VERDICTS, CARD) if name in names}
    for name in _listed(path, files) or ():
        if name not in names:
            raise BundleError(f"{path}: {name}, which {SUMS} lists, is missing; copy the whole bundle again")
        if name not in files:
            files[name] = _member(path, name, _left(files))
    return files


def _left(files: Mapping[str, bytes]) -> int:
    """How many bytes further models may have beside what was read of a bundle."""
    return MAX_FILE_BYTES - sum(len(content) for name, content in files.items() if name not in _LIMITS)


def _listed(path: Path, files: Mapping[str, bytes]) -> dict[str, str] | None:
    """What `SHA256SUMS` says; None where there is none."""
    if SUMS not in files:
        return None
    try:
        return parse_sums(files[SUMS])
    except ValueError as error:
        raise BundleError(f"{path}: {SUMS} {error}; copy the bundle again") from error


def _check_sums(
    path: Path, files: Mapping[str, bytes], found: Mapping[str, str]
) -> tuple[dict[str, str] | None, tuple[str, ...]]:
    """Hold a bundle's files against its `SHA256SUMS`.

    Args:
        found: their sums.

    Returns:
        The sums that are listed, None where there are none; and the notes.
    """
    listed = _listed(path, files)
    if listed is None:
        sign = VERDICTS if VERDICTS in files else CARD if _OF_SEALED.search(files.get(CARD, b"")) else None
        if sign is not None:
            raise BundleError(
                f"{path}: {SUMS} is missing, and by its {sign} it was made with one; copy the whole bundle again, {_SEAL}"
            )
        return None, (f"{path}: {UNSEALED}",)
    read = [name for name in (*_PARTS, VERDICTS) if name in files]
    if (trouble := mismatch(listed, found, read)) is not None:
        name, text = trouble
        why = ", its line ends were changed: copy it as binary" * has_other_line_ends(files[name], listed.get(name, ""))
        own = ", notes of your own go into another file" * (name == CARD)
        raise BundleError(f"{path}: {text}{why}{own}; copy the bundle again, or convert again if the change is wanted")
    stray = sorted(name for name in _names(path) if name not in listed and name != SUMS and not name.startswith("."))
    shown = ", ".join(stray[:3]) + (f" and {len(stray) - 3} more" if len(stray) > 3 else "")
    return listed, (f"{path}: {shown}: no part of the bundle ({SUMS} does not list it), and not read",) if stray else ()


def _check_verdicts(path: Path, data: bytes, bundle: Bundle) -> None:
    try:
        expected = GoldenVerdicts.from_bytes(data)
    except ValueError as error:
        raise BundleError(f"{path}: {VERDICTS} {error}; copy the bundle again") from error
    if trouble := contradiction(expected, bundle.manifest, bundle.golden.outputs):
        raise BundleError(
            f"{path}: {MANIFEST} contradicts {VERDICTS}, {trouble}; one of them was changed, or this installation decides"
            " otherwise: copy the bundle again"
        )


def _names(path: Path) -> set[str]:
    """The names of the files at a bundle's top."""
    try:
        if path.is_dir():
            return {file.name for file in path.iterdir() if not file.is_dir()}
        with open_regular(path) as whole, open_zip(whole, MAX_ZIP_BYTES) as archive:
            return {name for name in archive.namelist() if "/" not in name}
    except (OSError, ValueError, *DAMAGED) as error:
        raise BundleError(f"{path}: cannot be read ({error}); copy the bundle again") from error


def _compiled(path: Path, manifest: Manifest, files: dict[str, bytes]) -> dict[str, bytes]:
    """The compiled models, target -> content; those that no sums list are added to `files`."""
    found = {}
    for one in manifest.compiled:
        if one.file is None:
            continue
        if one.file not in files:
            files[one.file] = _member(path, one.file, _left(files))
        found[one.target] = files[one.file]
        if hashlib.sha256(found[one.target]).hexdigest() != one.sha256:
            raise BundleError(f"{path}: {one.file} does not match its manifest; copy the bundle again")
    return found


def _member(path: Path, name: str, left: int = MAX_FILE_BYTES) -> bytes:
    """A file's bytes; `left`: how many a model may have beside what was read of the bundle."""
    most = _LIMITS.get(name, left)
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
            if not file.resolve().is_relative_to(path.resolve()):
                raise BundleError(f"{file}: a link out of the bundle (to {file.resolve()}); put the file itself there")
            if file.stat().st_size > most:
                raise BundleError(f"{file}: larger than {most // 1_000_000} MB; this is not one of leukolite's bundles")
            with open_regular(file) as content:
                return content.read(most)
        with open_regular(path) as whole, open_zip(whole, MAX_ZIP_BYTES) as archive:
            info = archive.getinfo(name)
            if info.file_size > most:
                raise BundleError(f"{path}: {name} is larger than {most // 1_000_000} MB; this is not one of leukolite's bundles")
            return read_member(archive, info)
    except KeyError as error:
        raise BundleError(f"{path}: the archive has no {name} at its top; {_what_archive(path)}") from error
    except ValueError as error:
        raise BundleError(f"{path}: {error}; zip the files of a bundle, and nothing else") from error
    except DAMAGED as error:
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
    training = raw.get("training")
    seen = sum(len(value) for value in training.values() if isinstance(value, list)) if isinstance(training, dict) else 0
    if data.count(b",") - seen > MOST_OTHER_VALUES:  # each could be an error of its own, of a kilobyte
        raise BundleError(f"{path}: {MANIFEST} has more than {MOST_OTHER_VALUES:,} values; copy the bundle again")
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
    except (ValueError, KeyError, OSError, *DAMAGED) as error:
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
