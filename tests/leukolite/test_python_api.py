"""`import leukolite` gives what the page says, what `edge-run` gives, and costs little."""

import ast
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import leukolite
from leukolite.edge.cli import main as edge_run
from leukolite.synthetic import LABELS, render_cell, render_field

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "python-api.md"
TEXT = PAGE.read_text(encoding="utf-8")
PUBLIC = [
    "Bundle",
    "BundleError",
    "Classes",
    "Classifier",
    "Exclusion",
    "ExclusionKind",
    "ImageError",
    "LeukoliteError",
    "Model",
    "RegionResult",
    "Result",
    "RuntimeInfo",
    "RuntimeOptions",
    "RuntimeUnavailable",
    "Verdict",
    "__version__",
    "add_gaussian_noise",
    "load",
    "open_classifier",
    "shipped_bundles",
]
FIELD = render_field(np.random.default_rng(1)).pixels
CELL = render_cell(np.random.default_rng(0), "blast")
BLACK = np.zeros((256, 256, 3), np.uint8)


# the page


def test_every_example_on_the_page_runs_as_written_and_prints_what_stands_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    examples = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```\n", TEXT, re.DOTALL)
    assert len(examples) == TEXT.count("```python") == TEXT.count("```text") >= 18, "every example has its output"
    namespace: dict[str, Any] = {}
    for code, expected in examples:
        printed = StringIO()
        with redirect_stdout(printed):
            exec(compile(code, str(PAGE), "exec"), namespace)
        assert printed.getvalue() == expected, code


SIGNATURES = re.findall(r"^`([\w.]+)\((.*)\)`$", TEXT, re.MULTILINE) + re.findall(
    r"^\| `(\w+Error|\w+able)\((.*?)\)` ", TEXT, re.MULTILINE
)


def named(name: str) -> Any:
    """What a name on the page stands for."""
    module, _, attribute = (name if "." in name else f"leukolite.{name}").rpartition(".")
    return getattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize(("name", "parameters"), SIGNATURES, ids=[name for name, _ in SIGNATURES])
def test_a_signature_on_the_page_is_the_functions(name: str, parameters: str) -> None:
    written = ast.parse(f"def f({parameters}): pass").body[0]
    assert isinstance(written, ast.FunctionDef)
    arguments = written.args
    own = list(inspect.signature(named(name)).parameters.values())
    positional = [one.name for one in own if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    keyword = [one.name for one in own if one.kind is inspect.Parameter.KEYWORD_ONLY]
    assert [one.arg for one in arguments.args] == positional
    assert [one.arg for one in arguments.kwonlyargs] == keyword
    first = len(arguments.args) - len(arguments.defaults)
    defaults = dict(zip([one.arg for one in arguments.args[first:]], arguments.defaults, strict=True))
    given = zip([one.arg for one in arguments.kwonlyargs], arguments.kw_defaults, strict=True)
    defaults |= {argument: value for argument, value in given if value is not None}
    assert set(defaults) == {one.name for one in own if one.default is not inspect.Parameter.empty}
    for argument, value in defaults.items():
        if ast.literal_eval(value) is not ...:  # '...' is a default that is no constant
            assert ast.literal_eval(value) == next(one for one in own if one.name == argument).default


def test_every_public_name_is_on_the_page() -> None:
    headings = set(re.findall(r"^### (\w+)$", TEXT, re.MULTILINE))
    errors = {name for name in PUBLIC if name.endswith(("Error", "Unavailable"))}
    assert set(PUBLIC) - headings - errors - {"__version__"} == set()
    assert all(f"`{name}(" in TEXT for name in errors)


# the surface


def test_the_public_surface_is_this_list() -> None:
    assert sorted(leukolite.__all__) == PUBLIC
    assert [name for name in PUBLIC if not hasattr(leukolite, name)] == []
    assert set(PUBLIC) <= set(dir(leukolite))


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Judge'"):
        _ = leukolite.Judge


def loaded_after(code: str) -> set[str]:
    """The top-level packages in a process of its own, once `code` ran."""
    show = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    result = subprocess.run([sys.executable, "-c", f"{code}; {show}"], capture_output=True, text=True, check=True, timeout=60)
    return set(result.stdout.split())


def test_importing_loads_no_library_at_all() -> None:
    libraries = {"numpy", "cv2", "PIL", "pydantic", "click", "rich", "ai_edge_litert", "tensorflow", "keras", "jinja2"}
    assert not loaded_after("import leukolite") & libraries
    assert not loaded_after("import leukolite; dir(leukolite); leukolite.__version__") & libraries


def test_loading_a_bundle_needs_nothing_of_the_workstation() -> None:
    heavy = {"tensorflow", "keras", "tf_keras", "jax", "torch", "sklearn", "scipy", "matplotlib", "starlette", "uvicorn"}
    loaded = loaded_after("import leukolite; leukolite.load('synthetic-cells')")
    assert "ai_edge_litert" in loaded
    assert not loaded & heavy


# what edge-run gives


Compared = list[tuple[Any, ...]]


def given_by_python(result: leukolite.Result) -> Compared:
    return [
        (
            list(region.box),
            region.verdict.label if region.verdict else None,
            round(region.verdict.probability, 6) if region.verdict else None,
            str(region.excluded) if region.excluded else None,
            str(region.excluded.kind) if region.excluded else None,
        )
        for region in result
    ]


CASES: dict[str, tuple[str, np.ndarray, dict[str, Any]]] = {
    "a model of fields on a rendered field": ("mobilenet_m-taleqani", FIELD, {}),
    "another model of fields": ("light_cnn-taleqani", FIELD, {"ungated": True}),
    "a model of cells on one cell": ("synthetic-cells", CELL, {}),
    "a model of cells on one cell, asked for": ("synthetic-cells", CELL, {"cells": "one"}),
    "a model of cells on a field": ("synthetic-cells", FIELD, {"cells": "many"}),
    "a model of cells on a field that it knows itself": ("synthetic-cells", FIELD, {}),
    "cells that the gates exclude": ("mobilenet_m-allidb2", FIELD, {"cells": "many"}),
    "cells of another model, ungated": ("mobilenet_m-allidb2", FIELD, {"cells": "many", "ungated": True}),
    "cells of a given size on another axis": ("synthetic-cells", FIELD, {"cells": "many", "cell_diameter": 60.0, "channel": "a"}),
    "a black picture before a model of cells": ("synthetic-cells", BLACK, {}),
    "a black picture before a model of fields": ("mobilenet_m-taleqani", BLACK, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_picture_gets_from_python_what_edge_run_gives_it(case: str, call: Callable[..., Any], tmp_path: Path) -> None:
    name, pixels, options = CASES[case]
    picture = tmp_path / "picture.png"
    Image.fromarray(pixels).save(picture)
    words = []
    for option, value in options.items():
        words += [f"--{option.replace('_', '-')}", *([] if value is True else [value])]
    outcome = call(edge_run, "--bundle", name, "--source", picture, *words, "--json", tmp_path / "session.json")
    assert outcome.exit_code == 0, outcome.output
    (frame,) = json.loads((tmp_path / "session.json").read_text())["frames"]

    model = leukolite.load(name, **options)
    result = model(picture)
    expected = [
        tuple(cell[key] for key in ("box", "label", "probability", "excluded", "excluded_kind")) for cell in frame["cells"]
    ]
    assert given_by_python(result) == expected
    assert (str(result.excluded) if result.excluded else None) == frame["excluded"]
    assert (str(result.excluded.kind) if result.excluded else None) == frame["excluded_kind"]
    assert result.label == frame["label"]
    assert (None if result.probability is None else round(result.probability, 6)) == frame["probability"]
    assert given_by_python(model(str(picture))) == expected, "a path as text"
    assert given_by_python(model(pixels)) == expected, "an array"
    assert model.runtime.model_dump() == frame["runtime"]


def test_the_cases_hold_verdicts_regions_and_both_kinds_of_exclusion() -> None:
    results = {case: leukolite.load(name, **options)(pixels) for case, (name, pixels, options) in CASES.items()}
    assert any(result.label is not None for result in results.values())
    assert any(len(result.verdicts) > 1 for result in results.values())
    assert any(region.excluded for result in results.values() for region in result)
    assert any(result.excluded for result in results.values())


def test_the_bare_classifier_gives_the_gated_verdict_without_the_gates() -> None:
    model = leukolite.load("synthetic-cells")
    bare, gated = model.classifier(CELL), model(CELL).verdicts[0]
    assert (bare.label, bare.probability) == (gated.label, gated.probability)
    assert model(BLACK).label is None
    assert model.classifier(BLACK).label in LABELS


def test_an_array_is_not_changed_and_need_not_be_contiguous() -> None:
    model = leukolite.load("synthetic-cells")
    turned = CELL[::-1, :, :]
    before = CELL.copy()
    assert given_by_python(model(turned)) == given_by_python(model(np.ascontiguousarray(turned)))
    assert np.array_equal(CELL, before)


# errors


@pytest.mark.parametrize(
    "wrong",
    [
        CELL / 255,
        CELL.astype(np.int16),
        CELL[..., 0],
        CELL[..., :2],
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
    ],
    ids=["float", "int16", "grey", "two channels", "empty", "with alpha"],
)
def test_an_array_that_is_no_picture_is_a_value_error(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 R,G,B of shape \(height, width, 3\), found"):
        leukolite.load("synthetic-cells")(wrong)


def test_an_unknown_name_lists_the_shipped_bundles() -> None:
    with pytest.raises(leukolite.BundleError) as caught:
        leukolite.load("mobilenet")
    assert all(name in str(caught.value) for name in leukolite.shipped_bundles())


FAILURES: dict[str, tuple[Callable[[Path], object], type[Exception]]] = {
    "an unknown name": (lambda place: leukolite.load("nothing"), leukolite.BundleError),
    "a folder that is no bundle": (leukolite.load, leukolite.BundleError),
    "a place where nothing is": (lambda place: leukolite.load(place / "x" / "y"), leukolite.BundleError),
    "cells in a model of fields": (lambda place: leukolite.load("mobilenet_m-taleqani", cells="many"), leukolite.BundleError),
    "one cell in a model of fields": (lambda place: leukolite.load("mobilenet_m-taleqani", cells="one"), leukolite.BundleError),
    "a channel in a model of fields": (lambda place: leukolite.load("mobilenet_m-taleqani", channel="a"), leukolite.BundleError),
    "an unknown runtime": (lambda place: leukolite.load("synthetic-cells", runtime="onnx"), leukolite.RuntimeUnavailable),
    "no accelerator": (lambda place: leukolite.load("synthetic-cells", runtime="edgetpu"), leukolite.RuntimeUnavailable),
    "no threads": (lambda place: leukolite.load("synthetic-cells", threads=0), ValueError),
    "unknown cells": (lambda place: leukolite.load("synthetic-cells", cells="few"), ValueError),
    "an unknown channel": (lambda place: leukolite.load("synthetic-cells", channel="b"), ValueError),
    "a diameter of nothing": (lambda place: leukolite.load("synthetic-cells", cell_diameter=0), ValueError),
    "a diameter that is no number": (lambda place: leukolite.load("synthetic-cells", cell_diameter=float("nan")), ValueError),
    "a file that is not there": (lambda place: leukolite.load("synthetic-cells")(place / "a.png"), leukolite.ImageError),
    "a folder for a picture": (lambda place: leukolite.load("synthetic-cells")(place), leukolite.ImageError),
    "a wrong array": (lambda place: leukolite.load("synthetic-cells")(CELL / 255), ValueError),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_an_error_from_python_is_of_its_kind_and_names_no_option_of_a_command(failure: str, tmp_path: Path) -> None:
    fails, kind = FAILURES[failure]
    with pytest.raises(kind) as caught:
        fails(tmp_path)
    assert "--" not in str(caught.value)
    assert str(caught.value)
