"""A session of `edge-run` ended by each of twelve causes, and how journal, verify, results and exit code call it.

    python tests/attack/ends.py

Each cause is a process of its own with the real thing: signals, taken descriptors, an exception where it would be raised. The
disks' errors are made in the process, as the system would give them; disks.py has real ones. About half a minute.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "helpers"))

import click
import numpy as np
from ends import AT, CAUSES, Left, run
from PIL import Image

from leukolite.synthetic import LABELS, render_cell


def row(name: str, left: Left) -> list[str]:
    last = left.last
    what = last.get("event", last["kind"]) + (f" by {last['by']}" if last.get("by") else "")
    fields = ["-" if result is None else result["ended_by"] for result in (left.json, left.out)]
    return [name, what, left.verify, *fields, str(left.code)]


def main() -> int:
    rows, wrong = [], 0
    with tempfile.TemporaryDirectory() as place:
        pictures = Path(place) / "pictures"
        pictures.mkdir()
        for i in range(AT + 3):
            Image.fromarray(render_cell(np.random.default_rng(i), LABELS[i % 2])).save(pictures / f"{i:02}.png")
        for k, cause in enumerate(CAUSES):
            folder = Path(place) / str(k)
            folder.mkdir()
            left = run(cause, folder, pictures)
            is_right = left.code in cause.codes and (left.code < 0 or None not in (left.json, left.out))
            wrong += not is_right
            rows.append([*row(cause.name, left), "" if is_right else f"WRONG, expected {cause.codes}: {left.stderr[-300:]}"])
    click.echo("| ended by | journal's last record | `journal verify` says | `--json` | `--out` | exit code |")
    click.echo("|---|---|---|---|---|---|")
    for *cells, note in rows:
        click.echo(f"| {' | '.join(cells)} | {note}".rstrip())
    click.echo(f"\n{len(rows)} causes, {wrong} called wrongly")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
