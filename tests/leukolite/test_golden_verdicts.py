"""A manifest that decides otherwise than it did is contradicted, however small the change, also with its sums written again."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolite.bundle import LABELS, MANIFEST, Bundle, Golden, write_bundle
from leukolite.decision import Decision
from leukolite.errors import BundleError
from leukolite.golden_verdicts import VERDICTS, GoldenVerdicts, contradiction, golden_verdicts
from leukolite.manifest import AppearanceRanges, CellPicture, Manifest
from leukolite.sums import SUMS, sums_of, sums_text

RANGES = AppearanceRanges(
    images=100,
    percentiles=(0.2, 99.8),
    margin=0.35,
    lit=(0.9, 1.0),
    light=(198.04, 255.0),
    blown=(None, 0.45),
    stain=(0.1, 1.45),
    red_over_blue=(-1.37, 0.0),
    focus=(-0.89, None),
)


@pytest.fixture(scope="module")
def deciding(manifest: Manifest) -> Manifest:
    """With everything that decides something."""
    decision = Decision(temperature=0.8, threshold=0.5, abstain=(0.4, 0.6))
    picture = CellPicture(window=3.1, background="kept")
    return manifest.model_copy(update={"decision": decision, "appearance": RANGES, "cell": picture})


@pytest.fixture
def whole(tmp_path: Path, deciding: Manifest, tiny_model: bytes, golden: Golden) -> Path:
    folder = tmp_path / "tiny"
    write_bundle(folder, deciding, tiny_model, golden, "")
    return folder


def load_with_new_sums(folder: Path) -> Bundle:
    """As who changes a bundle and writes its sums again would have it opened."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != SUMS}
    (folder / SUMS).write_bytes(sums_text(sums_of(files)).encode())
    return Bundle.load(folder)


