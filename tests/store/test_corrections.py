from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from swtformer.errors import DataError
from swtformer.store.corrections import (
    NOTES,
    Corrections,
    noted_base,
    origin,
    read_corrections,
    training_commands,
)
from swtformer.store.files import write_json
from swtformer.store.run import Run


def test_masks_were_made_in_the_base(tmp_path: Path) -> None:
    assert read_corrections(tmp_path) is None
    assert origin(tmp_path) == tmp_path
    write_json(tmp_path / NOTES, {"base": "/run/pseudo_masks", "corrected": {"a": 3}, "unchanged": []})
    assert read_corrections(tmp_path) == Corrections(Path("/run/pseudo_masks"), {"a": 3})
    assert origin(tmp_path) == Path("/run/pseudo_masks")


def test_a_base_is_relative_where_it_moves_with_the_run(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    mine, elsewhere = run.path / "rounds" / "2", tmp_path / "mine"
    assert noted_base(run, mine, run.pseudo_masks) == "../../pseudo_masks"
    write_json(mine / NOTES, {"base": "../../pseudo_masks", "corrected": {}})
    assert origin(mine) == run.pseudo_masks
    assert noted_base(run, elsewhere, run.pseudo_masks) == str(run.pseudo_masks)
    assert noted_base(run, run.corrected_masks, elsewhere) == str(elsewhere)


def test_an_old_note_means_the_folder_beside_it_where_its_own_is_gone(tmp_path: Path) -> None:
    old, here = tmp_path / "old" / "masks", tmp_path / "here"
    write_json(here / "corrected_masks" / NOTES, {"base": str(old), "corrected": {}})
    assert origin(here / "corrected_masks") == old
    (here / "masks").mkdir()
    assert origin(here / "corrected_masks") == here / "masks"
    old.mkdir(parents=True)
    assert origin(here / "corrected_masks") == old


@pytest.mark.parametrize("notes", [{}, [], {"base": "x", "corrected": ["a"]}, {"base": 1, "corrected": {}}])
def test_other_notes_are_refused(notes: object, tmp_path: Path) -> None:
    write_json(tmp_path / NOTES, notes)
    with pytest.raises(DataError, match="is not what `swtformer import` writes"):
        read_corrections(tmp_path)


def test_a_training_that_is_there_stays(tmp_path: Path) -> None:
    run = Run(tmp_path / "my run")
    name, masks = shlex.quote(str(run.path)), shlex.quote(str(run.corrected_masks))
    first = f"swtformer segment {name} --segment.masks {masks}"
    assert training_commands(run, run.corrected_masks) == (
        first,
        f"swtformer predict {name} PHOTOS --out FOLDER",
    )
    for number in ("", "-2"):
        (run.segmentation if not number else run.path / "segmentation-corrected").mkdir(parents=True)
        out = shlex.quote(f"{run.path}/segmentation-corrected{number}")
        assert training_commands(run, run.corrected_masks) == (
            f"{first} --out {out}",
            f"swtformer predict {name} PHOTOS --out FOLDER",
        )
