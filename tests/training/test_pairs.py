from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from support.masked_squares import draw_pair, draw_run, save_mask
from swtformer.datasets.records import ImageSet
from swtformer.errors import DataError
from swtformer.progress import silent
from swtformer.settings import ImageSettings, SegmentSettings
from swtformer.stages.segment import data_for
from swtformer.store.corrections import NOTES
from swtformer.store.files import write_json
from swtformer.store.notes import CorrectionNotes
from swtformer.store.run import Run
from swtformer.training.pairs import Pairs, find_pairs, with_confidence


@pytest.fixture
def squares(tmp_path: Path) -> tuple[Run, ImageSet]:
    return draw_run(tmp_path, count=3)


@pytest.fixture
def corrected(squares: tuple[Run, ImageSet]) -> Path:
    """The run's masks with one changed by hand, as `import` leaves them, and one that no image has."""
    run, _ = squares
    shutil.copytree(run.pseudo_masks, run.corrected_masks)
    run.corrected_masks.joinpath("pseudo_masks.json").unlink()
    notes = {"base": str(run.pseudo_masks), "corrected": {"1": "v1", "other": "v1"}}
    write_json(run.corrected_masks / NOTES, notes)
    return run.corrected_masks


def pairs(data: ImageSet, folder: Path) -> Pairs:
    return find_pairs(data, folder, settings=ImageSettings(), progress=silent)


def test_masks_that_another_run_numbered_otherwise_are_refused(squares: tuple[Run, ImageSet]) -> None:
    run, data = squares
    write_json(run.classes_file, list(data.classes))
    assert len(pairs(data, run.pseudo_masks).pairs) == 3
    write_json(run.classes_file, list(data.classes)[::-1])
    with pytest.raises(DataError, match=r"the value 1 is .* in these masks and .* in the data set"):
        pairs(data, run.pseudo_masks)


def test_the_fingerprint_is_of_labels_confidences_and_images(squares: tuple[Run, ImageSet]) -> None:
    run, data = squares
    first = pairs(data, run.pseudo_masks)
    assert pairs(data, run.pseudo_masks).fingerprint == first.fingerprint
    mask = draw_pair(0)[1]
    save_mask(run.pseudo_mask_file("0"), np.ascontiguousarray(mask[:, ::-1]))
    mirrored = pairs(data, run.pseudo_masks)
    assert (mirrored.pixels == first.pixels).all()
    assert mirrored.fingerprint != first.fingerprint
    save_mask(run.pseudo_mask_file("0"), mask)
    assert pairs(data, run.pseudo_masks).fingerprint == first.fingerprint
    found = set()
    for confidence in (0.5, 0.6, 0.5):
        run.review_file.write_text("id,confidence\n" + "".join(f"{i},{confidence}\n" for i in range(3)))
        found.add(with_confidence(first, run.pseudo_masks).fingerprint)
    assert len(found | {first.fingerprint}) == 3


def test_image_level_labels_have_a_fingerprint_of_their_own(squares: tuple[Run, ImageSet]) -> None:
    run, data = squares
    first = pairs(data, run.pseudo_masks)
    other = replace(data, records=(replace(data.records[0], present=()), *data.records[1:]))
    same = pairs(other, run.pseudo_masks)  # its mask shows what the image has
    assert same.present_fingerprint == first.present_fingerprint
    more = replace(data, records=(replace(data.records[0], present=(0, 1, 2)), *data.records[1:]))
    found = pairs(more, run.pseudo_masks)
    assert found.pairs[0].present == (True, True, True)
    assert found.fingerprint == first.fingerprint
    assert found.present_fingerprint != first.present_fingerprint


def test_what_an_image_without_labels_may_show(squares: tuple[Run, ImageSet]) -> None:
    run, data = squares
    unknown = replace(data, records=tuple(replace(record, present=None) for record in data.records))
    mask = np.zeros_like(draw_pair(0)[1])
    mask[:4, :4] = 2
    save_mask(run.pseudo_mask_file("0"), mask)
    mask[-1] = 255
    save_mask(run.pseudo_mask_file("1"), mask)
    found = {pair.id: pair.present for pair in pairs(unknown, run.pseudo_masks).pairs}
    assert found["0"] == (False, True, False)
    assert found["1"] == (True, True, True)


def test_the_fingerprint_stays_when_files_are_copied(squares: tuple[Run, ImageSet], tmp_path: Path) -> None:
    run, data = squares
    first = pairs(data, run.pseudo_masks).fingerprint
    places = {record.id: tmp_path / f"copied-{record.image.name}" for record in data.records}
    for record in data.records:
        shutil.copyfile(record.image, places[record.id])
        os.utime(places[record.id], (1, 1))
    shutil.copytree(run.pseudo_masks, tmp_path / "masks")
    copied = replace(data, records=tuple(replace(record, image=places[record.id]) for record in data.records))
    assert pairs(copied, tmp_path / "masks").fingerprint == first
    with places["0"].open("ab") as stream:
        stream.write(b"\0")
    assert pairs(copied, tmp_path / "masks").fingerprint != first


