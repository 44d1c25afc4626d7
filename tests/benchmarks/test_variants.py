"""`leukolite variants`: the table of what each variant costs."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from leukolite.benchmarks.variants_cli import _command
from leukolite.cli import main as leukolite

pytestmark = pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")  # TensorFlow's, of every conversion


@pytest.fixture(scope="module")
def made(finished_run, call, tmp_path_factory) -> tuple[str, dict]:
    """The document and the JSON of two variants of the tiny run."""
    if find_spec("tensorflow") is None:
        pytest.skip("conversion needs TensorFlow; pip install 'leukolite[convert]'")
    folder = tmp_path_factory.mktemp("variants")
    options = ("--to", "float32,int8", "--out", folder / "variants.md", "--json", folder / "variants.json")
    result = call(leukolite, "variants", finished_run, *options)
    assert result.exit_code == 0, result.output
    text = (folder / "variants.md").read_text()
    (folder / "stdout").write_text(result.stdout)
    return text, json.loads((folder / "variants.json").read_text())


def test_what_is_printed_has_the_documents_figures_in_80_columns(made, tmp_path_factory):
    text, _ = made
    printed = next(tmp_path_factory.getbasetemp().glob("variants*/stdout")).read_text()
    tables = [line for line in printed.splitlines() if not line.startswith(("Accuracy", "- ")) and "validation image" not in line]
    assert max(map(len, tables)) <= 80
    words = set(printed.split())
    for name, row in rows(text).items():
        cells = {word for cell in (name, *row.values()) for word in cell.replace("`", "").split()}
        assert cells <= words


def rows(text: str) -> dict[str, dict[str, str]]:
    """Variant to its cells, by heading."""
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return {row[0].split("`")[1]: dict(zip(table[0], row, strict=True)) for row in table[2:]}


def test_each_variant_has_a_row_with_its_size_and_accuracies(made):
    text, said = made
    shown = rows(text)
    assert list(shown) == ["float32", "int8"]
    (run,) = said["runs"].values()
    for variant in run["variants"]:
        row = shown[variant["variant"]]
        assert row["MB"] == f"{variant['bytes'] / 1e6:.2f}"
        assert row["of float32"] == f"{variant['bytes'] / run['float32_bytes']:.3f}"
        first = variant["manifest"]["measured"]["results"][0]
        assert row["unseen, sigma 0"].startswith(f"{100 * first['accuracy']:.1f}% (")
        assert first["n"] == 8
        assert row["flips"] == str(len(variant["flips"]))
        assert float(row["p50 ms, litert"]) == pytest.approx(variant["p50_invoke_ms"]["litert"], abs=0.006)


def test_what_fails_the_gate_is_in_the_table_and_says_so(made):
    text, said = made
    (run,) = said["runs"].values()
    for variant in run["variants"]:
        assert (variant["path"] is None) == (f"`{variant['variant']}` (fails the gate)" in text)
        assert all(reason in text for reason in variant["reasons"])


def test_nothing_is_kept_but_the_table(finished_run, made):
    assert not (finished_run / "tried").exists()
    _, said = made
    (run,) = said["runs"].values()
    assert all(variant["path"] is None or not Path(variant["path"]).exists() for variant in run["variants"])


def test_the_document_says_how_it_was_made_but_not_where():
    words = ["variants", "/home/somebody/work/runs/m", "--data", "data/set", "--calibration", "200"]
    assert _command(words) == "leukolite variants runs/m --data data/set --calibration 200"


def test_a_folder_that_is_no_run_is_refused(refuses: Callable[..., str], tmp_path):
    assert "not a finished run" in refuses(leukolite, "variants", tmp_path)


def test_a_call_without_a_run_is_wrong(refuses: Callable[..., str]):
    assert "RUN" in refuses(leukolite, "variants", code=2)
