"""Cells cut out of a field as the training pictures were, and the verdicts on them."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from leukolite.benchmarks.locating import MarkedField, pairs
from leukolite.bundle import Bundle
from leukolite.classifier import open_classifier
from leukolite.cli import main as leukolite
from leukolite.edge.cli import main as edge_run
from leukolite.edge.field.crop import CUT, NO_SCALE, CellLocator, cut_out, locator_of
from leukolite.edge.field.exclusion import Exclusion, ExclusionKind
from leukolite.edge.field.locate import Cell, locate
from leukolite.edge.field.view import Region
from leukolite.manifest import CellPicture
from leukolite.shipped import find_bundle
from leukolite.synthetic import render_field

KEPT, BLACK = CellPicture(window=3.0, background="kept"), CellPicture(window=3.0, background="black")


def saved(pixels: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path.parent


def as_cut(pixels: np.ndarray) -> np.ndarray:
    """A `Shrink` that leaves a cut-out cell as it is."""
    return pixels


def kinds(regions: Sequence[Region]) -> list[ExclusionKind | None]:
    return [None if region.excluded is None else region.excluded.kind for region in regions]


def square(pixels: np.ndarray, box: tuple[int, int, int, int]) -> Cell:
    """A cell that fills its box."""
    return Cell(box, np.ones((8, 8), bool), is_cut=False)


def test_a_cell_lies_in_the_centre_of_a_square_as_wide_as_the_training_pictures():
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[90:110, 190:230] = (10, 200, 30)
    shown = cut_out(pixels, square(pixels, (190, 90, 230, 110)), KEPT, red_cell_diameter_px=40.0)
    assert shown.shape == (120, 120, 3)
    ys, xs = np.nonzero(shown[:, :, 1])
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (40, 79, 50, 69)


def test_nothing_but_the_cell_is_left_on_black():
    pixels = np.full((300, 400, 3), 90, np.uint8)
    shown = cut_out(pixels, square(pixels, (190, 90, 230, 110)), BLACK, red_cell_diameter_px=40.0)
    assert set(np.unique(shown)) == {0, 90}
    assert np.count_nonzero(shown[:, :, 0]) == pytest.approx(40 * 20, rel=0.25)
    assert shown[0, 0].tolist() == [0, 0, 0]


def test_a_neighbours_shred_is_not_left_on_black():
    pixels = np.full((300, 400, 3), 90, np.uint8)
    mask = np.zeros((20, 40), bool)
    mask[:, :20] = True
    mask[0:2, 36:39] = True
    shown = cut_out(pixels, Cell((190, 90, 230, 110), mask, is_cut=False), BLACK, red_cell_diameter_px=40.0)
    assert not shown[:, 90:].any()


@pytest.mark.parametrize("box", [(0, 0, 20, 20), (380, 280, 400, 300), (190, 0, 230, 20)])
def test_a_window_over_the_edge_is_filled_with_the_field_mirrored(box):
    pixels = np.random.default_rng(0).integers(1, 256, (300, 400, 3), np.uint8)
    shown = cut_out(pixels, square(pixels, box), KEPT, red_cell_diameter_px=40.0)
    assert shown.shape == (120, 120, 3)
    assert shown.all()


def test_every_cell_of_a_field_is_a_region_of_its_own(field):
    pytest.importorskip("scipy")  # pairs cells and marks
    regions = CellLocator(KEPT, as_cut)(field.pixels)
    marks = MarkedField(Path(), tuple(cell.box for cell in field.cells), (), marks_all=True)
    assert pairs([region.box for region in regions], marks) == len(field.cells) == len(regions)
    assert {region.excluded for region in regions} == {None}


def test_a_region_cuts_the_same_place_out_of_another_frame(field):
    region = CellLocator(KEPT, as_cut)(field.pixels)[0]
    assert np.array_equal(region.cut(field.pixels), region.square)
    assert np.array_equal(region.cut(255 - field.pixels), 255 - region.square)


def test_a_cell_cut_by_the_edge_is_excluded(field):
    x0, y0, x1, y1 = field.cells[0].box
    regions = CellLocator(KEPT, as_cut)(np.ascontiguousarray(field.pixels[:, (x0 + x1) // 2 :]))
    cut = [region for region in regions if region.box[0] == 0 and y0 - 5 <= region.box[1] <= y1]
    assert [region.excluded for region in cut] == [CUT]


def test_a_field_without_red_cells_has_no_scale_unless_one_is_given():
    pixels = np.full((480, 640, 3), (225, 222, 218), np.uint8)
    cv2.circle(pixels, (300, 240), 50, (95, 45, 145), -1)
    assert [region.excluded for region in CellLocator(KEPT, as_cut)(pixels)] == [NO_SCALE]
    (region,) = CellLocator(KEPT, as_cut, cell_diameter=100.0)(pixels)
    assert region.excluded is None
    assert region.square is not None
    assert region.square.shape[0] == round(3.0 * 100.0 / 1.6)


def test_what_is_larger_than_any_cell_is_excluded():
    pixels = np.full((480, 640, 3), (225, 222, 218), np.uint8)
    cv2.ellipse(pixels, (300, 240), (200, 40), 0, 0, 360, (95, 45, 145), -1)
    (region,) = CellLocator(KEPT, as_cut, cell_diameter=100.0)(pixels)
    assert str(region.excluded).startswith("larger than a cell (6.")
    assert kinds([region]) == [ExclusionKind.LARGE]


def test_cells_of_too_low_a_magnification_are_excluded(field):
    small = cv2.resize(field.pixels, (320, 256), interpolation=cv2.INTER_AREA)  # red cells of 18 pixels
    regions = CellLocator(KEPT, as_cut)(small)
    assert len(regions) >= 5
    assert all(str(region.excluded).startswith("too small (red cells 1") for region in regions)
    assert set(kinds(regions)) == {ExclusionKind.SMALL}


@pytest.mark.parametrize(("diameter", "contradicts"), [(35, True), (60, False), (90, False), (200, True)])
def test_a_given_diameter_that_the_red_cells_contradict_excludes_the_cells(field, diameter, contradicts):
    regions = CellLocator(KEPT, as_cut, cell_diameter=diameter)(field.pixels)
    assert set(kinds(regions)) == {ExclusionKind.DIAMETER if contradicts else None}
    if contradicts:
        assert all("contradicts the field" in str(region.excluded) for region in regions)


def test_a_picture_of_thousands_of_things_is_no_field_and_takes_no_minutes():
    pixels = np.full((1944, 2592, 3), (230, 200, 205), np.uint8)
    for y in range(20, 1944, 40):
        for x in range(20, 2592, 40):
            cv2.circle(pixels, (x, y), 12, (90, 30, 140), -1)
    (region,) = CellLocator(KEPT, as_cut)(pixels)
    assert str(region.excluded).startswith("not a field of cells (")
    assert kinds([region]) == [ExclusionKind.NOT_A_FIELD]


def test_the_gate_is_asked_of_each_cut_out_cell(field):
    sides = []

    def gate(pixels: np.ndarray) -> Exclusion | None:
        sides.append(pixels.shape)
        return Exclusion.of(ExclusionKind.BLURRED) if len(sides) == 1 else None

    regions = CellLocator(KEPT, as_cut, gate=gate)(field.pixels)
    assert kinds(regions) == [ExclusionKind.BLURRED] + [None] * (len(regions) - 1)
    assert len(set(sides)) == 1


def test_a_diameter_that_sieves_every_cell_out_is_reported_as_what_it_is(field):
    (region,) = CellLocator(KEPT, as_cut, cell_diameter=4096.0)(field.pixels)
    assert "contradicts the field" in str(region.excluded)
    assert kinds([region]) == [ExclusionKind.DIAMETER]


def test_located_cells_are_told_apart_as_well_as_pictures_of_one(demo):
    """What the model was trained on is what it is shown: the demonstration's cells, found in fields it never saw."""
    classifier = open_classifier(Bundle.load(find_bundle(Path("synthetic-cells"))))
    find = locator_of(demo, classifier.shrink)
    right = classified = 0
    for seed in range(12):
        field = render_field(np.random.default_rng(seed), width=800, height=640)
        for region in find(field.pixels):
            x, y = (region.box[0] + region.box[2]) / 2, (region.box[1] + region.box[3]) / 2
            truth = [cell.label for cell in field.cells if cell.box[0] <= x <= cell.box[2] and cell.box[1] <= y <= cell.box[3]]
            if truth and region.excluded is None:
                classified += 1
                right += classifier.classify(region.square).label == truth[0]
    assert classified > 40
    assert right / classified > 0.9


