"""Labels that stand in a table beside the pictures, as those of C-NMC's preliminary phase: one row per file, with its label and
whose blood it is."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from leukolite.class_folders import part_named
from leukolite.classes import label_key
from leukolite.errors import DatasetError
from leukolite.file_kinds import SUFFIXES
from leukolite.image_files import ImageList, Unusable
from leukolite.textfiles import decode_text, read_bytes
from leukolite.wording import count

_SURE_SPLIT = frozenset({"split", "splits", "datasplit", "splitname", "partition", "partitions"})  # never anything else
ROLES = {  # column -> its usual names, by `_column_key`; more telling ones first
    "file": (
        "newnames newname filename filenames filepath filepaths file files path paths imagepath imagefile imagefilename imagename"
        " images image imgname imgpath img picture pictures imageid imgid name names id patientid"
    ),
    "label": "label labels class classes classname diagnosis diagnoses dx target targets category celltype type truth",
    "subject": "subject subjects subjectid patient patients patientid uid person personid donor donorid caseid",
    "split": (
        "split splits datasplit splitname partition partitions subset subsets set sets part parts phase stage usage traintest"
        " dataset fold folds kfold group"
    ),
}
_MAY_MISS = ("subject", "split")
CNMC_NAME = re.compile(r"^UID_(H?\d+)_\d+_\d+_(all|hem)$", re.IGNORECASE)
_CNMC_NUMBERS = {"1": "all", "0": "hem"}
_BINARY = ((b"PK\x03\x04", "an Excel or other zipped file"), (b"\xd0\xcf\x11\xe0", "an old Excel file"), (b"%PDF", "a PDF"))


@dataclass(frozen=True)
class LabelTable:
    """Which table, and which of its columns where their names do not tell.

    Attributes:
        columns: 'file', 'label', 'subject' or 'split' -> the column's name; those left out are recognised.
    """

    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelledFile:
    """One image of the table."""

    path: Path
    label: str
    subject: str | None
    part: str | None


@dataclass(frozen=True)
class LabelledFiles:
    """What a table says of a folder.

    Attributes:
        is_cnmc: its files are named as C-NMC's, so that 1 is `all` and 0 is `hem`.
        unusable: images without a row, rows without an image or label.
        split_column: that says each file's part; None where there is no such.
        unused_columns: that say nothing here.
    """

    files: tuple[LabelledFile, ...]
    is_cnmc: bool
    unusable: tuple[Unusable, ...]
    split_column: str | None
    unused_columns: tuple[str, ...]


@dataclass(frozen=True)
class _Row:
    line: int
    file: str
    label: str
    subject: str | None
    part: str | None


def read_labels_of(listed: ImageList, table: LabelTable) -> LabelledFiles:
    """Give each image of a folder the label that the table's row of it has.

    A row's file is found by its name with as many folders as the row gives, with or without its ending, and with another
    picture's ending where there is none of its own; only images below the folder count, whatever the row's path is.

    Raises:
        DatasetError: the table cannot be read, its columns are not there or not clear, two rows contradict each other, a name
            fits several images, no row fits any, or a split is not clear.
    """
    header, rows = _read(table.path)
    by_name = _by_name(listed)
    places = _columns(table, header, rows, by_name)
    split = _split_column(table, header, rows, places["split"])
    places["split"] = split
    found = _rows(table.path, len(header), rows, places)
    is_cnmc = _is_cnmc(found)
    skipped = {label_key(item.path.name) for item in listed.skipped}
    row_of: dict[Path, _Row] = {}
    unusable: list[Unusable] = []
    for row in found:
        image = _image(row, by_name, listed, table.path)
        if image is None and label_key(_as_path(row.file).name) in skipped:
            continue  # named already, for what it is
        if image is None:
            unusable.append(
                Unusable(listed.root / _as_path(row.file), f"named in {table.path.name}, but not there (line {row.line})")
            )
        elif not row.label:
            unusable.append(Unusable(image, f"no label in {table.path.name} (line {row.line})"))
            row_of.setdefault(image, row)
        else:
            _refuse_contradiction(table.path, image, row_of.get(image), row)
            row_of[image] = row
    if not any(row.label for row in row_of.values()):
        first = found[0].file if found else "no row"
        example = f", the folder holds {listed.images[0].name}" if listed.images else ", the folder holds no image"
        raise DatasetError(
            f"{table.path}: none of its {count(len(found), 'row')} names an image below {listed.root}: the table says"
            f" {first!r}{example}; is it another folder's table?"
        )
    files = []
    for image, row in sorted(row_of.items()):
        if not row.label:
            continue
        label = _cnmc_label(table.path, row) if is_cnmc else row.label
        subject = _cnmc_subject(row) if is_cnmc else row.subject
        files.append(LabelledFile(image, label, subject, None if split is None else _part(table.path, header[split], row)))
    unusable += [Unusable(image, f"no row in {table.path.name}") for image in listed.images if image not in row_of]
    used = {file.path for file in files}
    left_out = sorted((item for item in unusable if item.path not in used), key=lambda item: item.path)
    unused = tuple(name for k, name in enumerate(header) if k not in places.values() and name)
    return LabelledFiles(tuple(files), is_cnmc, tuple(left_out), None if split is None else header[split], unused)


def _split_column(
    table: LabelTable, header: Sequence[str], rows: Sequence[tuple[int, list[str]]], place: int | None
) -> int | None:
    """The column that says each row's part; None where there is none, or one of such a name that speaks of something else."""
    if place is None:
        return None
    values = {row[place] for _, row in rows if place < len(row)} - {""}
    other = sorted(value for value in values if part_named(value) is None)
    if not other or "split" in table.columns:
        return place
    if len(other) < len(values) or _column_key(header[place]) in _SURE_SPLIT:
        shown = ", ".join(map(repr, other[:5]))
        raise DatasetError(
            f"{table.path}: column {header[place]!r}: expected train, validation or test, found {shown}; rename them, or the"
            " column if it is no split"
        )
    return None


