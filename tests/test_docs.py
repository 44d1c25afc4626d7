"""What the README and docs/ tell a reader to type works: commands, Python, options; the citation names this version."""

import re
import shlex
import shutil
import tomllib
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from leukolite.cli import main as leukolite
from leukolite.edge.cli import main as edge_run
from leukolite.shipped import find_bundle
from leukolite.synthetic import LABELS, render_cell, render_field

CHECKOUT = Path(__file__).parent.parent
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]

Call = Callable[..., Result]


# reading the documents


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def lines_of(block: str) -> list[str]:
    """Commands of a block: continued lines joined, comments and empty lines left out."""
    joined = re.sub(r"\\\n\s*", " ", block)
    return [line for line in (re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines()) if line]


def shell_commands(text: str) -> list[str]:
    return [line for block in blocks(text, "bash") for line in lines_of(block)]


def code_of(text: str) -> list[str]:
    """Each line of every code block, and every code span."""
    in_blocks = [line for block in blocks(text, r"\w*") for line in lines_of(block)]
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [*in_blocks, *(" ".join(span.split()) for span in re.findall(r"`([^`]+)`", outside))]


def calls_of(code: str) -> list[list[str]]:
    """The words of each `leukolite` and `edge-run` call of a line, whatever stands before it; pipes and `;` end a call."""
    found = re.findall(r"(?<![\w./@'\"\[-])((?:[\w./-]*/)?(?:leukolite(?= [a-z-])|edge-run)(?: [^|;&]+))", code)
    return [[words[0].rpartition("/")[2], *words[1:]] for words in (call.split() for call in found)]


def command_of(words: list[str]) -> click.Command | None:
    """The innermost command that a call names; None where there is no such command."""
    command: click.Command | None = {"edge-run": edge_run, "leukolite": leukolite}[words[0]]
    for word in words[1:]:
        if not isinstance(command, click.Group) or word.startswith(("-", "[")):
            break
        command = command.get_command(click.Context(command), word)
    return command


def unknown_options(words: list[str]) -> set[str]:
    """Options of a call that its command does not have; all of them where there is no such command."""
    command = command_of(words)
    known = {"--help"} | {option for parameter in command.params for option in parameter.opts} if command else set()
    given = {match[1] for word in words if (match := re.match(r"\[?(--[a-z][\w-]*)", word))}
    return given - known


# the README's commands

NOT_RUN = {
    "make demo": "installs from the network; what it runs is run below",
    "make test": "runs this test",
    "edge-run --bundle mobilenet_m-taleqani --camera picamera2 --journal monday --slide A17 --serve 8000": "wants a Raspberry Pi",
    "leukolite train mobilenet_m --data taleqani --out runs/m --weights imagenet": "wants the Taleqani set, and trains",
    "leukolite convert runs/m --out bundles/m": "wants what training leaves",
}
COMMANDS = shell_commands(README)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the README's commands name: rendered pictures, a bundle and a recorded session."""
    folder = tmp_path_factory.mktemp("desk")
    for k, label in enumerate(LABELS):
        (folder / "taleqani" / label).mkdir(parents=True)
        for i in range(3):
            pixels = render_cell(np.random.default_rng([k, i]), label)
            Image.fromarray(pixels).save(folder / "taleqani" / label / f"{i}.png")
    (folder / "slides").mkdir()
    for i in range(2):
        Image.fromarray(render_field(np.random.default_rng(i)).pixels).save(folder / "slides" / f"{i}.png")
    shutil.copy(folder / "slides" / "0.png", folder / "slides" / "field.png")
    shutil.copytree(find_bundle(Path("synthetic-cells")), folder / "bundles" / "m")
    session = ("--camera", "synthetic", "--frames", "2", "--journal", str(folder / "monday"), "--slide", "A17")
    recorded = CliRunner().invoke(edge_run, ["--bundle", "synthetic-cells", *session])
    assert recorded.exit_code == 0, recorded.output
    return folder


