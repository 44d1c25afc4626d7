"""What a manifest's `training.recipe` holds: the recipe of a run, or a record of a network that leukolite did not train."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from leukolite.preprocess import InputSpec
from leukolite.train.augment import Augmentation
from leukolite.train.recipes import Recipe

EXTERNAL = "foreign"  # in the place of the network's name: by it old bundles, too, are known as external


def recipe_of_run(recipe: Recipe) -> dict[str, object]:
    """Every field, without this machine's paths; without a name where the run is older than the recording of names."""
    unknown = {"name"} if recipe.name is None else set[str]()
    return recipe.model_dump(mode="json", exclude=unknown) | {"weights": Path(recipe.weights).name}


def recipe_of_external(file_name: str, spec: InputSpec, fractions: Sequence[float]) -> dict[str, object]:
    """The record of a training that leukolite did not do, in the shape that bundles have had from the first.

    Whoever reads it goes by `model`; what is not known stands there as 0, none or the plainest value.

    Args:
        file_name: of the Keras model, without its folder.
        fractions: of the labelled images, for calibration, validation and test.
    """
    return {
        "model": EXTERNAL,
        "source": f"{file_name}, a Keras model that leukolite did not train",
        "side": spec.height,
        "crop_fraction": spec.crop_fraction,
        "weights": file_name,
        "dropout": 0.0,
        "split": list(fractions),
        "balance": "none",
        "augmentation": Augmentation().model_dump(mode="json"),
        "batch_size": 1,
        "epochs": 0,
        "learning_rate": 0.0,
        "schedule": "constant",
        "early_stop": None,
        "monitor": "val_loss",
        "precision": "float32",
    }


def is_external(recipe: Mapping[str, object]) -> bool:
    """True if a manifest's recipe says that leukolite did not train the network."""
    return recipe["model"] == EXTERNAL
