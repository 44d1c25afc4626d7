import pytest

from leukolite.errors import TrainingError
from leukolite.train.models import MODELS
from leukolite.train.recipes import RECIPES, Recipe, resolve

SMALL = RECIPES["small_cnn"]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_names_its_source_and_a_model_there_is(name):
    assert len(RECIPES[name].source) > 20
    assert RECIPES[name].model in MODELS


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_passes_its_own_rules_and_comes_back_from_json(name):
    assert resolve(RECIPES[name], {}) == RECIPES[name]
    assert Recipe.model_validate_json(RECIPES[name].model_dump_json()) == RECIPES[name]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_knows_the_name_it_is_called_by(name):
    assert RECIPES[name].name == name


def test_a_recipe_with_other_fields_keeps_its_name_and_none_can_be_given():
    assert resolve(SMALL, {"epochs": 7}).name == "small_cnn"
    with pytest.raises(TrainingError, match="no field 'name'"):
        resolve(SMALL, {"name": "mine"})


def test_the_name_stands_beside_the_network_and_older_records_have_the_network_alone():
    robust = RECIPES["mobilenet_m_robust"]
    assert robust.title == "mobilenet_m_robust (network mobilenet_m)"
    older = Recipe.model_validate(robust.model_dump(exclude={"name"}))
    assert (older.name, older.title) == (None, "mobilenet_m")


def test_the_name_is_not_among_what_training_depends_on():
    assert "name" not in SMALL.training_settings()
    assert SMALL.training_settings() == SMALL.model_copy(update={"name": None}).training_settings()


def test_published_recipes_carry_their_doi():
    assert "10.3389/frai.2025.1620252" in RECIPES["mobilenet_m"].source
    assert "10.22219/kinetik.v10i1.2027" in RECIPES["light_cnn"].source


def test_mobilenet_m_is_trained_as_in_the_paper():
    recipe = RECIPES["mobilenet_m"]
    assert (recipe.side, recipe.split, recipe.batch_size, recipe.epochs) == (224, (0.7, 0.1, 0.2), 16, 100)
    assert (recipe.learning_rate, recipe.schedule, recipe.early_stop, recipe.monitor) == (1e-3, "plateau", 20, "val_loss")


def test_a_field_is_replaced_by_text_or_value_and_the_others_stay():
    assert resolve(SMALL, {"epochs": "7"}) == resolve(SMALL, {"epochs": 7}) == SMALL.model_copy(update={"epochs": 7})


def test_a_field_of_the_augmentation_is_named_with_a_dot():
    recipe = resolve(SMALL, {"augmentation.rotation": "10", "augmentation.horizontal_flip": "false"})
    assert (recipe.augmentation.rotation, recipe.augmentation.horizontal_flip) == (10, False)
    assert recipe.augmentation.shift == SMALL.augmentation.shift


def test_tuples_are_given_with_commas():
    recipe = resolve(SMALL, {"split": "0.8,0.1,0.1", "augmentation.noise_sigmas": "0, 5", "augmentation.zoom": (0.5, 1)})
    assert recipe.split == (0.8, 0.1, 0.1)
    assert recipe.augmentation.noise_sigmas == (0, 5)
    assert recipe.augmentation.zoom == (0.5, 1)


def test_one_value_is_a_tuple_of_one():
    assert resolve(SMALL, {"augmentation.noise_sigmas": "5"}).augmentation.noise_sigmas == (5,)


def test_resolving_leaves_the_recipe_as_it_was():
    before = SMALL.model_copy(deep=True)
    resolve(SMALL, {"augmentation.rotation": 1, "epochs": 1})
    assert before == SMALL


@pytest.mark.parametrize("field", ["bogus", "augmentation.bogus", "epochs.bogus", "bogus.rotation", ""])
def test_an_unknown_field_is_refused_with_those_there_are(field):
    with pytest.raises(TrainingError, match=r"the recipe has no field .*epochs.*augmentation\.rotation") as caught:
        resolve(SMALL, {field: 1})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", "many"),
        ("epochs", "0"),
        ("side", "31"),
        ("learning_rate", "nan"),
        ("learning_rate", "0"),
        ("dropout", "1"),
        ("schedule", "sometimes"),
        ("split", "0.7,0.3"),
        ("split", "0.5,0.1,0.1"),
        ("split", "0.8,0,0.2"),
        ("split", "nan,0.5,0.5"),
        ("model", "resnet"),
        ("augmentation", "none"),
        ("augmentation.rotation", "360"),
        ("augmentation.noise_sigmas", "-1"),
        ("augmentation.zoom", "0,1"),
    ],
)
def test_a_value_that_cannot_be_is_refused_in_one_line_that_names_the_field(field, value):
    with pytest.raises(TrainingError, match=f"recipe field {field}") as caught:
        resolve(SMALL, {field: value})
    assert "\n" not in str(caught.value)
