"""What ended a session: one closed list of causes, by which journal, page, summary, JSON and the closing words call it."""

import errno
from dataclasses import dataclass
from enum import StrEnum

from leukolite.edge.camera.remaining import NothingLeft
from leukolite.errors import BundleError, ImageError, JournalError, RuntimeUnavailable, SourceError, text_of


class EndedBy(StrEnum):
    """In words that follow "ended by". What is not here (a kill -9, a power cut) leaves no time to say anything."""

    SOURCE = "the end of the source"
    LIMIT = "a limit"
    USER = "the user"
    SIGTERM = "SIGTERM"
    SIGHUP = "SIGHUP"
    REQUEST = "a request"  # of a program, which says itself who it is
    SOURCE_FAILURE = "a failing source"
    RUNTIME_FAILURE = "a failing runtime"
    RECORDING_FAILURE = "a failing recording"
    DESCRIPTORS = "too many open files"
    MEMORY = "too little memory"
    PROGRAM_ERROR = "a program error"


ASKED = frozenset({EndedBy.SOURCE, EndedBy.LIMIT, EndedBy.USER, EndedBy.SIGTERM, EndedBy.SIGHUP, EndedBy.REQUEST})


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ended.

    Attributes:
        by: what ended it; None of an older version's journal, which does not say.
        detail: why, or who asked for it; empty where `by` says it all.
    """

    by: EndedBy | None
    detail: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether neither the source ended nor somebody asked for it."""
        return self.by is not None and self.by not in ASKED

    def __str__(self) -> str:
        """'ended by SIGTERM', 'ended by a failing source: camera: unplugged'."""
        by = "ended" if self.by is None else f"ended by {self.by}"
        return f"{by}: {self.detail}" if self.detail else by


def asked_by(who: str) -> Ending:
    """The end that somebody asked for.

    Args:
        who: as `Control.stop` was told.
    """
    known = {str(by): by for by in ASKED}
    return Ending(known[who]) if who in known else Ending(EndedBy.REQUEST, who)


def failed_by(error: BaseException, *, in_source: bool = False) -> Ending:
    """The end that an exception made.

    Args:
        in_source: it came out of the source, as a camera driver's own.
    """
    return Ending(_cause(error, in_source), text_of(error))


def _cause(error: BaseException, in_source: bool) -> EndedBy:
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.errno in (errno.EMFILE, errno.ENFILE):
            return EndedBy.DESCRIPTORS
        if isinstance(link, MemoryError):
            return EndedBy.MEMORY
        link = link.__cause__
    if isinstance(error, NothingLeft):
        return EndedBy.SOURCE
    if isinstance(error, JournalError):
        return EndedBy.RECORDING_FAILURE
    if isinstance(error, RuntimeUnavailable | BundleError):
        return EndedBy.RUNTIME_FAILURE
    return EndedBy.SOURCE_FAILURE if in_source or isinstance(error, SourceError | ImageError) else EndedBy.PROGRAM_ERROR
