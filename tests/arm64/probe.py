"""What one machine makes of synthetic frames and of the shipped bundles' golden inputs, and its versions."""

import itertools
import json
import platform
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import leukolite
from leukolite.bundle import Bundle
from leukolite.classifier import open_classifier
from leukolite.edge.camera.source import Frame
from leukolite.edge.camera.synthetic import SyntheticCamera
from leukolite.manifest import Unit
from leukolite.preprocess import to_input
from leukolite.runtime import RuntimeOptions
from leukolite.shipped import find_bundle, shipped_bundles

PACKAGES = ("ai-edge-litert", "numpy", "opencv-python-headless", "pillow", "pydantic", "click", "rich")


def render(unit: Unit, count: int) -> np.ndarray:
    """The synthetic camera's first frames, as edge-run gets them: uint8, shape (count, height, width, 3)."""
    items = itertools.islice(SyntheticCamera(unit, (), 0).frames(), count)
    return np.stack([item.pixels for item in items if isinstance(item, Frame)])


def golden(name: str, runtime: str) -> dict[str, Any]:
    """How far this machine lies from the bundle's golden inputs (in steps of the input) and outputs (in probability)."""
    bundle = Bundle.load(find_bundle(Path(name)))
    classifier = open_classifier(bundle, RuntimeOptions(name=runtime))  # refuses what lies outside the tolerance
    known = bundle.golden
    inputs = np.concatenate([to_input(frame, classifier.spec, classifier.table) for frame in known.frames]).astype(int)
    outputs = np.stack([classifier.runtime.invoke(batch[np.newaxis]) for batch in known.inputs]).reshape(known.outputs.shape)
    return {
        "bundle": name,
        "runtime": runtime,
        "tolerance": bundle.manifest.golden.tolerance[runtime],
        "count": len(known.frames),
        "input_steps": int(np.abs(inputs - known.inputs.astype(int)).max()),
        "output_difference": float(np.abs(outputs - known.outputs).max()),
        "n_equal": int(np.all(outputs == known.outputs, axis=1).sum()),
    }


def main(count: int, out: Path) -> None:
    """Write probe.json, cell.npy and field.npy into `out`."""
    out.mkdir()
    for unit in ("cell", "field"):
        np.save(out / f"{unit}.npy", render(unit, count))
    names = shipped_bundles()
    runtimes = ["litert", *(["tflite-runtime"] if find_spec("tflite_runtime") else [])]
    found = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "leukolite_at": leukolite.__file__,
        "packages": {name: version(name) for name in PACKAGES},
        "units": {name: Bundle.load(find_bundle(Path(name))).manifest.unit for name in names},
        "golden": [golden(name, runtime) for name in names for runtime in runtimes],
    }
    (out / "probe.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
