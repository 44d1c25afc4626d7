"""Whose pictures trained or chose a model, known by hashed ids, and what a split by image means for a report on people."""

from collections.abc import Sequence
from dataclasses import dataclass

from leukolite.manifest import Training
from leukolite.people import hashed_people, hashed_person, keeps_people_apart
from leukolite.train.datasets import Dataset
from leukolite.train.people_report import PeopleReport
from leukolite.train.runs import Run, SplitFile
from leukolite.wording import count


@dataclass(frozen=True)
class SeenPeople:
    """Of whom a model was trained.

    Attributes:
        split_by: what its split kept together, as `Run.split_by`.
        layout: of the data that it was trained on; ids of another layout name other people.
        salt: of the hashes.
        hashes: `hashed_person` of each id; empty where they are not recorded.
    """

    split_by: str
    layout: str
    salt: str
    hashes: frozenset[str]

    @property
    def keeps_apart(self) -> bool:
        """Nobody is on two sides of its split."""
        return keeps_people_apart(self.split_by)

    def among(self, dataset: Dataset) -> set[str]:
        """People of a dataset whose pictures trained or chose the model."""
        if dataset.layout != self.layout or not self.hashes:
            return set()
        ids = {sample.subject: sample.person for sample in dataset.samples if sample.subject is not None}
        return {str(person) for subject, person in ids.items() if hashed_person(subject, self.salt) in self.hashes}


def seen_of_run(run: Run, entries: Sequence[SplitFile]) -> SeenPeople:
    """Of a run; `entries`: of its training and validation parts."""
    salt = run.dataset_fingerprint
    hashes = hashed_people((entry.subject for entry in entries), salt)
    return SeenPeople(run.split_by, run.dataset, salt, frozenset(hashes))


def seen_of_bundle(training: Training) -> SeenPeople:
    """Of a bundle."""
    return SeenPeople(training.split_by, training.dataset, training.dataset_fingerprint, frozenset(training.seen_people))


def describe_people_of(
    name: str,
    dataset: Dataset,
    chosen: Sequence[int],
    report: PeopleReport | None,
    *,
    seen: SeenPeople | None,
    people_seen: set[str],
    folds_split_by: str | None,
    unseen_only: bool,
) -> list[str]:
    """What a reader must know of who was measured, and of who trained the model, a line each.

    Args:
        chosen: indices of the measured samples.
        report: None: nobody says whose blood some of them are of.
        seen: of whom the model was trained, where that is recorded.
        people_seen: of `SeenPeople.among`.
        folds_split_by: how the folds of a folder of folds were made; None: the model is no such.
    """
    if report is not None:
        return _describe_seen(name, seen, folds_split_by, people_seen, report, dataset.layout, unseen_only=unseen_only)
    nameless = sum(dataset.samples[i].subject is None for i in chosen)
    is_expected = nameless < len(chosen) or (folds_split_by is not None and keeps_people_apart(folds_split_by))
    missing = f"{nameless:,} of {count(len(chosen), 'image')}"
    return [f"no figures over people: nobody says whose blood {missing} are of"] if is_expected else []


def _describe_seen(
    name: str,
    seen: SeenPeople | None,
    folds_split_by: str | None,
    people_seen: set[str],
    report: PeopleReport,
    layout: str,
    *,
    unseen_only: bool,
) -> list[str]:
    if folds_split_by is not None:
        return [] if keeps_people_apart(folds_split_by) else [_by_image(name, "")]
    if seen is None or layout != seen.layout:  # other people
        return []
    if report.left_out_people:
        whose = count(report.left_out_people, "person", "people")
        others = count(report.left_out_images, "other picture")
        return [f"left out: {others} of {whose} of whom {name} was trained or chosen"]
    if not seen.keeps_apart:
        measured = {row.person for row in report.first.rows}
        both = len(people_seen & measured)
        if seen.hashes and not both:
            return []
        return [_by_image(name, f": {both} of these {count(len(measured), 'person', 'people')}" if seen.hashes else "")]
    if unseen_only and not seen.hashes:
        return [f"{name} does not record of whom it was trained, so other pictures of those people are not known"]
    return []


def _by_image(name: str, how_many: str) -> str:
    return f"the split of {name} was by image, so cells of one person are on both sides{how_many}; figures over people flatter"
