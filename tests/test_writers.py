"""Hostile names through every writer: what people and programs get has no character that is obeyed, and no formula, markup or
code; what machines read back is equal. `test_names` sends some of them through the commands themselves."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.figure import Figure

from leukolite.bundle import Bundle
from leukolite.classes import Classes, is_label
from leukolite.convert.android import _kotlin, _render
from leukolite.convert.card import model_card
from leukolite.csv_file import CsvWriter
from leukolite.edge.camera.v4l2 import parse_capabilities
from leukolite.edge.journal.export import write_csv, write_records_json
from leukolite.edge.journal.format import Entry, seal
from leukolite.edge.journal.records import EventRecord, GapRecord, SourceSettings, printable
from leukolite.edge.report.summary import summarise
from leukolite.edge.report.summary_page import write_summary
from leukolite.manifest import Manifest
from leukolite.path_text import json_text, name_of_text, path_of_text, text_of_path
from leukolite.sheets import sheet
from leukolite.shipped import find_bundle
from leukolite.terminal import ResultsConsole
from leukolite.wording import drawn, markdown, shown, shown_json, shown_label

OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
NAMES = {
    "control": "a\x1b]0;t\x07b\x08",
    "C1": "a\x9b2Jb\x85c",
    "direction": "\u202egnp.exe\u2066\u200f\u061c",
    "no width": "a\u200b\ufeffb\u00ad",
    "line ends": "a\r\nb\nc\u2028d\u2029e\x0bf\x0cg",
    "NUL": "a\0b",
    "surrogate": "caf\udce9",
    "formula": "=1+1",
    "formula +": "+1+1",
    "formula -": "-2+3",
    "formula @": "@SUM(A1)",
    "formula behind a tab": "\t=1",
    "formula behind a line end": "\r\n=1",
    "formula, full-width": "\uff1d1",
    "DDE": "=cmd|' /C calc'!A0",
    "HTML": "<script>alert('1')</script>\"'&amp;<img src=x onerror=y>",
    "Jinja": "{{ 7 * 7 }}{% raw %}",
    "Markdown": "| a | `b` **c** [d](http://e) <f> ![g](h) __i__ ~~j~~ \\ &lt; _k_",
    "rich": "[red]a[/red] [link=http://b]c[/link] :smile: [/]",
    "mathtext": r"$\frac$ $a^b \$",
    "legend": "_hidden",
    "Kotlin": '"; System.exit(0) // $x ${y} \\u0022 */',
    "long": "x" * 10_000,
    "other letters": "пре-Б 前B細胞 قبل Früh",
}
LABELS = {what: name for what, name in NAMES.items() if is_label(name)}
EVERY = pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
EVERY_LABEL = pytest.mark.parametrize("label", LABELS.values(), ids=LABELS)


def check(text: str) -> str:
    assert OBEYED.findall(text) == []
    text.encode()
    return text


def parts(tokens: list) -> list:
    return [one for token in tokens for one in (token, *parts(token.children or []))]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(find_bundle(Path("mobilenet_m-taleqani")))


def renamed(manifest: Manifest, label: str) -> Manifest:
    """A manifest with another first label wherever it stands."""
    old = manifest.labels[0]

    def change(value: object) -> object:
        if isinstance(value, dict):
            return {label if name == old else name: change(one) for name, one in value.items()}
        if isinstance(value, list):
            return [change(one) for one in value]
        return label if value == old else value

    data = change(json.loads(manifest.model_dump_json()))
    assert isinstance(data, dict)
    return Manifest.model_validate(data | {"objections": [f"no picture of {label}"]})


def test_labels_that_control_a_terminal_or_turn_the_direction_of_text_are_none():
    refused = ("control", "C1", "direction", "line ends", "NUL", "surrogate", "long")
    assert set(NAMES) - set(LABELS) == {*refused, "formula behind a tab", "formula behind a line end"}


@EVERY
def test_a_table_for_spreadsheets_has_one_line_a_row_and_no_formula(name):
    file = io.StringIO(newline="")
    CsvWriter(file).write_row([name, 1, name])
    line = check(file.getvalue())
    assert line.count("\n") == 1
    (row,) = csv.reader([line])
    assert row[1] == "1"
    assert row[0].lstrip()[:1] not in set("=+-@\uff1d\uff0b\uff0d\uff20")


@EVERY
def test_json_reads_back_equal(name):
    assert name_of_text(json.loads(check(json_text({"name": text_of_path(name)})))["name"]) == name
    if not re.search("[\ud800-\udfff]", name):
        assert json.loads(check(shown_json(json.dumps({"name": name}, ensure_ascii=False)))) == {"name": name}


@EVERY
def test_a_journal_its_exports_and_its_summary_keep_a_name_and_obey_nothing(name, tmp_path):
    from journals import start

    path = f"/data/{name}".replace("\0", "")
    records = (
        start(source=SourceSettings(path=text_of_path(path)), settings={"cells": printable(name)}),
        GapRecord(source=text_of_path(path), index=0, reason=printable(name)),
        EventRecord(event="note", detail=printable(f"camera {name}: opened")),
    )
    entries, prev = [], "0" * 64
    for seq, record in enumerate(records):
        line, prev = seal(record, seq, prev, 1.7e9, 0.0)
        check(line.decode())
        entries.append(Entry.model_validate_json(line))
    assert entries[0].record.source.place == Path(path)
    for write in (write_csv, write_records_json):
        file = io.StringIO(newline="")
        write(iter(entries), file)
        text = check(file.getvalue())
    assert path_of_text(json.loads(text)["records"][1]["record"]["source"]) == Path(path)
    write_summary(tmp_path, summarise(tmp_path, iter(entries), wanted_width=0.1))
    for written in ("summary.html", "summary.json", "summary.csv"):
        check((tmp_path / written).read_text(encoding="utf-8"))
    page = (tmp_path / "summary.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img src=x" not in page


@EVERY
def test_a_terminal_shows_markup_as_text(name):
    file = io.StringIO()
    console = ResultsConsole(
        file=file, force_terminal=True, width=20_000, markup=False, emoji=False, highlight=False, legacy_windows=False
    )
    console.print(name)
    assert file.getvalue() == f"{shown(name)}\n"
    check(file.getvalue())


@EVERY
def test_markdown_shows_a_name_as_text(name):
    parser = MarkdownIt("gfm-like", {"linkify": False})
    tokens = parts(parser.parse(f"| a | {markdown(name)} |\n|---|---|\n| {markdown(name)} | b |\n"))
    cells = [token for token in tokens if token.type == "inline"]
    assert len(cells) == 4
    assert {token.type for cell in cells for token in cell.children} <= {"text", "text_special"}
    assert "".join(token.content for token in cells[1].children).strip() == shown(name).strip()


@EVERY
def test_a_kotlin_constant_is_the_name(name):
    literal = check(_kotlin(name))
    assert literal.isascii()
    inner = literal.removeprefix('"').removesuffix('"')
    assert re.fullmatch(r'(?:[^"$\\]|\\["$\\]|\\u[0-9a-f]{4})*', inner)
    assert json.loads(f'"{inner}"'.replace("\\$", "$")).encode("utf-16", "surrogatepass") == name.encode(
        "utf-16", "surrogatepass"
    )


@EVERY_LABEL
def test_the_card_and_the_export_show_a_label_as_text(bundle, label):
    manifest = renamed(bundle.manifest, label)
    card = check(model_card(manifest, len(bundle.model)))
    tokens = parts(MarkdownIt("gfm-like", {"linkify": False}).parse(card))
    assert not {"html_inline", "html_block", "link_open", "image", "s_open"} & {token.type for token in tokens}
    texts = _render(manifest, bundle.golden, bundle.sha256)
    for path, text in texts.items():
        check(text)
        if path.endswith("Leukolite.kt"):
            assert f"listOf({_kotlin(label)}, " in text
    readme = parts(MarkdownIt("gfm-like", {"linkify": False}).parse(next(t for p, t in texts.items() if p == "README.md")))
    assert not {"html_inline", "html_block", "link_open", "image", "s_open"} & {token.type for token in readme}
    check(shown_json(manifest.model_dump_json(indent=1)))
    assert Manifest.model_validate_json(shown_json(manifest.model_dump_json(indent=1))) == manifest


@pytest.mark.filterwarnings("ignore:Glyph")
def test_figures_draw_any_name_as_text():
    figure = Figure(figsize=(4, 4))
    axes = figure.add_subplot()
    for name in NAMES.values():
        axes.plot([0, 1], label=drawn(name[:100]))
        axes.set_title(drawn(name[:100]))
        figure.savefig(io.BytesIO(), format="png", dpi=20)
        check(axes.get_title().replace("\n", ""))
    assert len(axes.legend().get_texts()) == len(NAMES)


@EVERY
def test_a_sheets_titles_are_written_without_an_error(name):
    import numpy as np

    assert sheet([(name[:200], [np.zeros((8, 8, 3), np.uint8)])], columns=2, side=8).shape[2] == 3


@EVERY
def test_what_a_usb_camera_calls_itself_is_shown(name):
    raw = name.encode("utf-8", "surrogateescape")[:31]
    card = parse_capabilities(b"uvcvideo".ljust(16, b"\0") + raw.ljust(32, b"\0") + bytes(32 + 12 + 12)).card
    check(shown(card))


@given(st.text(st.characters(codec=None), max_size=200))
def test_any_text_is_one_line_that_nothing_obeys(text):
    for write in (shown, markdown, shown_label, drawn, printable):
        assert "\n" not in check(write(text))


@EVERY_LABEL
def test_classes_take_a_label_that_is_one(label):
    assert Classes.of([label, "another"]).labels[0] == label
