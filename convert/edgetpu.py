"""Coral's Edge TPU: its rules, and `edgetpu_compiler` where it is installed.

Sources: coral.ai/docs/edgetpu/models-intro (supported operations), coral.ai/docs/edgetpu/compiler (options, log).
"""

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from leukolite.convert.operators import Graph, read_graph
from leukolite.errors import ConversionError
from leukolite.wording import count

EDGETPU = "edgetpu"
COMPILER = "edgetpu_compiler"
MAPPED = "Mapped to Edge TPU"
HOW_TO_GET_IT = (
    f"not compiled: no {COMPILER} on the PATH; install it on x86-64 Debian (coral.ai/docs/edgetpu/compiler) and convert again"
)
TIMEOUT_S = 600

# the maker's table of supported operations, by TFLite's names
SUPPORTED = frozenset(
    [
        "ADD",
        "AVERAGE_POOL_2D",
        "CONCATENATION",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "EXPAND_DIMS",
        "FULLY_CONNECTED",
        "L2_NORMALIZATION",
        "LOGISTIC",
        "LSTM",
        "MAXIMUM",
        "MAX_POOL_2D",
        "MEAN",
        "MINIMUM",
        "MUL",
        "PACK",
        "PAD",
        "PRELU",
        "QUANTIZE",
        "REDUCE_MAX",
        "REDUCE_MIN",
        "RELU",
        "RELU6",
        "RELU_N1_TO_1",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "RSQRT",
        "SLICE",
        "SOFTMAX",
        "SPACE_TO_DEPTH",
        "SPLIT",
        "SQUARED_DIFFERENCE",
        "SQUEEZE",
        "STRIDED_SLICE",
        "SUB",
        "SUM",
        "TANH",
        "TRANSPOSE",
        "TRANSPOSE_CONV",
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
    ]
)
# the last compiler (16.0, 2021) knows no later versions; 12 of a dense layer has one scale a unit
NEWEST_VERSION = {"FULLY_CONNECTED": 9}
INTEGERS = frozenset({"uint8", "int8", "int32"})

_ROW = re.compile(r"^([A-Z][A-Z0-9_]*)\s+(\d+)\s+(\S.*)$")


def check_rules(graph: Graph) -> None:
    """Refuse what the Edge TPU cannot compute at all.

    Raises:
        ConversionError: an input or output of open length, or a tensor that is not 8 bits (biases: 32).
    """
    if dynamic := [end.name for end in (*graph.inputs, *graph.outputs) if min(end.shape, default=1) < 1]:
        raise ConversionError(f"the Edge TPU takes shapes that are fixed; {dynamic[0]} leaves a length open")
    strange = Counter(dtype for dtype in graph.tensor_dtypes.values() if dtype not in INTEGERS)
    if strange:
        raise ConversionError(f"the Edge TPU takes 8-bit tensors alone, found {dict(strange)}")


def left_to_cpu(graph: Graph) -> dict[str, int]:
    """What the rules say of each operator, before any compiler: reason -> how many operators."""
    found: Counter[str] = Counter()
    for operator in graph.operators:
        if operator.name not in SUPPORTED:
            found[f"{operator.name}: not supported"] += 1
        elif operator.version > NEWEST_VERSION.get(operator.name, operator.version):
            found[f"{operator.name}: version {operator.version} is not known to the compiler"] += 1
    return dict(found)


def compile_edgetpu(content: bytes) -> tuple[bytes | None, dict[str, Any], tuple[str, ...]]:
    """Check an int8 model, and compile it where the compiler is installed.

    Returns:
        The compiled file or None, the fields of a `CompiledModel`, and lines for the user.

    Raises:
        ConversionError: it breaks a rule, or the compiler fails.
    """
    graph = read_graph(content)
    check_rules(graph)
    compiler = shutil.which(COMPILER)
    if compiler is None:
        expected = left_to_cpu(graph)
        notes = (
            HOW_TO_GET_IT,
            *(f"by its rules {count(n, 'operator')} would stay on the CPU: {reason}" for reason, n in expected.items()),
        )
        return None, {"compiler": None, "on_cpu": expected}, notes
    with tempfile.TemporaryDirectory(prefix="leukolite-edgetpu-") as folder:
        (Path(folder) / "model.tflite").write_bytes(content)
        log = _run([compiler, "-s", "-o", folder, str(Path(folder) / "model.tflite")])
        made = Path(folder) / "model_edgetpu.tflite"
        if not made.is_file():
            raise ConversionError(f"{COMPILER} made no file ({_last_line(log)})")
        compiled = made.read_bytes()
    rows = parse_log(log)
    on_target = sum(n for _, n, status in rows if status == MAPPED)
    on_cpu = Counter[str]()
    for name, n, status in rows:
        if status != MAPPED:
            on_cpu[f"{name}: {status}"] += n
    if not rows or on_target == 0:
        raise ConversionError(f"{COMPILER} mapped no operator to the Edge TPU ({_last_line(log)})")
    version = _last_line(_run([compiler, "-v"]))
    notes = (f"{on_target} of {count(on_target + on_cpu.total(), 'operator')} on the Edge TPU, by {version}",)
    notes += tuple(f"{n} on the CPU: {reason}" for reason, n in on_cpu.items())
    return compiled, {"compiler": version, "on_target": on_target, "on_cpu": dict(on_cpu)}, notes


def parse_log(log: str) -> list[tuple[str, int, str]]:
    """The table of `edgetpu_compiler -s`: operator, count, status."""
    rows = []
    for line in log.splitlines():
        match = _ROW.match(line.strip())
        if match is not None:
            rows.append((match[1], int(match[2]), match[3].strip()))
    return rows


def _run(command: list[str]) -> str:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConversionError(f"{COMPILER} does not run ({error})") from error
    if result.returncode != 0:
        raise ConversionError(f"{COMPILER} failed with code {result.returncode} ({_last_line(result.stdout + result.stderr)})")
    return result.stdout + result.stderr


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no output"
