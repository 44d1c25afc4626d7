"""What a report says of people: figures with intervals over people, a row a person, and the baselines on the same folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from leukolite.classes import Classes
from leukolite.people import Figure, PeopleMetrics, people_metrics
from leukolite.tables import results_table
from leukolite.train.baselines import BaselineVerdicts, Fold, area_baseline, majority_baseline
from leukolite.train.datasets import Dataset
from leukolite.train.people import links_of
from leukolite.wording import count, percent, percent_with_interval, shown

MAJORITY, AREA = "majority class", "cell area"
TOO_FEW = "no baselines: they need two people of each class, or a training part"


@dataclass(frozen=True)
class MeasuredPeople:
    """Images of known people, and how baselines shall be fitted beside them.

    Attributes:
        dataset: its samples say which person they are of; `truth` and `areas` are in their order.
        truth: class of each image in the model's order, int.
        areas: the cell's area of each image, nan where it could not be read; None: fields, which have no such.
        folds: images that fit and images that are measured, which together are all that the classifier was measured on.
        protocol: what the folds are, in words.
    """

    dataset: Dataset
    truth: np.ndarray
    areas: np.ndarray | None
    folds: Sequence[Fold]
    protocol: str


@dataclass(frozen=True)
class PeopleReport:
    """How a classifier did on people, beside baselines.

    Attributes:
        subjects: ids that the measured images have.
        people: linked ids counted as one.
        links: ids that are one person.
        protocol: on which folds the baselines were fitted, in words.
        by_sigma: the classifier's figures at each noise level.
        baselines: name -> figures, without noise; empty where there were too few people.
        left_out_people: whose pictures were left out, because others of theirs had trained or chosen the model.
        left_out_images: of those, that the model had not seen itself.
    """

    subjects: int
    people: int
    links: tuple[tuple[str, ...], ...]
    protocol: str
    by_sigma: Mapping[float, PeopleMetrics]
    baselines: Mapping[str, PeopleMetrics]
    left_out_people: int = 0
    left_out_images: int = 0

    @property
    def first(self) -> PeopleMetrics:
        """At the first noise level."""
        return next(iter(self.by_sigma.values()))

    def to_json(self) -> dict[str, Any]:
        """For machines; its fields are in docs/reference/json.md."""
        return {
            "subjects": self.subjects,
            "people": self.people,
            "linked": [list(ids) for ids in self.links],
            "left_out_people": self.left_out_people,
            "left_out_images": self.left_out_images,
            "protocol": self.protocol,
            "results": [{"sigma": sigma, **found.to_json()} for sigma, found in self.by_sigma.items()],
            "baselines": [{"name": name, **found.to_json()} for name, found in self.baselines.items()],
            "beats_area": None if AREA not in self.baselines else self.no_better is None,
            "rows": [row.to_json() for row in self.first.rows],
        }

    @property
    def no_better(self) -> str | None:
        """That the classifier is no better than the cell's area alone, in a line; None where it is, or has no such baseline."""
        area = self.baselines.get(AREA)
        return None if area is None else no_better_than_area(self.first, area)


def no_better_than_area(found: PeopleMetrics, area: PeopleMetrics) -> str | None:
    """'no better than the cell's area alone (AUC 0.71, area 0.78)', of the figures that do not beat it; None where both do."""
    behind = []
    for name, write in (("accuracy", percent), ("auc", _two_digits)):
        ours, theirs = found.figures()[name].value, area.figures()[name].value
        if ours is not None and theirs is not None and ours <= theirs:
            behind.append(f"{'AUC' if name == 'auc' else name} {write(ours)}, area {write(theirs)}")
    return f"no better than the cell's area alone ({'; '.join(behind)})" if behind else None


@dataclass(frozen=True)
class SaidOfImages:
    """What a classifier said of some images.

    Attributes:
        indices: of the samples.
        verdicts: class indices; None where it abstained.
        probabilities: shape (n, classes).
    """

    indices: Sequence[int]
    verdicts: Sequence[int | None]
    probabilities: np.ndarray