def test_corrected_masks_keep_their_origin(squares: tuple[Run, ImageSet], corrected: Path) -> None:
    run, data = squares
    found = pairs(data, corrected)
    assert found.supervision == "corrected"
    assert found.corrections == CorrectionNotes(base=run.pseudo_masks, count=1)
    with pytest.raises(DataError, match=r"pseudo_masks/review\.csv: does not exist"):
        with_confidence(found, corrected)
    run.review_file.write_text("id,confidence\n0,0.25\n1,0.25\n2,0.25\n")
    assert [pair.confidence for pair in with_confidence(found, corrected).pairs] == [0.25, 1.0, 0.25]
    assert pairs(data, run.pseudo_masks).corrections is None


def with_truth(data: ImageSet, folder: Path, masks: list[np.ndarray]) -> ImageSet:
    """The data with ground truth."""
    for index, mask in enumerate(masks):
        save_mask(folder / f"{index}.png", mask)
    records = (replace(record, mask=folder / f"{record.id}.png") for record in data.records)
    return replace(data, records=tuple(records))


def mirrored(index: int) -> np.ndarray:
    return np.ascontiguousarray(draw_pair(index)[1][:, ::-1])


def test_a_copy_of_the_truth_is_known_by_its_labels(squares: tuple[Run, ImageSet], tmp_path: Path) -> None:
    _, data = squares
    known = with_truth(data, tmp_path / "truth", [mirrored(0), mirrored(1), draw_pair(2)[1]])
    for index in range(3):
        save_mask(tmp_path / "masks" / f"{index}.png", draw_pair(index)[1])
    with (tmp_path / "masks" / "2.png").open("ab") as stream:
        stream.write(b"other bytes, equal labels")
    assert pairs(known, tmp_path / "masks").supervision == "ground_truth"
    assert pairs(data, tmp_path / "masks").supervision == "given"
    save_mask(tmp_path / "masks" / "2.png", mirrored(2))
    assert pairs(known, tmp_path / "masks").supervision == "given"


def test_masks_that_people_corrected_until_they_are_the_truth_are_true_masks(
    squares: tuple[Run, ImageSet], corrected: Path, tmp_path: Path
) -> None:
    run, data = squares
    known = with_truth(data, tmp_path / "truth", [mirrored(0), mirrored(1), mirrored(2)])
    assert pairs(known, corrected).supervision == "corrected"
    save_mask(corrected / "1.png", mirrored(1))
    found = pairs(known, corrected)
    assert found.supervision == "ground_truth"
    assert found.corrections == CorrectionNotes(base=run.pseudo_masks, count=1)


def test_what_equals_the_truth_by_chance_is_no_copy_of_it(
    squares: tuple[Run, ImageSet], tmp_path: Path
) -> None:
    run, data = squares
    same = with_truth(data, tmp_path / "truth", [draw_pair(index)[1] for index in range(3)])
    assert pairs(same, run.pseudo_masks).supervision == "pseudo_masks"
    whole = np.where(draw_pair(0)[1] == 255, 255, 1).astype(np.uint8)
    for index, mask in enumerate((whole, mirrored(1), mirrored(2))):
        save_mask(tmp_path / "masks" / f"{index}.png", mask)
    covered = with_truth(data, tmp_path / "covered", [whole, draw_pair(1)[1], draw_pair(2)[1]])
    assert pairs(covered, tmp_path / "masks").supervision == "given"


def test_truth_that_cannot_be_read_is_equal_to_nothing(squares: tuple[Run, ImageSet], tmp_path: Path) -> None:
    _, data = squares
    known = with_truth(data, tmp_path / "truth", [draw_pair(index)[1] for index in range(3)])
    shutil.copytree(tmp_path / "truth", tmp_path / "masks")
    (tmp_path / "truth" / "0.png").write_bytes(b"no image")
    (tmp_path / "truth" / "1.png").unlink()
    assert pairs(known, tmp_path / "masks").supervision == "ground_truth"
    (tmp_path / "truth" / "2.png").unlink()
    assert pairs(known, tmp_path / "masks").supervision == "given"


def test_corrected_masks_are_of_the_images_of_their_base(
    squares: tuple[Run, ImageSet], corrected: Path, tmp_path: Path
) -> None:
    run, _ = squares
    (tmp_path / "more").mkdir()
    write_json(run.pseudo_masks_file, {"data": str(tmp_path / "more"), "split": None})
    assert data_for(run, None, SegmentSettings(masks=corrected))[0] == tmp_path / "more"
    elsewhere = data_for(run, None, SegmentSettings(masks=tmp_path / "images"))[0]
    assert elsewhere == tmp_path / "images" / "labels.csv"


def test_rejected_masks_are_left_out(squares: tuple[Run, ImageSet], corrected: Path) -> None:
    run, data = squares
    rejected = frozenset({"0", "1", "of another set"})

    def used(folder: Path) -> list[str]:
        found = find_pairs(data, folder, settings=ImageSettings(), rejected=rejected, progress=silent)
        assert found.rejected + len(found.pairs) == 3
        assert found.without_mask == 0
        assert found.fingerprint != pairs(data, folder).fingerprint
        return [pair.id for pair in found.pairs]

    assert used(run.pseudo_masks) == ["2"]
    assert used(corrected) == ["2"]
    with pytest.raises(DataError, match="all 3 masks were left out of training in the review"):
        find_pairs(
            data, run.pseudo_masks, settings=ImageSettings(), rejected=frozenset("012"), progress=silent
        )