def _part(table: Path, column: str, row: _Row) -> str:
    part = None if row.part is None else part_named(row.part)
    if part is None:
        found = "nothing" if row.part is None else repr(row.part)
        raise DatasetError(
            f"{table}: line {row.line}, column {column!r}: expected train, validation or test, found {found}; give each labelled"
            " file its part"
        )
    return part


def _read(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and each row that is not empty with its line's number."""
    data = read_bytes(path, "a CSV file of labels", DatasetError)
    if (kind := next((kind for magic, kind in _BINARY if data.startswith(magic)), None)) is not None:
        raise DatasetError(f"{path}: {kind}, not a table of text; save it as CSV (UTF-8)")
    try:
        text = decode_text(data)
    except ValueError as error:
        raise DatasetError(f"{path}: {error}") from error
    if "\0" in text:
        raise DatasetError(f"{path}: holds zero bytes, so it is no table of text; save it as CSV (UTF-8)")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    first, _, rest = text.lstrip().partition("\n")
    if not first:
        raise DatasetError(f"{path}: empty; expected a header and a row per file")
    named = re.fullmatch(r"sep=(.)\s*", first)  # Excel's own first line
    delimiter = named[1] if named else max(",;\t|", key=first.count)
    reader = csv.reader(io.StringIO(rest if named else text), delimiter=delimiter, skipinitialspace=True, strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append((reader.line_num + bool(named), [cell.strip() for cell in row]))
    except csv.Error as error:
        raise DatasetError(f"{path}: no CSV (line {reader.line_num}: {error}); check the quotes") from error
    return rows[0][1], rows[1:]


def _columns(
    table: LabelTable, header: Sequence[str], rows: Sequence[tuple[int, list[str]]], by_name: Mapping[str, Sequence[Path]]
) -> dict[str, int | None]:
    """Where each role's column stands. Of several that could name the file, the one whose values do."""
    places: dict[str, int | None] = {}
    keys = [_column_key(name) for name in header]
    for role, usual in ROLES.items():
        if role in table.columns:
            wanted = _column_key(table.columns[role])
            exact = [k for k, key in enumerate(keys) if key == wanted]
            if len(exact) != 1:
                why = "no" if not exact else "more than one"
                raise _no_column(table, header, f"{why} column {table.columns[role]!r}")
            places[role] = exact[0]
            continue
        named = [k for key in usual.split() for k, found in enumerate(keys) if found == key and k not in places.values()]
        if role == "file" and len(named) > 1:
            fits = {
                k: sum(len(row) > k and any(name in by_name for name in _names(_as_path(row[k]))) for _, row in rows)
                for k in named
            }
            named = [max(named, key=fits.__getitem__)]  # of equal ones the first, which is the more telling name
        if role == "split" and len(named) > 1:
            named.sort(key=lambda k: -sum(len(row) > k and part_named(row[k]) is not None for _, row in rows))
        if role == "label" and len(named) > 1:
            raise _no_column(table, header, f"several columns that could be the label ({', '.join(header[k] for k in named)})")
        if not named and role not in _MAY_MISS:
            raise _no_column(table, header, f"no column of the {role}s")
        places[role] = named[0] if named else None
    return places


def _no_column(table: LabelTable, header: Sequence[str], what: str) -> DatasetError:
    shown = ", ".join(map(repr, header[:12]))
    return DatasetError(f"{table.path}: {what}; its header is {shown}", advice="csv-columns")


def _rows(path: Path, width: int, rows: Sequence[tuple[int, list[str]]], places: Mapping[str, int | None]) -> list[_Row]:
    """Raises: DatasetError, if a row names no file or has more cells than the header's `width`."""

    def cell(row: Sequence[str], role: str) -> str:
        place = places[role]
        return row[place] if place is not None and place < len(row) else ""

    found = []
    for line, row in rows:
        if any(row[width:]):  # a label with a comma and without quotes would lose its end
            raise DatasetError(
                f"{path}: line {line} has {len(row)} cells, its header {width}; put cells that hold the separator in quotes"
            )
        if not (file := cell(row, "file")):
            raise DatasetError(f"{path}: line {line} names no file; give it one, or delete the line")
        found.append(
            _Row(line, file, _whole(cell(row, "label")), _whole(cell(row, "subject")) or None, cell(row, "split") or None)
        )
    return found


def _by_name(listed: ImageList) -> dict[str, list[Path]]:
    """Images by their name, and by their name without its ending."""
    by_name: dict[str, list[Path]] = {}
    for image in listed.images:
        for name in {label_key(image.name), label_key(image.stem)}:
            by_name.setdefault(name, []).append(image)
    return by_name


def _image(row: _Row, by_name: Mapping[str, Sequence[Path]], listed: ImageList, table: Path) -> Path | None:
    """The image that a row means. Raises: DatasetError, if it may be several."""
    wanted = _as_path(row.file)
    candidates: Sequence[Path] = next((by_name[name] for name in _names(wanted) if name in by_name), ())
    folders = [label_key(name) for name in wanted.parts[:-1] if name not in ("/", ".")]

    def shared(image: Path) -> int:
        """How many folders, counted from the file, are the row's too."""
        own = [label_key(name) for name in image.relative_to(listed.root).parts[:-1]]
        n = 0
        while n < min(len(own), len(folders)) and own[-1 - n] == folders[-1 - n]:
            n += 1
        return n

    if folders and not wanted.is_absolute() and ":" not in wanted.parts[0]:
        # a place below the folder, or below one above it that the table was written for
        candidates = [image for image in candidates if shared(image) == min(len(folders), _depth(image, listed))]
    if len(candidates) > 1:
        most = max(map(shared, candidates))
        candidates = [image for image in candidates if shared(image) == most]
    exact = [image for image in candidates if image.name == wanted.name]
    whole = exact or [image for image in candidates if label_key(image.name) == label_key(wanted.name)] or candidates
    if len(whole) > 1:
        names = " and ".join(image.relative_to(listed.root).as_posix() for image in whole[:2])
        raise DatasetError(f"{table}: line {row.line} names {row.file!r}, which may be {names}; give its folder and ending")
    return whole[0] if whole else None


def _names(wanted: PurePosixPath) -> list[str]:
    """By which an image is looked for: its name, then that without a picture's ending, as pictures are saved again as others."""
    return [label_key(wanted.name), *([label_key(wanted.stem)] if wanted.suffix.lower() in SUFFIXES else [])]


def _depth(image: Path, listed: ImageList) -> int:
    return len(image.relative_to(listed.root).parts) - 1


def _refuse_contradiction(table: Path, image: Path, before: _Row | None, row: _Row) -> None:
    if before is None:
        return
    for what in ("label", "subject", "part"):
        one, other = getattr(before, what), getattr(row, what)
        if one and other and label_key(one) != label_key(other):
            raise DatasetError(
                f"{table}: lines {before.line} and {row.line} give {image.name} two {what}s, {one!r} and {other!r}; delete one"
            )


def _is_cnmc(rows: Sequence[_Row]) -> bool:
    """Every row's file or subject is named as C-NMC names its cells, and its labels are its classes or their numbers."""
    labels = {label_key(row.label) for row in rows if row.label}
    return bool(rows) and all(_cnmc_match(row) for row in rows) and labels <= {"all", "hem", *_CNMC_NUMBERS}


def _cnmc_match(row: _Row) -> re.Match[str] | None:
    names = (row.subject or "", row.file)
    return next((match for name in names if (match := CNMC_NAME.match(_as_path(name).stem)) is not None), None)


def _cnmc_subject(row: _Row) -> str | None:
    match = _cnmc_match(row)
    return None if match is None else match[1].upper()


def _cnmc_label(table: Path, row: _Row) -> str:
    match, label = _cnmc_match(row), label_key(row.label)
    label = _CNMC_NUMBERS.get(label, label)
    if match is not None and match[2].lower() != label:
        raise DatasetError(f"{table}: line {row.line} calls {match[0]} {row.label} ({label}); its name says {match[2].lower()}")
    return label


def _whole(text: str) -> str:
    """'1' of the '1.0' that a table with empty cells makes of a whole number."""
    return text[:-2] if re.fullmatch(r"\d+\.0", text) else text


def _column_key(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _as_path(text: str) -> PurePosixPath:
    return PurePosixPath(text.replace("\\", "/"))
