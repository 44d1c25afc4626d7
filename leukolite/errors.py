"""Every error that is for the person at the terminal, as one tree.

    LeukoliteError            one line, exit code 1
    ├── BundleError           a deployed model is missing, damaged or not what its manifest says
    ├── ConversionError       a trained model cannot become a bundle
    ├── DatasetError          a data folder cannot be used
    ├── ImageError            one image file cannot be used
    ├── JournalError          a session's journal cannot be written, or is not what was written
    ├── SourceError           a camera, video or folder gives no frames
    ├── RuntimeUnavailable    no inference runtime, or not the one that was asked for
    └── TrainingError         a training run cannot start or go on

Programming errors are not in this tree and keep their traceback.
"""


class LeukoliteError(Exception):
    """Says what is wrong, where, what was expected and found, and what to do."""


class BundleError(LeukoliteError):
    """A bundle is missing, damaged or not what its manifest says."""


class ConversionError(LeukoliteError):
    """A trained model cannot become a bundle."""


class DatasetError(LeukoliteError):
    """A data folder cannot be used."""


class ImageError(LeukoliteError):
    """One image file cannot be used."""


class JournalError(LeukoliteError):
    """A session's journal cannot be written, or is not what was written."""


class SourceError(LeukoliteError):
    """A camera, video or folder gives no frames."""


class RuntimeUnavailable(LeukoliteError):
    """No inference runtime is installed, or not the one that was asked for."""


class TrainingError(LeukoliteError):
    """A training run cannot start or go on."""


def first_line(error: BaseException, most: int = 200) -> str:
    """What another library's exception says, in one line that fits into an error of ours.

    Args:
        most: characters.
    """
    return " ".join(str(error).split())[:most] or type(error).__name__
