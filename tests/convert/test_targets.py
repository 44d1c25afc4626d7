"""`leukolite convert --target`: the Edge TPU's rules and its compiler, faked with its real log; Arm's Vela, real."""

import json
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from bundles import unsealed

from leukolite.bundle import Bundle
from leukolite.classifier import open_classifier
from leukolite.cli import main as leukolite
from leukolite.convert import edgetpu
from leukolite.convert.edgetpu import check_rules, compile_edgetpu, left_to_cpu, parse_log
from leukolite.convert.ethosu import compile_ethosu, read_summary
from leukolite.convert.operators import read_graph
from leukolite.convert.targets import compile_bundle
from leukolite.errors import BundleError, ConversionError

# as edgetpu_compiler 16.0 prints it with -s
LOG = """Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 412 ms.

Input model: model.tflite
Input size: 3.36MiB
Output model: model_edgetpu.tflite
Output size: 3.68MiB
On-chip memory used for caching model parameters: 3.60MiB
On-chip memory remaining for caching model parameters: 3.86MiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 31
Operation log: model_edgetpu.log

Operator                       Count      Status

DEPTHWISE_CONV_2D              13         Mapped to Edge TPU
CONV_2D                        14         Mapped to Edge TPU
MEAN                           1          Mapped to Edge TPU
FULLY_CONNECTED                1          More than one subgraph is not supported
SOFTMAX                        1          Operation is otherwise supported, but not mapped due to some unspecified limitation
QUANTIZE                       1          Mapped to Edge TPU
"""

pytestmark = pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")


@pytest.fixture
def int8(tiny_bundle) -> bytes:
    return Bundle.load(tiny_bundle).model


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A stand-in on the PATH that prints the real one's log and writes the file it would write."""

    def install(log: str = LOG, code: int = 0, writes: bool = True) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        script = folder / "edgetpu_compiler"
        lines = ["#!/bin/sh", 'if [ "$1" = -v ]; then echo "Edge TPU Compiler version 16.0.384591198"; exit 0; fi']
        lines += ["cat <<'END'", log, "END"]
        lines += ['printf "edgetpu-custom-op made" > "$3/model_edgetpu.tflite"'] if writes else []
        script.write_text("\n".join([*lines, f"exit {code}", ""]))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    return install


@pytest.fixture
def no_compiler(monkeypatch):
    monkeypatch.setattr(edgetpu.shutil, "which", lambda name: None)


def test_the_compilers_table_is_read_as_it_stands():
    rows = parse_log(LOG)
    assert sum(n for _, n, _ in rows) == 31
    assert ("FULLY_CONNECTED", 1, "More than one subgraph is not supported") in rows


def test_what_was_mapped_and_what_stays_on_the_cpu_is_recorded_in_the_bundle(tiny_bundle, tmp_path, compiler):
    compiler()
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    (made,) = compile_bundle(bundle, ["edgetpu"])
    again = Bundle.load(bundle)
    assert again.manifest.compiled == [made.record]
    assert made.record.on_target == 29
    assert sum(made.record.on_cpu.values()) == 2
    assert made.record.compiler == "Edge TPU Compiler version 16.0.384591198"
    assert again.model_for("edgetpu") == b"edgetpu-custom-op made"
    assert again.model_for("litert") == again.model
    assert "edgetpu" in again.manifest.golden.tolerance
    assert "29 operators on it, 2 on the CPU" in (bundle / "README.md").read_text()


def test_a_changed_compiled_model_is_refused(tiny_bundle, tmp_path, compiler):
    compiler()
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    compile_bundle(bundle, ["edgetpu"])
    unsealed(bundle)
    (bundle / "model_edgetpu.tflite").write_bytes(b"another")
    with pytest.raises(BundleError, match=r"model_edgetpu\.tflite does not match"):
        Bundle.load(bundle)


def test_without_a_compiler_the_bundle_is_made_and_one_line_says_how_to_get_it(int8, no_compiler):
    content, facts, notes = compile_edgetpu(int8)
    assert content is None
    assert facts["compiler"] is None
    assert "no edgetpu_compiler on the PATH" in notes[0]


