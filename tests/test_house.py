"""How the house is built: which part may import which, what its classes are called, what a wheel of it holds.

The five folders are the layers, lowest first: leukolite, then train and edge beside each other, convert, benchmarks. The
folders and modules of edge are its rooms.
"""

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from leukolite.advice import ADVICE

CHECKOUT = Path(__file__).parent.parent
MAY_IMPORT = {
    "leukolite": {"leukolite"},
    "train": {"leukolite", "train"},
    "edge": {"leukolite", "edge"},
    "convert": {"leukolite", "train", "convert"},
    "benchmarks": {"leukolite", "train", "convert", "edge", "benchmarks"},
}
FRONT_DOOR = "leukolite/__init__.py"  # names what is above it for type checkers, and as strings
NAMES_UPPER_MODULES = {  # as strings, imported when they are asked for
    FRONT_DOOR: "the public surface",
    "leukolite/cli.py": "the commands",
    "leukolite/cli_reference.py": "the commands' reference, with that of edge-run",
    "leukolite/shipped.py": "where the shipped bundles lie",
}
TENSORFLOW = {"tensorflow", "tensorflow_model_optimization", "tf_keras"}

# What the lower rooms of edge may import of edge; the others may import anything that makes no circle.
ROOMS_MAY_IMPORT = {
    "field": set(),
    "control": set(),
    "camera": {"control"},  # a source is asked for frames until its session is paused, stopped or on another slide
    "host": {"control"},  # signals stop a session
    "ending": {"camera"},
    "events": {"camera", "ending", "field", "host"},
    "classify": {"camera", "field", "events"},
    "counts": {"camera", "ending", "field", "host", "events"},
    "journal": {"camera", "ending", "field", "host", "events", "counts"},
    "report": {"camera", "ending", "field", "host", "events", "counts", "journal"},
    "page": {"camera", "field", "host", "events", "counts", "journal", "control"},
}


