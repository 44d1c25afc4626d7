"""Writes the files that a session leaves: each by itself, so that whatever befalls one of them costs no other."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from leukolite.edge.report.summary import Summary
from leukolite.edge.report.summary_page import SUMMARY_FILES
from leukolite.errors import ENDS, LeukoliteError, text_of
from leukolite.files import new_folder, write_file, write_json
from leukolite.imports import failed_import

REPORT, VERDICTS = "report.json", "verdicts.csv"  # in the folder of the results, beside the summary's

T = TypeVar("T")


def trouble_of(what: object, do: Callable[[], object]) -> str | None:
    """Do something at the end of a session; None if it went well, else in a line what did not.

    Args:
        what: begins the line, where the error is not one of ours, which says itself what it is about.
    """
    try:
        do()
    except LeukoliteError as error:
        return str(error)
    except ENDS:
        raise
    except BaseException as error:  # noqa: BLE001  # whatever it was: what else there is to write is not lost with it
        return f"{what}: not written ({failed_import(error) or ' '.join(text_of(error).split())})"
    return None


def write_folder(
    place: Path, content: Callable[[], Any], verdicts: Callable[[], str], summary: Callable[[], Summary], *, force: bool
) -> list[str]:
    """A folder of results, with each file that can be written.

    Args:
        content, verdicts, summary: give what the files need, or raise what kept them from it; see `made_once`.
        force: results that are there are replaced.

    Returns:
        Which files are missing and why, in a sentence for each reason.

    Raises:
        LeukoliteError: the folder cannot be made, or none of its files; then there is none.
    """
    writers: dict[str, Callable[[Path], None]] = {
        REPORT: lambda path: write_json(path, content()),
        VERDICTS: lambda path: write_file(path, verdicts()),
    }
    for name, write_summarised in SUMMARY_FILES.items():
        writers[name] = partial(_write_summary, write_summarised, summary)
    missing: dict[str, list[str]] = {}
    with new_folder(place, replace_if_holds=REPORT, force=force) as staging:
        for name, write in writers.items():
            trouble = trouble_of(staging / name, partial(write, staging / name))
            if trouble is not None:
                missing.setdefault(trouble.removeprefix(f"{staging / name}: "), []).append(name)
        troubles = [f"{place / ', '.join(names)}: {reason}" for reason, names in missing.items()]
        if sum(map(len, missing.values())) == len(writers):
            raise LeukoliteError("; ".join(troubles))
    return troubles


def _write_summary(write: Callable[[Path, Summary], None], summary: Callable[[], Summary], path: Path) -> None:
    write(path, summary())


def made_once(make: Callable[[], T]) -> Callable[[], T]:
    """Make something now, and give it, or raise what it raised, each time that it is asked for."""
    try:
        made = make()
    except ENDS:
        raise
    except BaseException as error:  # noqa: BLE001  # raised where it is wanted
        failure = error

        def fail() -> T:
            raise failure

        return fail
    return lambda: made