def test_the_json_has_each_cell_of_each_field_with_its_box_and_verdict(call, field, tmp_path):
    pytest.importorskip("scipy")  # pairs cells and marks
    folder = saved(field.pixels, tmp_path / "fields" / "one.png")
    out = tmp_path / "session.json"
    result = call(edge_run, "--bundle", "synthetic-cells", "--source", folder, "--json", out)
    assert result.exit_code == 0, result.output
    (frame,) = json.loads(out.read_text())["frames"]
    assert frame["source"] == str(folder / "one.png")
    assert len(frame["cells"]) == len(field.cells)
    marks = MarkedField(Path(), tuple(cell.box for cell in field.cells), (), marks_all=True)
    assert pairs([tuple(cell["box"]) for cell in frame["cells"]], marks) == len(field.cells)
    for cell in frame["cells"]:
        assert cell["label"] in ("blast", "healthy")
        assert 0.5 <= cell["probability"] <= 1
        assert cell["excluded"] is None
    assert f"{len(field.cells)} cells" in result.stdout


def test_a_fields_folder_is_not_the_truth_of_its_cells(call, field, tmp_path):
    saved(field.pixels, tmp_path / "fields" / "blast" / "one.png")
    out = tmp_path / "session.json"
    call(edge_run, "--bundle", "synthetic-cells", "--source", tmp_path / "fields", "--json", out)
    content = json.loads(out.read_text())
    assert [frame["truth"] for frame in content["frames"]] == [None]
    assert content["results"] == []


