from __future__ import annotations

from pathlib import Path

from swtformer.store.corrections import NOTES
from swtformer.store.files import write_json
from swtformer.store.pseudo_masks import FACTS, making_of


def test_a_making_is_what_the_masks_were_made_by(tmp_path: Path) -> None:
    """Which files of maps they came from is no part of it: copied ones are dated anew."""
    assert making_of(tmp_path) == ""
    write_json(tmp_path / FACTS, {"rule": "margin", "margin": 0.2})
    before = making_of(tmp_path)
    write_json(tmp_path / FACTS, {"rule": "margin", "margin": 0.2, "made_from": "copied maps"})
    assert making_of(tmp_path) == before
    write_json(tmp_path / FACTS, {"rule": "margin", "margin": 0.3, "made_from": "copied maps"})
    assert making_of(tmp_path) != before


def test_corrected_masks_are_of_the_making_that_they_were_corrected_from(tmp_path: Path) -> None:
    write_json(tmp_path / NOTES, {"base": "../pseudo_masks", "corrected": {}, "making": "0a1b"})
    assert making_of(tmp_path) == "0a1b"
