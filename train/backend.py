"""Keras and its backend, loaded where they are needed and without a word."""

import logging
import os
import re

from leukolite.errors import LeukoliteError, first_line
from leukolite.imports import require
from leukolite.quiet import quiet

LEAST_KERAS = "3.15.1"  # older ones run code, or read other files, from a .keras or .h5 file that somebody else made


def import_keras(needed_for: str, *others: str, extra: str = "train") -> None:
    """Load Keras, and what else a command ends with, without a word on the terminal.

    Args:
        needed_for: the command, which begins the error.
        others: modules beside Keras.
        extra: of leukolite, that brings them all.

    Raises:
        LeukoliteError: one is not installed, or does not load.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    try:
        with quiet():
            require(needed_for, "keras", *others, extra=extra)
            import keras

            _check_version(needed_for, keras.__version__)
            keras.ops.zeros(1)  # the first array looks for devices, which is when backends chatter
            logging.getLogger(keras.backend.backend()).setLevel(logging.ERROR)  # its advice to programmers, as on retracing
    except ValueError as error:  # of a backend that Keras does not know
        raise LeukoliteError(f"{needed_for}: Keras does not start ({first_line(error)}); see KERAS_BACKEND") from error


def _check_version(needed_for: str, version: str) -> None:
    found, least = (tuple(int(part) for part in re.findall(r"\d+", text)[:3]) for text in (version, LEAST_KERAS))
    if found < least:
        raise LeukoliteError(
            f"{needed_for}: Keras {version} runs code that a model's file may hold, expected {LEAST_KERAS} or later;"
            f" pip install -U 'keras>={LEAST_KERAS}'"
        )
