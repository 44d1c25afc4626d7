"""How each published system is trained: model, input, split, augmentation, optimiser, schedule, stopping, with sources."""

from itertools import pairwise
from typing import Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from leukolite.errors import TrainingError
from leukolite.frozen import Frozen
from leukolite.lists import typed_list
from leukolite.manifest import name_and_network
from leukolite.train.augment import Augmentation
from leukolite.train.models import MODELS


class Head(Frozen):
    """A convex classifier on what the frozen network sees, in place of a training by gradient; see `leukolite.train.heads`."""

    views: int = Field(default=8, ge=1, le=8, description="of each training image: itself, then turned and mirrored")
    components: int = Field(default=500, ge=1, description="of the features' PCA, at most")
    strengths: tuple[float, ...] = Field(
        default=(3e-4, 1e-3, 3e-3, 1e-2, 3e-2), min_length=1, description="C of the logistic regression, ascending"
    )
    folds: int = Field(default=5, ge=2, description="of the people or images of the training part, by which C is chosen")

    @field_validator("strengths")
    @classmethod
    def _ascend(cls, strengths: tuple[float, ...]) -> tuple[float, ...]:
        if min(strengths) <= 0 or any(a >= b for a, b in pairwise(strengths)):
            raise ValueError("expected numbers above 0, each above the one before")
        return strengths


class Recipe(Frozen):
    """Every setting of a training run; the run folder records it, resolved."""

    name: str | None = Field(default=None, description="its key in `RECIPES`; None in the records of older runs")
    model: str
    source: str
    side: int = Field(ge=32, le=1024, description="input height and width, pixels")
    crop_fraction: float | None = Field(
        default=None, gt=0, le=1, description="of the image's shorter side; None: what suits the dataset's layout"
    )
    weights: str = "none"
    dropout: float = Field(ge=0, lt=1)
    split: tuple[float, float, float] = Field(description="training, validation, test")
    balance: Literal["none", "desaturate"] = Field(
        default="none", description="desaturate: each training image of a smaller class a second time, without its colour"
    )
    augmentation: Augmentation
    batch_size: int = Field(default=16, ge=1)
    head: Head | None = Field(default=None, description="fitted on the frozen network; null: the whole network is trained")
    epochs: int = Field(ge=0, description="0 where a head is fitted")
    learning_rate: float = Field(ge=0, description="of Adam, at the start")
    schedule: Literal["plateau", "cosine", "constant"] = Field(
        description="plateau: times 0.1 after 5 epochs without a better validation loss, to 1e-6; cosine: to 0 at the last epoch"
    )
    early_stop: int | None = Field(default=None, ge=1, description="epochs without a better monitored value")
    monitor: Literal["val_loss", "val_accuracy"] = Field(description="whose best epoch is kept")
    precision: Literal["float32", "mixed_bfloat16"] = Field(default="float32", description="of training; the model is float32")

    @property
    def title(self) -> str:
        """'mobilenet_m_robust (network mobilenet_m)'."""
        return name_and_network(self.name, self.model)

    def training_settings(self) -> dict[str, Any]:
        """Every field that training depends on, as JSON has it: all but the name, which older runs do not record."""
        return self.model_dump(mode="json", exclude={"name"})

    @field_validator("epochs", "learning_rate")
    @classmethod
    def _trains_in_one_way(cls, value: float, info: ValidationInfo) -> float:
        if "head" in info.data and (info.data["head"] is None) != (value > 0):
            raise ValueError("expected more than 0" if info.data["head"] is None else "expected 0, for a head is fitted")
        return value

    @field_validator("model")
    @classmethod
    def _is_known(cls, model: str) -> str:
        if model not in MODELS:
            raise ValueError(f"there are {', '.join(MODELS)}")
        return model

    @field_validator("split")
    @classmethod
    def _adds_up(cls, split: tuple[float, float, float]) -> tuple[float, float, float]:
        if not abs(sum(split) - 1) <= 1e-9 or min(split) < 0 or min(split[:2]) == 0:
            raise ValueError("training, validation and test must add up to 1, and only the last may be 0")
        return split


_MAKEM = "Makem, Tamas and Busoniu 2025, doi 10.3389/frai.2025.1620252"
_ADIWIJAYA = "Adiwijaya, Ardiansyah and Swasono 2025, doi 10.22219/kinetik.v10i1.2027"

_GENTLE = Augmentation(
    noise_sigmas=(0, 3, 9),
    rotation=45,
    horizontal_flip=True,
    vertical_flip=True,
    shift=0.1,
    zoom=(0.8, 1.0),
    shear=3,
    brightness=(0.8, 1.2),
    stain=0.05,
)

