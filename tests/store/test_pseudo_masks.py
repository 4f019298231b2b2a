from __future__ import annotations

from pathlib import Path

from swtformer.store.corrections import Corrections, write_corrections
from swtformer.store.files import write_json
from swtformer.store.pseudo_masks import version_of
from swtformer.store.run import PSEUDO_MASKS_FILE


def test_a_version_is_what_the_masks_were_made_with(tmp_path: Path) -> None:
    """Not the dates of the maps' files, which change when the run is copied, nor where the data lies."""
    assert version_of(tmp_path) == ""
    write_json(tmp_path / PSEUDO_MASKS_FILE, {"rule": "margin", "margin": 0.2})
    before = version_of(tmp_path)
    assert before
    write_json(tmp_path / PSEUDO_MASKS_FILE, {"rule": "margin", "margin": 0.2, "made_from": "copied maps"})
    assert version_of(tmp_path) == before
    write_json(tmp_path / PSEUDO_MASKS_FILE, {"rule": "margin", "margin": 0.2, "data": "/moved/labels.csv"})
    assert version_of(tmp_path) == before
    write_json(tmp_path / PSEUDO_MASKS_FILE, {"rule": "margin", "margin": 0.3, "made_from": "copied maps"})
    assert version_of(tmp_path) not in ("", before)


def test_corrected_masks_have_the_version_that_was_corrected(tmp_path: Path) -> None:
    write_corrections(tmp_path, Corrections(base=tmp_path / "pseudo_masks", corrected={}, version="0a1b"))
    assert version_of(tmp_path) == "0a1b"
