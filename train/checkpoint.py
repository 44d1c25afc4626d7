"""What a stopped training needs to go on as if it had not stopped: saved whole after each epoch, beside the run folder.

    .NAME.resume/epoch-NNNN/    model.keras (with the optimiser), best.npz (weights), state.json

Keras' BackupAndRestore keeps the model and the epoch but not what the schedule and the early stop have counted so far.
"""

import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leukolite.errors import LeukoliteError, TrainingError, first_line
from leukolite.npz import read_npz
from leukolite.regular_file import open_regular
from leukolite.strict_json import parse_json_text
from leukolite.textfiles import read_text
from leukolite.train.keras_config import check_config, entries, read_keras_archive
from leukolite.train.keras_weights import check_archive
from leukolite.zip_members import DAMAGED

if TYPE_CHECKING:
    import keras

MOST_WEIGHTS_BYTES = 4_000_000_000
OPTIMIZERS = {"Adam", "LossScaleOptimizer"}  # that `leukolite.train.loop` trains with; the second around the first
COUNTED = {  # what Keras' callbacks count, by class
    "EarlyStopping": ("wait", "best", "best_epoch", "stopped_epoch"),
    "ReduceLROnPlateau": ("wait", "best", "cooldown_counter"),
}


@dataclass(frozen=True)
class State:
    """Where a training stood after an epoch.

    Attributes:
        settings: what must be the same for it to go on: recipe, dataset fingerprint, split, seed, input.
        epochs: how many are done.
        history: one row an epoch.
        counted: callback class -> attribute -> value.
    """

    settings: dict[str, Any]
    epochs: int
    history: list[dict[str, float]]
    counted: dict[str, dict[str, float]]


def resume_folder(out: Path) -> Path:
    """Where the checkpoints of the run at `out` are kept until it is finished."""
    return out.resolve().parent / f".{out.resolve().name}.resume"


def epochs_kept(folder: Path) -> int:
    """How many epochs the stopped training in `folder` has done; 0 if there is none."""
    return max((int(place.name.removeprefix("epoch-")) for place in folder.glob("epoch-*")), default=0)


def save(folder: Path, state: State, model: "keras.Model", best_weights: list[Any] | None) -> None:
    """Keep an epoch's state; the one before is removed only when the new one is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder, prefix=".epoch."))
    model.save(staging / "model.keras")
    if best_weights is not None:
        np.savez(staging / "best.npz", *best_weights)
    with (staging / "state.json").open("w", encoding="utf-8") as file:
        json.dump(asdict(state), file)
    for file_path in staging.iterdir():
        with file_path.open("rb") as file:
            os.fsync(file.fileno())
    place = folder / f"epoch-{state.epochs:04}"
    shutil.rmtree(place, ignore_errors=True)
    staging.rename(place)
    for old in folder.iterdir():
        if old != place:
            shutil.rmtree(old, ignore_errors=True)


def load(folder: Path, settings: dict[str, Any]) -> tuple[State, "keras.Model", list[Any] | None]:
    """The newest whole epoch.

    Returns:
        Its state, the model with its optimiser, and the best weights so far.

    Raises:
        TrainingError: there is none, or it was made with other settings.
    """
    import keras

    epochs = sorted(folder.glob("epoch-*")) if folder.is_dir() else []
    if not epochs:
        raise TrainingError(f"{folder}: no stopped training to resume", advice="no-resume")
    place = epochs[-1]
    try:
        state = State(**parse_json_text(read_text(place / "state.json", "a training's state", TrainingError), finite=False))
        _check_model(place / "model.keras")
        model = keras.models.load_model(place / "model.keras")
        best = None
        if (place / "best.npz").exists():
            with open_regular(place / "best.npz") as file:
                arrays = read_npz(file.read(), MOST_WEIGHTS_BYTES)
            best = [arrays[f"arr_{i}"] for i in range(len(arrays))]
    except (OSError, ValueError, TypeError, KeyError, LeukoliteError, *DAMAGED) as error:
        reason = first_line(error, 4000).removeprefix(f"{place / 'model.keras'}: ")[:120]
        raise TrainingError(
            f"{place}: damaged, or of another version of leukolite ({reason}); delete {folder} and train from the start"
        ) from error
    if state.settings != settings:
        changed = sorted(key for key in settings if state.settings.get(key) != settings[key])
        raise TrainingError(
            f"{folder}: the stopped training had another {', '.join(changed)}; repeat its settings", advice="or-no-resume"
        )
    return state, model, best


def _check_model(path: Path) -> None:
    """As of any other Keras file: what is loaded is Keras' own layers, arrays in the file itself, and the optimiser of our loop.

    Raises:
        ConversionError: the file holds code, or names other files.
        ValueError: it was compiled with something else.
        OSError, KeyError, TypeError or one of `DAMAGED`: it is damaged.
    """
    config = read_keras_archive(path)[1]
    compiled = config.get("compile_config") if isinstance(config, dict) else None
    if check_config(path, config):
        raise ValueError("a network in it was compiled by itself, which training leaves nowhere")
    check_archive(path)
    if (
        not isinstance(compiled, dict)
        or compiled.get("loss") != "categorical_crossentropy"
        or compiled.get("metrics") != ["accuracy"]
    ):
        raise ValueError("it was not compiled as training does")
    for entry in entries(compiled):
        is_optimizer = entry.get("class_name") in OPTIMIZERS and entry.get("module") in (None, "keras.optimizers")
        if not {"class_name", "module", "registered_name"}.isdisjoint(entry) and not (
            is_optimizer and entry.get("registered_name") is None
        ):
            raise ValueError(f"it would be trained by {str(entry.get('class_name'))[:60]!r}, not by Keras' own Adam")


def discard(folder: Path) -> None:
    """Remove the checkpoints of a run."""
    shutil.rmtree(folder, ignore_errors=True)


def counted_by(callbacks: list[Any]) -> dict[str, dict[str, float]]:
    """What the callbacks have counted so far, for `State`."""
    return {
        type(callback).__name__: {name: float(getattr(callback, name)) for name in COUNTED[type(callback).__name__]}
        for callback in callbacks
        if type(callback).__name__ in COUNTED and getattr(callback, "best", None) is not None
    }


def restore_counts(callbacks: list[Any], counted: dict[str, dict[str, float]]) -> None:
    """Put back what `counted_by` took."""
    for callback in callbacks:
        for name, value in counted.get(type(callback).__name__, {}).items():
            setattr(callback, name, value if name == "best" else int(value))
