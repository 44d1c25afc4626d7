"""The reference of both commands as Markdown, made from the commands themselves, so that it cannot say anything else.

`python -m leukolite.cli_reference --out docs/reference/cli.md` writes it; a test holds the file to it.
"""

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from leukolite.files import write_file
from leukolite.terminal import Command

PROGRAMS = {"edge-run": "leukolite.edge.cli:main", "leukolite": "leukolite.cli:main"}
REMAKE = "python -m leukolite.cli_reference --out docs/reference/cli.md"
_DEFAULT_IN_HELP = re.compile(r"\s*\[default: (.*)\]$")  # what an option's text says of a default that is no constant


def commands() -> Iterator[click.Context]:
    """A context for every command that is not hidden, each group before its commands."""
    for name, place in PROGRAMS.items():
        module, _, attribute = place.partition(":")
        yield from _with_subcommands(getattr(importlib.import_module(module), attribute), name, None)


def parameters(context: click.Context) -> tuple[list[click.Argument], list[click.Option]]:
    """A command's arguments and options, without the hidden ones and --help."""
    shown = context.command.params
    arguments = [one for one in shown if isinstance(one, click.Argument)]
    return arguments, [one for one in shown if isinstance(one, click.Option) and not one.hidden]


def example(command: click.Command) -> str | None:
    """What stands below 'Example:' in a command's help; None, if nothing does."""
    return next((block[1] for block in _blocks(command) if block[0] == "example"), None)


def reference() -> str:
    """Markdown: how each command is called, what it does, an example, its arguments and options."""
    contexts = list(commands())
    lines = [
        "# Command line",
        "",
        f"<!-- made by: {REMAKE} -->",
        "",
        "Every command takes `-h` or `--help`. Exit codes: 0, it worked; 1, it failed; 2, the call was wrong.",
        "",
    ]
    lines += [
        f"- [{path}](#{path.replace(' ', '-')}): {_escape(context.command.get_short_help_str(limit=200))}"
        for context in contexts
        for path in [context.command_path]
    ]
    for context in contexts:
        lines += ["", f"## {context.command_path}", "", *_section(context)]
    return "\n".join(lines) + "\n"


def _with_subcommands(command: click.Command, name: str, parent: click.Context | None) -> Iterator[click.Context]:
    context = click.Context(command, info_name=name, parent=parent)
    yield context
    if isinstance(command, click.Group):
        for each in sorted(command.list_commands(context)):
            found = command.get_command(context, each)
            if found is not None and not found.hidden:
                yield from _with_subcommands(found, each, context)


def _section(context: click.Context) -> list[str]:
    """A command's section below its heading."""
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines = ["```text", f"Usage: {usage}", "```"]
    for kind, text in _blocks(command):
        fence = {"prose": None, "example": "bash", "verbatim": "text"}[kind]
        lines += ["", _escape(text)] if fence is None else ["", f"```{fence}", text, "```"]
    arguments, options = parameters(context)
    if arguments:
        lines += ["", *(_argument(one) for one in arguments)]
    if options:
        lines += ["", "| Option | Values | Default | Meaning |", "|---|---|---|---|"]
        for one in options:
            meaning, default = _meaning(one)
            cells = (_names(one), _values(one), default or _default(one), meaning)
            lines.append("| " + " | ".join(_escape(cell).replace("|", "\\|") for cell in cells) + " |")
    if command.epilog:
        lines += ["", _escape(inspect.cleandoc(command.epilog))]
    return lines


def _blocks(command: click.Command) -> Iterator[tuple[str, str]]:
    """A command's help as ('prose' | 'example' | 'verbatim', text); click marks with a \\b what it must not wrap."""
    text = inspect.cleandoc(command.help or "").partition("\f")[0]
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        first, _, rest = paragraph.partition("\n")
        if first.strip() != "\b":
            yield "prose", paragraph
        elif rest.startswith("Example:\n"):
            yield "example", inspect.cleandoc("\n" + rest.partition("\n")[2])
        else:
            yield "verbatim", rest


def _argument(argument: click.Argument) -> str:
    name = (argument.metavar or (argument.name or "").upper()).strip("[].")
    is_list, text = argument.nargs == -1, _meaning(argument)[0]
    count = {(True, True): ", one or more", (True, False): ", any number", (False, False): ", optional"}
    said = f"{_values(argument)}{count.get((is_list, argument.required), '')}"
    return f"- `{name}`: {_escape(said)}" + (f". {_escape(text)}" if text else "")


def _names(option: click.Option) -> str:
    *others, last = [*option.opts, *option.secondary_opts]
    return ", ".join(f"`{name}`" for name in [*others, " ".join(filter(None, (last, option.metavar)))])


def _values(parameter: click.Parameter) -> str:
    """'integer, 1 to 64', '`cell`, `field`'; empty for a flag."""
    kind = parameter.type
    if isinstance(parameter, click.Option) and (parameter.is_flag or parameter.count):
        return ""
    if isinstance(kind, click.Choice):
        text = ", ".join(f"`{choice}`" for choice in kind.choices)
    elif isinstance(kind, click.IntRange | click.FloatRange):
        text = f"{'integer' if isinstance(kind, click.IntRange) else 'number'}{_bounds(kind)}"
    else:
        text = {"float": "number", "directory": "path", "file": "path"}.get(kind.name, kind.name)
    return f"{text}; may be repeated" if parameter.multiple else text


def _bounds(kind: click.IntRange | click.FloatRange) -> str:
    low, high = (None if bound is None else _typed(bound) for bound in (kind.min, kind.max))
    if low is not None and high is not None and not (kind.min_open or kind.max_open):
        return f", {low} to {high}"
    parts = [] if low is None else [f"above {low}" if kind.min_open else f"{low} or more"]
    parts += [] if high is None else [f"below {high}" if kind.max_open else f"{high} or less"]
    return "".join(f", {part}" for part in parts)


def _meaning(parameter: click.Parameter) -> tuple[str, str]:
    """What a parameter's help says, and what it says of the default; both may be empty."""
    text = " ".join((getattr(parameter, "help", None) or "").split())  # click gives arguments a help from 8.5 on
    found = _DEFAULT_IN_HELP.search(text)
    return (text, "") if found is None else (text[: found.start()], found[1])


def _default(option: click.Option) -> str:
    """As it is typed; empty for a flag, and where there is none."""
    if option.required:
        return "required"
    if isinstance(option.show_default, str):
        return option.show_default
    value = option.to_info_dict()["default"]
    if option.is_flag:
        return f"`{(option.opts if value else option.secondary_opts)[0]}`" if option.secondary_opts else ""
    if value is None or value == () or callable(value):
        return ""
    values = value if isinstance(value, list | tuple) else [value]
    return f"`{','.join(map(_typed, values))}`"


def _typed(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _escape(text: str) -> str:
    """Nothing outside `code` is taken for Markdown's or HTML's own."""
    parts = text.split("`")
    return "`".join(part if k % 2 else re.sub(r"[<*]", r"\\\g<0>", part) for k, part in enumerate(parts))


@click.command(cls=Command)
@click.option("--out", type=click.Path(path_type=Path), help="Markdown file to write.  [default: print it]")
def main(out: Path | None) -> None:
    """Write the reference of `edge-run` and `leukolite`.

    \b
    Example:
      python -m leukolite.cli_reference --out docs/reference/cli.md
    """
    if out is None:
        click.echo(reference(), nl=False)
    else:
        write_file(out, reference(), force=True)  # made again at each release


if __name__ == "__main__":
    main()
