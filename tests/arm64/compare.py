"""Run probe.py and edge-run here and under qemu-user, and print how far the two agree; exit code 1 if they do not.

edge-run classifies the synthetic camera, which each machine renders itself, then from files the very pixels that this one
rendered, fields among them, whose cells it finds.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

SIGMAS = "0,10"
UNITS = ("cell", "field")
PROBE = Path(__file__).with_name("probe.py")
LEVELS_APART = 2  # grey levels by which a rendered pixel may differ: floating point, rounded to 8 bits

Verdicts = Mapping[tuple[int, float, tuple[int, ...]], tuple[str, float]]  # frame, sigma and box -> label and probability


@dataclass(frozen=True)
class Machine:
    """A processor with a Python.

    Attributes:
        python: the command that starts it.
        folder: for what it leaves.
    """

    name: str
    python: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path

    def run(self, *arguments: str) -> None:
        done = subprocess.run([*self.python, *arguments], env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise click.ClickException(
                f"{self.name}: {' '.join(arguments)}: exit code {done.returncode}: {done.stderr.strip()[-2000:]}"
            )

    def probe(self, count: int) -> dict[str, Any]:
        self.run(str(PROBE), str(count), str(self.folder))
        found: dict[str, Any] = json.loads((self.folder / "probe.json").read_text())
        return found

    def edge_run(self, bundle: str, count: int, *source: str) -> Verdicts:
        out = self.folder / "session.json"
        options = ["--bundle", bundle, *source, "--frames", str(count), "--noise", SIGMAS, "--quiet", "--json", str(out)]
        self.run("-c", "from leukolite.edge.cli import main; main()", *options)
        return {
            (row["index"], row["sigma"], tuple(cell["box"])): (cell["label"] or cell["excluded"], cell["probability"] or 0.0)
            for row in json.loads(out.read_text())["frames"]
            for cell in row["cells"]
        }


def agreement(ours: Verdicts, theirs: Verdicts) -> tuple[str, bool, float]:
    """In words; whether frames and labels are the same; and the largest difference of probability."""
    if ours.keys() != theirs.keys():
        alone = len(ours.keys() ^ theirs.keys())
        return f"{len(ours)} verdicts here, {len(theirs)} there, {alone} boxes on one side alone", False, 1.0
    pairs = {key: (ours[key], theirs[key]) for key in ours}
    other = [
        f"frame {index}, sigma {sigma:g}, {box}: {one} here, {two} there"
        for (index, sigma, box), (one, two) in pairs.items()
        if one[0] != two[0]
    ]
    difference = max(abs(one[1] - two[1]) for one, two in pairs.values())
    same = sum(one == two for one, two in pairs.values())
    words = f"labels equal in {len(pairs) - len(other)} of {len(pairs)}, probabilities in {same}, else within {difference:.6f}"
    return "; ".join([words, *other]), not other, difference


def say_versions(found: Mapping[str, Any]) -> None:
    packages = ", ".join(f"{name} {number}" for name, number in found["packages"].items())
    click.echo(f"  {found['machine']}: Python {found['python']}, {packages}")


def frames_agree(here: Machine, there: Machine) -> bool:
    """Print how far the rendered frames lie apart; whether that is no more than rounding."""
    apart = []
    for unit in UNITS:
        ours, theirs = (np.load(machine.folder / f"{unit}.npy").astype(int) for machine in (here, there))
        levels = np.abs(ours - theirs)
        same = int((levels.reshape(len(levels), -1).max(axis=1) == 0).sum())
        click.echo(
            f"  synthetic frames, {unit}: {same} of {len(ours)} equal; {np.count_nonzero(levels)} of {levels.size} values differ,"
            f" by at most {levels.max()}"
        )
        apart.append(levels.max())
    return max(apart) <= LEVELS_APART


def golden_agrees(results: Sequence[Mapping[str, Any]]) -> bool:
    """Print how far inputs and outputs lie from the bundles' golden ones; whether all are within the tolerance."""
    for golden in results:
        click.echo(
            f"  golden, {golden['bundle']}, {golden['runtime']}: inputs within {golden['input_steps']} steps; outputs equal in"
            f" {golden['n_equal']} of {golden['count']}, else within {golden['output_difference']:.6f} of {golden['tolerance']:g}"
        )
    return all(golden["output_difference"] <= golden["tolerance"] for golden in results)


def sources_of(unit: str, folder: Path) -> dict[str, tuple[str, ...]]:
    """What edge-run classifies with a bundle of this unit; ungated, as rendered pictures have none of the bundles' stains."""
    found = {"own frames": ("--camera", "synthetic"), "same pixels": ("--source", str(folder / unit), "--ungated")}
    if unit == "cell":
        found["same pixels"] += ("--cells", "one")
        found["cells of the same fields"] = ("--source", str(folder / "field"), "--ungated", "--cells", "many")
    return found


def main(qemu: str, arm_python: str, count: int, processors: Sequence[str]) -> bool:
    """Whether every processor agrees with this one."""
    here = Machine("x86-64", (sys.executable,), os.environ, Path("x86-64").resolve())
    ours = here.probe(count)
    for unit in UNITS:
        pictures = here.folder / unit
        pictures.mkdir()
        for k, pixels in enumerate(np.load(here.folder / f"{unit}.npy")):
            Image.fromarray(pixels).save(pictures / f"{k:04}.png")
    sources = {name: sources_of(unit, here.folder) for name, unit in ours["units"].items()}
    tolerance = {golden["bundle"]: golden["tolerance"] for golden in ours["golden"] if golden["runtime"] == "litert"}
    verdicts = {(name, what): here.edge_run(name, count, *source) for name in sources for what, source in sources[name].items()}
    agrees = True
    for processor in processors:
        click.echo(processor)
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"QEMU_CPU": processor}
        there = Machine(processor, (qemu, arm_python), environment, Path(processor).resolve())
        theirs = there.probe(count)
        if theirs["machine"] != "aarch64" or not Path(theirs["leukolite_at"]).is_relative_to(Path(arm_python).parents[1]):
            found = f"{theirs['machine']}, {theirs['leukolite_at']}"
            raise click.ClickException(f"{processor}: expected the installed wheel on aarch64, found {found}")
        say_versions(ours)
        say_versions(theirs)
        agrees &= frames_agree(here, there)
        agrees &= golden_agrees(theirs["golden"])
        for (name, what), known in verdicts.items():
            words, same, difference = agreement(known, there.edge_run(name, count, *sources[name][what]))
            click.echo(f"  edge-run, {name}, {what}: {words}")
            agrees &= same and difference <= tolerance[name]
    return agrees


if __name__ == "__main__":
    try:
        alike = main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
    except click.ClickException as error:
        error.show()
        alike = False
    sys.exit(0 if alike else 1)
