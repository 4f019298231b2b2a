"""Reads a table as images with labels: what its cells say, and the rows of an image together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from swtformer.datasets.background import BACKGROUND_NAMES, folded
from swtformer.datasets.groups import group_column
from swtformer.datasets.labels import ClassList, LabelRow, LabelTable
from swtformer.datasets.problems import Problems
from swtformer.datasets.rows import Row, Rows, is_whole_number
from swtformer.datasets.tables.class_columns import PRESENT, kind_of, read_flags, score_in
from swtformer.datasets.tables.class_numbers import names_of_numbers, resolve_lists, whole_number
from swtformer.datasets.tables.joined_names import with_own_columns
from swtformer.datasets.tables.label_cells import Cell, read_cell
from swtformer.datasets.tables.label_columns import Columns
from swtformer.datasets.tables.object_rows import merge_objects
from swtformer.datasets.tables.row_files import read_rows
from swtformer.datasets.tables.separators import CERTAIN, Separator, find_separator, list_of, mark_of, shown
from swtformer.datasets.tables.table_columns import Hits, choose_columns, image_name
from swtformer.datasets.tables.table_settings import TableSettings

MANY = 3
"""Rows with a fault of one kind that are told one by one; more are told in one line."""

YES_OR_NO = frozenset({"yes", "no", "true", "false", "present", "absent", "positive", "negative"})
"""Words (lower case) that are no names of classes where there are no other labels."""

NO_OUTLINE = frozenset({"", "-1", "[]", "nan", "none"})
"""What a column of outlines holds where there is none."""


def read_label_table(
    path: Path,
    *,
    declared: Iterable[str] | ClassList | None,
    problems: Problems,
    options: TableSettings | None = None,
    hits: Hits | None = None,
    group: str | None = None,
) -> LabelTable:
    """Read a table of image names and labels.

    Labels come from columns with usual names, or from one column of 0 and 1 per class; a table whose only
    columns are image, mask and split is unlabelled. What is decided beyond that is a warning "table_read";
    what cannot be decided, and rows that cannot be read, are fatal problems.

    Args:
        path: the file.
        declared: class names known in advance; a label cell that equals one is never split.
        problems: collects what is wrong.
        options: how to read it, where the user says so.
        hits: tells columns of image names by their files.
        group: `data.group`; a column of this name holds groups and nothing else.

    Raises:
        DataError: the file cannot be read at all.
    """
    options = options or TableSettings()
    if declared is not None and not isinstance(declared, ClassList):
        names = tuple(declared)
        declared = ClassList(names, dict(enumerate(names)), "the class list")
    table = with_own_columns(read_rows(path), hits)
    for fault in table.faults:
        problems.fatal("table_row", fault)
    known = frozenset(declared.names if declared else ())
    group = group_column(table.columns, group, path, problems)
    others = replace(table, columns=tuple(name for name in table.columns if name != group))
    columns = choose_columns(others, options, known=known, hits=hits, problems=problems)
    if columns is None:
        return LabelTable((), (), has_splits=False, declares_order=False)
    reading = _Reading(table, columns, declared, options, problems)
    rows = _rows(table, columns, group, reading.labels(), problems)
    merged = merge_objects(rows, columns, options.rows, notes=reading.notes, problems=problems)
    found = sorted({*reading.names, *(label for row in merged for label in row.labels or ())})
    reading.say()
    return LabelTable(
        tuple(merged),
        reading.flags or tuple(found),
        has_splits=columns.split is not None,
        declares_order=bool(reading.flags),
    )


def _rows(
    table: Rows,
    columns: Columns,
    group: str | None,
    labels: Sequence[tuple[str, ...] | None],
    problems: Problems,
) -> list[LabelRow]:
    rows = []
    faults = []
    for row, own in zip(table.rows, labels, strict=True):
        cell = row.cells.get(columns.image)
        name = image_name(cell)
        source = f"{table.path}:{row.line}"
        if name is None:
            faults.append(f"{source}: the column {columns.image!r} holds no image name, got {cell!r:.60}")
        else:
            mask, split = _text(row, columns.mask), _text(row, columns.split)
            rows.append(LabelRow(source, name, own, mask, split, _text(row, group)))
    _tell(faults, problems)
    return rows


def _text(row: Row, column: str | None) -> str | None:
    value = row.cells.get(column) if column else None
    return str(value) if value not in (None, "") else None


def _tell(faults: Sequence[str], problems: Problems) -> None:
    """Fatal problems: a few one by one, many as one line with their number."""
    for fault in faults if len(faults) <= MANY else faults[:1]:
        more = f", and so in {len(faults)} rows" if len(faults) > MANY else ""
        problems.fatal("table_row", f"{fault}{more}.")


@dataclass
class _Reading:
    """Reads the labels of all rows, and keeps what was decided.

    Attributes:
        names: class names that were found without an image as well.
        flags: classes that have columns of their own.
        notes: what was decided, in words.
    """

    table: Rows
    columns: Columns
    declared: ClassList | None
    options: TableSettings
    problems: Problems
    names: set[str] = field(default_factory=set)
    flags: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    _nothing: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.notes += [*self.table.notes, *self.columns.notes]
        self._known = frozenset(self.declared.names if self.declared else ())
        self._words = {folded(word) for word in (*self.options.nothing, *BACKGROUND_NAMES)}
        self._threshold = 0.5 if self.options.threshold is None else self.options.threshold

    def labels(self) -> list[tuple[str, ...] | None]:
        """Labels of each row; None where the table or the row has none, or where a cell cannot be read."""
        rows, columns = self.table.rows, self.columns
        if columns.flags:
            return self._of_flags()
        if columns.positions:
            values = [[whole_number(row.cells[name]) or 0 for name in columns.positions] for row in rows]
            return self._named([Cell(numbers=tuple(own)) for own in values])
        return self._named(self._read_cells()) if columns.labels else [None] * len(rows)

    def say(self) -> None:
        """Warn of what was decided, in one line."""
        for word, count in self._nothing.items():
            times = f"{count} times" if count > 1 else "once"
            self.notes.append(f"{word!r} ({times}) means no class (see reader.nothing)")
        if self.notes:
            self.problems.warn("table_read", f"{self.table.path}: {'; '.join(self.notes)}.")

    def _of_flags(self) -> list[tuple[str, ...] | None]:
        columns, rows = self.columns.flags, self.table.rows
        flags = read_flags(rows, columns, self.options, self.table.path, self.problems)
        self.notes += [flags.note] if flags.note else []
        dropped = [name for name in columns if self._is_nothing(name)]
        self.flags = tuple(name for name in columns if name not in dropped)
        self.notes += [f"the column {name!r} means no class (see reader.nothing)" for name in dropped]
        return [tuple(name for name in self.flags if flags.holds(row.cells.get(name))) for row in rows]

    def _read_cells(self) -> list[Cell | None]:
        """One cell for each row; None where it cannot be read or labels are unknown."""
        found: list[list[Cell] | None] = []
        faults = []
        needed = {self.table.unlabelled_without} & {*self.columns.labels}
        for row in self.table.rows:
            if not needed <= row.cells.keys():
                found.append(None)
                continue
            try:
                found.append(self._read_row(row))
            except ValueError as error:
                faults.append(f"{self.table.path}:{row.line}: {error}")
                found.append(None)
        _tell(faults, self.problems)
        separator = self._separator([cell.text for own in found for cell in own or () if cell.text])
        if separator.doubt:
            self.problems.fatal("separator", f"{self.table.path}: {separator.doubt}.")
            return [None] * len(found)
        return [None if own is None else _joined(own, separator.mark, self._known) for own in found]

    def _read_row(self, row: Row) -> list[Cell]:
        columns = self.columns
        if columns.outline and str(row.cells.get(columns.outline) or "").strip().lower() in NO_OUTLINE:
            return []
        for name in columns.labels:
            if name not in row.cells:
                raise ValueError(f"has no {name!r}; write [] for an image without any class")
        if columns.score and _score(row.cells.get(columns.score)) < self._threshold:
            return []
        return [read_cell(row.cells[name], self._known) for name in columns.labels]

    def _separator(self, texts: Sequence[str]) -> Separator:
        if self.options.separator is not None:
            return Separator(mark_of(self.options.separator))
        found = find_separator([text for text in texts if not self._is_nothing(text)], self._known)
        if found.mark is not None and found.mark not in CERTAIN:
            self.notes.append(f"labels are separated by {shown(found.mark)}")
        return found

    def _is_nothing(self, name: str) -> bool:
        return name not in self._known and folded(name) in self._words

    def _named(self, cells: Sequence[Cell | None]) -> list[tuple[str, ...] | None]:
        """Cells as names: numbers by the class list, lists of flags by its order, scores by the threshold."""
        columns, path, rows = self.columns, self.table.path, len(self.table.rows)
        cells = resolve_lists(cells, self.declared, path=path, notes=self.notes, problems=self.problems)
        if columns.score:
            self.notes.append(f"rows count from {columns.score!r} {self._threshold:g} on")
        if columns.outline:
            self.notes.append(f"rows without {columns.outline!r} show no class")
        if any(0 < score < 1 for cell in cells if cell for _, score in cell.scores):
            self.notes.append(f"scores from {self._threshold:g} on count (see reader.threshold)")
        lists = [None if cell is None else self._present(cell) for cell in cells]
        labels = {name for own in lists for name in own or () if not self._is_nothing(str(name))}
        numbers = sorted({number for name in labels if (number := whole_number(name)) is not None})
        if labels and {str(name).lower() for name in labels} <= YES_OR_NO:
            return self._of_words(lists)
        by_number: dict[int, str] | None = {}
        if numbers and all(whole_number(name) is not None for name in labels):
            by_number = names_of_numbers(
                numbers, self.declared, path=path, rows=rows, notes=self.notes, problems=self.problems
            )
        if by_number is None:
            return [None] * rows
        return [None if own is None else self._names_of(own, by_number) for own in lists]

    def _of_words(self, lists: Sequence[tuple[str | int, ...] | None]) -> list[tuple[str, ...] | None]:
        """Labels that say yes or no: of the only class, if just one is declared."""
        if self.declared is None or len(self.declared.names) != 1:
            self.problems.fatal(
                "table_columns",
                f"{self.table.path}: the column {self.columns.labels[0]!r} holds nothing but words like yes "
                "and no; call it by the name of the class, or name the class with data.classes.",
            )
            return [None] * len(lists)
        names = self.declared.names
        return [
            None if own is None else names if own and str(own[0]).lower() in PRESENT else () for own in lists
        ]

    def _present(self, cell: Cell) -> tuple[str | int, ...]:
        """The labels of a cell; of those with a score, the ones that reach the threshold."""
        words = (str(name) for name, _ in cell.scores if whole_number(name) is None)
        self.names.update(name for name in words if not self._is_nothing(name))
        return (*cell.names, *(name for name, score in cell.scores if score >= self._threshold))

    def _names_of(self, own: Sequence[str | int], by_number: dict[int, str]) -> tuple[str, ...]:
        names: dict[str, None] = {}
        for name in own:
            number = whole_number(name) if by_number else None
            text = str(name) if number is None else by_number[number]
            if text and not self._is_nothing(text):
                names[text] = None
            elif text.lower() not in {"", *BACKGROUND_NAMES}:
                self._nothing[text] += 1
        return tuple(names)


def _joined(cells: Sequence[Cell], mark: str | None, known: frozenset[str]) -> Cell:
    """The cells of a row as one, their texts separated; several numbers may be one value per class."""
    lists = [list_of(cell.text, mark, known) for cell in cells if cell.text]
    several = [own for own in lists if len(own) > 1 and all(map(is_whole_number, own))]
    texts = dict.fromkeys(name for own in lists if own not in several for name in own)
    numbers = [int(part) for own in several for part in own]
    return Cell(
        names=(*texts, *(name for cell in cells for name in cell.names)),
        numbers=(*numbers, *(number for cell in cells for number in cell.numbers)),
        scores=tuple(score for cell in cells for score in cell.scores),
    )


def _score(value: object) -> float:
    """How sure a row is."""
    by_kind = {"present": 1.0, "one": 1.0, "absent": 0.0, "zero": 0.0, "blank": 1.0}
    kind = kind_of(value)
    return by_kind[kind] if kind in by_kind else score_in(str(value).strip().lower()) or 0.0