@pytest.mark.parametrize("line", [line for line in COMMANDS if line not in NOT_RUN])
def test_a_command_of_the_readme_runs_as_written(line: str, desk: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.chdir(desk)
    name, *arguments = shlex.split(line)
    result = call({"leukolite": leukolite, "edge-run": edge_run}[name], *arguments)
    assert result.exit_code == 0, result.output
    for option, written in pairwise(arguments):
        assert option not in {"--out", "--json"} or (desk / written).exists(), written


def test_every_command_that_is_not_run_still_stands_in_the_readme() -> None:
    assert set(NOT_RUN) <= set(COMMANDS)


def test_each_door_has_three_commands_and_a_tutorial() -> None:
    for door, tutorial in (("At the microscope", "microscope"), ("Training and converting", "training"), ("Android", "android")):
        section = README.partition(f"\n## {door}\n")[2].partition("\n## ")[0]
        assert len(shell_commands(section)) == 3, door
        assert f"(docs/tutorials/{tutorial}.md)" in section


def test_the_demo_prints_what_the_readme_shows(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    demo = re.search(r"^\t\$\(DEMO\)/bin/edge-run (.+)$", makefile, re.MULTILINE)
    assert demo is not None
    monkeypatch.setenv("COLUMNS", "80")
    result = call(edge_run, *shlex.split(demo[1]))
    assert result.exit_code == 0, result.output
    (shown,) = (block for block in blocks(README, "text") if block.startswith("synthetic-cells"))
    before, cut, after = shown.partition("\n...\n")
    assert cut
    printed = without_times(result.stdout)
    assert printed.startswith(without_times(before))
    assert printed.endswith(without_times(after))


def without_times(output: str) -> str:
    """Without what differs from machine to machine: milliseconds, the width of their columns, verdicts per second, versions."""
    timed = r"(\d+ synthetic .*? \d\.\d{3}|capture|locate|preprocess|invoke|total|age)(?: +\d+\.\d\d){4,}"
    output = re.sub(timed, r"\1", output)
    output = re.sub(r"[\d.]+ verdicts per second", "verdicts per second", re.sub(r"litert [\d.]+", "litert", output))
    output = re.sub("─+", "─", re.sub(" +", " ", output))  # columns are as wide as the times in them
    lines = [line for line in output.splitlines() if not line.startswith("Bundle sha256")]  # another with each card's wording
    return "\n".join(line.strip() for line in lines).strip()


# the README's Python


def run_python(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (code,) = blocks(README, "python")
    monkeypatch.chdir(folder)
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    return printed.getvalue()


def test_the_readmes_python_runs_as_written(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(run_python(desk, monkeypatch).splitlines()) == 2


def test_the_readmes_python_prints_what_stands_below_it(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = README.partition("```python\n")[2]
    (name,) = re.findall(r"`(WBC-[\w-]+\.jpg)`", after)
    (tmp_path / "slides").mkdir()
    Image.open(next((shared_data / "taleqani").rglob(name))).save(tmp_path / "slides" / "field.png")
    assert run_python(tmp_path, monkeypatch) == blocks(after, "text")[0]


# options


def calls_in(text: str) -> list[list[str]]:
    return [words for code in code_of(text) for words in calls_of(code)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_every_command_and_option_of_a_document_exists(document: Path) -> None:
    calls = calls_in(document.read_text(encoding="utf-8"))
    assert [words for words in calls if command_of(words) is None] == []
    assert {" ".join(words): unknown for words in calls if (unknown := unknown_options(words))} == {}


def test_an_option_that_does_not_exist_is_seen_wherever_it_stands() -> None:
    page = "a `sudo bin/edge-run --bundle b --nosuch 1` and\n\n```bash\nX=1 leukolite data d --nosuch | cat --number\n```\n"
    assert [unknown_options(words) for words in calls_in(page)] == [{"--nosuch"}, {"--nosuch"}]


def test_a_command_that_does_not_exist_is_seen() -> None:
    assert [command_of(words) for words in calls_in("`leukolite journal nosuch monday`, `leukolite nosuch`")] == [None, None]


# the index and the citation


def test_the_index_links_every_page() -> None:
    docs = CHECKOUT / "docs"
    linked = set(re.findall(r"\]\(([^)#]+\.md)\)", (docs / "index.md").read_text(encoding="utf-8")))
    assert {str(page.relative_to(docs)) for page in docs.rglob("*.md")} - {"index.md"} <= linked


def test_the_citation_has_the_version_and_licence_of_the_project() -> None:
    citation = (CHECKOUT / "CITATION.cff").read_text(encoding="utf-8")
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    fields = dict(re.findall(r"^([\w-]+): *(.+)$", citation, re.MULTILINE))
    assert (fields["cff-version"], fields["title"], fields["type"]) == ("1.2.0", "leukolite", "software")
    assert (fields["version"], fields["license"]) == (project["version"], project["license"])


def test_the_citation_names_the_papers_that_the_readme_names() -> None:
    citation = (CHECKOUT / "CITATION.cff").read_text(encoding="utf-8")
    assert set(re.findall(r"^ +doi: (\S+)$", citation, re.MULTILINE)) == set(re.findall(r"https://doi\.org/([^)\s]+)", README))
