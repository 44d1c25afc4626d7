"""The survey counts what a folder holds and names what a network could learn by mistake."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from leukolite.synthetic import LABELS, render_cell
from leukolite.train.datasets import open_dataset
from leukolite.train.survey import has_ink, survey
from leukolite.train.survey_cli import data


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))


def with_scale_bar(pixels: np.ndarray) -> np.ndarray:
    marked = pixels.copy()
    side = len(pixels)
    marked[-side // 8 :, -side // 6 :] = 255
    marked[-side // 14, -side // 8 :] = 0
    return marked


def test_a_table_of_labels_and_the_parts_of_folders_are_surveyed(call, cells, tmp_path):
    rows = ["file,label"]
    for k, path in enumerate(sorted(cells.glob("*/*.png"))):
        place = tmp_path / "data" / ("train" if k % 2 else "test") / f"{k}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
        rows.append(f"{k},{path.parent.name}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    result = call(data, tmp_path / "data", "--labels-csv", tmp_path / "labels.csv")
    assert result.exit_code == 0, result.output
    assert "layout table" in result.stdout
    assert "split by its folders: train 20, test 20 images" in result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("slides")
    for k, label in enumerate(LABELS):
        for i in range(8):
            pixels = render_cell(np.random.default_rng([k, i]), label, size=96)
            write(root / label / f"{i}.png", with_scale_bar(pixels) if label == "blast" else pixels)
    (root / "blast" / "8.png").write_bytes((root / "blast" / "0.png").read_bytes())
    (root / "healthy" / "broken.png").write_bytes(b"no image")
    return root


def test_a_scale_bar_of_one_class_is_named_with_its_corner(folder: Path) -> None:
    marks = survey(open_dataset(folder)).marks
    assert list(marks) == ["bottom right"]
    assert marks["bottom right"]["blast"] == 1.0
    assert marks["bottom right"]["healthy"] == 0.0


def test_a_clean_smear_has_no_ink() -> None:
    assert not has_ink(render_cell(np.random.default_rng(1), "healthy", size=96)[-12:, -15:])


def test_copies_and_broken_files_are_named(folder: Path) -> None:
    found = survey(open_dataset(folder))
    assert found.exact_copies == (("blast/0.png", "blast/8.png"),)
    assert [item.path.name for item in found.unusable] == ["broken.png"]
    assert found.counts == {"blast": 9, "healthy": 8}


def test_the_command_writes_json_and_a_contact_sheet(folder: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(data, [str(folder), "--json", str(tmp_path / "s.json"), "--sheet", str(tmp_path / "s.png")])
    assert result.exit_code == 0, result.output
    assert "bottom right" in result.output
    assert json.loads((tmp_path / "s.json").read_text())["by_label"] == {"blast": 9, "healthy": 8}
    assert cv2.imread(str(tmp_path / "s.png")) is not None
