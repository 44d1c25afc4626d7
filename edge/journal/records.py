"""What a journal records: frames, their verdicts, gaps, health, and what was done to the session.

Plain data that says nothing of how it is kept: `leukolite.edge.journal.format` seals it into lines, `leukolite.edge.journal.writer` puts
them on disk, `leukolite.edge.journal.sink` makes it of what the pipeline hands to its sinks.
"""

import hashlib
import hmac
import os
import platform
import secrets
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from leukolite import __version__
from leukolite.bundle import Bundle
from leukolite.errors import JournalError
from leukolite.manifest import Manifest, Sha256, Unit

SLIDE_DIGITS = 16  # of the HMAC: 64 bits, more slides than a laboratory will ever have
SALT_BYTES = 32
_PACKAGES = ("numpy", "opencv-python-headless", "pillow", "ai-edge-litert", "tflite-runtime")

Milliseconds = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Picture = Annotated[str, StringConstraints(pattern=r"^frames/[0-9]{9}\.png$")]  # never a path out of the session's folder
Box = tuple[int, int, int, int]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SourceSettings(_Part):
    """What opens the source again: `edge-run`'s --camera or --source, and --seed."""

    camera: Text | None = None
    path: Text | None = None
    seed: int = 0

    @model_validator(mode="after")
    def _one_of_both(self) -> "SourceSettings":
        if (self.camera is None) == (self.path is None):
            raise ValueError("a source is a camera or a path")
        return self


class Validation(_Part):
    """How the model did on images it was not trained on, malignant against the rest; counts of verdicts that were given.

    Attributes:
        sigma: noise level of these counts, grey levels.
        malignant, hits: malignant images, and those of them that were called malignant.
        others, rejections: the other images, and those of them that were not called malignant.
    """

    sigma: float = Field(ge=0)
    malignant: int = Field(ge=0)
    hits: int = Field(ge=0)
    others: int = Field(ge=0)
    rejections: int = Field(ge=0)

    @model_validator(mode="after")
    def _parts_of_a_whole(self) -> "Validation":
        if self.hits > self.malignant or self.rejections > self.others:
            raise ValueError("more right verdicts than images")
        return self


class StartRecord(_Part):
    """The first record of every journal: who judges, what is judged, how.

    Attributes:
        bundle: where the bundle was found.
        manifest_sha256: of the manifest's content, see `manifest_sha256`; resuming and replaying ask for the very same.
        runtime: name of the runtime asked for; each frame says what ran.
        sigmas: noise levels added, grey levels; the first is the one that is counted.
        settings: every further setting that changes a verdict, as text.
        versions: of leukolite, Python, the machine and the libraries that touch pixels.
        slide: salted id of the slide, see `slide_id`.
        validation: what the blast fraction is corrected by; None where the bundle was not measured.
    """

    kind: Literal["start"] = "start"
    schema_version: Literal[1] = 1
    bundle: Text
    name: Name
    unit: Unit
    labels: tuple[Name, ...] = Field(min_length=2)
    malignant: tuple[Name, ...]
    manifest_sha256: Sha256
    model_sha256: Sha256
    runtime: Name
    threads: int = Field(ge=1)
    sigmas: tuple[Annotated[float, Field(ge=0)], ...] = Field(min_length=1)
    source: SourceSettings
    settings: dict[Name, Text] = {}
    versions: dict[Name, Text]
    slide: Name | None = None
    validation: Validation | None = None


class RuntimeRecord(_Part):
    """What really computed; `delegate` is None on the CPU."""

    name: Name
    version: Name
    threads: int = Field(ge=1)
    delegate: Text | None = None