def report_people(
    said: Mapping[float, SaidOfImages],
    measured: MeasuredPeople,
    classes: Classes,
    *,
    left_out_people: int = 0,
    left_out_images: int = 0,
) -> PeopleReport:
    """Figures over people of what a classifier said at each noise level, and of the baselines on the same images."""
    samples = measured.dataset.samples
    names = [str(sample.person) for sample in samples]
    by_sigma = {
        sigma: people_metrics(
            [names[i] for i in one.indices],
            [int(measured.truth[i]) for i in one.indices],
            one.verdicts,
            one.probabilities,
            classes,
        )
        for sigma, one in said.items()
    }
    classified = {int(i) for one in said.values() for i in one.indices}
    found: dict[str, BaselineVerdicts] = {}
    if measured.folds:
        usable = np.ones(len(samples), dtype=bool) if measured.areas is None else ~np.isnan(measured.areas)
        folds = [
            (train[usable[train]], np.array([i for i in test if i in classified and usable[i]], dtype=int))
            for train, test in measured.folds
        ]
        folds = [(train, test) for train, test in folds if len(train) and len(test)]
        found[MAJORITY] = majority_baseline(measured.truth, folds, len(classes))
        if measured.areas is not None:
            found[AREA] = area_baseline(measured.areas, measured.truth, folds, len(classes))
    baselines = {
        name: people_metrics(
            [names[i] for i in one.indices],
            measured.truth[one.indices].tolist(),
            [int(k) for k in one.verdicts],
            one.probabilities,
            classes,
        )
        for name, one in found.items()
    }
    ids = {samples[i].subject for i in classified}
    return PeopleReport(
        subjects=len(ids),
        people=len({names[i] for i in classified}),
        links=tuple(group for group in links_of(measured.dataset) if ids & set(group)),
        protocol=measured.protocol if measured.folds else TOO_FEW,
        by_sigma=by_sigma,
        baselines=baselines,
        left_out_people=left_out_people,
        left_out_images=left_out_images,
    )


def people_tables(report: PeopleReport) -> list[Table]:
    """Figures beside the baselines', then a row a person."""
    figures = results_table(
        f"Over {count(report.people, 'person', 'people')}: 95% intervals by bootstrap over people",
        caption=f"baselines: {report.protocol}" if report.baselines else report.protocol,
    )
    headings = ("", "accuracy (95%)", "balanced (95%)", "weighted F1 (95%)", "AUC (95%)", "people right")
    for heading in headings:
        figures.add_column(heading, justify="right" if heading else "left", no_wrap=heading in ("", "people right"))
    rows = [(f"sigma {sigma:g}", found) for sigma, found in report.by_sigma.items()]
    for name, found in [*rows, *report.baselines.items()]:
        cells = [_cell(figure) for figure in found.figures().values()]
        figures.add_row(name, *cells, f"{found.right_by_majority} of {len(found.rows)}")
    people = results_table(f"Each person at sigma {next(iter(report.by_sigma)):g}")
    for heading in ("person", "class", "cells", "right", "majority"):
        people.add_column(heading, justify="left" if heading in ("person", "class", "majority") else "right")
    for row in report.first.rows:
        people.add_row(
            shown(row.person),
            shown(row.label),
            str(row.cells),
            percent(row.share_right),
            "right" if row.is_right_by_majority else "wrong",
        )
    return [figures, people]


def people_lines(report: PeopleReport) -> list[str]:
    """What the tables say in short, a line each."""
    first = report.first
    lines = [f"{first.right_by_majority} of {count(len(first.rows), 'person', 'people')} right by majority"]
    lines += [
        f"linked: {' and '.join(map(shown, ids))}: pictures of theirs are the same, so they count as one person"
        for ids in report.links
    ]
    return lines + ([report.no_better] if report.no_better is not None else [])


def _cell(figure: Figure) -> str:
    return percent_with_interval(figure.value, figure.interval)


def _two_digits(value: float) -> str:
    return f"{value:.2f}"
