"""How many of the cells are blasts, when the one who counts errs: the fraction corrected for the model's own confusion matrix.

A model of sensitivity Se and specificity Sp calls a share q of the cells malignant; the share that is malignant is then
(q + Sp - 1) / (Se + Sp - 1). Its interval must know that q, Se and Sp are each counted on finitely many cells.

Sources: Rogan and Gladen 1978, Am J Epidemiol 107:71-76 (the estimate); Lang and Reiczigel 2014, Prev Vet Med 113:13-22,
doi 10.1016/j.prevetmed.2013.09.015 (the interval: equations 6, 7, 16, 17, the variance with (1 - p)^2 as in their R code).
"""

import math
from dataclasses import dataclass

import numpy as np
from pydantic import Field, model_validator

from leukolite.frozen import Frozen
from leukolite.manifest import Manifest
from leukolite.metrics import Interval, wilson_interval
from leukolite.noise import NoisePlace

WANTED_WIDTH = 0.1  # five points either way
LEAST_YOUDEN = 0.2  # below, the correction divides by next to nothing
MOST_CELLS = 1_000_000

_CONTRADICTED = (
    "{} cells were called malignant than the model's own confusion matrix can explain: these cells are not like those it was"
    " measured on, and the fraction cannot be corrected"
)
_Z2 = 1.959963984540054**2
_Z = math.sqrt(_Z2)


class Validation(Frozen):
    """How the model did on images it was not trained on, malignant against the rest; counts of verdicts that were given.

    Attributes:
        sigma: noise level of these counts, grey levels.
        malignant, hits: malignant images, and those of them that were called malignant.
        others, rejections: the other images, and those of them that were not called malignant.
    """

    sigma: float = Field(ge=0)
    malignant: int = Field(ge=0)
    hits: int = Field(ge=0)
    others: int = Field(ge=0)
    rejections: int = Field(ge=0)

    @model_validator(mode="after")
    def _parts_of_a_whole(self) -> "Validation":
        if self.hits > self.malignant or self.rejections > self.others:
            raise ValueError("more right verdicts than images")
        return self


@dataclass(frozen=True)
class Prevalence:
    """The share of malignant ones among those with a verdict.

    Attributes:
        n: cells with a verdict; `n_malignant`: those that were called malignant.
        apparent, apparent_interval: as counted, with the 95% interval of a plain share (Wilson).
        fraction, interval: corrected for the confusion matrix, 95%; None where there is no matrix to correct by, see `note`.
        enough: the interval is no wider than wanted; of the uncorrected one where there is no other.
        more: about how many further cells would make it so, if the share stays; None if no number of cells will, since
            the matrix itself was counted on too few.
        note: why there is no correction; empty where there is one.
    """

    n: int
    n_malignant: int
    apparent: float | None
    apparent_interval: Interval | None
    fraction: float | None
    interval: Interval | None
    enough: bool
    more: int | None
    note: str


def prevalence(n_malignant: int, n: int, validation: Validation | None, *, wanted_width: float = WANTED_WIDTH) -> Prevalence:
    """Estimate the share of malignant cells.

    Args:
        n_malignant: how many of `n` cells with a verdict the model called malignant; abstentions are in neither.
        validation: how it did on images it was not trained on.
        wanted_width: of the 95% interval, upper minus lower end.
    """
    note = _why_uncorrected(validation)
    if n == 0:
        return Prevalence(0, 0, None, None, None, None, False, _cells_needed(0.5, validation, note, wanted_width), note)
    apparent, apparent_interval = n_malignant / n, wilson_interval(n_malignant, n)
    fraction = interval = None
    if validation is not None and not note:
        low, high = lang_reiczigel_interval(n_malignant, n, validation)
        if high < 0 or low > 1:
            note = _CONTRADICTED.format("fewer" if high < 0 else "more")
            return Prevalence(n, n_malignant, apparent, apparent_interval, None, None, False, None, note)
        se, sp = validation.hits / validation.malignant, validation.rejections / validation.others
        fraction, interval = _clip((apparent + sp - 1) / (se + sp - 1)), (_clip(low), _clip(high))
    enough = _width(n_malignant, n, validation, note) <= wanted_width
    needed = n if enough else _cells_needed(apparent, validation, note, wanted_width)
    more = None if needed is None else max(needed - n, 0 if enough else 1)
    return Prevalence(n, n_malignant, apparent, apparent_interval, fraction, interval, enough, more, note)