@pytest.mark.parametrize(
    ("options", "says"),
    [({"code": 1, "log": "Internal compiler error. Aborting!"}, "Internal compiler error"), ({"writes": False}, "made no file")],
    ids=["fails", "writes nothing"],
)
def test_a_compiler_that_fails_is_one_error(int8, compiler, options, says):
    compiler(**options)
    with pytest.raises(ConversionError, match=says):
        compile_edgetpu(int8)


def test_shapes_that_are_open_and_floats_break_the_edge_tpus_rules(int8):
    graph = read_graph(int8)
    check_rules(graph)
    with pytest.raises(ConversionError, match="fixed"):
        check_rules(replace(graph, inputs=(replace(graph.inputs[0], shape=(-1, 32, 32, 3)),)))
    with pytest.raises(ConversionError, match="8-bit tensors alone"):
        check_rules(replace(graph, tensor_dtypes=graph.tensor_dtypes | {"x": "float32"}))


def test_operators_that_its_compiler_does_not_know_are_named(int8):
    graph = read_graph(int8)
    dense = next(operator for operator in graph.operators if operator.name == "FULLY_CONNECTED")
    strange = (replace(dense, name="GELU"), replace(dense, version=12))
    found = left_to_cpu(replace(graph, operators=strange))
    assert found == {"GELU: not supported": 1, "FULLY_CONNECTED: version 12 is not known to the compiler": 1}


def test_a_bundle_of_floats_is_not_compiled(tiny_bundle, tmp_path):
    bundle = unsealed(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    record = json.loads((bundle / "manifest.json").read_text()) | {"variant": "float32"}
    (bundle / "manifest.json").write_text(json.dumps(record))
    with pytest.raises(ConversionError, match="found float32"):
        compile_bundle(bundle, ["edgetpu"])


# Arm Ethos-U, by the real Vela


def test_vela_compiles_the_model_and_tells_cycles_memory_and_operators(int8):
    pytest.importorskip("ethosu")
    content, facts, notes = compile_ethosu(int8, "ethos-u55-128")
    assert content[4:8] == b"TFL3"
    assert b"ethos-u" in content
    assert facts["on_target"] > 0
    assert facts["estimates"]["cycles"] > 0
    assert facts["estimates"]["sram_kib"] > 0
    assert "cycles" in notes[1]


def test_what_vela_refuses_is_one_error():
    pytest.importorskip("ethosu")
    with pytest.raises(ConversionError, match="Vela refuses the model for ethos-u55-256"):
        compile_ethosu(b"\0\0\0\0TFL3 and no more", "ethos-u55-256")


def test_operators_left_to_the_cpu_come_with_velas_reason():
    text = (
        "Warning (supported operators) operator: DEQUANTIZE, ofm: 'Identity'\nReason: Unsupported opType\n\n"
        "CPU operators = 2 (5.9%)\nNPU operators = 32 (94.1%)\n"
    )
    numbers = ("cycles_total", "inference_time", "sram_memory_used", "off_chip_flash_memory_used", "core_clock")
    found = read_summary(text, dict.fromkeys(numbers, "1"))
    assert found["on_target"] == 32
    assert found["on_cpu"] == {"DEQUANTIZE: Unsupported opType": 1, "no reason given": 1}


def test_the_command_compiles_what_it_converted(call, finished_run, tmp_path, no_compiler):
    pytest.importorskip("ethosu")
    options = ("--target", "edgetpu", "--target", "ethos-u55-64", "--max-drop", 100, "--max-recall-drop", 100, "--allow-useless")
    result = call(leukolite, "convert", finished_run, "--out", tmp_path / "b", "--calibration", 100, *options)
    assert result.exit_code == 0, result.output
    assert "edgetpu: not compiled" in result.stdout
    bundle = Bundle.load(tmp_path / "b")
    assert [one.target for one in bundle.manifest.compiled] == ["edgetpu", "ethos-u55-64"]
    assert {op.version for op in read_graph(bundle.model).operators if op.name == "FULLY_CONNECTED"} <= set(range(10))
    assert bundle.manifest.compiled[0].on_cpu == {}
    open_classifier(bundle)


def test_a_target_wants_int8(refuses, finished_run, tmp_path):
    line = refuses(leukolite, "convert", finished_run, "--out", tmp_path / "b", "--to", "float16", "--target", "edgetpu", code=2)
    assert "int8" in line