@cache
def modules() -> dict[str, ast.Module]:
    """Every module by its path within the checkout."""
    files = [path for top in MAY_IMPORT for path in sorted((CHECKOUT / top).rglob("*.py"))]
    return {str(path.relative_to(CHECKOUT)): ast.parse(path.read_text(encoding="utf-8")) for path in files}


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of what is imported anywhere in a module, within functions too; of `from a import b` both a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports: write the whole name"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def without_type_checking(tree: ast.Module) -> ast.Module:
    """A module without its top-level `if TYPE_CHECKING:` blocks."""
    body = [node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")]
    return ast.Module(body, [])


def layer_of(name: str) -> str | None:
    """The layer of a dotted name; None where it is not of leukolite."""
    first, _, rest = name.partition(".")
    second = rest.partition(".")[0]
    return None if first != "leukolite" else second if second in MAY_IMPORT else "leukolite"


def rooms() -> dict[str, set[str]]:
    """Each room of edge with the rooms that it imports."""
    found: dict[str, set[str]] = {}
    for path, tree in modules().items():
        if path.startswith("edge/") and path != "edge/__init__.py":
            here = Path(path).parts[1].removesuffix(".py")
            named = {name.split(".")[2] for name in imports(tree) if name.startswith("leukolite.edge.")}
            found.setdefault(here, set()).update(named - {here})
    return found


# --- layers


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_a_layer_imports_only_what_lies_below_it(layer):
    wrong = [
        f"{path} imports {name}"
        for path, tree in modules().items()
        if path.startswith(f"{layer}/")
        for name in imports(without_type_checking(tree) if path == FRONT_DOOR else tree)
        if layer_of(name) not in {None, *MAY_IMPORT[layer]}
    ]
    assert wrong == []


def test_the_lowest_layer_names_upper_modules_in_few_places():
    upper = re.compile(r"leukolite\.(train|convert|edge|benchmarks)(\.\w+)*(:\w+)?")
    found = {
        path
        for path, tree in modules().items()
        if path.startswith("leukolite/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and upper.fullmatch(node.value)
    }
    assert found == set(NAMES_UPPER_MODULES)


def test_tensorflow_is_imported_in_convert_alone():
    found = {path.partition("/")[0] for path, tree in modules().items() if TENSORFLOW & {n.split(".")[0] for n in imports(tree)}}
    assert found == {"convert"}


# --- the rooms of edge


def test_the_rooms_of_edge_make_no_circle():
    TopologicalSorter(rooms()).prepare()  # an error would name the circle


@pytest.mark.parametrize("room", ROOMS_MAY_IMPORT)
def test_a_lower_room_of_edge_imports_only_what_is_drawn(room):
    assert rooms()[room] <= ROOMS_MAY_IMPORT[room]


# --- names: the words of the style guide that were given up, so that none comes back

MODULES_GIVEN_UP = {"judge", "station", "chain", "package", "stress", "pictures"}
CLASSES_GIVEN_UP = {
    *("Judge", "Gate", "Area", "AreaVerdict", "View", "Settings", "Progress", "Subject", "Trained", "Made", "Shown", "Planned"),
    *("Tried", "Foreign", "Found", "Torn", "Measured", "Tally", "Times", "Keeper", "Rest", "Ruler", "Look", "Appearance"),
    *("Reopening", "Restarting", "Plan", "Steps"),
}
FUNCTIONS_GIVEN_UP = {"open_judge", "open_watched_judge", "look", "usual"}
TWO_OF_ONE_NAME: dict[str, str] = {}  # class -> why two places may have one


def names_of(*kinds: type[ast.AST]) -> Counter[str]:
    return Counter(node.name for tree in modules().values() for node in ast.walk(tree) if isinstance(node, kinds))


def test_no_module_has_a_name_that_was_given_up():
    assert [path for path in modules() if Path(path).stem in MODULES_GIVEN_UP] == []


def test_no_class_or_function_has_a_name_that_was_given_up():
    assert sorted(CLASSES_GIVEN_UP & set(names_of(ast.ClassDef))) == []
    assert sorted(FUNCTIONS_GIVEN_UP & set(names_of(ast.FunctionDef, ast.AsyncFunctionDef))) == []


def test_no_two_classes_have_one_name():
    assert {name for name, n in names_of(ast.ClassDef).items() if n > 1} == set(TWO_OF_ONE_NAME)


# --- words for the person at the terminal

COMMANDS = re.compile(r"(_?cli|options|advice|cli_reference|terminal|info|report)\.py$")
NAMES_OPTIONS = {  # module -> why
    "convert/ethosu.py": "calls Arm's compiler, whose options they are",
    "edge/camera/picamera.py": "how a virtual environment is made, with an option of Python's",
    "edge/field/exclusion.py": "a sentence of journals written before",
    "leukolite/imports.py": "how pip installs a library again",
    "train/recipes.py": "the source of a recipe, which runs record",
}


def texts(tree: ast.Module) -> Iterator[str]:
    """String literals of a module, its docstrings left out."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and ast.get_docstring(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def test_only_the_commands_know_their_options():
    """An error of the core is for Python programs too; a command adds `leukolite.advice`."""
    named = {
        path: [text for text in texts(tree) if re.search(r"(?<![\w-])--[a-z]", text)]
        for path, tree in modules().items()
        if not COMMANDS.search(path) and path not in NAMES_OPTIONS
    }
    assert {path: found for path, found in named.items() if found} == {}


def test_every_advice_is_asked_for_and_no_other():
    asked = {
        node.value
        for tree in modules().values()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "advice"
        for node in ast.walk(keyword.value)  # one that is chosen by an if too
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert asked == set(ADVICE)


WORDS_GIVEN_UP = re.compile(r"\b(judg\w*|passed over|once more|anew|proved|proves?)\b", re.IGNORECASE)
KEEPS_A_WORD = {  # text -> why
    "proved": "a value of manifests, which stay as they were",
    "the same at the fitted temperature; it flatters, see `judged_ece`": "a key of manifests",
    "--prove-with": "an option of before, which names its new one",
}


def test_no_text_has_a_word_that_was_given_up():
    found = {(path, text) for path, tree in modules().items() for text in texts(tree) if WORDS_GIVEN_UP.search(text)}
    assert sorted((path, text) for path, text in found if text not in KEEPS_A_WORD) == []


def test_pillow_opens_what_others_wrote_in_one_place():
    """With the formats that are meant, and whatever it raises as a reason; see `leukolite.images`."""
    opened = re.compile(r"\bImage\.open\(|\bcv2\.(imread|imreadmulti)\(")
    found = {path: opened.findall(ast.unparse(tree)) for path, tree in modules().items()}
    assert {path: len(calls) for path, calls in found.items() if calls} == {"leukolite/images.py": 1}


# --- packaging


def shipped_files() -> set[str]:
    """Every file below the five folders as the wheel has to name it."""
    files = [path.relative_to(CHECKOUT) for top in MAY_IMPORT for path in (CHECKOUT / top).rglob("*") if path.is_file()]
    names = [path.as_posix() for path in files if not any(part.startswith((".", "__pycache__")) for part in path.parts)]
    return {name if name.startswith("leukolite/") else f"leukolite/{name}" for name in names}


def test_pyproject_lists_every_folder_with_modules():
    listed = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    found = [Path(name).parent.as_posix().replace("/", ".") for name in shipped_files() if name.endswith("/__init__.py")]
    assert sorted(listed) == sorted(found)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in a wheel built of a copy of the checkout (a build leaves folders beside pyproject.toml)."""
    try:
        version = importlib.metadata.version("setuptools")
    except importlib.metadata.PackageNotFoundError:
        version = "0"
    if int(version.partition(".")[0]) < 77:
        pytest.skip(f"building a wheel needs setuptools 77 or later, found {version}; pip install 'leukolite[dev]'")
    place = tmp_path_factory.mktemp("wheel")
    for name in MAY_IMPORT:
        shutil.copytree(CHECKOUT / name, place / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(CHECKOUT / name, place / "source" / name)
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", place, place / "source"]
    built = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert built.returncode == 0, built.stderr
    (path,) = place.glob("leukolite-*.whl")
    with zipfile.ZipFile(path) as file:
        return set(file.namelist())


def test_a_wheel_holds_every_file_of_the_five_folders(wheel):
    assert sorted(shipped_files() - wheel) == []
    assert sorted(name for name in wheel if name.endswith(".py") and name not in shipped_files()) == []


def test_a_wheel_holds_what_is_easily_forgotten(wheel):
    for layer in MAY_IMPORT:
        assert ("leukolite/py.typed" if layer == "leukolite" else f"leukolite/{layer}/py.typed") in wheel
    assert {Path(name).suffix for name in wheel if name.startswith("leukolite/edge/page/")} == {".py", ".html", ".css", ".js"}
    assert any(name.endswith(".j2") for name in wheel)
    assert any(name.endswith(".kt.jinja") for name in wheel)
    manifests = [name for name in wheel if re.fullmatch(r"leukolite/edge/bundles/[^/]+/manifest\.json", name)]
    assert len(manifests) == len(list((CHECKOUT / "edge" / "bundles").iterdir())) >= 5
    for name in manifests:
        parts = ("model.tflite", "golden.npz", "golden-verdicts.json", "labels.txt", "README.md", "SHA256SUMS")
        assert {name.replace("manifest.json", part) for part in parts} <= wheel
    assert {name.rpartition("/")[2] for name in wheel if ".dist-info/licenses/" in name} == {"LICENSE", "NOTICE"}
