from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from swtformer.errors import SwtformerError
from swtformer.store.corrections import (
    NOTES,
    Corrections,
    origin,
    read_corrections,
    training_commands,
    write_corrections,
)
from swtformer.store.files import read_json, write_json
from swtformer.store.run import Run


def test_corrections_are_read_as_written(tmp_path: Path) -> None:
    assert read_corrections(tmp_path) is None
    assert origin(tmp_path) == tmp_path
    written = Corrections(base=tmp_path / "pseudo_masks", corrected={"a": "0f"}, version="0a1b")
    write_corrections(tmp_path / "corrected", written)
    assert read_corrections(tmp_path / "corrected") == written
    assert origin(tmp_path / "corrected") == tmp_path / "pseudo_masks"


def test_the_base_moves_with_the_corrections(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_corrections(run / "rounds" / "2", Corrections(base=run / "pseudo_masks", corrected={}))
    assert read_json(run / "rounds" / "2" / NOTES)["base"] == "../../pseudo_masks"
    run.rename(tmp_path / "moved")
    assert origin(tmp_path / "moved" / "rounds" / "2") == tmp_path / "moved" / "pseudo_masks"


@pytest.mark.parametrize("notes", [{}, [], {"base": "x", "corrected": ["a"]}, {"base": 1, "corrected": {}}])
def test_other_notes_are_refused(notes: object, tmp_path: Path) -> None:
    write_json(tmp_path / NOTES, notes)
    with pytest.raises(SwtformerError, match=r"corrections\.json: "):
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
