"""What is refused before any model sees it."""

import csv

import numpy as np
from PIL import Image

from leukolite.edge.cli import main as edge_run
from leukolite.edge.quality import first_of, one_cell


def test_a_picture_of_one_cell_passes_and_a_field_does_not():
    assert one_cell(np.zeros((450, 450, 3), np.uint8)) is None
    assert "a whole field, not one cell (640x480" in (one_cell(np.zeros((480, 640, 3), np.uint8)) or "")


def test_the_first_reason_counts_and_later_gates_are_not_asked():
    asked = []
    gate = first_of(None, lambda pixels: "blurred", lambda pixels: asked.append(pixels))
    assert gate is not None
    assert gate(np.zeros((2, 2, 3), np.uint8)) == "blurred"
    assert asked == []
    assert first_of(None, None) is None


def test_a_bundle_of_cells_gives_no_verdict_on_a_whole_field(call, tmp_path):
    (tmp_path / "fields").mkdir()
    Image.fromarray(np.full((480, 640, 3), 200, np.uint8)).save(tmp_path / "fields" / "field.png")
    command = ("--bundle", "synthetic-cells", "--source", tmp_path / "fields", "--out", tmp_path / "out")
    result = call(edge_run, *command)
    assert result.exit_code == 0, result.output
    assert "a whole field, not one cell" in result.stdout
    with (tmp_path / "out" / "verdicts.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["label"] == ""
    assert row["excluded"].startswith("a whole field")
