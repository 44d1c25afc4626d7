"""What is shipped holds together: every bundle opens and answers, its card and the README say what its manifest says."""

import json
import re
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

import leukolite
from leukolite.benchmarks.evaluate import evaluate, open_model
from leukolite.benchmarks.shipped import shipped, table
from leukolite.bundle import Bundle
from leukolite.classifier import open_classifier
from leukolite.cli import main
from leukolite.convert.card import model_card
from leukolite.golden_verdicts import VERDICTS, golden_verdicts
from leukolite.runtime import RuntimeOptions
from leukolite.shipped import find_bundle, shipped_bundles, shipped_path
from leukolite.synthetic import LABELS, render_cell

CHECKOUT = Path(__file__).parent.parent
EXPECTED = {"light_cnn-taleqani", "mobilenet_m-allidb2", "mobilenet_m-cnmc", "mobilenet_m-taleqani", "synthetic-cells"}


def test_all_five_bundles_are_shipped() -> None:
    assert set(shipped_bundles()) == EXPECTED


def test_bundles_measured_with_noise_in_different_places_stand_in_no_table_together() -> None:
    first, *others = shipped()
    assert first.manifest.measured is not None
    measured = first.manifest.measured.model_copy(update={"noise_at": "input"})
    moved = replace(first, manifest=first.manifest.model_copy(update={"measured": measured}))
    with pytest.raises(ValueError, match="noise in one place, found capture and input"):
        table([moved, *others])


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_no_shipped_network_is_no_better_than_guessing(name: str) -> None:
    assert "No better than guessing" not in (find_bundle(Path(name)) / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_shipped_bundle_opens_with_its_golden_outputs(name: str) -> None:
    bundle = Bundle.load(find_bundle(Path(name)))
    classifier = open_classifier(bundle)
    assert bundle.manifest.name == name
    assert classifier.table is None, "raw RGB bytes go in"


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_shipped_bundle_runs_on_the_real_tflite_runtime(name: str, tflite_runtime_python: Path, tmp_path: Path) -> None:
    command = [tflite_runtime_python, "-c", "from leukolite.edge.cli import main; main()"]  # checks the golden outputs first
    options = ["--bundle", name, "--camera", "synthetic", "--frames", "2", "--runtime", "tflite-runtime"]
    result = subprocess.run(
        [*command, *options, "--json", tmp_path / "session.json"], capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    runtime = json.loads((tmp_path / "session.json").read_text())["runtime"]
    assert (runtime["name"], runtime["version"]) == ("tflite-runtime", "2.14.0")


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_shipped_model_has_no_float_inside(name: str) -> None:
    bundle = Bundle.load(find_bundle(Path(name)))
    assert not [t for t in open_classifier(bundle).runtime.tensor_dtypes().values() if t.startswith("float")]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_model_card_says_what_its_manifest_says(name: str) -> None:
    bundle = Bundle.load(find_bundle(Path(name)))
    assert (bundle.path / "README.md").read_text(encoding="utf-8") == model_card(bundle.manifest, len(bundle.model))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_shipped_bundle_is_sealed_and_says_its_terms(name: str) -> None:
    bundle = Bundle.load(shipped_path(name))
    assert bundle.notes == ()
    assert (bundle.path / VERDICTS).read_bytes() == golden_verdicts(bundle.manifest, bundle.golden.outputs).to_bytes()
    assert "\n## Terms\n" in (bundle.path / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_card_and_notice_say_the_same_of_the_starting_weights(name: str) -> None:
    card = " ".join((shipped_path(name) / "README.md").read_text(encoding="utf-8").split("## Terms")[1].split())
    notice = " ".join((CHECKOUT / "NOTICE").read_text(encoding="utf-8").split("Starting weights")[1].split())
    own = f"{name} started from an earlier training of leukolite's own" in notice
    recovered = name in notice.partition(")")[0]
    assert [own, recovered] == ["an earlier training of its own" in card, "recovered from an embedding extractor" in card]
    assert (own or recovered) == ("Starting weights:" in card)


def test_the_notice_names_every_shipped_bundle_and_every_set_and_weight_behind_them() -> None:
    notice = (CHECKOUT / "NOTICE").read_text(encoding="utf-8")
    for name in EXPECTED:
        assert notice.count(name) >= 2, name
    for word in ("C-NMC 2019", "10.7937/tcia.2019.dc64i46r", "mehradaria/leukemia", "ALL-IDB2", "ImageNet", "Apache-2.0"):
        assert word in notice
    assert 'license-files = ["LICENSE", "NOTICE"]' in (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")


def test_swapped_channels_change_what_the_demo_bundle_says() -> None:
    classifier = open_classifier(Bundle.load(find_bundle(Path("synthetic-cells"))))
    frames = [render_cell(np.random.default_rng([90, i]), LABELS[i % 2]) for i in range(40)]
    right = np.array([classifier(frame).label for frame in frames])
    swapped = np.array([classifier(np.ascontiguousarray(frame[..., ::-1])).label for frame in frames])
    assert (right == np.array([LABELS[i % 2] for i in range(40)])).mean() > 0.85
    assert (right != swapped).any()


@pytest.mark.long
@pytest.mark.parametrize(("name", "folder"), [("mobilenet_m-taleqani", "taleqani"), ("mobilenet_m-allidb2", "ALL_IDB2")])
def test_the_manifests_accuracy_is_measured_again_on_the_real_unseen_images(name: str, folder: str, shared_data: Path) -> None:
    subject = open_model(find_bundle(Path(name)), RuntimeOptions(threads=2))
    evaluation = evaluate(subject, shared_data / folder, (0.0,), seed=0, unseen_only=True)
    measured = Bundle.load(find_bundle(Path(name))).manifest.measured
    assert measured is not None
    assert evaluation.results[0].confusion == measured.results[0].confusion


def test_the_readmes_table_is_the_manifests() -> None:
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- made by:.*?-->\n(.*?)\n<!-- end -->", text, re.DOTALL)
    assert shown is not None
    assert shown[1].splitlines() == table(shipped())


def test_every_command_has_help_with_an_example() -> None:
    for name in main.list_commands(click.Context(main)):
        result = CliRunner().invoke(main, [name, "--help"])
        assert result.exit_code == 0, name
        assert "Example:" in result.output, name


def test_the_package_and_the_module_have_one_version() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert project["version"] == leukolite.__version__


def test_no_picture_of_the_shared_data_is_in_the_repository() -> None:
    pictures = [p for p in CHECKOUT.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"}]
    inside = [
        p.relative_to(CHECKOUT) for p in pictures if p.relative_to(CHECKOUT).parts[0] in {"edge", "docs", "tests", "leukolite"}
    ]
    assert inside == []
