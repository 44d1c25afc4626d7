import json

import numpy as np
import pytest

from leukolite.bundle import Bundle, write_bundle
from leukolite.cli import main as leukolite
from leukolite.decision import Decision
from leukolite.info import info, manifest_rows
from leukolite.manifest import Manifest, Measurement, NoiseMetrics, Training
from leukolite.metrics import compute_metrics
from leukolite.shipped import shipped_bundles


@pytest.fixture(scope="module")
def full(manifest: Manifest) -> Manifest:
    """A manifest that says where it comes from and how well it does."""
    metrics = compute_metrics([0, 1], [0, 1], np.array([[0.9, 0.1], [0.2, 0.8]]), manifest.classes)
    training = Training(
        recipe={"model": "small_cnn", "source": "this project"},
        dataset="synthetic",
        dataset_fingerprint="ab" * 32,
        split={"train": {"healthy": 7, "blast": 8}, "test": {"healthy": 1, "blast": 1}, "left": {}},
        seed=3,
        versions={"keras": "3.8.0"},
        seen=["0123456789ab"],
    )
    measured = Measurement(
        part="test",
        noise_seed=0,
        runtime="litert 2.3.0",
        float_agreement=0.995,
        results=[NoiseMetrics(sigma=sigma, **dict(metrics)) for sigma in (0.0, 10.0)],
    )
    return manifest.model_copy(update={"training": training, "measured": measured})


def test_the_labels_are_listed_and_the_malignant_ones_marked(call, bundle_folder):
    assert "healthy, blast*  (* malignant)" in call(info, bundle_folder).stdout


def test_info_says_that_it_is_for_research(call, bundle_folder):
    assert "never a diagnosis" in call(info, bundle_folder).stdout


def test_json_is_the_manifest(call, bundle_folder, manifest):
    result = call(info, bundle_folder, "--json")
    assert Manifest.model_validate(json.loads(result.stdout)) == manifest


def test_a_full_manifest_survives_the_bundle(tmp_path, full, tiny_model, golden):
    write_bundle(tmp_path / "full", full, tiny_model, golden, "")
    assert Bundle.load(tmp_path / "full").manifest == full


def test_rows_say_where_a_model_comes_from_and_how_well_it_does(full):
    rows = dict(manifest_rows(full, 2_720_000))
    assert rows["classifies"] == "one cell per image"
    assert rows["input"] == "32x32 RGB, centre-square crop of 100%, resized by area"
    assert rows["tensors"].startswith("in uint8 (scale 0.00392157, zero point 0), out uint8")
    assert rows["model"].startswith("2.72 MB, sha256 ")
    assert rows["trained on"] == "synthetic (train 15, test 2), seed 3, fingerprint abababababab"
    assert rows["recipe"] == "small_cnn: this project"
    assert rows["measured"] == "test part, noise on the capture, litert 2.3.0; float agreement 99.5%"
    assert rows["  sigma 10"].startswith("accuracy 100.0% (")
    assert rows["  sigma 10"].endswith("n 2")


def test_the_recipe_is_named_beside_its_network_where_it_is_recorded(full):
    recipe = {"name": "mobilenet_m_robust", "model": "mobilenet_m", "source": "this project"}
    named = full.model_copy(update={"training": full.training.model_copy(update={"recipe": recipe})})
    assert dict(manifest_rows(named, 1))["recipe"] == "mobilenet_m_robust (network mobilenet_m): this project"


def test_a_manifest_without_training_has_no_such_rows(manifest):
    assert not {"trained on", "recipe", "measured"} & set(dict(manifest_rows(manifest, 1)))


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (Decision(), ["temperature 1", "threshold top class", "abstains never"]),
        (Decision(temperature=1.5, threshold=0.3, abstain=(0.2, 0.4)), ["temperature 1.5", "threshold 0.3", "within 0.2 to 0.4"]),
    ],
)
def test_the_decision_is_described_in_words(manifest, decision, words):
    described = dict(manifest_rows(manifest.model_copy(update={"decision": decision}), 1))["decision"]
    assert [word for word in words if word not in described] == []


def test_a_label_in_square_brackets_is_shown_whole(call, tmp_path, manifest, tiny_model, golden):
    labels = ["[benign]", "[malignant] Pre-B[/b]"]
    bracketed = manifest.model_copy(update={"labels": labels, "malignant": labels[1:]})
    write_bundle(tmp_path / "b", bracketed, tiny_model, golden, "")
    assert "[benign], [malignant] Pre-B[/b]*" in call(info, tmp_path / "b").stdout


def test_a_place_without_a_bundle_is_one_line_of_error(refuses, tmp_path):
    assert "no such bundle" in refuses(info, tmp_path / "nothing")


# from the command line, on bundles as they are made and shipped


@pytest.mark.parametrize("name", shipped_bundles())
def test_a_shipped_bundle_is_described_with_its_figures(call, name):
    result = call(leukolite, "info", name)
    assert result.exit_code == 0, result.output
    assert all(word in result.stdout for word in (name, "sha256", "sigma 10", "Research use only"))


def test_the_description_of_a_bundle_says_where_it_comes_from(call, tiny_bundle):
    text = " ".join(call(leukolite, "info", tiny_bundle).stdout.split())
    assert "classifies one cell per image" in text
    assert "blast*, healthy (* malignant)" in text
    assert "synthetic (train 28, validation 4, test 8), seed 0" in text
    assert "threshold 0.5, abstains never" in text
