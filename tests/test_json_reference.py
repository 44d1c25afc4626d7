"""docs/reference/json.md and bundle.md name every field of every JSON and CSV that is written, and no other.

What is cheap is made by the commands themselves. What wants training or conversion is made by the functions that write it, of
records made here.
"""

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from reference_pages import Reference

from leukolite.benchmarks import locating, locating_cli, reproduce, throughput, variants
from leukolite.benchmarks.soak import Soak, Window
from leukolite.bundle import Bundle
from leukolite.classifier import STAGES
from leukolite.cli import main as leukolite
from leukolite.convert import report
from leukolite.convert.debugger import Inspection, LayerError
from leukolite.convert.debugger_cli import inspection_record
from leukolite.convert.gate import Flip
from leukolite.convert.make_bundle import Conversion, Outcome
from leukolite.convert.study import StudyRow
from leukolite.edge.cli import main as edge_run
from leukolite.edge.field.exclusion import ExclusionKind
from leukolite.edge.journal.records import EventName, EventRecord, HealthRecord
from leukolite.manifest import Calibration, CompiledModel, FineTuning, GateLevel, Manifest, NoiseMetrics, RuntimeCheck
from leukolite.network_input import NetworkInput
from leukolite.people import Figure, PeopleMetrics, PersonRow
from leukolite.runtime import RuntimeInfo
from leukolite.shipped import find_bundle, shipped_bundles
from leukolite.synthetic import LABELS, render_cell
from leukolite.train.people_report import PeopleReport
from leukolite.train.recipes import RECIPES
from leukolite.train.runs import Run

PAGES = Reference.read("json.md", "bundle.md")
COMMANDS = ("session", "summary", "journal", "evaluation", "overhead", "data", "bundles")
RECORDS = ("soak", "locating", "throughput", "conversion", "variants", "calibration-study", "quantisation-errors", "reproduction")
BUNDLE = "synthetic-cells"

