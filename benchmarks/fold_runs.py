"""A folder of folds, as `leukolite train --folds` leaves it: each run classifies its own test part, and the verdicts are pooled.

So every person is classified by a network that never saw that person.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from leukolite.class_folders import PARTS
from leukolite.classifier import Classifier
from leukolite.errors import DatasetError, TrainingError
from leukolite.people import keeps_people_apart
from leukolite.train.datasets import Dataset
from leukolite.train.runs import RUN, Run, SplitFile, load_run, load_run_split
from leukolite.wording import count

FOLD = re.compile(r"fold-(\d+)")


@dataclass(frozen=True)
class FoldRun:
    """One fold: its run, and the images of its split by part."""

    place: Path
    run: Run
    split: dict[str, list[SplitFile]]

    def hashes(self, *parts: str) -> set[str]:
        """SHA-256 of the images of those parts."""
        return {entry.sha256 for part in parts for entry in self.split[part]}


def fold_places(folder: Path) -> list[Path]:
    """The folds in a folder, in their order; empty where it is none of folds."""
    if not folder.is_dir() or (folder / RUN).is_file():
        return []
    found = {int(match[1]): path for path in folder.iterdir() if (match := FOLD.fullmatch(path.name)) and (path / RUN).is_file()}
    return [found[k] for k in sorted(found)]


def open_folds(folder: Path) -> list[FoldRun]:
    """The finished runs of all folds.

    Raises:
        TrainingError: a run is damaged, its split leaks, or they are not the folds of one split.
    """
    places = fold_places(folder)
    folds = [FoldRun(place, load_run(place), load_run_split(place)) for place in places]
    first = folds[0]
    for fold in folds[1:]:
        for what in ("labels", "malignant", "input", "split_by", "dataset_fingerprint"):
            if getattr(fold.run, what) != getattr(first.run, what):
                raise TrainingError(f"{fold.place}: another {what} than {first.place}, so they are not folds of one split")
    tested: dict[str, Path] = {}
    for fold in folds:
        for sha in fold.hashes("test"):
            other = tested.setdefault(sha, fold.place)
            if other != fold.place:
                raise TrainingError(f"{fold.place}: tests an image that {other} tests too, so they are not folds of one split")
    untested = first.hashes(*PARTS) - set(tested)
    if untested:
        raise TrainingError(
            f"{folder}: {count(len(places), 'finished fold')}, the last {places[-1].name}, and"
            f" {count(len(untested), 'image')} of the split that none of them tests; train the others",
            advice="resume",
        )
    return folds


def part_indices(dataset: Dataset, folds: Sequence[FoldRun], parts: Sequence[str]) -> Iterator[list[int]]:
    """Indices of the samples in each fold's `parts`.

    Raises:
        DatasetError: images that a fold tests are not in the data.
        TrainingError: a fold whose split is by subject tests a person who is in what trained or chose its network.
    """
    present = {sample.sha256 for sample in dataset.samples}
    for fold in folds:
        if missing := [entry for entry in fold.split["test"] if entry.sha256 not in present]:
            raise DatasetError(
                f"{dataset.root}: not in this folder: {count(len(missing), 'image')} that {fold.place} tests"
                f" ({missing[0].path}); give the folder that the folds were made of"
            )
        if keeps_people_apart(fold.run.split_by):
            learnt, tests = fold.hashes("train", "validation"), fold.hashes("test")
            sides = [{sample.person for sample in dataset.samples if sample.sha256 in side} for side in (learnt, tests)]
            if both := sorted(person for person in sides[0] & sides[1] if person is not None):
                raise TrainingError(
                    f"{fold.place}: the split leaks: {both[0]} is one person, whose pictures it tests and has learnt from; train"
                    " again"
                )
        wanted = fold.hashes(*parts)
        yield [i for i, sample in enumerate(dataset.samples) if sample.sha256 in wanted]


def open_classifier_of(fold: FoldRun) -> Classifier:
    """The fold's float model, ready to classify."""
    from leukolite.train.run_classifier import open_run_classifier

    return open_run_classifier(fold.place)
