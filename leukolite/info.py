"""`leukolite info`: a bundle's manifest for people."""

from pathlib import Path

import click
from rich.table import Table

from leukolite.appearance import describe
from leukolite.bundle import Bundle
from leukolite.manifest import CellPicture, Manifest
from leukolite.shipped import find_bundle
from leukolite.terminal import Command, stdout
from leukolite.wording import RESEARCH_USE, percent, percent_with_interval


@click.command(cls=Command)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def info(bundle: Path, as_json: bool) -> None:
    """Print what a BUNDLE is: what it judges, what it expects, where it comes from, how well it does.

    \b
    Example:
      leukolite info mobilenet_m-taleqani
    """
    loaded = Bundle.load(find_bundle(bundle))
    console = stdout()
    if as_json:
        console.out(loaded.manifest.model_dump_json(indent=1), highlight=False)
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in manifest_rows(loaded.manifest, len(loaded.model)):
        table.add_row(name, value)
    console.print(table, soft_wrap=False)


def manifest_rows(manifest: Manifest, model_bytes: int) -> list[tuple[str, str]]:
    """Name and text of each line."""
    spec, decision, training, measured = manifest.input, manifest.decision, manifest.training, manifest.measured
    tensors = [
        f"{tensor.dtype} (scale {tensor.scale:.6g}, zero point {tensor.zero_point})"
        for tensor in (manifest.input_tensor, manifest.output_tensor)
    ]
    rows = [
        ("name", manifest.name),
        ("judges", f"one {manifest.unit} an image"),
        (
            "labels",
            ", ".join(f"{label}*" if label in manifest.malignant else label for label in manifest.labels) + "  (* malignant)",
        ),
        (
            "input",
            f"{spec.width}x{spec.height} {spec.channels}, {spec.crop} crop of {spec.crop_fraction:.0%}, resized by {spec.kernel}",
        ),
        (
            "gates",
            "none: what its training pictures look like is not known"
            if manifest.appearance is None
            else describe(manifest.appearance, ".4g"),
        ),
        *([] if manifest.cell is None else [("cells", _cells(manifest.cell))]),
        ("tensors", f"in {tensors[0]}, out {tensors[1]}"),
        (
            "decision",
            f"temperature {decision.temperature:g}, threshold {decision.threshold or 'top class'},"
            f" abstains {'never' if decision.abstain is None else 'within {} to {}'.format(*decision.abstain)}",
        ),
        ("model", f"{model_bytes / 1e6:.2f} MB, sha256 {manifest.model_sha256}"),
        ("variant", manifest.variant),
        ("golden", f"outputs of {manifest.golden.runtime}"),
    ]
    if manifest.gate is not None:
        levels = "; ".join(
            f"sigma {level.sigma:g}: float {percent(level.float_accuracy)}, this {percent(level.accuracy)}, {level.flips} flips"
            for level in manifest.gate.levels
        )
        rows.append(("gate", f"{levels}; n {manifest.gate.levels[0].n}, {manifest.gate.part} part"))
    rows += [("runtime", f"{one.name} {one.version or ''}: {one.outcome}") for one in manifest.runtimes]
    rows += [("compiled", f"{one.target}: {one.file or 'not compiled'}") for one in manifest.compiled]
    if training is not None:
        counts = ", ".join(f"{part} {sum(classes.values())}" for part, classes in training.split.items() if sum(classes.values()))
        rows += [
            (
                "trained on",
                f"{training.dataset} ({counts}), seed {training.seed}, fingerprint {training.dataset_fingerprint[:12]}",
            ),
            ("recipe", f"{training.recipe_title}: {training.recipe.get('source', 'unknown')}"),
            ("versions", ", ".join(f"{name} {version}" for name, version in training.versions.items())),
        ]
    if measured is not None:
        rows.append(
            ("measured", f"{measured.part} part, {measured.runtime}; as the float model on {percent(measured.float_agreement)}")
        )
        rows += [
            (f"  sigma {row.sigma:g}", f"accuracy {percent_with_interval(row.accuracy, row.accuracy_interval)}, n {row.n}")
            for row in measured.results
        ]
    return [*rows, ("use", RESEARCH_USE)]


def _cells(picture: CellPicture) -> str:
    return f"cut out of a field {picture.window:g} red cells wide, background {picture.background}"
