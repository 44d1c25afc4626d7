"""Options that several commands share, and the types of their values."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from leukolite.noise import check_sigma
from leukolite.runtime import RUNTIMES

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

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


class Moved(click.Option):
    """An option of before whose work another command does now: giving it, with or without a value, ends in a line that says so.

    Args:
        to: how the work is asked for now.
    """

    def __init__(self, *args: Any, to: str, **kwargs: Any) -> None:
        name = str(next(part for part in args[0] if part.startswith("--")))

        def refuse(ctx: click.Context, _: click.Parameter, value: object) -> None:
            if value is not None and not ctx.resilient_parsing:
                raise click.UsageError(f"{name} is now a command of its own: {to}")

        super().__init__(
            *args, **kwargs, hidden=True, is_eager=True, expose_value=False, is_flag=False, flag_value="", callback=refuse
        )


def json_option(what: str) -> Callable[[FunctionT], FunctionT]:
    """`--json FILE`: writes `what` as JSON; '-' is stdout."""
    return click.option(
        "--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help=f"JSON file to write: {what}; - is stdout."
    )


def seed_option(of_what: str, *, default: int | None = 0) -> Callable[[FunctionT], FunctionT]:
    """`--seed N` of `of_what`."""
    return click.option("--seed", type=SEED, default=default, show_default=default is not None, help=f"Seed of {of_what}.")


def noise_option(what: str, default: tuple[float, ...]) -> Callable[[FunctionT], FunctionT]:
    """`--noise 0,5,10`: the noise levels `what`."""
    shown = ",".join(f"{sigma:g}" for sigma in default)
    return click.option(
        "--noise", type=Sigmas(), default=default, help=f"Sigmas of the noise {what}, grey levels.  [default: {shown}]"
    )


threads_option = click.option(
    "--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="CPU threads of the runtime."
)
runtime_option = click.option(
    "--runtime", type=click.Choice(list(RUNTIMES)), default="litert", show_default=True, help="Runtime that computes."
)
