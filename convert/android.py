"""A bundle as what an Android Studio project takes: assets, Kotlin sources made from the manifest, a test of the golden outputs.

The assets are themselves a bundle: `edge-run --bundle DIR/app/src/main/assets` gives the verdicts that the phone gives.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from leukolite import __version__
from leukolite.bundle import CARD, GOLDEN, LABELS, MANIFEST, MODEL, Bundle, Golden, bundle_files
from leukolite.classifier import open_classifier
from leukolite.convert.archive import archive_of
from leukolite.convert.metadata import with_metadata
from leukolite.convert.terms import terms
from leukolite.decision import calibrate, decide
from leukolite.errors import ConversionError, LeukoliteError
from leukolite.files import check_replaceable, new_folder, write_file
from leukolite.golden_verdicts import VERDICTS
from leukolite.manifest import Manifest
from leukolite.runtime import TfliteRuntime
from leukolite.sums import SUMS, hash_of, sums_of, sums_text
from leukolite.wording import RESEARCH_USE, markdown, shown

ASSETS, KOTLIN, KOTLIN_TEST = "app/src/main/assets", "app/src/main/java/leukolite", "app/src/androidTest/java/leukolite"
TEMPLATES = {
    "README.md": "README.md.jinja",
    "NOTICE": "NOTICE.jinja",
    f"{KOTLIN}/Leukolite.kt": "Leukolite.kt.jinja",
    f"{KOTLIN}/LeukoliteClassifier.kt": "LeukoliteClassifier.kt.jinja",
    f"{KOTLIN_TEST}/LeukoliteGoldenTest.kt": "LeukoliteGoldenTest.kt.jinja",
}
FILES = (*TEMPLATES, *(f"{ASSETS}/{name}" for name in (MODEL, MANIFEST, LABELS, GOLDEN, VERDICTS, SUMS)))


@dataclass(frozen=True)
class Export:
    """What was written: the manifest, with the new model's hash, the hash of the bundle that the assets are, and each file's
    path below the folder and content."""

    manifest: Manifest
    sha256: str
    files: dict[str, bytes]


def export_android(bundle: Bundle, out: Path, zip_path: Path | None = None, *, force: bool = False) -> Export:
    """Write the Android project's files of a bundle, whole or not at all.

    Args:
        bundle: its model must have uint8 or float32 input and output.
        out: folder to write.
        zip_path: the same files in one archive too, the same bytes for the same bundle.
        force: replace an earlier export at `out` that holds nothing else, and the archive.

    Raises:
        ConversionError: the model is not one that Android's readers take.
        BundleError: the bundle, or what became of it, fails its golden outputs here.
        LeukoliteError: the place holds something else, or cannot be written.
    """
    check_place(out, force)
    open_classifier(bundle)
    model = with_metadata(bundle.model, bundle.manifest)
    _check_same_network(bundle, model)
    manifest = bundle.manifest.model_copy(update={"model_sha256": hashlib.sha256(model).hexdigest(), "compiled": []})
    assets = bundle_files(manifest, model, bundle.golden, "") | {GOLDEN: _stored_golden(bundle.golden)}
    for name in (CARD, SUMS):  # the folder's own README holds what the card says; the sums are those of these files
        del assets[name]
    sums = sums_of(assets)
    assets[SUMS] = sums_text(sums).encode()
    files = {f"{ASSETS}/{name}": content for name, content in assets.items()}
    files |= {name: text.encode() for name, text in _render(manifest, bundle.golden, hash_of(sums)).items()}
    with new_folder(out, replace_if_holds=f"{ASSETS}/{MANIFEST}", force=force) as folder:
        for name, content in files.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        open_classifier(Bundle.load(folder / ASSETS))
    if zip_path is not None:
        write_file(zip_path, archive_of(files), force=force)
    return Export(manifest, hash_of(sums), files)


def check_place(out: Path, force: bool) -> None:
    """An export is replaced by `force`, an Android project into which one was copied never.

    Raises:
        LeukoliteError: `out` is taken, or cannot be written.
    """
    check_replaceable(out, f"{ASSETS}/{MANIFEST}", force=True)
    ours = {PurePosixPath(name) for name in FILES}
    for path in sorted(out.rglob("*")):
        if not path.is_dir() and PurePosixPath(path.relative_to(out).as_posix()) not in ours:
            raise LeukoliteError(f"{path}: not part of an export, and would be lost; export to an empty folder and copy")
    check_replaceable(out, f"{ASSETS}/{MANIFEST}", force=force)


def _check_same_network(bundle: Bundle, model: bytes) -> None:
    """Raises: ConversionError, where rewriting the file changed what it computes."""
    before, after = TfliteRuntime(bundle.model), TfliteRuntime(model)
    for i in range(len(bundle.golden.inputs)):
        batch = bundle.golden.inputs[i : i + 1]
        if not np.array_equal(before.invoke(batch), after.invoke(batch)):
            raise ConversionError(f"{bundle.path}: the model with metadata gives another output for golden input {i}")


def _stored_golden(golden: Golden) -> bytes:
    """golden.npz without compression and without 64-bit zip fields: every Android version reads it."""
    return archive_of({f"{name}.npy": _npy(array) for name, array in vars(golden).items()})


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _render(manifest: Manifest, golden: Golden, sha256: str) -> dict[str, str]:
    """The texts, path -> content.

    Args:
        sha256: of the bundle that the assets are.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("leukolite.convert"),
        undefined=StrictUndefined,
        autoescape=False,  # Kotlin and Markdown, no HTML
        finalize=lambda value: shown(value) if isinstance(value, str) else value,
        keep_trailing_newline=True,
    )
    environment.filters["kotlin"] = _kotlin
    environment.filters["markdown"] = markdown
    abstain, malignant = manifest.decision.abstain, [manifest.labels.index(label) for label in manifest.malignant]
    verdicts = [decide(calibrate(row, manifest.decision.temperature), manifest.decision, malignant) for row in golden.outputs]
    values = {
        "version": __version__,
        "research_use": RESEARCH_USE,
        "manifest": manifest,
        "sha256": sha256,
        "terms": terms(manifest.training),
        "malignant": malignant,
        "abstain": "null" if abstain is None else f"{abstain[0]!r}..{abstain[1]!r}",
        "tolerance": manifest.golden.tolerance["litert"],
        "golden_labels": ["abstain" if index is None else manifest.labels[index] for index in verdicts],
    }
    return {name: environment.get_template(template).render(values) for name, template in TEMPLATES.items()}


def _kotlin(value: str | float | None) -> str:
    """A Kotlin literal."""
    if isinstance(value, str):
        return f'"{"".join(map(_kotlin_character, value))}"'
    return "null" if value is None else repr(value)


def _kotlin_character(char: str) -> str:
    if char in '"$\\':
        return f"\\{char}"
    if char.isascii() and char.isprintable():
        return char
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))
