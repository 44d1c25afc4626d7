"""Figures over people of what a training left: each run on its own test part, pooled."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from leukolite.classes import Classes
from leukolite.errors import ImageError
from leukolite.images import read_rgb
from leukolite.manifest import Unit
from leukolite.train.cell_area import cell_area
from leukolite.train.fit import Prepared, predict
from leukolite.train.people_report import MeasuredPeople, PeopleReport, SaidOfImages, report_people
from leukolite.train.runs import load_model
from leukolite.train.splits import Split


def people_of_runs(
    prepared: Prepared,
    runs: Sequence[tuple[Split, Path]],
    malignant: Sequence[str],
    unit: Unit,
    on_run: Callable[[int], None] = lambda _: None,
) -> PeopleReport | None:
    """How the float models did on the people of their test parts; None where nothing was tested or nobody says who they are.

    Args:
        runs: each split with the folder of its run.
        on_run: called with the number of runs that are done, for a progress bar.
    """
    dataset = prepared.dataset
    tested = [(split, place) for split, place in runs if split.test]
    if not tested or not dataset.names_people:
        return None
    indices: list[int] = []
    outputs = []
    for k, (split, place) in enumerate(tested):
        indices += split.test
        outputs.append(predict(load_model(place), prepared.pixels[list(split.test)], prepared.spec))
        on_run(k + 1)
    found = np.concatenate(outputs)
    said = SaidOfImages(indices, [int(k) for k in found.argmax(axis=1)], found)
    measured = people_of_splits(prepared, [split for split, _ in tested], unit)
    return report_people({0.0: said}, measured, Classes.of(dataset.labels, malignant))


def people_of_splits(prepared: Prepared, splits: Sequence[Split], unit: Unit = "cell") -> MeasuredPeople:
    """The people of a dataset, with baselines to be fitted on each split's training part and measured on its test part."""
    samples = prepared.dataset.samples
    return MeasuredPeople(
        prepared.dataset,
        np.array([sample.label for sample in samples]),
        np.array([_area(sample.path) for sample in samples]) if unit == "cell" else None,
        [(np.array(split.train, dtype=int), np.array(split.test, dtype=int)) for split in splits],
        "fitted on the same folds" if len(splits) > 1 else "fitted on the training part",
    )


def _area(path: Path) -> float:
    try:
        return cell_area(read_rgb(path))
    except ImageError:
        return float("nan")
