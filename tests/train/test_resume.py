"""A training that was killed goes on and gives the history of one that was not."""

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from leukolite.advice import ADVICE
from leukolite.errors import TrainingError
from leukolite.synthetic import LABELS, render_cell
from leukolite.train import checkpoint, fit
from leukolite.train.datasets import open_dataset
from leukolite.train.models import build
from leukolite.train.recipes import RECIPES, Recipe, resolve

RECIPE = resolve(RECIPES["small_cnn"], {"side": 32, "epochs": 4, "schedule": "plateau", "early_stop": 3})


class KilledError(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> fit.Prepared:
    root = tmp_path_factory.mktemp("cells")
    for k, label in enumerate(LABELS):
        (root / label).mkdir()
        for i in range(24):
            cv2.imwrite(str(root / label / f"{i}.png"), render_cell(np.random.default_rng([k, i]), label, size=48))
    return fit.prepare(open_dataset(root), RECIPE)


def train(
    prepared: fit.Prepared, out: Path, *, recipe: Recipe = RECIPE, stop_after: int | None = None, resume: bool = False
) -> None:
    def progress(stage: str, done: int, total: int) -> None:
        if stop_after is not None and stage == f"epoch {stop_after + 1}/{recipe.epochs}":
            raise KilledError

    (split,) = fit.make_splits(prepared, recipe, "image", 1).splits
    fit.train(
        prepared,
        recipe,
        split,
        out,
        split_by="image",
        unit="cell",
        malignant=("blast",),
        seed=1,
        resume=resume,
        progress=progress,
    )


def history(run: Path) -> list[list[float]]:
    return [[float(x) for x in line.split(",")] for line in (run / "history.csv").read_text().splitlines()[1:]]


def test_a_killed_training_resumes_to_the_same_history(prepared: fit.Prepared, tmp_path: Path) -> None:
    train(prepared, tmp_path / "whole")
    with pytest.raises(KilledError):
        train(prepared, tmp_path / "cut", stop_after=2)
    assert not (tmp_path / "cut").exists()
    train(prepared, tmp_path / "cut", resume=True)
    np.testing.assert_allclose(history(tmp_path / "cut"), history(tmp_path / "whole"), rtol=1e-4)
    runs = [json.loads((tmp_path / name / "run.json").read_text()) for name in ("whole", "cut")]
    assert runs[0]["best_epoch"] == runs[1]["best_epoch"]
    assert runs[0]["metrics"]["test"]["confusion"] == runs[1]["metrics"]["test"]["confusion"]
    assert not checkpoint.resume_folder(tmp_path / "cut").exists()


@pytest.mark.long
def test_what_schedule_and_early_stop_have_counted_is_not_forgotten(prepared: fit.Prepared, tmp_path: Path) -> None:
    # a rate at which the validation loss rises, so that the schedule lowers it and the early stop ends it, both after the stop
    wild = RECIPE.model_copy(update={"learning_rate": 0.3, "epochs": 20, "early_stop": 7})
    train(prepared, tmp_path / "whole", recipe=wild)
    rows = history(tmp_path / "whole")
    dropped = next(i for i, row in enumerate(rows) if row[1] < rows[0][1])
    assert dropped < len(rows) < wild.epochs
    with pytest.raises(KilledError):
        train(prepared, tmp_path / "cut", recipe=wild, stop_after=dropped - 1)
    train(prepared, tmp_path / "cut", recipe=wild, resume=True)
    resumed = history(tmp_path / "cut")
    assert [row[:2] for row in resumed] == [row[:2] for row in rows]


def test_other_settings_do_not_resume(prepared: fit.Prepared, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        train(prepared, tmp_path / "run", stop_after=1)
    with pytest.raises(TrainingError, match="another recipe"):
        train(prepared, tmp_path / "run", recipe=RECIPE.model_copy(update={"learning_rate": 1e-4}), resume=True)


def test_a_training_begun_with_another_kernel_is_another_training(prepared: fit.Prepared, tmp_path: Path) -> None:
    by_area = replace(prepared, spec=prepared.spec.model_copy(update={"kernel": "area"}))
    with pytest.raises(KilledError):
        train(by_area, tmp_path / "run", stop_after=1)
    with pytest.raises(TrainingError, match="the stopped training had another input"):
        train(prepared, tmp_path / "run", resume=True)


def test_nothing_to_resume_is_said(prepared: fit.Prepared, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no stopped training"):
        train(prepared, tmp_path / "run", resume=True)


def test_a_half_written_checkpoint_is_not_used(prepared: fit.Prepared, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        train(prepared, tmp_path / "run", stop_after=1)
    folder = checkpoint.resume_folder(tmp_path / "run")
    (folder / ".epoch.half").mkdir()
    train(prepared, tmp_path / "run", resume=True)
    assert len(history(tmp_path / "run")) >= 2


@pytest.mark.long
def test_a_damaged_checkpoint_is_named_with_the_remedy(prepared: fit.Prepared, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        train(prepared, tmp_path / "run", stop_after=1)
    folder = checkpoint.resume_folder(tmp_path / "run")
    (folder / "epoch-0001" / "model.keras").write_text("not a model")
    with pytest.raises(TrainingError) as caught:
        train(prepared, tmp_path / "run", resume=True)
    assert str(caught.value).startswith(f"{folder / 'epoch-0001'}: damaged, or of another version")
    assert str(caught.value).endswith(f"); delete {folder} and train from the start")
    with pytest.raises(TrainingError, match=r"stopped after 1 epoch; go on with it, or delete that folder") as caught:
        train(prepared, tmp_path / "run")
    assert "--resume" in ADVICE[caught.value.advice or ""]


def with_config(place: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """The checkpoint with another architecture in its model."""
    with zipfile.ZipFile(place) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    with zipfile.ZipFile(place, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, json.dumps(config) if name == "config.json" else content)


def a_lambda(config: dict[str, Any]) -> None:
    layer = {"class_name": "Lambda", "module": "keras.layers", "config": {"name": "x"}, "registered_name": None, "name": "x"}
    config["config"]["layers"].append({**layer, "inbound_nodes": []})


def a_foreign_loss(config: dict[str, Any]) -> None:
    config["compile_config"]["loss"] = {"class_name": "function", "module": "os", "config": "system", "registered_name": "system"}


def a_foreign_optimizer(config: dict[str, Any]) -> None:
    config["compile_config"]["optimizer"]["module"] = "leukolite.nowhere"


def a_foreign_rate(config: dict[str, Any]) -> None:
    config["compile_config"]["optimizer"]["config"]["learning_rate"] = {"class_name": "Rate", "module": "somewhere", "config": {}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (a_lambda, "holds Python code, which is not run"),
        (a_foreign_loss, "not compiled as training does"),
        (a_foreign_optimizer, "trained by 'Adam', not by Keras' own Adam"),
        (a_foreign_rate, "trained by 'Rate'"),
        (lambda config: config.clear(), "its architecture names no class"),
    ],
)
def test_a_checkpoint_that_would_run_other_code_is_refused_before_it_is_loaded(stopped, tmp_path, monkeypatch, change, said):
    import keras

    folder, settings = tmp_path / ".run.resume", stopped[1]
    shutil.copytree(stopped[0], folder)
    with_config(next(folder.glob("epoch-*")) / "model.keras", change)
    monkeypatch.setattr(keras.models, "load_model", lambda *_: pytest.fail("it was loaded"))
    with pytest.raises(TrainingError, match=r"delete .* and train from the start") as caught:
        checkpoint.load(folder, settings)
    assert said in str(caught.value)


def test_a_checkpoint_of_either_precision_is_taken(stopped, tmp_path):
    assert checkpoint.load(*stopped)[0].epochs == 1


@pytest.fixture(scope="module", params=["float32", "mixed_float16"])
def stopped(request, tmp_path_factory) -> tuple[Path, dict[str, Any]]:
    """Where a training's checkpoint lies, and its settings."""
    import keras

    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    try:
        model = build("small_cnn", 2, 32, dropout=0.2, seed=0)
    finally:
        keras.config.set_dtype_policy(previous)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="categorical_crossentropy", metrics=["accuracy"])
    folder = tmp_path_factory.mktemp("run")
    checkpoint.save(folder, checkpoint.State({"seed": 1}, 1, [], {}), model, None)
    return folder, {"seed": 1}
