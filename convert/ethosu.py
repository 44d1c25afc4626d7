"""Arm Ethos-U, the accelerator of microcontrollers: compiled by Arm's own Vela (package ethos-u-vela).

Cycles and memory are Vela's estimates for its default system of that accelerator; nothing was measured on silicon.
"""

import csv
import importlib.metadata
import re
import subprocess
import sys
import tempfile
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from leukolite.errors import ConversionError
from leukolite.wording import count

ETHOS_U = tuple(
    f"ethos-u{name}"
    for name in ["55-32", "55-64", "55-128", "55-256", "65-256", "65-512", "85-128", "85-256", "85-512", "85-1024", "85-2048"]
)
TIMEOUT_S = 600

_ON_CPU = re.compile(r"^Warning \(supported operators\) operator: (\w+), .*\nReason: (.+)$", re.MULTILINE)
_ON_NPU = re.compile(r"^NPU operators = (\d+)", re.MULTILINE)
_CPU_COUNT = re.compile(r"^CPU operators = (\d+)", re.MULTILINE)


def compile_ethosu(content: bytes, target: str) -> tuple[bytes, dict[str, Any], tuple[str, ...]]:
    """Compile an int8 model.

    Args:
        target: of `ETHOS_U`.

    Returns:
        The compiled file, the fields of a `CompiledModel`, and lines for the user.

    Raises:
        ConversionError: Vela is not installed, or fails.
    """
    if find_spec("ethosu") is None:
        raise ConversionError(f"{target} needs Arm's compiler Vela; pip install 'leukolite[ethos-u]'")
    with tempfile.TemporaryDirectory(prefix="leukolite-ethosu-") as folder:
        source, out = Path(folder) / "model.tflite", Path(folder) / "out"
        source.write_bytes(content)
        options = ["--accelerator-config", target, "--output-dir", str(out), "--show-cpu-operations", str(source)]
        command = [sys.executable, "-c", "from ethosu.vela.vela import main; main()", *options]
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, cwd=folder)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConversionError(f"Vela does not run ({error})") from error
        made, summaries = out / "model_vela.tflite", list(out.glob("*_summary_*.csv"))
        if result.returncode != 0 or not made.is_file() or not summaries:
            lines = [line for line in (result.stdout + result.stderr).splitlines() if line.strip()]
            raise ConversionError(f"Vela refuses the model for {target} ({lines[-1][:200] if lines else 'no output'})")
        compiled = made.read_bytes()
        with summaries[0].open(newline="") as file:
            summary = next(csv.DictReader(file))
    facts = read_summary(result.stdout, summary)
    version = f"vela {importlib.metadata.version('ethos-u-vela')}, {summary['system_config']}, {summary['memory_mode']}"
    figures, on_cpu = facts["estimates"], facts["on_cpu"]
    notes = (
        f"{count(facts['on_target'], 'operator')} on it, {sum(on_cpu.values())} on the CPU; {version}",
        f"its compiler's estimate: {figures['cycles']:,.0f} cycles at {figures['clock_mhz']:g} MHz,"
        f" {figures['inference_ms']:.1f} ms, {figures['sram_kib']:.0f} KiB of SRAM, {figures['flash_kib']:.0f} KiB of flash",
        *(f"{n} on the CPU: {reason}" for reason, n in on_cpu.items()),
    )
    return compiled, {"compiler": version, **facts}, notes


def read_summary(text: str, summary: dict[str, str]) -> dict[str, Any]:
    """What Vela's terminal output and its CSV say.

    Raises:
        ConversionError: one of them is not as Vela 5 writes it.
    """
    npu, cpu = _ON_NPU.search(text), _CPU_COUNT.search(text)
    if npu is None or cpu is None:
        raise ConversionError("Vela's output says nothing of operators; this version of ethos-u-vela is not known here")
    reasons = Counter(f"{name}: {reason.strip()}" for name, reason in _ON_CPU.findall(text))
    unexplained = int(cpu[1]) - reasons.total()
    on_cpu = dict(reasons) | ({"no reason given": unexplained} if unexplained > 0 else {})
    try:
        estimates = {
            "cycles": float(summary["cycles_total"]),
            "inference_ms": 1000 * float(summary["inference_time"]),
            "sram_kib": float(summary["sram_memory_used"]),
            "flash_kib": float(summary["off_chip_flash_memory_used"]),
            "clock_mhz": float(summary["core_clock"]) / 1e6,
        }
    except (KeyError, ValueError) as error:
        raise ConversionError(
            f"Vela's summary is not as expected ({error}); this version of ethos-u-vela is not known here"
        ) from error
    return {"on_target": int(npu[1]), "on_cpu": on_cpu, "estimates": estimates}
