"""What a conversion knows of a run, and what it computes of it once."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from leukolite.advice import ADVICE
from leukolite.cli import main as leukolite
from leukolite.convert.inputs import ConversionInputs, open_inputs
from leukolite.convert.provenance import is_external
from leukolite.convert.settings import ConversionSettings
from leukolite.convert.source import ConversionSource, FineTuningSource, declared_malignant, source_of_run
from leukolite.errors import ConversionError, TrainingError
from leukolite.progress import no_progress
from leukolite.train.runs import load_run, load_run_split


@pytest.fixture(scope="module")
def source(finished_run) -> ConversionSource:
    return source_of_run(finished_run)


@pytest.fixture(scope="module")
def inputs(source, tmp_path_factory) -> ConversionInputs:
    return ConversionInputs(source, ConversionSettings(), tmp_path_factory.mktemp("workplace"), no_progress)


def test_a_source_of_a_run_repeats_the_run(source, finished_run, cells):
    run = load_run(finished_run)
    assert (source.classes, source.unit, source.spec) == (run.classes, run.unit, run.input)
    assert (source.dataset, source.dataset_fingerprint) == (run.dataset, run.dataset_fingerprint)
    assert (source.split, source.counts) == (load_run_split(finished_run), run.split)
    assert (source.seed, source.versions, source.seen_before) == (run.seed, run.versions, run.seen_before)
    assert source.root == cells


def test_a_run_can_be_fine_tuned_as_it_was_trained(source, finished_run):
    recipe = load_run(finished_run).recipe
    assert source.fine_tuning == FineTuningSource(finished_run, recipe.augmentation, recipe.balance, recipe.batch_size)


def test_its_recipe_is_the_runs_by_name_and_names_no_place_of_this_machine(finished_run, tmp_path):
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    record = json.loads((run / "run.json").read_text())
    record["recipe"]["weights"] = "/home/somebody/start.weights.h5"
    (run / "run.json").write_text(json.dumps(record))
    assert source_of_run(run).recipe == record["recipe"] | {"weights": "start.weights.h5"}
    assert record["recipe"]["name"] == "small_cnn"
    assert not is_external(source_of_run(run).recipe)


def test_the_recipe_of_a_run_of_before_recipes_were_named_has_no_name(finished_run, tmp_path):
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    record = json.loads((run / "run.json").read_text())
    del record["recipe"]["name"]
    (run / "run.json").write_text(json.dumps(record))
    assert source_of_run(run).recipe == record["recipe"]


def test_images_that_moved_are_looked_for_where_they_are_said_to_be(finished_run, tmp_path):
    assert source_of_run(finished_run, tmp_path).root == tmp_path


def test_a_folder_that_is_no_run_has_no_source(tmp_path):
    with pytest.raises(TrainingError, match="not a finished run"):
        source_of_run(tmp_path)


@pytest.mark.parametrize(
    ("said", "default", "chosen"), [((), ("blast",), ("blast",)), (("HEALTHY",), ("blast",), ("healthy",)), (("none",), (), ())]
)
def test_what_is_said_of_malignant_labels_counts_before_what_the_run_says(said, default, chosen):
    assert declared_malignant(said, ("blast", "healthy"), default, Path("run")) == chosen


def test_nobody_said_which_labels_are_malignant_is_refused_with_the_labels():
    with pytest.raises(ConversionError, match="run: nobody said which of blast, healthy mean leukaemia") as refused:
        declared_malignant((), ("blast", "healthy"), (), Path("run"))
    assert "--malignant none" in ADVICE[refused.value.advice]


def test_a_run_that_names_no_malignant_label_is_not_converted_until_somebody_says(refuses, finished_run, tmp_path):
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"malignant": []}))
    line = refuses(leukolite, "convert", run, "--out", tmp_path / "bundle")
    assert "nobody said which of blast, healthy mean leukaemia" in line
    assert line.endswith("give --malignant LABELS, or --malignant none")
    assert "found 'other'" in refuses(leukolite, "convert", run, "--out", tmp_path / "bundle", "--malignant", "other")
    assert source_of_run(run, malignant=("healthy",)).classes.malignant == ("healthy",)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(("test_images", "part"), [(True, "test"), (False, "validation")])
def test_the_holdout_is_the_test_part_or_else_the_validation_part(source, test_images, part):
    split = source.split if test_images else {**source.split, "test": []}
    assert ConversionSource(**(vars(source) | {"split": split})).holdout_part == part


def test_inputs_are_computed_once(inputs):
    assert inputs.floats is inputs.floats
    assert inputs.calibration is inputs.calibration


def test_the_float_model_answers_for_each_image_at_each_of_the_gates_noise_levels(inputs, source):
    assert inputs.floats.shape == (2, len(source.split["validation"]), 2)
    assert inputs.holdout_floats.shape == (len(source.split["test"]), 2)
    np.testing.assert_allclose(inputs.floats.sum(axis=-1), 1, atol=1e-5)


def test_a_holdout_that_is_the_validation_part_is_not_read_twice(source, tmp_path):
    alone = ConversionSource(**(vars(source) | {"split": {**source.split, "test": []}}))
    inputs = ConversionInputs(alone, ConversionSettings(), tmp_path, no_progress)
    assert np.array_equal(inputs.holdout_floats, inputs.floats[0])
    assert [path.name for path in tmp_path.iterdir()] == ["validation.npy"]


def test_nothing_is_left_of_the_decoded_images(source):
    with open_inputs(source, ConversionSettings(), no_progress) as inputs:
        assert inputs.validation.file.is_file()
    assert not inputs.workplace.exists()
