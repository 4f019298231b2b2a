from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.label_images import as_annotated, without_fingerprints
from swtformer.app.reviewing import Cards, export_commands
from swtformer.cli import main
from swtformer.datasets import open_dataset
from swtformer.errors import SwtformerError
from swtformer.review.decisions import decide, open_queue
from swtformer.stages.export_masks import export_masks
from swtformer.stages.import_masks import import_masks
from swtformer.store.files import read_json, write_json
from swtformer.store.masks import write_mask
from swtformer.store.pseudo_masks import version_of
from swtformer.store.run import Run


@pytest.fixture
def run(drawn: Path, tmp_path: Path) -> Run:
    shutil.copytree(drawn.parent, tmp_path / "copy")
    run = Run(tmp_path / "copy" / "run")
    for file in (run.environment_file, run.pseudo_masks_file):
        file.write_text(file.read_text().replace(str(drawn.parent), str(tmp_path / "copy")))
    return run


def test_a_card_holds_photograph_and_mask(run: Run) -> None:
    queue = open_queue(run)
    card = Cards(run).card(queue, queue.items[0])
    assert card.item.review.id == "2"
    assert card.photograph.shape == (56, 64, 3)
    assert set(np.unique(card.labels).tolist()) == {0, 3, 255}
    assert [row.name for row in card.rows] == ["background", "cow", "undecided"]
    assert card.stated == "cow"
    assert card.remark == ""


def test_a_missing_photograph_does_not_end_the_review(run: Run) -> None:
    queue = open_queue(run)
    (run.path.parent / "images" / "2.png").unlink()
    card = Cards(run).card(queue, queue.items[0])
    assert "no longer has the image '2'" in card.remark
    assert (card.photograph == 128).all()


def test_a_photograph_of_another_size(run: Run) -> None:
    queue = open_queue(run)
    (run.pseudo_mask_file("2")).unlink()
    with pytest.raises(SwtformerError, match="does not exist"):
        Cards(run).card(queue, queue.items[0])
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(run.pseudo_mask_file("2"))
    assert "is for 64×56 pixels, its mask has 9×9" in Cards(run).card(queue, queue.items[0]).remark


def test_photographs_that_have_moved(run: Run, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.move(run.path.parent / "images", moved)
    queue = open_queue(run)
    card = Cards(run).card(queue, queue.items[0])
    assert (
        f"If the photographs have moved, start the app with their new path: swtformer app {run.path} DATA"
        in (card.remark)
    )
    data = open_dataset(moved, run.settings().data)
    card = Cards(run, data).card(queue, queue.items[0])
    assert (card.stated, card.remark) == ("cow", "")
    assert card.photograph.std() > 0
    few = Cards(run, data.subset([0])).card(queue, queue.items[0])
    assert few.remark == f"{data.name} has no image '2'."


def test_the_commands_name_photographs_that_have_moved(run: Run) -> None:
    export, _, train, _ = export_commands(run, "pseudo_masks", ["photos"]).splitlines()
    assert export.endswith(" --data photos")
    assert f"segment {run.path} photos --segment.masks" in train
    named = ["my list.csv", "--data.images", "photos"]
    export, _, train, _ = export_commands(run, "pseudo_masks", named).splitlines()
    assert export.endswith(" --data 'my list.csv' --data.images photos")
    assert f"segment {run.path} 'my list.csv' --data.images photos --segment.masks" in train


def test_the_commands_export_what_is_marked(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    decide(run, "3", "correct", version=version_of(run.pseudo_masks))
    commands = export_commands(run, "pseudo_masks").splitlines()
    assert [line.split()[1] for line in commands] == ["export", "import", "segment", "predict"]
    line = commands[0]
    monkeypatch.chdir(tmp_path)
    assert line.startswith(f"swtformer export {run.path} ")
    assert main(line.split()[1:]) == 0
    text = (tmp_path / "marked.json").read_text()
    assert "3.png" in text
    assert "2.png" not in text
    run.pseudo_mask_file("3").unlink()
    capsys.readouterr()
    assert main([*line.split()[1:-1], "other.json"]) == 2
    assert "holds none of the 1 masks with the decision" in capsys.readouterr().err


def corrected_run(run: Run, tmp_path: Path) -> Run:
    """The run after somebody painted image 3 all cow."""
    write_mask(tmp_path / "edited" / "3.png", np.full((56, 64), 3, np.uint8))
    write_json(tmp_path / "edited" / "classes.json", run.classes())
    export_masks(tmp_path / "edited", tmp_path / "3.zip", format="cvat")
    without_fingerprints("cvat", tmp_path / "3.zip")
    import_masks(run, tmp_path / "3.zip")
    return run


def test_corrected_masks_are_shown_and_exported_once_more(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrected_run(run, tmp_path)
    queue = open_queue(run, "corrected_masks")
    card = Cards(run).card(queue, queue.items[0])
    assert (card.item.review.id, np.unique(card.labels).tolist()) == ("3", [3])
    decide(run, "3", "correct", version=queue.items[0].version, reviewed="corrected_masks")
    line = export_commands(run, "corrected_masks").splitlines()[0]
    monkeypatch.chdir(tmp_path)
    assert main(line.split()[1:]) == 0
    result = import_masks(run, as_corrected(tmp_path / "marked.json"))
    assert (result.corrected, result.unchanged) == ({}, ("3",))


def test_both_queues_share_a_data_set_that_is_opened_once_per_version(run: Run, tmp_path: Path) -> None:
    corrected_run(run, tmp_path)
    cards = Cards(run)
    queues = open_queue(run), open_queue(run, "corrected_masks")
    stated = [cards.card(queue, queue.items[0]).stated for queue in queues]
    assert stated == ["cow", "cat"]
    shutil.move(run.path.parent / "images" / "labels.csv", tmp_path / "labels.csv")
    # If the data set were opened now, it would have no labels.
    assert [cards.card(queue, queue.items[0]).stated for queue in queues] == stated
    write_json(run.pseudo_masks_file, {**read_json(run.pseudo_masks_file), "margin": 0.3})
    queue = open_queue(run)
    assert cards.card(queue, queue.items[0]).stated != "cow"


def as_corrected(path: Path) -> Path:
    as_annotated("label-studio", path)
    return path


@pytest.mark.parametrize("source", ["run", "folder"])
def test_export_needs_marked_masks_of_a_run(
    run: Run, source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = run.path if source == "run" else run.pseudo_masks
    wanted = "has the decision 'correct'" if source == "run" else "--decision chooses"
    command = ["export", str(place), "--decision=correct", "--format=voc", f"--out={tmp_path / 'voc'}"]
    if source == "folder":
        command.append(f"--data={run.path.parent / 'images' / 'labels.csv'}")
    assert main(command) == 2
    assert wanted in capsys.readouterr().err