def test_a_field_without_white_cells_is_excluded_as_empty(call, tmp_path):
    empty = render_field(np.random.default_rng(1), width=800, height=640, white_cells=0)
    folder = saved(empty.pixels, tmp_path / "fields" / "one.png")
    out = tmp_path / "session.json"
    result = call(edge_run, "--bundle", "synthetic-cells", "--source", folder, "--json", out)
    assert result.exit_code == 0, result.output
    content = json.loads(out.read_text())
    assert content["counts"]["excluded"] == {"empty field": 1}
    assert content["frames"][0]["cells"] == []


def test_a_session_of_fields_is_repeated_to_the_last_verdict(call, tmp_path):
    session = tmp_path / "session"
    options = ("--camera", "synthetic", "--cells", "many", "--cell-diameter", 60, "--frames", 3, "--noise", "0,10")
    recorded = call(edge_run, "--bundle", "synthetic-cells", *options, "--journal", session)
    assert recorded.exit_code == 0, recorded.output
    repeated = call(leukolite, "journal", "replay", session)
    assert repeated.exit_code == 0, repeated.output
    assert ", 0 differ" in repeated.stdout


def test_the_synthetic_camera_shows_one_cell_unless_many_are_asked_for(call, tmp_path):
    counts = {}
    for cells in ("auto", "many"):
        out = tmp_path / f"{cells}.json"
        call(edge_run, "--bundle", "synthetic-cells", "--camera", "synthetic", "--frames", 2, "--cells", cells, "--json", out)
        counts[cells] = [len(frame["cells"]) for frame in json.loads(out.read_text())["frames"]]
    assert counts["auto"] == [1, 1]
    assert min(counts["many"]) >= 2


def test_a_bundles_cells_are_shown_as_its_training_pictures_were(demo):
    """The window of the demonstration's bundle against what the renderer does: cells of 0.35 to 0.6 of the picture."""
    assert demo.cell is not None
    shares = []
    for seed in range(8):
        field = render_field(np.random.default_rng(seed), width=800, height=640)
        diameter_px = locate(field.pixels).red_cell_diameter_px
        assert diameter_px is not None
        shares += [(cell.box[2] - cell.box[0]) / (demo.cell.window * diameter_px) for cell in field.cells]
    trained = 0.475  # of the picture, on average
    assert np.mean(shares) == pytest.approx(trained, rel=0.1)


def test_options_that_would_do_nothing_are_refused(refuses, tmp_path):
    folder = saved(np.full((700, 700, 3), 200, np.uint8), tmp_path / "fields" / "one.png")
    for options in (("--cells", "many"), ("--cell-diameter", 50), ("--channel", "a")):
        assert "classifies whole fields" in refuses(edge_run, "--bundle", "mobilenet_m-taleqani", "--source", folder, *options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--cell-diameter", "nan"), "expected a finite number"),
        (("--cell-diameter", "0"), "not in the range"),
        (("--cells", "few"), "'few' is not one of"),
        (("--cells", "one", "--cell-diameter", "50"), "do not go with --cells one"),
    ],
)
def test_a_wrong_option_is_refused_with_what_was_expected(call, tmp_path, options, said):
    result = call(edge_run, "--bundle", "synthetic-cells", "--source", tmp_path, *options)
    assert result.exit_code == 2
    assert said in result.stderr


def test_the_json_says_by_which_settings_cells_were_found(call, field, tmp_path):
    folder, out = saved(field.pixels, tmp_path / "fields" / "one.png"), tmp_path / "session.json"
    options = ("--cell-diameter", 60, "--channel", "a", "--ungated", "--json", out)
    assert call(edge_run, "--bundle", "synthetic-cells", "--source", folder, *options).exit_code == 0
    assert json.loads(out.read_text())["settings"] == {"cell_diameter": "60.0", "channel": "a", "ungated": "yes"}


def test_a_lone_cell_of_a_field_is_printed_with_its_place(call, tmp_path):
    field = render_field(np.random.default_rng(2), width=800, height=640, white_cells=1)
    folder = saved(field.pixels, tmp_path / "fields" / "one.png")
    result = call(edge_run, "--bundle", "synthetic-cells", "--source", folder)
    assert "1 cell\n" in result.stdout
