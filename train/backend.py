"""Keras and its backend, loaded where they are needed and without a word."""

import importlib
import os

from leukolite.errors import LeukoliteError, first_line
from leukolite.quiet import quiet


def import_keras(needed_for: str) -> None:
    """Load Keras without a word on the terminal.

    Raises:
        LeukoliteError: it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    try:
        with quiet():
            importlib.import_module("keras").ops.zeros(1)  # the first array looks for devices, which is when backends chatter
    except ValueError as error:  # of a backend that Keras does not know
        raise LeukoliteError(f"{needed_for}: Keras does not start ({first_line(error)}); see KERAS_BACKEND") from error
    except ImportError as error:
        raise LeukoliteError(f"{needed_for} needs Keras and a backend ({error}); pip install 'leukolite[train]'") from error
