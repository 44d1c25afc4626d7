"""The README's table and picture of the shipped bundles, made from their manifests alone.

Run `python -m leukolite.benchmarks.shipped PICTURE.png` to print the table and draw the picture.
"""

import sys
from pathlib import Path

from leukolite.bundle import Bundle
from leukolite.manifest import Measurement
from leukolite.noise import NOISE_PLACES, NoisePlace
from leukolite.shipped import shipped_bundles, shipped_path
from leukolite.wording import percent, percent_with_interval

SIGMAS = (0.0, 5.0, 10.0, 20.0)


def shipped() -> list[Bundle]:
    """Every bundle that comes with the package, by name."""
    return [Bundle.load(shipped_path(name)) for name in shipped_bundles()]


def table(bundles: list[Bundle]) -> list[str]:
    """Markdown: one row per bundle; accuracy of the int8 model on images that training never saw."""
    noise_place(bundles)
    lines = [
        "| bundle | classifies | size | unseen images | float agreement | sigma 0 | sigma 5 | sigma 10 | sigma 20 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for bundle in bundles:
        measured = _measured(bundle)
        rows = {row.sigma: row for row in measured.results}
        accuracies = [percent_with_interval(rows[sigma].accuracy, rows[sigma].accuracy_interval) for sigma in SIGMAS]
        lines.append(
            f"| `{bundle.manifest.name}` | one {bundle.manifest.unit} | {len(bundle.model) / 1e6:.2f} MB | {rows[0.0].n}"
            f" | {percent(measured.float_agreement)} | {' | '.join(accuracies)} |"
        )
    return lines


def draw(bundles: list[Bundle], path: Path) -> None:
    """Accuracy over sigma with 95% intervals, one line per bundle, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    for k, bundle in enumerate(bundles):
        rows = [row for row in _measured(bundle).results if row.accuracy is not None and row.accuracy_interval is not None]
        accuracy = [100 * (row.accuracy or 0) for row in rows]
        bounds = [row.accuracy_interval or (0, 0) for row in rows]
        below = [max(0.0, value - 100 * low) for value, (low, _) in zip(accuracy, bounds, strict=True)]
        above = [max(0.0, 100 * high - value) for value, (_, high) in zip(accuracy, bounds, strict=True)]
        places = [row.sigma + 0.12 * (k - len(bundles) / 2) for row in rows]
        axes.errorbar(places, accuracy, yerr=[below, above], marker="o", capsize=3, label=bundle.manifest.name)
    where = NOISE_PLACES[noise_place(bundles)]
    axes.set(xlabel=f"sigma of the Gaussian noise {where}, grey levels", ylabel="accuracy on unseen images, %")
    axes.set_title("Shipped int8 bundles (95% intervals)", fontsize=11)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", fontsize=8)
    figure.savefig(path, dpi=120)


def noise_place(bundles: list[Bundle]) -> NoisePlace:
    """Where the noise of their measurements was put. Raises: ValueError, where they differ."""
    places = {_measured(bundle).noise_at for bundle in bundles}
    if len(places) != 1:
        raise ValueError(
            f"expected bundles measured with noise in one place, found {' and '.join(sorted(places))}; measure them alike"
        )
    return places.pop()


def _measured(bundle: Bundle) -> Measurement:
    measured = bundle.manifest.measured
    if measured is None:
        raise ValueError(f"{bundle.path}: a shipped bundle carries its measurements")
    return measured


if __name__ == "__main__":
    found = shipped()
    draw(found, Path(sys.argv[1]))
    sys.stdout.write("\n".join(table(found)) + "\n")
