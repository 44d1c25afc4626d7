"""`leukolite info` and `leukolite bundles`: a bundle's manifest for people, and the shipped ones."""

from pathlib import Path
from typing import Any

import click

from leukolite.appearance import describe
from leukolite.bundle import Bundle
from leukolite.files import is_stdout, write_json
from leukolite.manifest import CellPicture, Manifest, NoiseMetrics
from leukolite.noise import NOISE_PLACES
from leukolite.options import BundlePath, force_option, json_option
from leukolite.outputs import check_outputs
from leukolite.preprocess import CROPS, InputSpec
from leukolite.shipped import open_bundle, shipped_bundles, shipped_path
from leukolite.tables import WholeTable, results_table
from leukolite.terminal import Command, stdout
from leukolite.wording import RESEARCH_USE, count, percent, percent_with_interval, shown_label

BUNDLES_SCHEMA = {"name": "bundles", "version": 1}


@click.command(cls=Command)
@click.argument("bundle", type=BundlePath())
@click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path),
    is_flag=False,
    flag_value="-",
    metavar="FILE",
    help="JSON file to write: the manifest; - is stdout, and so is --json alone.",
)
@force_option
def info(bundle: Path, json_path: Path | None, force: bool) -> None:
    """Print what a BUNDLE is: what it classifies, what it expects, where it comes from, how well it does.

    BUNDLE is a folder, a zip or a shipped bundle's name; `leukolite bundles` lists those.

    \b
    Example:
      leukolite info mobilenet_m-taleqani
      leukolite info mobilenet_m-taleqani --json manifest.json
    """
    check_outputs(files=[json_path], force=force)
    loaded = open_bundle(bundle)
    if json_path is not None:
        write_json(json_path, loaded.manifest.model_dump(mode="json"), force=force)
        return
    table = WholeTable(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in (*manifest_rows(loaded.manifest, len(loaded.model)), ("bundle", f"sha256 {loaded.sha256}")):
        table.add_row(name, value)
    stdout().print(table)


@click.command(cls=Command)
@json_option("name, classes, size and accuracy of each")
@force_option
def bundles(json_path: Path | None, force: bool) -> None:
    """List the bundles that come with leukolite.

    \b
    Example:
      leukolite bundles
    """
    check_outputs(files=[json_path], force=force)
    found = [Bundle.load(shipped_path(name)) for name in shipped_bundles()]
    if json_path is not None:
        write_json(json_path, {"schema": BUNDLES_SCHEMA, "bundles": [_bundle_json(bundle) for bundle in found]}, force=force)
        if is_stdout(json_path):
            return
    table = results_table("Shipped bundles; accuracy on images that training never saw", RESEARCH_USE)
    for heading in ("bundle", "classifies one", "labels (* malignant)", "MB", "accuracy"):
        table.add_column(heading, justify="right" if heading in ("MB", "accuracy") else "left")
    for bundle in found:
        manifest, row = bundle.manifest, _clean_row(bundle.manifest)
        accuracy = "-" if row is None else percent(row.accuracy)
        table.add_row(manifest.name, manifest.unit, _labels(manifest), f"{len(bundle.model) / 1e6:.2f}", accuracy)
    stdout().print(table)


def _bundle_json(bundle: Bundle) -> dict[str, Any]:
    manifest, row = bundle.manifest, _clean_row(bundle.manifest)
    return {
        "name": manifest.name,
        "unit": manifest.unit,
        "labels": manifest.labels,
        "malignant": manifest.malignant,
        "model_bytes": len(bundle.model),
        "bundle_sha256": bundle.sha256,
        "model_sha256": manifest.model_sha256,
        "n": None if row is None else row.n,
        "accuracy": None if row is None else row.accuracy,
        "accuracy_interval": None if row is None else row.accuracy_interval,
    }


def _clean_row(manifest: Manifest) -> NoiseMetrics | None:
    """What was measured without noise."""
    rows = [] if manifest.measured is None else [row for row in manifest.measured.results if row.sigma == 0]
    return rows[0] if rows else None


def _labels(manifest: Manifest) -> str:
    return ", ".join(f"{shown_label(label)}{'*' if label in manifest.malignant else ''}" for label in manifest.labels)


def manifest_rows(manifest: Manifest, model_bytes: int) -> list[tuple[str, str]]:
    """Name and text of each line."""
    spec, decision, training, measured = manifest.input, manifest.decision, manifest.training, manifest.measured
    tensors = [
        f"{tensor.dtype} (scale {tensor.scale:.6g}, zero point {tensor.zero_point})"
        for tensor in (manifest.input_tensor, manifest.output_tensor)
    ]
    rows = [
        ("name", manifest.name),
        ("classifies", f"one {manifest.unit} per image"),
        ("labels", f"{_labels(manifest)}  (* malignant)"),
        ("input", f"{spec.width}x{spec.height} {spec.channels}, {_crop(spec)}, resized by {spec.kernel}"),
        *([] if manifest.network_input is None else [("network takes", f"{manifest.network_input}, put before it in the file")]),
        *(("objection", f"{objection}; insisted on") for objection in manifest.objections),
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
            f"sigma {level.sigma:g}: float {percent(level.float_accuracy)}, this {percent(level.accuracy)},"
            f" {count(level.flips, 'flip')}"
            for level in manifest.gate.levels
        )
        rows.append(("gate", f"{levels}; n {manifest.gate.levels[0].n}, {manifest.gate.part} part"))
    shown = {"proved": "checked"}  # as manifests have said it from the first
    rows += [
        ("runtime", f"{f'{one.name} {one.version or str()}'.strip()}: {shown.get(one.outcome, one.outcome)}")
        for one in manifest.runtimes
    ]
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
            (
                "measured",
                f"{measured.part} part, noise {NOISE_PLACES[measured.noise_at]}, {measured.runtime};"
                f" float agreement {percent(measured.float_agreement)}",
            )
        )
        rows += [
            (f"  sigma {row.sigma:g}", f"accuracy {percent_with_interval(row.accuracy, row.accuracy_interval)}, n {row.n}")
            for row in measured.results
        ]
    return [*rows, ("use", RESEARCH_USE)]


def _crop(spec: InputSpec) -> str:
    return f"{spec.crop} crop of {spec.crop_fraction:.0%}" if spec.crop == "centre-square" else CROPS[spec.crop]


def _cells(picture: CellPicture) -> str:
    return f"cut out of a field {picture.window:g} red cells wide, background {picture.background}"
