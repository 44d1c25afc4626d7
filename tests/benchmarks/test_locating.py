"""How well marked cells are found: the marks, the pairing, the command."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from leukolite.benchmarks.locating import MarkedField, pairs, read_marks, score
from leukolite.benchmarks.locating_cli import locating
from leukolite.errors import DatasetError
from leukolite.synthetic import SyntheticField, render_field

OBJECT = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
points = st.tuples(st.integers(0, 200), st.integers(0, 200))
rectangles = st.tuples(points, points).map(
    lambda p: (min(p[0][0], p[1][0]), min(p[0][1], p[1][1]), max(p[0][0], p[1][0]) + 1, max(p[0][1], p[1][1]) + 1)
)


def marked(*boxes: tuple[int, int, int, int]) -> MarkedField:
    return MarkedField(Path("field.png"), boxes, (), marks_all=True)


@pytest.fixture(scope="module")
def fields() -> list[SyntheticField]:
    return [render_field(np.random.default_rng(seed), width=640, height=480, white_cells=4) for seed in range(3)]


@pytest.fixture
def voc(fields, tmp_path) -> Path:
    """Rendered fields as BCCD has its own."""
    for folder in ("JPEGImages", "Annotations"):
        (tmp_path / "set" / folder).mkdir(parents=True)
    for k, field in enumerate(fields):
        Image.fromarray(field.pixels).save(tmp_path / "set" / "JPEGImages" / f"{k}.png")
        objects = "".join(OBJECT.format("WBC", *cell.box) for cell in field.cells) + OBJECT.format("RBC", 0, 0, 9, 9)
        (tmp_path / "set" / "Annotations" / f"{k}.xml").write_text(f"<annotation>{objects}</annotation>")
    return tmp_path / "set"


@pytest.fixture
def xyc(fields, tmp_path) -> Path:
    """Rendered fields as ALL-IDB1 has its own: blasts' centroids alone."""
    for folder in ("im", "xyc"):
        (tmp_path / "idb" / folder).mkdir(parents=True)
    for k, field in enumerate(fields):
        Image.fromarray(field.pixels).save(tmp_path / "idb" / "im" / f"Im{k}_1.png")
        blasts = [cell.box for cell in field.cells if cell.label == "blast"]
        lines = "".join(f"{(x0 + x1) / 2}\t{(y0 + y1) / 2}\n" for x0, y0, x1, y1 in blasts)
        (tmp_path / "idb" / "xyc" / f"Im{k}_1.xyc").write_text(lines)
    return tmp_path / "idb"


def test_a_mark_is_paired_once_however_many_boxes_lie_in_it():
    assert pairs([(10, 10, 20, 20), (12, 12, 22, 22)], marked((0, 0, 40, 40))) == 1
    assert pairs([(10, 10, 20, 20)], marked((0, 0, 40, 40), (5, 5, 45, 45))) == 1


def test_pairs_are_the_most_there_can_be():
    """The first box fits both marks, the second only one of them: taken in turn, one would be left."""
    assert pairs([(10, 10, 20, 20), (30, 10, 36, 20)], marked((0, 0, 40, 40), (0, 0, 25, 40))) == 2


@given(st.lists(rectangles, max_size=6), st.lists(rectangles, max_size=6))
def test_there_are_no_more_pairs_than_boxes_or_marks_and_a_field_pairs_with_itself(found, marks):
    assert 0 <= pairs(found, marked(*marks)) <= min(len(found), len(marks))
    assert pairs(marks, marked(*marks)) == len(marks)


def test_a_set_of_all_boxes_has_recall_and_precision(voc):
    found = score(voc)
    assert (found.marked, found.layout) == (12, "pascal-voc")
    assert (found.recall[0], found.precision[0]) == (1.0, 1.0)
    assert list(found.ms) == [(640, 480)]


def test_a_set_of_blasts_alone_has_no_precision(xyc, fields):
    found = score(xyc)
    assert found.marked == sum(cell.label == "blast" for field in fields for cell in field.cells) > 0
    assert found.recall[0] == 1.0
    assert found.precision == (None, None)


def test_halves_share_no_field_and_make_the_whole(voc):
    names = {half: [field.file for field in score(voc, half=half).fields] for half in ("even", "odd", "all")}
    assert sorted(names["even"] + names["odd"]) == names["all"]


def test_another_layout_a_missing_annotation_and_a_broken_one_are_refused(voc, xyc, tmp_path):
    with pytest.raises(DatasetError, match="expected JPEGImages"):
        read_marks(tmp_path)
    (xyc / "xyc" / "Im0_1.xyc").write_text("12 13 14\n")
    with pytest.raises(DatasetError, match="a line 'x y' a blast"):
        read_marks(xyc)
    (voc / "Annotations" / "1.xml").write_text("<annotation><object>")
    with pytest.raises(DatasetError, match=r"1\.xml: cannot be read as Pascal VOC"):
        read_marks(voc)
    (voc / "Annotations" / "1.xml").unlink()
    with pytest.raises(DatasetError, match="expected a Pascal VOC annotation of every image"):
        read_marks(voc)


def test_the_command_prints_both_shares_and_writes_every_field(call, voc, tmp_path):
    out = tmp_path / "score.json"
    result = call(locating, voc, "--json", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("100.0%") == 2
    assert "at 640x480" in result.stdout
    content = json.loads(out.read_text())
    assert content["schema"] == {"name": "locating", "version": 2}
    assert [field["paired"] for field in content["folders"]["set"]["fields"]] == [4, 4, 4]