CHANGES: dict[str, tuple[str, Callable[[dict], object]]] = {
    "a temperature by a millionth": ("(frames|decisions)", lambda m: m["decision"].update(temperature=0.800001)),
    "no temperature": ("(frames|decisions)", lambda m: m["decision"].update(temperature=1.0)),
    "a threshold far off": ("(frames|decisions)", lambda m: m["decision"].update(threshold=0.1)),
    "a threshold by a millionth": ("(frames|decisions)", lambda m: m["decision"].update(threshold=0.7, abstain=[0.4, 0.600001])),
    "no threshold": ("(frames|decisions)", lambda m: m["decision"].update(threshold=None, abstain=[0.4, 0.7])),
    "the band's lower end by a millionth": ("(frames|decisions)", lambda m: m["decision"].update(abstain=[0.400001, 0.6])),
    "the band's upper end by a millionth": ("(frames|decisions)", lambda m: m["decision"].update(abstain=[0.4, 0.599999])),
    "no band": ("(frames|decisions)", lambda m: m["decision"].update(abstain=None)),
    "the other label malignant": ("(frames|decisions)", lambda m: m.update(malignant=["healthy"])),
    "no gates": ("ranges", lambda m: m.update(appearance=None)),
    "no lower bound of light": ("ranges", lambda m: m["appearance"].update(light=[None, 255.0])),
    "a bound of light": ("ranges", lambda m: m["appearance"].update(light=[198.0, 255.0])),
    "a bound of stain by its last digit": ("ranges", lambda m: m["appearance"].update(stain=[0.1001, 1.45])),
    "a new bound": ("ranges", lambda m: m["appearance"].update(focus=[-0.89, 3.0])),
    "the sign of a bound": ("ranges", lambda m: m["appearance"].update(red_over_blue=[-1.37, 1.0])),
    "the unit": ("unit", lambda m: m.update(unit="field")),
    "the crop by a millionth": ("input", lambda m: m["input"].update(crop_fraction=0.999999)),
    "the kernel": ("input", lambda m: m["input"].update(kernel="halve-linear")),
    "the scale": ("input", lambda m: m["input"].update(scale=0.0039)),
    "the cut of cells": ("cell", lambda m: m["cell"].update(window=3.2)),
    "the background of cells": ("cell", lambda m: m["cell"].update(background="black")),
    "no cut of cells": ("cell", lambda m: m.update(cell=None)),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_changed_manifest_is_contradicted_whose_sums_were_written_again(whole, case):
    named, change = CHANGES[case]
    content = json.loads((whole / MANIFEST).read_text())
    change(content)
    (whole / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(BundleError, match=rf"manifest\.json contradicts golden-verdicts\.json, {named}.*expected .*, found"):
        load_with_new_sums(whole)


@pytest.mark.parametrize("swap", ["order", "name"])
def test_labels_that_changed_places_or_names_are_contradicted(whole, swap):
    content = json.loads((whole / MANIFEST).read_text())
    content["labels"] = ["blast", "healthy"] if swap == "order" else ["sound", "blast"]
    (whole / MANIFEST).write_text(json.dumps(content))
    (whole / LABELS).write_text("".join(f"{label}\n" for label in content["labels"]))
    with pytest.raises(BundleError, match=r"contradicts golden-verdicts\.json"):
        load_with_new_sums(whole)


def test_what_decides_nothing_may_be_written_in_another_way(whole):
    content = json.loads((whole / MANIFEST).read_text())
    (whole / MANIFEST).write_text(json.dumps(content | {"name": "other"}))
    assert load_with_new_sums(whole).manifest.name == "other"


def test_the_verdicts_are_those_of_the_golden_outputs(deciding, golden):
    verdicts = golden_verdicts(deciding, golden.outputs)
    assert len(verdicts.frames) == len(golden.outputs)
    assert {one.label for one in verdicts.frames} <= {"healthy", "blast", "abstain"}
    assert GoldenVerdicts.from_bytes(verdicts.to_bytes()) == verdicts


def test_all_verdicts_of_a_uint8_output_are_among_the_cases(deciding, golden):
    outputs = {case.output for case in golden_verdicts(deciding, golden.outputs).decisions if case.raised == "blast"}
    assert {step / 256 for step in range(257)} <= outputs


labels_and_decisions = st.integers(2, 6).flatmap(
    lambda n: st.tuples(
        st.just([f"label {k}" for k in range(n)]),
        st.integers(0, n),
        st.floats(0.05, 20),
        st.none() | st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda ends: tuple(sorted(ends))),
        st.none() | st.floats(0.001, 0.999),
    )
)


@given(labels_and_decisions)
def test_no_manifest_contradicts_its_own_verdicts(manifest, drawn):
    labels, malignant, temperature, band, threshold = drawn
    decision = Decision(
        temperature=temperature, abstain=band, threshold=threshold if (len(labels), malignant) == (2, 1) else None
    )
    own = manifest.model_copy(update={"labels": labels, "malignant": labels[:malignant], "decision": decision})
    outputs = np.random.default_rng(0).dirichlet(np.ones(len(labels)), 3).astype(np.float32)
    verdicts = GoldenVerdicts.from_bytes(golden_verdicts(own, outputs).to_bytes())
    assert contradiction(verdicts, own, outputs) is None


def test_the_verdicts_of_a_thousand_labels_stay_small(manifest):
    labels = [f"label {k}" for k in range(1000)]
    own = manifest.model_copy(update={"labels": labels, "malignant": labels[:1]})
    assert len(golden_verdicts(own, np.full((1, 1000), 0.001)).to_bytes()) < 300_000


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"nonsense", b'{"schema_version": 2}', b"\xff", b'{"frames": NaN}'],
    ids=["empty", "no field", "a list", "no JSON", "a newer schema", "no UTF-8", "no number"],
)
def test_verdicts_that_are_none_are_refused_in_one_line(whole, content):
    (whole / VERDICTS).write_bytes(content)
    with pytest.raises(BundleError, match=r"golden-verdicts\.json .*; copy the bundle again") as caught:
        load_with_new_sums(whole)
    assert "\n" not in str(caught.value)


def test_a_bundle_without_golden_verdicts_opens(whole):
    (whole / VERDICTS).unlink()
    assert load_with_new_sums(whole).notes == ()