RECIPES: dict[str, Recipe] = {
    "mobilenet_m": Recipe(
        model="mobilenet_m",
        source=f"{_MAKEM}: network and optimiser of Tables 4 and 5, data protocol of section 3; the dropout's rate is ours",
        side=224,
        weights="imagenet",
        dropout=0.3,
        split=(0.7, 0.1, 0.2),
        balance="desaturate",
        augmentation=Augmentation(
            noise_sigmas=(3, 9), rotation=45, horizontal_flip=True, brightness=(0.4, 0.8), shift=0.1, zoom=(0.8, 1.0), shear=3
        ),
        epochs=100,
        learning_rate=1e-3,
        schedule="plateau",
        early_stop=20,
        monitor="val_loss",
    ),
    "mobilenet_m_robust": Recipe(
        model="mobilenet_m",
        source=f"{_MAKEM}: its network; leukolite's own protocol for the shipped bundles: noise up to sigma 20, gentle light and"
        " stain changes, few epochs on a cosine",
        side=224,
        weights="imagenet",
        dropout=0.3,
        split=(0.8, 0.1, 0.1),
        augmentation=_GENTLE.model_copy(update={"noise_sigmas": (0.0, 3.0, 9.0, 20.0)}),
        epochs=16,
        learning_rate=1e-3,
        schedule="cosine",
        monitor="val_loss",
        precision="mixed_bfloat16",
    ),
    "mobilenet_m_subject": Recipe(
        model="mobilenet_m",
        source=f"{_MAKEM}: its network; leukolite's own protocol for other people's blood (--split subject): every dye's amount,"
        " light and white balance change, so that no subject's stain gives it away",
        side=224,
        weights="imagenet",
        dropout=0.5,
        split=(0.7, 0.1, 0.2),
        balance="none",
        augmentation=_GENTLE.model_copy(update={"rotation": 180.0, "stain": 0.1, "dyes": 0.25, "noise_sigmas": (0.0, 3.0, 6.0)}),
        epochs=12,
        learning_rate=3e-4,
        schedule="cosine",
        monitor="val_loss",
        precision="mixed_bfloat16",
    ),
    "mobilenet_pooled": Recipe(
        model="mobilenet_pooled",
        source="leukolite's own, for blood of people never seen (--split subject): means of the frozen ImageNet MobileNet's"
        " middle blocks near C-NMC's native scale, and a logistic regression chosen over people",
        side=224,
        crop_fraction=200 / 450,
        weights="imagenet",
        dropout=0.0,
        split=(0.7, 0.1, 0.2),
        augmentation=Augmentation(),
        head=Head(),
        epochs=0,
        learning_rate=0.0,
        schedule="constant",
        monitor="val_loss",
    ),
    "light_cnn": Recipe(
        model="light_cnn",
        source=f"{_ADIWIJAYA}: 'improved model'; Adam at 1e-3 stays at chance, so 2e-4; the augmentation is ours",
        side=224,
        dropout=0.5,
        split=(0.9, 0.1, 0.0),
        augmentation=_GENTLE,
        epochs=500,
        learning_rate=2e-4,
        schedule="plateau",
        early_stop=50,
        monitor="val_accuracy",
    ),
    "small_cnn": Recipe(
        model="small_cnn",
        source="leukolite's own, for synthetic cells",
        side=96,
        dropout=0.2,
        split=(0.7, 0.1, 0.2),
        augmentation=Augmentation(noise_sigmas=(0, 3, 9), rotation=180, horizontal_flip=True, shift=0.05),
        epochs=30,
        learning_rate=2e-3,
        schedule="cosine",
        monitor="val_loss",
    ),
}
RECIPES["light_cnn_32"] = RECIPES["light_cnn"].model_copy(
    update={"model": "light_cnn_32", "source": f"{_ADIWIJAYA}: the text's variant, 32 filters everywhere; else as light_cnn"}
)
RECIPES = {name: recipe.model_copy(update={"name": name}) for name, recipe in RECIPES.items()}

CROP_FRACTION = {"c-nmc": 0.9}  # of 450 pixels: holds 99% of the cells whole (measured on fold 0), and enlarges them by 1.1


def _inner_fields(fields: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, inner) for name, value in fields.items() if isinstance(value, dict) for inner in value]


def resolve(recipe: Recipe, overrides: dict[str, object]) -> Recipe:
    """A recipe with some fields replaced; it keeps its name, which says where the others come from.

    Args:
        overrides: field name to value, as text or typed; an inner field is named as `augmentation.FIELD` or `head.FIELD`.

    Raises:
        TrainingError: an unknown field, or a value that the field cannot have.
    """
    fields = recipe.model_dump(exclude={"name"})
    for key, value in overrides.items():
        group, _, inner = key.rpartition(".")
        target = fields.get(group) if group else fields
        if not isinstance(target, dict) or inner not in target:
            known = ", ".join([*fields, *(f"{name}.{inner}" for name, inner in _inner_fields(fields))])
            raise TrainingError(f"the recipe has no field {key!r}; it has {known}")
        is_list = isinstance(target[inner], (tuple, list))
        target[inner] = typed_list(value) if is_list and isinstance(value, str) else value
    try:
        return Recipe.model_validate(fields | {"name": recipe.name})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise TrainingError(f"recipe field {where}: {first['msg']}, found {first['input']!r}") from error