class FrameRecord(_Part):
    """One frame. Its `verdicts` follow it, one record each.

    Attributes:
        source: file or camera.
        index: the frame's number in its source, from 0.
        captured_ns: the capturing clock's nanoseconds (monotonic; means nothing beyond the process).
        timed_by: 'sensor' or 'arrival', see `leukolite.edge.camera.source.Frame`.
        age_ms: from `captured_ns` to the last verdict.
        locate_ms: quality gate and locator.
        skipped: frames of a live camera passed over for this one.
        width, height: pixels.
        truth: the label it is known to have.
        excluded: why the whole frame was not judged; then no verdict follows.
        verdicts: how many verdict records follow; fewer in the file mean that the machine died in between.
        throttled: whether the processor was slowed down; None where nobody knows.
        pixels_sha256: see `pixels_sha256`; in a journal it is always there.
        picture: the frame's lossless picture within the session's folder; None where it was not kept.
    """

    kind: Literal["frame"] = "frame"
    source: Text
    index: int = Field(ge=0)
    captured_ns: int
    timed_by: Literal["sensor", "arrival"]
    age_ms: float
    locate_ms: Milliseconds
    skipped: int = Field(ge=0)
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    truth: Name | None = None
    excluded: Text | None = None
    verdicts: int = Field(ge=0)
    runtime: RuntimeRecord
    throttled: bool | None = None
    temperature_c: float | None = None
    pixels_sha256: Sha256 | None = None
    picture: Picture | None = None

    @model_validator(mode="after")
    def _excluded_has_no_verdict(self) -> "FrameRecord":
        if self.excluded is not None and self.verdicts:
            raise ValueError("a frame that was excluded has no verdicts")
        return self


class LatencyRecord(_Part):
    """Milliseconds, as `leukolite.classifier.Latency`."""

    capture: Milliseconds
    preprocess: Milliseconds
    invoke: Milliseconds
    total: Milliseconds


class VerdictRecord(_Part):
    """One verdict on one area of the frame before it, or why there is none.

    Attributes:
        index: the frame's number in its source.
        box: x0, y0, x1, y1 in the frame's pixels.
        sigma: noise that was added to the frame, grey levels.
        label: a label of the model's, or 'abstain'; None where the area was excluded.
        probability: calibrated, of the label, or of the top class where the model abstains.
        probabilities: calibrated, of each label in the manifest's order.
        excluded: why there is no verdict.
    """

    kind: Literal["verdict"] = "verdict"
    index: int = Field(ge=0)
    box: Box
    sigma: float = Field(ge=0)
    label: Name | None = None
    probability: Probability | None = None
    probabilities: tuple[Probability, ...] = ()
    latency_ms: LatencyRecord | None = None
    excluded: Text | None = None

    @model_validator(mode="after")
    def _verdict_or_reason(self) -> "VerdictRecord":
        given = (self.label is not None, self.probability is not None, bool(self.probabilities), self.latency_ms is not None)
        if len(set(given)) != 1 or given[0] == (self.excluded is not None):
            raise ValueError("a label with its probabilities and latency, or a reason why the area was excluded")
        return self


class GapRecord(_Part):
    """A frame that could not be had, or a time without a signal."""

    kind: Literal["gap"] = "gap"
    source: Text
    index: int = Field(ge=0)
    reason: Text


class HealthRecord(_Part):
    """The machine's state; None where it cannot be read."""

    kind: Literal["health"] = "health"
    conditions: tuple[Name, ...] = ()
    temperature_c: float | None = None
    clock_mhz: float | None = None
    throttle_mask: int | None = None
    memory_mb: float | None = None
    memory_free_mb: float | None = None
    disk_free_mb: float | None = None


EventName = Literal["note", "paused", "unpaused", "new slide", "resumed", "clock jumped", "recording stopped", "end"]


class EventRecord(_Part):
    """Something that was done to the session, or happened to it.

    'end' closes a session properly; only 'resumed' may follow it. 'recording stopped' says in `detail` why.
    """

    kind: Literal["event"] = "event"
    event: EventName
    detail: str = Field(default="", max_length=4000)
    slide: Name | None = None


Record = Annotated[
    StartRecord | FrameRecord | VerdictRecord | GapRecord | HealthRecord | EventRecord, Field(discriminator="kind")
]


