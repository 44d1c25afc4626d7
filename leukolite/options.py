"""Options that several commands share, and the types of their values."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from leukolite.lists import typed_list
from leukolite.noise import NOISE_PLACES, NoisePlace, check_sigma
from leukolite.runtime import RUNTIMES
from leukolite.shipped import given_path

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


class BundlePath(click.Path):
    """A bundle's folder or zip, or a shipped bundle's name, see `leukolite.shipped`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        return given_path(str(super().convert(value, param, ctx)))


class Sigmas(click.ParamType):
    """A comma-separated list of noise levels, as '0,2,5,8,10'."""

    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            sigmas = tuple(check_sigma(float(part)) for part in typed_list(str(value)))
        except ValueError:
            self.fail(f"expected noise levels from 0 to 255 like 0,2,5,8,10, found {value!r}", param, ctx)
        if not sigmas:
            self.fail(f"expected noise levels from 0 to 255 like 0,2,5,8,10, found {value!r}", param, ctx)
        return tuple(dict.fromkeys(sigmas))


class SizeType(click.ParamType):
    """A picture size, as '1280x960'."""

    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        width, _, height = str(value).lower().partition("x")
        if not (width.isdecimal() and height.isdecimal() and 16 <= int(width) <= 16384 and 16 <= int(height) <= 16384):
            self.fail(f"expected a size in pixels like 1280x960, found {value!r}", param, ctx)
        return int(width), int(height)


class MovedError(click.ClickException):
    """A spelling of before, in one line that names the new one."""

    exit_code = 2


def moved_option(command: str, name: str, new_command: str, **kind: Any) -> Callable[[FunctionT], FunctionT]:
    """A hidden option that ends the call with the name of the command that does its work now.

    Args:
        command: whose option it was; empty where it has only another name now.
        kind: click's `is_flag` and `flag_value`, where the option takes no value, or need not have one.
    """

    def end(_ctx: click.Context, _param: click.Parameter, value: object) -> None:
        if value:
            raise MovedError(f"`{f'{command} {name}'.strip()}` has moved: use `{new_command}`")

    return click.option(name, hidden=True, is_eager=True, expose_value=False, callback=end, **kind)


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


def noise_at_option(default: NoisePlace = "capture") -> Callable[[FunctionT], FunctionT]:
    """`--noise-at capture|input`."""
    return click.option(
        "--noise-at",
        type=click.Choice(list(NOISE_PLACES)),
        default=default,
        show_default=True,
        help="Where the noise is put: capture, the picture as it was taken; input, after crop and resize for the network.",
    )


def malignant_option(default: str) -> Callable[[FunctionT], FunctionT]:
    """`--malignant LABELS`, which may be repeated; `leukolite.classes.choose_malignant` reads it.

    Args:
        default: whose word counts where it is not given.
    """
    what = f"Labels that mean leukaemia, comma-separated, or none; may be repeated.  [default: {default}]"
    return click.option("--malignant", multiple=True, metavar="LABELS", help=what)


force_option = click.option("--force", is_flag=True, help="Replace what an earlier call wrote there.")
threads_option = click.option(
    "--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="CPU threads of the runtime."
)
runtime_option = click.option(
    "--runtime", type=click.Choice(list(RUNTIMES)), default="litert", show_default=True, help="Runtime that computes."
)
