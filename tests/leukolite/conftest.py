"""A real bundle small enough for every test: the network of tests/data/make_tiny_model.py, which tells red from blue."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from leukolite.bundle import Bundle, Golden, write_bundle
from leukolite.decision import Decision
from leukolite.golden_verdicts import VERDICTS
from leukolite.manifest import GoldenSpec, Manifest, TensorFormat
from leukolite.preprocess import InputSpec, to_input
from leukolite.runtime import TfliteRuntime
from leukolite.sums import SUMS

TINY = Path(__file__).parent.parent / "data" / "tiny.tflite"

settings.register_profile("leukolite", deadline=None, max_examples=50, derandomize=True)  # busy machines are slow, not wrong
settings.load_profile("leukolite")


@pytest.fixture(scope="session")
def tiny_model() -> bytes:
    return TINY.read_bytes()


@pytest.fixture(scope="session")
def manifest(tiny_model: bytes) -> Manifest:
    """Red is healthy, blue is a blast."""
    return Manifest(
        schema_version=1,
        name="tiny",
        unit="cell",
        labels=["healthy", "blast"],
        malignant=["blast"],
        input=InputSpec(height=32, width=32),
        input_tensor=TensorFormat(dtype="uint8", scale=1 / 255),
        output_tensor=TensorFormat(dtype="uint8", scale=1 / 256),
        decision=Decision(),
        model_sha256=hashlib.sha256(tiny_model).hexdigest(),
        golden=GoldenSpec(runtime="litert", tolerance={"litert": 0.01}),
        training=None,
        measured=None,
    )


@pytest.fixture(scope="session")
def golden(manifest: Manifest, tiny_model: bytes) -> Golden:
    """Three noisy captures, 40 high and 48 wide: reddish, bluish, between."""
    colours = np.array([[170, 120, 100], [100, 120, 170], [140, 120, 120]])
    noise = np.random.default_rng(0).integers(-40, 41, (3, 40, 48, 3))
    frames = (colours[:, np.newaxis, np.newaxis] + noise).astype(np.uint8)
    inputs = np.concatenate([to_input(frame, manifest.input, None) for frame in frames])
    runtime = TfliteRuntime(tiny_model)
    return Golden(frames, inputs, np.stack([runtime.invoke(batch[np.newaxis]) for batch in inputs]))


@pytest.fixture
def bundle_folder(tmp_path: Path, manifest: Manifest, tiny_model: bytes, golden: Golden) -> Path:
    """A sound bundle that a test may damage: without sums, so that the damage is found by the check that is meant for it."""
    folder = tmp_path / "tiny"
    write_bundle(folder, manifest, tiny_model, golden, "# tiny\n")
    for name in (SUMS, VERDICTS):
        (folder / name).unlink()
    return folder


@pytest.fixture
def sealed_folder(tmp_path: Path, manifest: Manifest, tiny_model: bytes, golden: Golden) -> Path:
    """A bundle as it is made."""
    folder = tmp_path / "sealed"
    write_bundle(folder, manifest, tiny_model, golden, "# tiny\n")
    return folder


@pytest.fixture
def bundle(bundle_folder: Path) -> Bundle:
    return Bundle.load(bundle_folder)
