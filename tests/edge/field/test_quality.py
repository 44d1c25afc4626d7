"""What is refused before any model sees it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from leukolite.appearance import measure
from leukolite.bundle import Bundle
from leukolite.cli import main as leukolite
from leukolite.edge.cli import main as edge_run
from leukolite.edge.field.exclusion import ExclusionKind
from leukolite.edge.field.quality import frame_gate, no_white_cell, nothing_to_see, square_gate, unlike_training
from leukolite.edge.field.view import QualityGate
from leukolite.edge.journal.records import manifest_sha256
from leukolite.images import read_rgb
from leukolite.manifest import Manifest
from leukolite.preprocess import crop_and_resize
from leukolite.shipped import find_bundle, shipped_bundles
from leukolite.synthetic import LABELS, render_cell, render_field
from leukolite.train.datasets import open_dataset

CELLS = [render_cell(np.random.default_rng([7, i]), LABELS[i % 2]) for i in range(60)]
FAULTS = {
    ExclusionKind.BLURRED: lambda pixels: cv2.GaussianBlur(pixels, (0, 0), 8),
    ExclusionKind.DARKER: lambda pixels: cv2.convertScaleAbs(pixels, alpha=0.3),
    ExclusionKind.OVEREXPOSED: lambda pixels: cv2.convertScaleAbs(pixels, alpha=2.2),
    ExclusionKind.STAIN: lambda pixels: np.ascontiguousarray(pixels[..., ::-1]),
}
# by the grey level of a uniform picture
NOTHING = {0: ExclusionKind.UNDEREXPOSED, 128: ExclusionKind.EMPTY, 255: ExclusionKind.OVEREXPOSED}


def manifest_of(name: str) -> Manifest:
    return Bundle.load(find_bundle(Path(name))).manifest


def gate_of(manifest: Manifest, *, rendered: bool = False) -> QualityGate:
    """A bundle's gate before pictures of any size, shrunk as the network's are."""
    gate = square_gate(manifest, rendered=rendered)
    return lambda pixels: gate(crop_and_resize(pixels, manifest.input))


def test_good_cells_pass_the_gate_of_their_bundle():
    gate = gate_of(manifest_of("synthetic-cells"))
    assert [gate(cell) for cell in CELLS] == [None] * len(CELLS)


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_named_with_its_figures(kind):
    gate = gate_of(manifest_of("synthetic-cells"))
    reasons = [gate(FAULTS[kind](cell)) for cell in CELLS]
    assert {reason and reason.kind for reason in reasons} == {kind}
    assert all("at least" in str(reason) or "at most" in str(reason) for reason in reasons)


def test_a_field_without_a_white_cell_is_refused_unless_a_platelet_passes_for_one():
    gate = gate_of(manifest_of("synthetic-cells"))
    empty = [render_field(np.random.default_rng(i), width=256, height=256, cell_diameter=120, white_cells=0) for i in range(30)]
    kinds = [reason.kind for field in empty if (reason := gate(field.pixels)) is not None]
    assert set(kinds) <= {ExclusionKind.UNSTAINED, ExclusionKind.STAIN}
    assert len(kinds) >= 20


def test_swapped_channels_are_asked_after():
    reason = gate_of(manifest_of("synthetic-cells"))(FAULTS[ExclusionKind.STAIN](CELLS[0]))
    assert reason is not None
    assert "are red and blue swapped?" in str(reason)


def brightest(manifest: Manifest) -> float:
    assert manifest.appearance is not None
    assert manifest.appearance.light[1] is not None
    return manifest.appearance.light[1]


def test_a_picture_that_is_merely_brighter_than_training_is_not_called_overexposed():
    manifest = manifest_of("mobilenet_m-allidb2")
    bright = cv2.convertScaleAbs(CELLS[0], alpha=0.5, beta=brightest(manifest) - 90)
    reason = gate_of(manifest)(bright)
    assert reason is not None
    assert str(reason).startswith("brighter than the training pictures (light ")
    assert bright.max() < 250


def grey(pixels: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def infra_red(pixels: np.ndarray) -> np.ndarray:
    """As a sensor without its filter sees it: one tint, and noise."""
    tinted = grey(pixels).astype(float) * (1.0, 0.92, 0.97) + np.random.default_rng(0).normal(0, 4, pixels.shape)
    return np.clip(np.rint(tinted), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("bleach", [grey, infra_red])
@pytest.mark.parametrize("name", ["synthetic-cells", "mobilenet_m-taleqani"])
def test_a_picture_without_colour_is_called_neither_empty_nor_badly_stained(name, bleach):
    manifest = manifest_of(name)
    pixels = cv2.convertScaleAbs(CELLS[0], alpha=1.0, beta=20) if name.endswith("taleqani") else CELLS[0]
    reason = gate_of(manifest)(bleach(pixels))
    assert reason is not None
    assert str(reason).startswith("no colour (grey or infra-red picture; ")
    assert "swapped" not in str(reason)
    assert no_white_cell(bleach(pixels)).kind is ExclusionKind.NO_COLOUR


@pytest.mark.parametrize("name", shipped_bundles())
def test_naming_the_reason_excludes_nothing_more(name):
    manifest = manifest_of(name)
    for pixels in (CELLS[0], *(fault(CELLS[0]) for fault in FAULTS.values()), grey(CELLS[0])):
        stats = measure(crop_and_resize(pixels, manifest.input))
        assert manifest.appearance is not None
        bare = nothing_to_see(stats) or unlike_training(stats, manifest.appearance, manifest.unit)
        assert (gate_of(manifest)(pixels) is None) == (bare is None)


def test_a_coloured_field_without_white_cells_is_empty_and_not_without_colour():
    field = render_field(np.random.default_rng(3), width=256, height=256, cell_diameter=120, white_cells=0).pixels
    assert str(no_white_cell(field)) == "empty field: no white cell stands out"
    assert str(no_white_cell(np.full((64, 64, 3), 128, np.uint8))) == "empty field: no white cell stands out"


@pytest.mark.parametrize("name", shipped_bundles())
@pytest.mark.parametrize("level", NOTHING)
@pytest.mark.parametrize("rendered", [False, True])
def test_a_black_a_grey_and_a_white_picture_are_refused_by_every_bundle(name, level, rendered):
    reason = gate_of(manifest_of(name), rendered=rendered)(np.full((450, 450, 3), level, np.uint8))
    assert reason is not None
    assert reason.kind == NOTHING[level]


@pytest.mark.parametrize("level", NOTHING)
def test_a_field_in_which_cells_are_looked_for_is_refused_only_where_it_is_nothing(level):
    reason = frame_gate(np.full((480, 640, 3), level, np.uint8))
    assert reason is not None
    assert reason.kind == NOTHING[level]
    field = render_field(np.random.default_rng(1), width=640, height=480).pixels
    faulty = [FAULTS[kind](field) for kind in (ExclusionKind.BLURRED, ExclusionKind.STAIN)]
    assert [frame_gate(pixels) for pixels in (field, *faulty)] == [None] * 3


def test_a_bundle_without_ranges_refuses_only_what_is_nothing():
    manifest = manifest_of("synthetic-cells").model_copy(update={"appearance": None})
    gate = gate_of(manifest)
    assert {gate(FAULTS[kind](CELLS[0])) for kind in (ExclusionKind.BLURRED, ExclusionKind.STAIN)} == {None}
    assert gate(np.zeros((256, 256, 3), np.uint8)) is not None


def test_rendered_pictures_of_another_stain_pass_where_the_machine_is_tried():
    manifest = manifest_of("mobilenet_m-cnmc")
    assert gate_of(manifest)(CELLS[0]) is not None
    assert gate_of(manifest, rendered=True)(CELLS[0]) is None


def test_a_cell_in_a_plain_photograph_is_not_what_a_network_of_cut_out_cells_knows():
    reason = gate_of(manifest_of("mobilenet_m-cnmc"))(CELLS[0])
    assert str(reason).startswith("background unlike training (lit share 1.00")


def test_a_manifest_without_ranges_keeps_its_hash():
    old = manifest_of("synthetic-cells").model_copy(update={"appearance": None})
    without = Manifest.model_validate(json.loads(old.model_dump_json(exclude={"appearance"})))
    assert manifest_sha256(without) == manifest_sha256(old)
    assert manifest_sha256(manifest_of("synthetic-cells")) != manifest_sha256(old)


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    """Six good pictures, one blurred and one with swapped channels."""
    folder = tmp_path / "slides"
    folder.mkdir()
    pictures = [*CELLS[:6], FAULTS[ExclusionKind.BLURRED](CELLS[6]), FAULTS[ExclusionKind.STAIN](CELLS[7])]
    for i, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def test_edge_run_counts_what_it_excludes_and_gives_no_verdict_on_it(call, slides, tmp_path):
    result = call(edge_run, "--bundle", "synthetic-cells", "--source", slides, "--json", tmp_path / "session.json")
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "session.json").read_text())
    assert (content["counts"]["frames"], content["counts"]["verdicts"]) == (8, 6)
    assert content["counts"]["excluded"] == {"blurred": 1, "stain out of range": 1}
    assert "blurred" in result.stdout
    assert "are red and blue swapped?" in (tmp_path / "session.json").read_text()


def test_an_ungated_session_classifies_all_and_is_repeated_and_resumed_so(call, refuses, slides, tmp_path):
    session = tmp_path / "session"
    command = ("--bundle", "synthetic-cells", "--source", slides, "--quiet", "--journal", session, "--ungated", "--frames", 7)
    assert call(edge_run, *command).exit_code == 0
    assert "7 verdicts compared, 0 differ" in call(leukolite, "journal", "replay", session).stdout
    resumed = call(edge_run, "--resume", session, "--json", tmp_path / "rest.json")
    assert resumed.exit_code == 0, resumed.output
    assert json.loads((tmp_path / "rest.json").read_text())["counts"]["verdicts"] == 1  # the swapped one
    assert "leave it out" in refuses(edge_run, "--resume", session, "--ungated", code=2)


@pytest.mark.parametrize("name", ["mobilenet_m-taleqani", "light_cnn-taleqani"])
def test_the_synthetic_camera_tries_any_bundle_without_exclusions(call, name, tmp_path):
    out = tmp_path / "session.json"
    result = call(edge_run, "--bundle", name, "--camera", "synthetic", "--frames", 3, "--json", out)
    assert result.exit_code == 0, result.output
    assert json.loads(out.read_text())["counts"]["verdicts"] == 3


@pytest.mark.parametrize(("name", "folder"), [("mobilenet_m-taleqani", "taleqani"), ("mobilenet_m-allidb2", "ALL_IDB2")])
def test_unseen_real_pictures_pass_and_their_swapped_twins_do_not(name: str, folder: str, shared_data: Path) -> None:
    manifest = manifest_of(name)
    gate, training = gate_of(manifest), manifest.training
    assert training is not None
    unseen = [sample.path for sample in open_dataset(shared_data / folder).samples if sample.sha256[:12] not in training.seen]
    pictures = [read_rgb(path) for path in unseen]
    assert sum(gate(pixels) is not None for pixels in pictures) <= 0.01 * len(pictures)
    assert all(gate(FAULTS[ExclusionKind.STAIN](pixels)) is not None for pixels in pictures)
