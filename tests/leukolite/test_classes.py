"""Labels and which of them are malignant: what is no such pair, and what follows from one that is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from leukolite.classes import Classes, check_labels, choose_malignant, taken_meaning

words = st.text("abcxyzABCXYZ äöß-", min_size=1, max_size=8)
labels = st.lists(words, min_size=2, max_size=8, unique_by=str.casefold)


@st.composite
def classes(draw: st.DrawFn) -> Classes:
    names = draw(labels)
    return Classes.of(names, draw(st.lists(st.sampled_from(names), unique=True)))


def swap_case(text: str) -> str:
    """The same letters in the other case, where that can be read back."""
    return text.swapcase() if text.swapcase().casefold() == text.casefold() else text


# what is no such pair


@pytest.mark.parametrize(
    ("names", "malignant", "says"),
    [
        (["blast"], [], "at least 2"),
        ([], [], "at least 2"),
        (["blast", "healthy", "blast"], [], r"labels must be distinct, found \['blast', 'healthy', 'blast'\]"),
        (["blast", "healthy"], ["Blast"], r"malignant names \['Blast'\], which are not among the labels \['blast', 'healthy'\]"),
        (["blast", "healthy"], ["blast", "other", "third"], r"malignant names \['other', 'third'\]"),
        (["blast", ""], [], "at least 1 character"),
        (["blast", "x" * 101], [], "at most 100 characters"),
    ],
)
def test_classes_that_contradict_themselves_are_refused(names, malignant, says):
    with pytest.raises(ValidationError, match=says):
        Classes.of(names, malignant)


@pytest.mark.parametrize("end", ["\n", "\r", "\t", "\x0b", "\x0c", "\x1c", "\x7f", "\x85", "\u2028", "\u2029"])
def test_a_label_is_one_line(end):
    with pytest.raises(ValidationError, match="should match pattern"):
        Classes.of(["healthy", f"bl{end}ast"])


def test_labels_are_checked_alike_where_they_are_no_classes_yet():
    check_labels(["blast", "healthy"], ["blast"])
    with pytest.raises(ValueError, match="labels must be distinct"):
        check_labels(["blast", "blast"], [])
    with pytest.raises(ValueError, match=r"malignant names \['other'\]"):
        check_labels(["blast", "healthy"], ["other"])


# what follows from one that is


def test_nobody_need_say_which_labels_are_malignant():
    assert Classes.of(["a", "b"]) == Classes(labels=("a", "b"), malignant=())


@given(classes())
def test_classes_survive_json(given_classes):
    assert Classes.model_validate_json(given_classes.model_dump_json()) == given_classes


@given(labels)
def test_there_are_as_many_classes_as_labels(names):
    assert len(Classes.of(names)) == len(names)


@given(classes())
def test_malignant_indices_point_at_the_malignant_labels_in_their_order(given_classes):
    found = given_classes.malignant_indices
    assert tuple(given_classes.labels[k] for k in found) == given_classes.malignant


@pytest.mark.parametrize(
    ("names", "malignant", "expected"),
    [
        (["healthy", "blast"], ["blast"], "blast"),
        (["blast", "healthy"], ["blast"], "blast"),
        (["healthy", "blast"], [], "blast"),
        (["blast", "healthy"], [], "healthy"),
        (["pre", "pro"], ["pre", "pro"], "pro"),
        (["a", "b", "c", "d"], ["a"], None),
        (["a", "b", "c"], [], None),
    ],
)
def test_of_two_classes_the_malignant_one_is_positive_else_the_second(names, malignant, expected):
    assert Classes.of(names, malignant).positive == expected


@given(classes())
def test_every_label_means_itself_whatever_its_case(given_classes):
    for names in (given_classes.labels, [swap_case(label) for label in given_classes.labels]):
        assert given_classes.match(names) == ({name: k for k, name in enumerate(names)}, [])


def test_two_spellings_of_a_label_mean_the_same_and_another_name_none():
    known, unknown = Classes.of(["Benign", "Pro"]).match(["benign", "BENIGN", "pro", "Malignant", "pr"])
    assert known == {"benign": 0, "BENIGN": 0, "pro": 1}
    assert unknown == ["Malignant", "pr"]


@given(classes(), st.lists(words, unique=True))
def test_a_name_is_a_label_or_is_not_and_each_is_in_its_order(given_classes, names):
    known, unknown = given_classes.match(names)
    assert sorted([*known, *unknown]) == sorted(names)
    assert unknown == [name for name in names if name in unknown]
    assert all(given_classes.labels[k].casefold() == name.casefold() for name, k in known.items())


# what a person says of them

NAMES = ("Benign", "ALL, early", "Pre", "pro-B")


@pytest.mark.parametrize(
    ("said", "chosen"),
    [
        (["Pre"], ("Pre",)),
        (["pre,PRO-B"], ("Pre", "pro-B")),
        (["pro-b, Pre , pre"], ("pro-B", "Pre")),
        (["ALL, early"], ("ALL, early",)),
        (["all, EARLY"], ("ALL, early",)),
        (['"ALL, early",Pre'], ("ALL, early", "Pre")),
        (['Pre, "all, early"'], ("Pre", "ALL, early")),
        (["Pre", "ALL, early"], ("Pre", "ALL, early")),
        (["none"], ()),
        (["None "], ()),
        (list(NAMES), NAMES),
    ],
    ids=str,
)
def test_malignant_labels_are_taken_as_people_write_them(said, chosen):
    assert choose_malignant(said, NAMES) == chosen


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (["Late"], "'Late'"),
        (["ALL, early,Pre"], "'ALL'"),
        (["Pre,none"], "'none'"),
        (["none", "Pre"], "'none'"),
        ([""], "''"),
        ([","], "','"),
        (['"Pre'], "'\"Pre'"),
        (["Pre;pro-B"], "'Pre;pro-B'"),
    ],
    ids=str,
)
def test_what_is_no_label_is_refused_with_the_labels_and_the_way_to_write_them(said, found):
    with pytest.raises(ValueError, match=r"among 'Benign', 'ALL, early', 'Pre', 'pro-B', or none, found .*in quotes") as no:
        choose_malignant(said, NAMES)
    assert f"found {found};" in str(no.value)


def test_labels_that_differ_in_case_alone_are_not_guessed_between():
    assert choose_malignant(["ALL"], ("all", "ALL")) == ("ALL",)
    with pytest.raises(ValueError, match="'All' is several of them"):
        choose_malignant(["All"], ("all", "ALL"))


def test_a_label_called_none_is_a_label():
    assert choose_malignant(["none"], ("None", "blast")) == ("None",)


# what means something else


@pytest.mark.parametrize(
    "label",
    [
        *(
            "abstain",
            "Abstain",
            "ABSTAIN",
            " abstain ",
            "abstain.",
            "\uff41bstain",
            "abstained",
            "excluded",
            "Gap",
            "any malignant",
        ),
        *(
            "\u0430bstain",
            "\u0410BSTAIN",
            "\u03b1bsta\u0456n",
            "ab\u200bstain",
            "e\u0445clu\u0501ed",
            "\u0261ap",
            "an\u0443 m\u0430lignant",
        ),
        *("Gaps", "G\u0430ps", "skipped", "Skipped.", "s\u043aipped"),
    ],
)
def test_a_label_that_says_something_else_in_outputs_is_refused(label):
    assert taken_meaning(["blast", label]) == f"{label!r} cannot be a label: in verdicts and counts it says {_said(label)}"


def _said(label: str) -> str:
    if "lignant" in label:
        return "all malignant labels together"
    meanings = {"e": "a picture was not classified", "G": "a frame was not available", "\u0261": "a frame was not available"}
    return f"that {meanings.get(label[0]) or ('a newer frame overtook it' if 'ipped' in label else 'a model gave no verdict')}"


@pytest.mark.parametrize(
    "label",
    [
        "none",
        "blast",
        "Benign",
        "gap junction",
        "gapless",
        "\u0433\u0430\u0437",
        "\u03b1-cell",
        "skip",
        "no verdict",
        "abs",
        "exclude me not",
        "malignant",
        "all",
    ],
)
def test_other_labels_are_taken(label):
    assert taken_meaning([label, "healthy cells"]) is None
