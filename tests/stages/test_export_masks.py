from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from support.mask_runs import CLASSES, SIZES, draw_mask_run
from swtformer.datasets import open_dataset
from swtformer.errors import SettingsError, SwtformerError
from swtformer.review.decisions import decide
from swtformer.settings import Settings
from swtformer.stages.export_masks import export_masks
from swtformer.store.failures import read_failures
from swtformer.store.files import write_json
from swtformer.store.pseudo_masks import making_of
from swtformer.store.review_queue import Review, write_reviews
from swtformer.store.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return draw_mask_run(tmp_path / "run")


def test_a_run_knows_its_images_and_classes(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "masks.json"
    result = export_masks(run, str(out), format="coco")
    assert (result.folder, result.images, result.failures) == (run.pseudo_masks, len(SIZES), ())
    content = json.loads(out.read_text())
    assert tuple(category["name"] for category in content["categories"])[:3] == CLASSES
    assert not any("No data set is named" in warning for warning in result.warnings)


def test_what_is_left_out_stands_in_the_runs_failures(run: Run, tmp_path: Path) -> None:
    (run.path.parent / "photos" / "images" / "a.png").write_bytes(b"")
    result = export_masks(run, tmp_path / "masks.json", format="coco")
    assert result.images == len(SIZES) - 1
    assert [(row.id, row.stage) for row in read_failures(run)] == [("a", "export")]


def test_masks_with_one_decision(run: Run, tmp_path: Path) -> None:
    write_reviews(run, [Review(id, 0.5, 0.5, None, 0.1) for id in SIZES])
    write_json(run.pseudo_masks_file, {"images": len(SIZES)})
    decide(run, "a", "correct", masks=making_of(run.pseudo_masks))
    result = export_masks(run, tmp_path / "masks.json", format="coco", decision="correct")
    assert result.images == 1
    with pytest.raises(SwtformerError, match="has the decision 'reject'"):
        export_masks(run, tmp_path / "masks.json", format="coco", decision="reject")


def test_a_folder_of_masks_takes_its_classes_from_the_data_set(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere" / "masks"
    shutil.copytree(run.pseudo_masks, folder)
    with pytest.raises(SwtformerError, match=r"class names are not known; name the data set"):
        export_masks(folder, tmp_path / "masks.json", format="coco")
    path = run.environment()["data"]
    data = open_dataset(path, Settings.model_validate({"data": {"classes": CLASSES}}).data)
    assert export_masks(folder, tmp_path / "masks.json", format="coco", data=data).images == len(SIZES)
    assert not Run(folder).failures_file.exists()


def test_choices_where_there_is_nothing_to_choose(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "masks.json"
    with pytest.raises(SettingsError, match="--source chooses among a run's masks"):
        export_masks(run.pseudo_masks, out, format="coco", source="masks")
    with pytest.raises(SettingsError, match="--decision chooses among a run's pseudo_masks"):
        export_masks(run.pseudo_masks, out, format="coco", decision="accept")
    assert not out.exists()
