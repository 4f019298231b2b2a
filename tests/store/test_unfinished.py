"""Notes of a prediction that was stopped."""

from __future__ import annotations

from pathlib import Path

from swtformer.store.notes import Area, ImageAreas
from swtformer.store.unfinished import PhotographNotes, add_note, forget, open_notes, take_up


def _note(id: str, *, made_by: str = "model") -> PhotographNotes:
    areas = ImageAreas(
        image=id, file=Path(id), width=2, height=1, areas={"background": Area(pixels=2, fraction=1)}
    )
    return PhotographNotes(
        made_by=made_by, made_from="stamp", is_rotated=False, is_much_larger=False, areas=areas
    )


def _write(out: Path, *notes: PhotographNotes) -> None:
    with open_notes(out) as stream:
        for note in notes:
            add_note(stream, note)


def test_notes_are_read_up_to_the_line_that_was_cut(tmp_path: Path) -> None:
    _write(tmp_path, _note("ü/a"), _note("b"))
    (path,) = (tmp_path / "unfinished").iterdir()
    with path.open("ab") as stream:
        stream.write(b'{"made_by": "mod')
    (path.with_name("another.jsonl")).write_text(_note("c").model_dump_json() + "\n")
    assert take_up(tmp_path, made_by="model") == {name: _note(name) for name in ("c", "ü/a", "b")}
    forget(tmp_path)
    assert take_up(tmp_path, made_by="model") == {}


def test_notes_of_another_model_are_removed_with_all_others(tmp_path: Path) -> None:
    """The files of those photographs may have been replaced in between."""
    _write(tmp_path, _note("a"), _note("b", made_by="other"))
    assert take_up(tmp_path, made_by="model") == {}
    assert not (tmp_path / "unfinished").exists()


def test_a_new_line_of_a_photograph_replaces_the_old_one(tmp_path: Path) -> None:
    later = _note("a").model_copy(update={"made_from": "new"})
    _write(tmp_path, _note("a"), later)
    assert take_up(tmp_path, made_by="model") == {"a": later}
