"""`leukolite evaluate` on a bundle and on the run it came from."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bundles import unsealed
from PIL import Image

from leukolite.cli import main as leukolite
from leukolite.noise import NOISE_PLACES
from leukolite.synthetic import render_cell

SHIPPED = "synthetic-cells"  # knows its cells, where two epochs on forty pictures leave a network at chance
REASON = "answers healthy to 40 of 40, is right on 50.0% of 40 labelled pictures and recognises 0 of 20 pictures of blast"
METRICS = {"sigma", "accuracy", "precision", "recall", "specificity", "f1", "auc", "confusion", "latency_ms"}
PERCENTILES = {"p50", "p90", "p99", "mean"}


@pytest.fixture(params=["bundle", "run"])
def model(request) -> Path:
    """A bundle and the float run that it came from: the same questions have answers of the same shape."""
    return request.getfixturevalue({"bundle": "tiny_bundle", "run": "finished_run"}[request.param])


@pytest.fixture
def evaluated(call, tmp_path) -> Callable[..., dict]:
    def evaluate(model: Path, data: Path, *options: object) -> dict:
        out = tmp_path / "result.json"
        result = call(leukolite, "evaluate", model, "--data", data, "--json", out, "--force", *options)
        assert result.exit_code == 0, result.output
        return json.loads(out.read_text(), parse_constant=pytest.fail)

    return evaluate


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# the result


def test_the_result_has_what_machines_were_promised(evaluated, model, cells):
    result = evaluated(model, cells, "--noise", "0,10")
    assert (result["model"], result["labels"], result["n"]) == ("tiny", ["blast", "healthy"], 40)
    assert [row["sigma"] for row in result["results"]] == [0, 10]
    for row in result["results"]:
        assert set(row) >= METRICS
        assert [sum(counts) for counts in row["confusion"]] == [20, 20]
        assert set(row["latency_ms"]) == {"preprocess", "invoke", "total"}
        assert all(set(values) == PERCENTILES for values in row["latency_ms"].values())
        assert all(0 <= row[name] <= 1 for name in ("accuracy", "precision", "recall", "specificity", "f1", "auc"))


def test_the_positive_class_is_the_malignant_one(evaluated, model, cells):
    (row,) = evaluated(model, cells)["results"]
    (hits, misses), (false_alarms, rejected) = row["confusion"]
    assert row["positive"] == "blast"
    assert row["recall"] == pytest.approx(hits / (hits + misses))
    assert row["specificity"] == pytest.approx(rejected / (rejected + false_alarms))


def test_unseen_leaves_out_what_trained_or_chose_the_model(call, evaluated, model, cells):
    result = evaluated(model, cells, "--unseen")
    assert (result["n"], result["left_out_as_seen"], result["seen_in_training"]) == (8, 32, 0)
    assert result["seen_by"] == {"bytes": 32, "pixels": 0, "copy": 0}
    assert call(leukolite, "evaluate", model, "--data", cells, "--unseen").stderr.splitlines() == [
        "note: 32 images left out that trained or chose the model: 32 as the same bytes, 0 as the same pixels,"
        " 0 as turned, cropped or otherwise changed copies"
    ]


def test_images_that_were_seen_are_classified_with_a_note(call, evaluated, model, cells):
    assert evaluated(model, cells)["seen_in_training"] == 32
    note = "note: 32 of these 40 images trained or chose the model, so the figures flatter; --unseen leaves them out"
    assert call(leukolite, "evaluate", model, "--data", cells).stderr.splitlines() == [note]


def test_images_that_were_only_encoded_again_are_known(evaluated, tiny_bundle, cells, tmp_path):
    for path in cells.glob("*/*.png"):
        (tmp_path / "cells" / path.parent.name).mkdir(parents=True, exist_ok=True)
        Image.open(path).save(tmp_path / "cells" / path.parent.name / f"{path.stem}.bmp")
    assert evaluated(tiny_bundle, tmp_path / "cells", "--unseen")["n"] == evaluated(tiny_bundle, cells, "--unseen")["n"]


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "turned": lambda pixels: np.rot90(pixels),
    "mirrored": lambda pixels: pixels[:, ::-1],
    "turned and mirrored": lambda pixels: np.rot90(pixels[::-1], 1),
    "cropped": lambda pixels: pixels[2:-1, 1:-2],
    "darkened": lambda pixels: np.rint(pixels * 0.85).astype(np.uint8),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_copies_of_what_was_seen_are_left_out(evaluated, model, cells, tmp_path, change):
    for path in cells.glob("*/*.png"):
        (tmp_path / "cells" / path.parent.name).mkdir(parents=True, exist_ok=True)
        changed = Image.fromarray(np.ascontiguousarray(change(np.asarray(Image.open(path)))))
        changed.save(tmp_path / "cells" / path.parent.name / f"{path.stem}.jpg", quality=90)
    result = evaluated(model, tmp_path / "cells", "--unseen")
    assert (result["n"], result["seen_by"]) == (8, {"bytes": 0, "pixels": 0, "copy": 32})


def test_cells_that_training_never_saw_are_not_taken_for_seen(evaluated, model, tmp_path):
    for k, label in enumerate(("blast", "healthy")):
        (tmp_path / "cells" / label).mkdir(parents=True)
        for i in range(30):
            pixels = render_cell(np.random.default_rng([7, k, i]), label, size=48)
            Image.fromarray(pixels).save(tmp_path / "cells" / label / f"{i}.png")
    result = evaluated(model, tmp_path / "cells", "--unseen")
    assert (result["n"], result["left_out_as_seen"]) == (60, 0)


@pytest.mark.parametrize(
    ("gone", "says"),
    [
        (("seen_hashes",), "knows its training images by their bytes and pixels alone"),
        (("seen_hashes", "seen_pictures"), "knows its training images by their bytes alone"),
        (("seen_hashes", "seen_pictures", "seen"), "records no hashes of its training images"),
    ],
)
def test_a_bundle_that_does_not_record_every_kind_of_hash_says_what_it_cannot_know(
    call, tiny_bundle, cells, tmp_path, gone, says
):
    folder = unsealed(shutil.copytree(tiny_bundle, tmp_path / "older"))
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in gone:
        manifest["training"][name] = []
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert call(leukolite, "evaluate", folder, "--data", cells, "--unseen").stderr.splitlines()[-1] == (
        f"note: tiny {says}, so turned, cropped or otherwise changed copies of them are not known; what is trained and"
        " converted now knows those too"
    )


def test_a_bundle_of_before_hashes_leaves_out_what_it_knows(evaluated, tiny_bundle, cells, tmp_path):
    folder = unsealed(shutil.copytree(tiny_bundle, tmp_path / "older"))
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["training"]["seen_hashes"]
    (folder / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 2}))
    assert evaluated(folder, cells, "--unseen")["n"] == 8


def test_copies_in_two_classes_are_named_and_not_classified(evaluated, tiny_bundle, cells, tmp_path):
    folder = Path(shutil.copytree(cells, tmp_path / "cells"))
    Image.open(folder / "blast" / "003.png").transpose(Image.Transpose.ROTATE_90).save(folder / "healthy" / "again.png")
    result = evaluated(tiny_bundle, folder)
    assert result["n"] == 39
    reasons = {Path(item["source"]).name: item["reason"] for item in result["unusable"]}
    assert reasons == {
        "003.png": "copy of a picture in another class (healthy/again.png in healthy)",
        "again.png": "copy of a picture in another class (blast/003.png in blast)",
    }


def test_unseen_images_alone_give_the_figures_of_the_manifest(evaluated, tiny_bundle, cells):
    manifest = json.loads((tiny_bundle / "manifest.json").read_text())
    first = evaluated(tiny_bundle, cells, "--unseen")["results"][0]
    assert first["confusion"] == manifest["measured"]["results"][0]["confusion"]
    assert first["auc"] == manifest["measured"]["results"][0]["auc"]


def test_the_same_seed_gives_the_same_noise(evaluated, cells):
    def row(*options: object) -> dict:
        (row,) = evaluated(SHIPPED, cells, "--noise", "40", *options)["results"]
        return {name: row[name] for name in ("auc", "ece", "confusion")}

    assert row("--seed", 3) == row("--seed", 3) != row("--seed", 4)


def test_classes_match_whatever_their_case_and_order(evaluated, cells, tmp_path):
    for name, other in (("blast", "bLAST"), ("healthy", "Healthy")):  # capitals sort first: the order turns round
        shutil.copytree(cells / name, tmp_path / "cells" / other)
    assert (
        evaluated(SHIPPED, tmp_path / "cells")["results"][0]["confusion"] == evaluated(SHIPPED, cells)["results"][0]["confusion"]
    )


def test_of_data_that_folders_split_the_test_part_is_measured_and_said_so(call, evaluated, cells, tmp_path):
    for part in ("train", "val", "test"):
        shutil.copytree(cells, tmp_path / "split" / part)
    result = evaluated(SHIPPED, tmp_path / "split")
    assert (result["part"], result["n"]) == ("test", 40)
    assert evaluated(SHIPPED, tmp_path / "split" / "train")["part"] is None
    stderr = call(leukolite, "evaluate", SHIPPED, "--data", tmp_path / "split").stderr
    assert "is split by its folders: the test part is measured" in stderr


def test_labels_in_a_table_are_measured_like_those_of_folders(call, evaluated, cells, tmp_path):
    rows = ["file,label"]
    for path in sorted(cells.glob("*/*.png")):
        (tmp_path / "pool").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "pool" / f"{path.parent.name}{path.name}")
        rows.append(f"{path.parent.name}{path.name},{path.parent.name.upper()}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    result = evaluated(SHIPPED, tmp_path / "pool", "--labels-csv", tmp_path / "labels.csv")
    assert result["results"][0]["confusion"] == evaluated(SHIPPED, cells)["results"][0]["confusion"]


def test_a_tables_columns_can_be_named(call, refuses, cells, tmp_path):
    folder = Path(shutil.copytree(cells, tmp_path / "cells"))
    names = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.png"))
    (tmp_path / "labels.csv").write_text("\n".join(["a,b", *(f"{name},{name.split('/')[0]}" for name in names)]))
    given = ("evaluate", SHIPPED, "--data", folder, "--labels-csv", tmp_path / "labels.csv")
    assert "name the columns with --csv-columns" in refuses(leukolite, *given)
    assert call(leukolite, *given, "--csv-columns", "file=a,label=b").exit_code == 0
    assert "expected each of file, label, subject, split once" in refuses(leukolite, *given, "--csv-columns", "x=a", code=2)
    without = ("evaluate", SHIPPED, "--data", folder, "--csv-columns", "file=a")
    assert "--csv-columns goes with --labels-csv" in refuses(leukolite, *without, code=2)


def test_unreadable_images_are_named_and_left_out(call, evaluated, tiny_bundle, cells, tmp_path):
    folder = Path(shutil.copytree(cells, tmp_path / "cells"))
    (folder / "blast" / "text.jpg").write_text("no image")
    (folder / "blast" / "empty.png").write_bytes(b"")
    result = evaluated(tiny_bundle, folder)
    assert result["n"] == 40
    assert {Path(item["source"]).name for item in result["unusable"]} == {"text.jpg", "empty.png"}
    assert "2 files skipped" in call(leukolite, "evaluate", tiny_bundle, "--data", folder).stderr


def test_the_tables_fit_80_columns_and_name_every_level_and_class(call, model, cells):
    result = call(leukolite, "evaluate", model, "--data", cells, "--noise", "0,2.5,10")
    assert result.exit_code == 0
    tables = result.stdout.partition("no better than guessing")[0]
    assert max(map(len, tables.splitlines())) <= 80
    assert all(word in tables for word in ("2.5", "blast", "healthy", "40 images", "Confusion at sigma 0", "balanced"))


def test_the_tables_of_a_good_model_under_noise_fit_80_columns_too(call, cells):
    tables = call(leukolite, "evaluate", SHIPPED, "--data", cells, "--noise", "0,12.5,60").stdout.partition("no better")[0]
    assert max(map(len, tables.splitlines())) <= 80


def test_the_result_says_where_the_noise_was_put_and_how_much_reached_the_network(call, evaluated, cells):
    results = {place: evaluated(SHIPPED, cells, "--noise", "0,10", "--noise-at", place) for place in NOISE_PLACES}
    assert evaluated(SHIPPED, cells, "--noise", "0,10") | {"results": []} == results["capture"] | {"results": []}
    assert {place: result["noise_at"] for place, result in results.items()} == {place: place for place in NOISE_PLACES}
    on_capture, at_input = ([row["effective_sigma"] for row in results[place]["results"]] for place in ("capture", "input"))
    assert on_capture[0] == at_input[0] == 0
    assert 5 < on_capture[1] < 8  # enlarging 48 pixels to 96 mixes neighbours
    assert 9 < at_input[1] < 10.1
    assert results["capture"]["results"][0]["confusion"] == results["input"]["results"][0]["confusion"]
    for place, words in NOISE_PLACES.items():
        assert f"noise {words}" in call(leukolite, "evaluate", SHIPPED, "--data", cells, "--noise-at", place).stdout


def test_averages_over_both_classes_stand_beside_those_of_the_positive_one(evaluated, model, cells):
    (row,) = evaluated(model, cells)["results"]
    recalls = [one["recall"] for one in row["classes"]]
    assert row["balanced_accuracy"] == row["macro_recall"] == pytest.approx(sum(recalls) / 2)
    assert {one["accuracy"] for one in row["classes"]} == {row["accuracy"]}  # of two, either against the other
    assert 0 <= row["weighted_f1"] <= 1


def test_a_network_that_gives_one_answer_to_everything_is_told_in_one_line(call, evaluated, model, cells):
    (row,) = evaluated(model, cells)["results"]
    assert row["no_better_than_guessing"] == REASON
    lines = call(leukolite, "evaluate", model, "--data", cells, "--noise", "0,10").stdout.splitlines()
    assert [line for line in lines if line == f"no better than guessing: at sigma 0 tiny {REASON}"] == lines[-1:]


def test_a_network_that_is_of_use_is_told_at_the_noise_level_where_it_is_none(call, evaluated, cells):
    results = evaluated(SHIPPED, cells, "--noise", "0,60", "--noise-at", "input")["results"]
    assert [row["no_better_than_guessing"] is None for row in results] == [True, False]
    assert "no better" not in call(leukolite, "evaluate", SHIPPED, "--data", cells).stdout
    stdout = call(leukolite, "evaluate", SHIPPED, "--data", cells, "--noise", "0,60", "--noise-at", "input").stdout
    assert "no better than guessing: at sigma 60 synthetic-cells is right on 50.0%" in stdout


@pytest.mark.parametrize("part", ["scale-bar", "border", "background"])
def test_an_occlusion_is_recorded_and_changes_what_is_seen(evaluated, cells, part):
    plain, covered = evaluated(SHIPPED, cells), evaluated(SHIPPED, cells, "--occlude", part)
    assert (plain["occlude"], covered["occlude"]) == (None, part)
    assert plain["results"][0]["ece"] != covered["results"][0]["ece"]


def test_saliency_is_a_picture_of_both_classes(call, tiny_bundle, cells, tmp_path):
    out = tmp_path / "depends-on.png"
    result = call(leukolite, "evaluate", tiny_bundle, "--data", cells, "--unseen", "--saliency", out)
    assert result.exit_code == 0, result.output
    with Image.open(out) as picture:
        assert picture.size[0] > 8 * 32
        assert picture.size[1] > 2 * 32


@pytest.mark.parametrize("options", [(), ("--unseen",)], ids=["all", "unseen"])
def test_plots_are_a_folder_of_pictures(call, tiny_bundle, cells, tmp_path, options):
    out = tmp_path / "plots"
    result = call(leukolite, "evaluate", tiny_bundle, *options, "--data", cells, "--noise", "0,10", "--plots", out)
    assert result.exit_code == 0, result.output
    assert names(out) == ["confusion-sigma-0.png", "confusion-sigma-10.png", "noise.png", "reliability.png", "roc.png"]
    for path in out.iterdir():
        with Image.open(path) as picture:
            assert min(picture.size) > 100


@pytest.mark.parametrize("noise", ["0", "0,40"])
def test_a_good_model_on_its_own_cells_can_be_drawn(call, cells, tmp_path, noise):
    result = call(leukolite, "evaluate", SHIPPED, "--data", cells, "--noise", noise, "--plots", tmp_path / "plots")
    assert result.exit_code == 0, result.output


def test_a_model_that_abstains_throughout_has_no_figures_and_no_pictures(call, tiny_bundle, cells, tmp_path):
    folder = unsealed(shutil.copytree(tiny_bundle, tmp_path / "silent"))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["decision"]["abstain"] = [0, 1]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    out = tmp_path / "result.json"
    result = call(leukolite, "evaluate", folder, "--data", cells, "--json", out)
    assert result.exit_code == 0, result.output
    (row,) = json.loads(out.read_text())["results"]
    assert (row["n"], row["abstained"], row["accuracy"]) == (0, 40, None)
    result = call(leukolite, "evaluate", folder, "--data", cells, "--unseen", "--plots", tmp_path / "plots")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "Error: tiny abstained on all of 8 images: there is nothing to draw"


# what it refuses: one line, an exit code, nothing written


def refused(refuses: Callable[..., str], tmp_path: Path, model: object, data: object, *options: object, code: int = 1) -> str:
    before = names(tmp_path)
    line = refuses(leukolite, "evaluate", model, "--data", data, "--json", tmp_path / "result.json", *options, code=code)
    assert names(tmp_path) == before
    return line


def test_data_of_other_classes_is_refused_with_both_lists(refuses, model, tmp_path):
    for name in ("cats", "dogs"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        Image.new("RGB", (40, 40), (len(name), 0, ord(name[0]))).save(tmp_path / "pets" / name / "a.png")
    line = refused(refuses, tmp_path, model, tmp_path / "pets")
    assert "its classes are cats, dogs, the model's labels blast, healthy" in line


@pytest.mark.parametrize(("folder", "expected"), [("nowhere", "no such folder"), ("empty", "unknown layout")])
def test_data_that_cannot_be_used_is_refused(refuses, tiny_bundle, tmp_path, folder, expected):
    (tmp_path / "empty").mkdir()
    assert expected in refused(refuses, tmp_path, tiny_bundle, tmp_path / folder)


def test_folders_that_are_no_classes_are_named_beside_the_classes_of_the_model(refuses, tiny_bundle, tmp_path):
    (tmp_path / "cells" / "blast").mkdir(parents=True)
    Image.new("RGB", (40, 40)).save(tmp_path / "cells" / "blast" / "a.png")
    Image.new("RGB", (40, 40)).save(tmp_path / "cells" / "b.png")
    line = refused(refuses, tmp_path, tiny_bundle, tmp_path / "cells")
    assert "found the folder blast (1 image), and 1 image in none; the classes of " in line
    assert line.endswith(" are blast, healthy")


def test_images_that_were_all_seen_leave_nothing_to_measure_by(refuses, tiny_bundle, finished_run, cells, tmp_path):
    split = json.loads((finished_run / "split.json").read_text())
    for entry in split["train"]:
        place = tmp_path / "seen" / entry["path"]
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(cells / entry["path"], place)
    assert "none is left to measure it by" in refused(refuses, tmp_path, tiny_bundle, tmp_path / "seen", "--unseen")


def test_data_without_one_readable_image_is_refused_with_a_reason(refuses, tiny_bundle, tmp_path):
    for name in ("blast", "healthy"):
        (tmp_path / "cells" / name).mkdir(parents=True)
        (tmp_path / "cells" / name / "a.png").write_text(f"no image of {name}")
    line = refused(refuses, tmp_path, tiny_bundle, tmp_path / "cells")
    assert "not one image could be read" in line
    assert "not an image" in line


@pytest.mark.parametrize(("place", "expected"), [("nowhere", "no such bundle"), ("folder", "neither a bundle"), ("text", "zip")])
def test_what_is_neither_bundle_nor_run_is_refused(refuses, cells, tmp_path, place, expected):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("no bundle")
    assert expected in refused(refuses, tmp_path, tmp_path / place, cells)


def test_a_truncated_model_is_refused(refuses, tiny_bundle, cells, tmp_path):
    folder = unsealed(shutil.copytree(tiny_bundle, tmp_path / "cut"))
    (folder / "model.tflite").write_bytes((folder / "model.tflite").read_bytes()[:5000])
    assert "does not match its manifest" in refused(refuses, tmp_path, folder, cells)


def test_a_damaged_run_is_refused(refuses, finished_run, cells, tmp_path):
    folder = Path(shutil.copytree(finished_run, tmp_path / "run"))
    (folder / "model.keras").write_bytes((folder / "model.keras").read_bytes()[:5000])
    assert "damaged" in refused(refuses, tmp_path, folder, cells)


@pytest.mark.parametrize(
    "option", [("--noise", "-1"), ("--noise", "abc"), ("--threads", 0), ("--runtime", "onnx"), ("--occlude", "all")], ids=str
)
def test_a_value_out_of_range_is_a_wrong_call(refuses, tiny_bundle, cells, tmp_path, option):
    assert option[0] in refused(refuses, tmp_path, tiny_bundle, cells, *option, code=2)


@pytest.mark.parametrize("option", ["--json", "--saliency", "--plots"])
def test_a_place_below_a_file_is_refused_before_the_work(call, refuses, tiny_bundle, cells, tmp_path, option):
    (tmp_path / "file").write_text("mine")
    command = (leukolite, "evaluate", tiny_bundle, "--data", cells, option, tmp_path / "file" / "below")
    assert "cannot be written" in refuses(*command)
    assert call(*command).stdout == ""
    assert names(tmp_path) == ["file"]