Documents = dict[str, list[Any]]  # name of the schema -> JSON of that name


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands write, and the images they read: rendered cells, one that is black, one that is damaged."""
    folder = tmp_path_factory.mktemp("reference")
    for k, label in enumerate(LABELS):
        (folder / "cells" / label).mkdir(parents=True)
        for i in range(4):
            Image.fromarray(render_cell(np.random.default_rng([k, i]), label)).save(folder / "cells" / label / f"{i}.png")
    Image.fromarray(np.zeros((256, 256, 3), np.uint8)).save(folder / "cells" / "blast" / "black.png")
    (folder / "cells" / "healthy" / "damaged.png").write_bytes((folder / "cells" / "healthy" / "0.png").read_bytes()[:900])
    shutil.copy(folder / "cells" / "healthy" / "1.png", folder / "cells" / "healthy" / "copy.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        recorded = ("--noise", "0,5", "--cells", "one", "--journal", folder / "recorded", "--slide", "A17", "--keep-frames")
        _call(edge_run, "--bundle", BUNDLE, "--source", folder / "cells", *recorded, "--out", folder / "out")
        fields = ("--camera", "synthetic", "--cells", "many", "--frames", 1)
        _call(edge_run, "--bundle", BUNDLE, *fields, "--json", folder / "fields.json")
        (folder / "empty").mkdir()
        Image.fromarray(np.zeros((256, 256, 3), np.uint8)).save(folder / "empty" / "black.png")
        _call(edge_run, "--bundle", BUNDLE, "--source", folder / "empty", "--json", folder / "empty.json")
    _call(leukolite, "journal", "summary", folder / "recorded", "--out", folder / "summary")
    exports = ("--json", folder / "journal.json", "--csv", folder / "journal.csv")
    _call(leukolite, "journal", "export", folder / "recorded", *exports)
    _call(leukolite, "evaluate", BUNDLE, "--data", folder / "cells", "--noise", "0,5", "--json", folder / "evaluation.json")
    named = ("--subject-from", r"(\w+)\.png", "--json", folder / "people.json")
    _call(leukolite, "evaluate", BUNDLE, "--data", folder / "cells", *named)
    _call(leukolite, "overhead", BUNDLE, "--rounds", 1, "--frames", 10, "--json", folder / "overhead.json")
    _call(leukolite, "data", folder / "cells", "--json", folder / "data.json")
    _call(leukolite, "bundles", "--json", folder / "bundles.json")
    return folder


@pytest.fixture(scope="module")
def documents(place: Path) -> Documents:
    """Every JSON, by the name of its schema."""
    files = {
        "session": ["out/report.json", "fields.json", "empty.json"],
        "summary": ["out/summary.json", "summary/summary.json"],
        **{name: [f"{name}.json"] for name in COMMANDS if name not in ("session", "summary", "evaluation")},
        "evaluation": ["evaluation.json", "people.json"],
    }
    made = {name: [json.loads((place / path).read_text()) for path in paths] for name, paths in files.items()}
    return made | {name: [json.loads(json.dumps(content))] for name, content in _of_records().items()}


def _call(command: Any, *arguments: object) -> None:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output


def _of_records() -> dict[str, Any]:
    """The JSON of commands that take long, of records made here."""
    manifest = Bundle.load(find_bundle(Path("light_cnn-taleqani"))).manifest
    check = RuntimeCheck(name="litert", version="2.3.0", outcome="proved", n=1, flips=0, max_difference=0.1, mean_difference=0.1)
    flip = Flip(Path("a.png"), 10.0, "blast", "blast", 0.9, "healthy", 0.6)
    refused = Outcome("int16x8", None, None, 0, ("the converter refuses it",), (), {})
    written = Outcome("int8", Path("bundles/m"), manifest, 100, (), (flip,), {"litert": 1.5})
    conversion = Conversion((written, refused), 400, check, 4.5)
    window = Window(60.0, 100, 1, {"p50": 1.0, "p90": 2.0, "p99": 3.0, "mean": 1.5}, 90.0)
    field = locating.FieldScore("a.png", (640, 480), 3, 3, 3, 41.0, 12.0)
    score = locating.Score("pascal-voc", "all", "a-b", (field,), True)
    layer = LayerError(0, "CONV_2D", "m/conv1/Relu6", 0.1, -128, 100, 0.8, 0.1, 30.0)
    level = GateLevel(
        sigma=0.0, n=10, float_accuracy=1.0, accuracy=0.9, float_recall={"blast": 1.0}, recall={"blast": 0.9}, flips=1
    )
    calibration = Calibration(count=16, seed=0, sigmas=[0.0, 10.0], classes={"blast": 8, "healthy": 8})
    published = reproduce.KNOWN
    settings: dict[str, Any] = {
        "schema": 1,
        "recipe": RECIPES["small_cnn"].training_settings(),
        "folds": {"fold_0": "ab"},
        "split_by": "5 folds subject",
        "subject_from": "(x)",
        "seed": 0,
    }
    assert manifest.measured is not None
    row = PeopleMetrics(*[Figure(0.5, (0.4, 0.6))] * 4, rows=(PersonRow("17=20", "all", 9, 1, 8),))
    people = PeopleReport(2, 1, (("17", "20"),), "fitted on the same folds", {0.0: row}, {"majority class": row})
    measured = [reproduce.FoldResult("fold_0", "balanced", _run(), (manifest.measured.results[0],), (_run(),), people)]
    folders = {"BCCD": score.to_json()}
    return {
        "soak": Soak("m", RuntimeInfo(name="litert", version="1", threads=1), 60.0, (window,) * 5, None).to_json(),
        "locating": {"schema": locating_cli.SCHEMA, "folders": folders},
        "throughput": throughput.Throughput("small_cnn", "jax, keras 3", 32, (90.0,), (100.0,)).to_json(),
        "conversion": report.conversion_json(conversion),
        "variants": variants.to_json([variants.VariantTrial("m", conversion)], host="x"),
        "calibration-study": report.study_json([StudyRow(calibration, (level,))]),
        "quantisation-errors": inspection_record(Inspection((layer,), 32, 200, "validation", 0)),
        "reproduction": reproduce.to_json(measured, settings, published, (0.0, 10.0), "input"),
    }


def _run() -> Run:
    return Run(
        schema_version=1,
        recipe=RECIPES["small_cnn"],
        unit="cell",
        labels=["all", "hem"],
        malignant=["all"],
        input={"height": 32, "width": 32},
        dataset="c-nmc",
        data="data",
        dataset_fingerprint="0" * 64,
        unusable=0,
        split={"train": {"all": 7, "hem": 3}},
        shown=14,
        seed=0,
        versions={"keras": "3"},
        best_epoch=1,
        seconds=1.0,
        metrics={},
    )


def _manifests() -> list[Any]:
    """Of all shipped bundles, and one with what none of them has."""
    shipped = [Bundle.load(find_bundle(Path(name))).manifest for name in shipped_bundles()]
    compiled = CompiledModel(
        target="edgetpu",
        file="model_edgetpu.tflite",
        sha256="0" * 64,
        compiler="edgetpu_compiler 16.0",
        on_target=30,
        on_cpu={"SOFTMAX: not mapped": 1},
        estimates={"cycles": 1.0},
    )
    tuned = FineTuning(images=10, epochs=1, learning_rate=1e-5, seed=0)
    external = {"network_input": NetworkInput(channels="BGR"), "objections": ["it recognises 0 of 9 pictures of blast"]}
    whole = shipped[0].model_copy(update={"compiled": [compiled], "fine_tuning": tuned, **external})
    return [manifest.model_dump(mode="json") for manifest in (*shipped, whole)]


@pytest.mark.parametrize("name", [*COMMANDS, *RECORDS])
def test_every_field_that_is_written_is_on_the_page_and_has_the_type_that_stands_there(name: str, documents: Documents) -> None:
    for document in documents[name]:
        PAGES.check(f"json.md#{name}", document)


@pytest.mark.parametrize("target", ["-", "/dev/stdout"])
def test_a_journals_export_goes_down_a_pipe_as_into_a_file(target: str, place: Path) -> None:
    words: list[str | Path] = [
        sys.executable,
        "-c",
        "from leukolite.cli import main; main()",
        "journal",
        "export",
        place / "recorded",
    ]
    piped = subprocess.run([*words, "--json", target], capture_output=True, check=True, timeout=60)
    assert json.loads(piped.stdout.split(b"\n/dev/stdout: ")[0]) == json.loads((place / "journal.json").read_text())
    piped = subprocess.run([*words, "--csv", target], capture_output=True, check=True, timeout=60)
    assert piped.stdout.split(b"/dev/stdout: ")[0] == (place / "journal.csv").read_bytes()


@pytest.mark.parametrize("name", [*COMMANDS, *RECORDS])
def test_every_json_begins_with_the_schema_that_the_page_names(name: str, documents: Documents) -> None:
    stated = re.search(r"Name `([\w-]+)`, version (\d+)\.", PAGES.texts[f"json.md#{name}"])
    assert stated is not None
    for document in documents[name]:
        assert next(iter(document)) == "schema"
        assert document["schema"] == {"name": stated[1], "version": int(stated[2])}


def test_every_manifest_is_as_the_bundles_page_says() -> None:
    for manifest in _manifests():
        PAGES.check("bundle.md#manifestjson", manifest)
    command = CliRunner().invoke(leukolite, ["info", BUNDLE, "--json", "-"])
    PAGES.check("bundle.md#manifestjson", json.loads(command.stdout))


def test_every_field_on_the_pages_occurs_unless_it_is_marked_as_optional(documents: Documents) -> None:
    occurred = {place for name, found in documents.items() for each in found for place in PAGES.check(f"json.md#{name}", each)}
    occurred |= {place for manifest in _manifests() for place in PAGES.check("bundle.md#manifestjson", manifest)}
    occurred |= PAGES.check("json.md#health-record", HealthRecord(conditions=("hot",)).model_dump(mode="json"))
    occurred |= PAGES.check("json.md#event-record", EventRecord(event="end").model_dump(mode="json"))
    columns = {row.place for section in CSV for row in PAGES.sections[section]}
    assert [row.place for row in PAGES.rows if not row.optional and row.place not in occurred | columns] == []


def test_a_manifests_page_has_every_field_of_the_schema() -> None:
    documented = {row.path for row in PAGES.sections["bundle.md#manifestjson"] if "." not in row.path}
    assert documented == set(Manifest.model_fields)


CSV = {
    "json.md#verdictscsv": "out/verdicts.csv",
    "json.md#summarycsv": "summary/summary.csv",
    "json.md#export-csv": "journal.csv",
}


@pytest.mark.parametrize("section", CSV)
def test_the_columns_of_every_csv_are_those_on_the_page(section: str, place: Path) -> None:
    rows = PAGES.sections[section]
    expected = [row.path.replace("<label>", label) for row in rows for label in (LABELS if "<label>" in row.path else LABELS[:1])]
    with (place / CSV[section]).open(newline="") as file:
        header, *found = csv.reader(file)
    assert header == expected
    types = {row.path.replace("<label>", label): row.type for row in rows for label in LABELS}
    parses: dict[str, Callable[[str], object]] = {
        "integer": int,
        "number": float,
        "string": str,
        "boolean": {"True": True, "False": False}.__getitem__,
    }
    assert len(found) >= 1
    for line in found:
        for column, value in zip(header, line, strict=True):
            assert value == "" or parses[types[column]](value) is not None


def test_what_may_be_null_is_said_with_when() -> None:
    assert [row.place for row in PAGES.rows if row.nullable and "null" not in row.meaning] == []
    assert [row.place for row in PAGES.rows if not row.nullable and "null" in row.meaning and "ends" not in row.meaning] == [
        "json.md#session: interrupted"  # it speaks of another field
    ]


def occurrences(value: Any, name: str, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that stands under a name, with its path; not within manifests and start records, which are of another kind."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == name:
                yield f"{path}.{key}", item
            if key not in ("manifest", "start") and not (isinstance(item, dict) and item.get("kind") == "start"):
                yield from occurrences(item, name, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from occurrences(item, name, f"{path}[]")


def test_runtime_has_one_shape_wherever_it_stands(documents: Documents) -> None:
    found = [item for each in documents.values() for one in each for item in occurrences(one, "runtime")]
    assert {path for path, _ in found} == {".runtime", ".frames[].runtime", ".records[].record.runtime"}
    assert {tuple(value) for _, value in found} == {("name", "version", "threads", "delegate")}


def test_counts_have_one_shape_wherever_they_stand(documents: Documents) -> None:
    found = [item for each in documents.values() for one in each for item in occurrences(one, "counts")]
    assert {path for path, _ in found} == {".counts"}
    shape = ("frames", "excluded_frames", "verdicts", "gaps", "skipped", "throttled", "by_label", "excluded")
    assert {tuple(value) for _, value in found} == {shape}


def test_counts_by_label_have_one_shape_wherever_they_stand(documents: Documents) -> None:
    for name in ("session", "summary", "evaluation"):
        for document in documents[name]:
            for path, value in occurrences(document, "by_label"):
                assert list(value) == [*LABELS, "abstain"], f"{name}{path}"


def test_latency_is_of_one_verdict_or_of_many_and_each_has_one_shape(documents: Documents) -> None:
    found = [
        item for each in documents.values() for one in each for item in occurrences(one, "latency_ms") if item[1] is not None
    ]
    of_one = {path for path, value in found if value and all(isinstance(ms, float) for ms in value.values())}
    assert of_one == {".frames[].latency_ms", ".frames[].cells[].latency_ms", ".records[].record.latency_ms"}
    assert {tuple(value) for path, value in found if path in of_one} == {STAGES}
    for path, value in found:
        if path not in of_one:
            assert set(value) <= {*STAGES, "age"}
            assert {tuple(summary) for summary in value.values()} <= {("p50", "p90", "p99", "mean")}


def test_the_stages_of_every_verdict_add_up_to_its_total(documents: Documents) -> None:
    for document in documents["session"]:
        for _, value in occurrences(document["frames"], "latency_ms"):
            if value is not None:
                assert sum(value[stage] for stage in STAGES[:-1]) == pytest.approx(value["total"], abs=1e-9)


def test_the_same_session_has_the_same_counts_in_all_its_files(documents: Documents) -> None:
    session, of_results, of_journal = documents["session"][0], *documents["summary"]
    assert session["counts"] == of_results["counts"] == of_journal["counts"]
    assert session["latency_ms"] == of_results["latency_ms"] == of_journal["latency_ms"]
    assert session["counts"]["by_label"] == session["results"][0]["by_label"] == of_results["slides"][0]["by_label"]
    assert session["counts"]["excluded"] == {"underexposed": 1}
    assert session["counts"]["gaps"] == len(session["gaps"]) == 1


def test_a_field_that_is_not_on_the_page_a_missing_one_and_another_type_are_noticed(documents: Documents) -> None:
    whole = documents["overhead"][0]
    with pytest.raises(AssertionError, match="new: not documented"):
        PAGES.check("json.md#overhead", whole | {"new": 1})
    with pytest.raises(AssertionError, match=r"\['ratio'\] documented and not there"):
        PAGES.check("json.md#overhead", {key: value for key, value in whole.items() if key != "ratio"})
    with pytest.raises(AssertionError, match="ratio: expected number, found 'much'"):
        PAGES.check("json.md#overhead", whole | {"ratio": "much"})
    with pytest.raises(AssertionError, match="ratio: null"):
        PAGES.check("json.md#overhead", whole | {"ratio": None})


def test_the_pages_list_every_kind_of_exclusion_and_every_event() -> None:
    kinds = PAGES.texts["json.md#kinds-of-exclusions"]
    assert [kind for kind in ExclusionKind if f"`{kind}`" not in kinds] == []
    records = Reference.read("journal.md").texts["journal.md#records"]
    assert [name for name in EventName.__args__ if f"`{name}`" not in records] == []


def test_a_row_of_results_is_a_row_of_the_manifests_metrics() -> None:
    documented = {row.path for row in PAGES.sections["json.md#results"] if not row.optional and "." not in row.path}
    assert documented == set(NoiseMetrics.model_fields)
