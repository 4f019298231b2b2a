from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.mask_runs import CLASSES, draw_mask_run
from swtformer.errors import SwtformerError
from swtformer.store.files import write_json
from swtformer.store.mask_folders import (
    declared_classes,
    mask_folder,
    mask_ids,
    masks_in,
    predicted_photographs,
    prediction_notes,
)
from swtformer.store.masks import write_mask
from swtformer.store.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return draw_mask_run(tmp_path)


def test_which_masks_of_a_run(run: Run) -> None:
    assert mask_folder(run) == run.pseudo_masks
    with pytest.raises(SwtformerError, match=r"no folder masks; make .* `swtformer mask`"):
        mask_folder(run, "masks")
    run.masks.mkdir()
    assert mask_folder(run, "masks") == run.masks
    assert mask_folder(run) == run.pseudo_masks
    with pytest.raises(SwtformerError, match="has no folder pseudo_masks or masks"):
        mask_folder(Run(run.path.parent))


def test_hidden_files_are_not_masks(tmp_path: Path) -> None:
    for name in ("b.png", "a/c.png", ".x.png", ".hidden/d.png", "e.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert mask_ids(tmp_path) == ["a/c", "b"]
    for name in ("b.png", "a/c.png"):
        (tmp_path / name).unlink()
    with pytest.raises(SwtformerError, match="holds no masks"):
        mask_ids(tmp_path)
    with pytest.raises(SwtformerError, match="nothing: is not a folder"):
        mask_ids(tmp_path / "nothing")


def test_what_predict_made_is_understood(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "predicted"
    write_mask(out / "masks" / "a.png", np.ones((3, 4), dtype=np.uint8))
    assert masks_in(out) == out
    write_json(out / "predictions.json", {"classes": ["background", *CLASSES], "exif": "apply"})
    assert masks_in(out) == out / "masks"
    assert declared_classes(out / "masks") == CLASSES
    notes = prediction_notes(out / "masks")
    assert notes is not None
    assert notes.exif == "apply"
    out.rename(run.path / "predictions")
    assert mask_folder(run, "predictions") == run.path / "predictions" / "masks"
    write_json(out / "predictions.json", [])
    with pytest.raises(SwtformerError, match=r"predictions\.json: .*Predict again"):
        declared_classes(out / "masks")


def test_predicted_photographs_that_still_exist(tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    (tmp_path / "a.jpg").touch()
    shared = {"width": 2, "height": 1, "areas": {"background": {"pixels": 2, "fraction": 1}}}
    rows = [{"image": id, "file": str(tmp_path / f"{id}.jpg"), **shared} for id in ("a", "gone")]
    write_json(tmp_path / "areas.json", {"classes": ["background"], "images": rows})
    assert predicted_photographs(masks) == {}  # masks of somebody else
    write_json(tmp_path / "predictions.json", {})
    assert predicted_photographs(masks) == {"a": tmp_path / "a.jpg"}
    for content in ([], {"images": [{"image": "a"}]}):
        write_json(tmp_path / "areas.json", content)
        with pytest.raises(SwtformerError, match=r"areas\.json: .*Predict again"):
            predicted_photographs(masks)
    (tmp_path / "areas.json").unlink()
    assert predicted_photographs(masks) == {}


def test_classes_beside_a_folder_of_masks(run: Run, tmp_path: Path) -> None:
    assert declared_classes(run.pseudo_masks) == CLASSES
    assert declared_classes(run.path) == CLASSES
    assert declared_classes(tmp_path) is None
    write_json(run.classes_file, {"cat": 0})
    with pytest.raises(SwtformerError, match=r"classes\.json: .*a list of class names"):
        declared_classes(run.pseudo_masks)