def lang_reiczigel_interval(n_malignant: float, n: float, validation: Validation) -> Interval:
    """95% limits of the true share, not cut to 0..1: limits beyond it say that the counts and the matrix do not fit.

    Source: Lang and Reiczigel 2014.
    """
    n_, n_se, n_sp = n + _Z2, validation.malignant + 2, validation.others + 2
    q, se, sp = (n_malignant + _Z2 / 2) / n_, (validation.hits + 1) / n_se, (validation.rejections + 1) / n_sp
    youden = se + sp - 1
    p = (q + sp - 1) / youden
    var_se, var_sp = se * (1 - se) / n_se, sp * (1 - sp) / n_sp
    shift = 2 * _Z2 * (p * var_se - (1 - p) * var_sp)
    half = _Z * math.sqrt(q * (1 - q) / n_ + p * p * var_se + (1 - p) ** 2 * var_sp) / youden
    return p + shift - half, p + shift + half


def _why_uncorrected(validation: Validation | None) -> str:
    if validation is None:
        return "the bundle has no confusion matrix at this noise level, so the fraction is not corrected for the model's errors"
    if validation.malignant == 0 or validation.others == 0:
        return "the bundle's confusion matrix lacks one side, so the fraction is not corrected for the model's errors"
    youden = validation.hits / validation.malignant + validation.rejections / validation.others - 1
    if youden < LEAST_YOUDEN:
        return f"the model hardly tells the classes apart (Youden index {youden:.2f}), so the fraction cannot be corrected"
    return ""


def _cells_needed(q: float, validation: Validation | None, note: str, wanted_width: float) -> int | None:
    """The least number of cells whose interval is narrow enough if the model calls a share `q` of them malignant."""

    def is_enough(n: int) -> bool:
        return _width(q * n, n, validation, note) <= wanted_width

    if not is_enough(MOST_CELLS):
        return None
    low, high = 0, MOST_CELLS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _width(n_malignant: float, n: int, validation: Validation | None, note: str) -> float:
    """Of the interval that counts; of the whole of it, since one that is cut at 0 or 1 looks surer than it is."""
    if validation is None or note:
        low, high = wilson_interval(round(n_malignant), n) or (0.0, 1.0)
    else:
        low, high = lang_reiczigel_interval(n_malignant, n, validation)
    return high - low


def _clip(share: float) -> float:
    return min(1.0, max(0.0, share))


def validation_of(manifest: Manifest, sigma: float, noise_at: NoisePlace = "capture") -> Validation | None:
    """The manifest's confusion matrix at this noise level, malignant against the rest.

    Returns:
        None where the bundle has no matrix at this very level and place of the noise, or knows no malignant or no other label.
    """
    measured = manifest.measured
    is_comparable = measured is not None and (sigma == 0 or measured.noise_at == noise_at)
    rows = [row for row in measured.results if row.sigma == sigma] if measured is not None and is_comparable else []
    is_malignant = np.array([label in manifest.malignant for label in manifest.labels])
    if not rows or is_malignant.all() or not is_malignant.any():
        return None
    confusion = np.array(rows[0].confusion)
    return Validation(
        sigma=sigma,
        malignant=int(confusion[is_malignant].sum()),
        hits=int(confusion[np.ix_(is_malignant, is_malignant)].sum()),
        others=int(confusion[~is_malignant].sum()),
        rejections=int(confusion[np.ix_(~is_malignant, ~is_malignant)].sum()),
    )
