"""Sheets as Markdown, CSV and one HTML page."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from swtformer.reproduction.sheets import Sheet
from swtformer.store.files import write_text


def write_sheets(
    folder: Path, table: str, sheets: Sequence[Sheet], *, command: str, machine: str
) -> list[Path]:
    """Write `<table>.md`, `<table>.html`, and a CSV for each sheet.

    Args:
        folder: where.
        table: its name.
        sheets: the main one first.
        command: that made them.
        machine: that they were made on.

    Returns:
        The files.
    """
    written = [folder / f"{table}.md", folder / f"{table}.html"]
    made = f"    {command}\n\n{machine}\n"
    text = "\n".join(
        [f"# {sheets[0].title}\n", made, *(markdown(sheet, first=sheet is sheets[0]) for sheet in sheets)]
    )
    write_text(written[0], text)
    environment = Environment(
        loader=PackageLoader("swtformer.reproduction"), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("table.html").render(sheets=sheets, command=command, machine=machine)
    write_text(written[1], page)
    for sheet in sheets:
        file = folder / (f"{table}-{sheet.name}.csv" if sheet.name else f"{table}.csv")
        write_text(file, _csv(sheet))
        written.append(file)
    return written


def markdown(sheet: Sheet, *, first: bool = False) -> str:
    """A sheet as Markdown; the first one's title is that of the page."""
    lines = [] if first else [f"## {sheet.title}\n"]
    lines += [_line(sheet.columns), _line(["---"] * len(sheet.columns))]
    lines += [_line(row) for row in sheet.rows]
    lines += ["", *(f"- {note}" for note in sheet.notes), ""]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _csv(sheet: Sheet) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([sheet.columns, *sheet.rows])
    return stream.getvalue()