def start_record(
    bundle: Bundle,
    *,
    runtime: str,
    threads: int,
    sigmas: Sequence[float],
    source: SourceSettings,
    settings: Mapping[str, str],
    slide: str | None = None,
) -> StartRecord:
    """What a session with this bundle begins with.

    Args:
        settings: every setting beside these that changes a verdict.
        slide: a salted id, never a name.
    """
    manifest = bundle.manifest
    return StartRecord(
        bundle=printable(str(bundle.path.resolve())),
        name=manifest.name,
        unit=manifest.unit,
        labels=tuple(manifest.labels),
        malignant=tuple(manifest.malignant),
        manifest_sha256=manifest_sha256(manifest),
        model_sha256=manifest.model_sha256,
        runtime=runtime,
        threads=threads,
        sigmas=tuple(sigmas),
        source=source,
        settings=dict(settings),
        versions=versions(),
        slide=slide,
        validation=validation_of(manifest, sigmas[0]),
    )


def validation_of(manifest: Manifest, sigma: float) -> Validation | None:
    """The manifest's confusion matrix at this noise level, malignant against the rest.

    Returns:
        None where the bundle has no matrix at this very level, or knows no malignant or no other label.
    """
    rows = [] if manifest.measured is None else [row for row in manifest.measured.results if row.sigma == sigma]
    is_malignant = np.array([label in manifest.malignant for label in manifest.labels])
    if not rows or is_malignant.all() or not is_malignant.any():
        return None
    confusion = np.array(rows[0].confusion)
    return Validation(
        sigma=sigma,
        malignant=int(confusion[is_malignant].sum()),
        hits=int(confusion[np.ix_(is_malignant, is_malignant)].sum()),
        others=int(confusion[~is_malignant].sum()),
        rejections=int(confusion[np.ix_(~is_malignant, ~is_malignant)].sum()),
    )


def manifest_sha256(manifest: Manifest) -> str:
    """SHA-256 of what a manifest says, which includes the model's own; fields at their defaults are left out, so that a
    later version of leukolite with a new field finds the same."""
    return hashlib.sha256(manifest.model_dump_json(exclude_defaults=True).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Of all that may change a pixel or a probability."""
    found = {"leukolite": __version__, "python": platform.python_version(), "machine": platform.machine()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # one of the two runtimes is enough
            continue
    return found


def pixels_sha256(pixels: np.ndarray) -> str:
    """SHA-256 of a frame's shape and uint8 RGB bytes: the same for the same picture, however it is stored."""
    digest = hashlib.sha256(f"{pixels.shape[1]}x{pixels.shape[0]}x{pixels.shape[2]} ".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def slide_id(name: str, salt: bytes) -> str:
    """A slide's name that does not tell the slide: HMAC-SHA256 under the laboratory's salt, 16 hex digits.

    Whoever has the salt can prove that an id is a given slide's; without it names cannot be tried out.
    """
    return hmac.new(salt, name.encode(), hashlib.sha256).hexdigest()[:SLIDE_DIGITS]


def load_salt(path: Path) -> bytes:
    """The laboratory's salt, 32 random bytes in a file that only its owner may read; made where there is none.

    Raises:
        JournalError: the file cannot be read or made, or is no salt.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            salt = path.read_bytes()
        else:
            salt = secrets.token_bytes(SALT_BYTES)
            with os.fdopen(fd, "wb") as file:
                file.write(salt)
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise JournalError(f"{path}: the salt of the slides' ids cannot be read or made ({error.strerror or error})") from error
    if len(salt) != SALT_BYTES:
        raise JournalError(f"{path}: expected a salt of {SALT_BYTES} bytes, found {len(salt)}; move it away to get a new one")
    return salt


def printable(text: str, limit: int = 4000) -> str:
    """Text that JSON can hold, one line of it: what a file name's odd bytes and line ends look like escaped."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    line = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in plain)
    return line[:limit] or "-"
