"""Options that several commands share, and the types of their values."""

import math
from typing import Any

import click

from leukolite.noise import check_sigma

SEED = click.IntRange(0, 2**31 - 1)  # what every library takes


DEFAULT_SIGMAS = (0.0, 2.0, 5.0, 8.0, 10.0)  # Makem et al. 2025, Tables 6 to 8


class Finite(click.FloatRange):
    """A number within bounds; nan, which lies within any, is refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"expected a finite number, found {found}", param, ctx)
        return found


class Sigmas(click.ParamType):
    """A comma-separated list of noise levels, as '0,2,5,8,10'."""

    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            sigmas = tuple(check_sigma(float(part)) for part in str(value).split(","))
        except ValueError:
            self.fail(f"expected noise levels from 0 to 255 like 0,2,5,8,10, found {value!r}", param, ctx)
        return tuple(dict.fromkeys(sigmas))
