"""Every error that is for the person at the terminal, as one tree.

    LeukoliteError            one line, exit code 1
    ├── BundleError           a deployed model is missing, damaged or not what its manifest says
    ├── ConversionError       a trained model cannot become a bundle
    ├── DatasetError          a data folder cannot be used
    ├── ImageError            one image file cannot be used
    ├── JournalError          a session's journal cannot be written, or is not what was written
    ├── SourceError           a camera, video or folder gives no frames
    ├── RuntimeUnavailable    no inference runtime, or not the one that was asked for
    ├── StdoutLost            what was asked for on stdout could not be written there; see `leukolite.streams`
    └── TrainingError         a training run cannot start or go on

Programming errors are not in this tree and keep their traceback. Nothing is imported but the standard library, for
`leukolite.imports` speaks of libraries that are broken.
"""

import errno

# what asks for an end; all else is a failure, also what is no Exception, as a panic of a library in Rust
ENDS = (KeyboardInterrupt, SystemExit, GeneratorExit)


class LeukoliteError(Exception):
    """Says what is wrong, where, what was expected and found, and what to do.

    Args:
        message: the same for everybody, from Python too: it names no option of a command.
        advice: which options of a command help, a key of `leukolite.advice.ADVICE`; the commands add its text.
    """

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        self.advice = advice


class BundleError(LeukoliteError):
    """A bundle is missing, damaged or not what its manifest says."""


class ConversionError(LeukoliteError):
    """A trained model cannot become a bundle."""


class DatasetError(LeukoliteError):
    """A data folder cannot be used."""


class ImageError(LeukoliteError):
    """One image file cannot be used.

    Args:
        name: of the file, or what stands for it.
        reason: why, without the name.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}" if name else reason)
        self.name, self.reason = name, reason


class JournalError(LeukoliteError):
    """A session's journal cannot be written, or is not what was written."""


class SourceError(LeukoliteError):
    """A camera, video or folder gives no frames.

    Args:
        name: of the source; empty where there is none.
        reason: why, without the name.
    """

    def __init__(self, name: str, reason: str, *, advice: str | None = None) -> None:
        super().__init__(f"{name}: {reason}" if name else reason, advice=advice)
        self.name, self.reason = name, reason


class RuntimeUnavailable(LeukoliteError):
    """No inference runtime is installed, or not the one that was asked for."""


class TrainingError(LeukoliteError):
    """A training run cannot start or go on."""


def first_line(error: BaseException, most: int = 200) -> str:
    """What another library's exception says, in one line that fits into an error of ours.

    Args:
        most: characters.
    """
    return " ".join(said_by(error).split())[:most] or type(error).__name__


def said_by(error: BaseException) -> str:
    """An exception's text; empty where making it fails too, as a library's own may."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # the exception itself is what is told
        return ""


DISK_FULL = "disk full"


def reason_of(error: OSError) -> str:
    """What the system says of a failed read or write, in a few words."""
    return DISK_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or first_line(error)


def text_of(error: BaseException) -> str:
    """An error for a record; of a programming error its kind too."""
    return str(error) if isinstance(error, LeukoliteError) else f"{type(error).__name__}: {said_by(error)}"
