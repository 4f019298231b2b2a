from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from support.label_images import as_annotated
from support.mask_runs import CLASSES, SIZES, draw_mask_run
from swtformer.datasets.images import read_mask
from swtformer.errors import DataError, SwtformerError
from swtformer.exporters import EXPORTERS
from swtformer.exporters.brush_rle import encode_brush
from swtformer.exporters.provenance import fingerprint
from swtformer.review.decisions import decide, open_queue
from swtformer.settings import ExportSettings
from swtformer.stages.export import export, mask_ids
from swtformer.stages.import_masks import import_masks
from swtformer.store.corrections import NOTES, VERSIONS, origin
from swtformer.store.failures import read_failures
from swtformer.store.files import read_json, write_json
from swtformer.store.masks import write_mask
from swtformer.store.review_queue import Review, write_reviews
from swtformer.store.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return draw_mask_run(tmp_path)


def read(folder: Path) -> dict[str, np.ndarray]:
    return {id: read_mask(folder / f"{id}.png") for id in SIZES}


def correct(run: Run, out: Path, *, format: str = "cvat", ids: tuple[str, ...] = ("sub/b",)) -> np.ndarray:
    """Export some masks of a run, with one pixel more of class 1, and return the first."""
    folder = out.parent / f"{out.name}.edited"
    for id in ids:
        labels = read_mask(run.pseudo_mask_file(id))
        labels[0, 0] = 1
        write_mask(folder / f"{id}.png", labels)
    export(folder, out, format=format, classes=CLASSES)
    as_annotated(format, out)
    return read_mask(folder / f"{ids[0]}.png")


@pytest.mark.parametrize("name", EXPORTERS)
def test_corrected_masks_stand_beside_the_others(name: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / f"corrected{EXPORTERS[name].suffix}"
    expected = correct(run, file, format=name)
    before = read(run.pseudo_masks)
    calls: list[tuple[int, int]] = []
    result = import_masks(run, file, progress=lambda stage, done, total, note="": calls.append((done, total)))
    found = read(run.corrected_masks)
    np.testing.assert_array_equal(found["sub/b"], expected)
    for id in SIZES.keys() - {"sub/b"}:
        np.testing.assert_array_equal(found[id], before[id])
    assert result.corrected == {"sub/b": 1}
    assert (result.unchanged, result.kept, result.failures) == ((), ("a", "none", "sub/ü c"), ())
    assert read_json(run.corrected_masks / NOTES) == {
        "format": name,
        "file": str(file),
        "base": "../pseudo_masks",
        "making": "",
        "corrected": {"sub/b": 1},
        "versions": {"sub/b": fingerprint(expected)},
        "unchanged": [],
        "not_in_file": ["a", "none", "sub/ü c"],
    }
    assert calls[-1] == (4, 4)


@pytest.mark.parametrize("name", EXPORTERS)
def test_what_was_not_touched_comes_back_unchanged(name: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / f"all{EXPORTERS[name].suffix}"
    undecided = read_mask(run.pseudo_mask_file("none"))
    undecided[0] = 255
    write_mask(run.pseudo_mask_file("none"), undecided)
    export(run.pseudo_masks, file, format=name, classes=CLASSES)
    as_annotated(name, file)
    result = import_masks(run, file)
    assert result.warnings == ()
    assert (result.corrected, result.kept) == ({}, ())
    assert result.unchanged == tuple(sorted(SIZES))
    for id, labels in read(run.pseudo_masks).items():
        np.testing.assert_array_equal(read_mask(run.corrected_masks / f"{id}.png"), labels)


def test_what_polygons_cannot_say_stays_where_nobody_drew(run: Run, tmp_path: Path) -> None:
    before = read_mask(run.pseudo_mask_file("a"))
    before[0] = 255
    before[4, 5] = 0  # a hole in class 2
    write_mask(run.pseudo_mask_file("a"), before)
    out = tmp_path / "yolo"
    export(run.pseudo_masks, out, format="yolo", classes=CLASSES)
    lines = (out / "labels/a.txt").read_text()
    (out / "labels/a.txt").write_text(lines + f"0 0 0 {2 / 12} 0 {2 / 12} {2 / 8} 0 {2 / 8}\n")
    expected = before.copy()
    expected[:2, :2] = 1
    assert import_masks(run, out).corrected == {"a": 4}
    np.testing.assert_array_equal(read_mask(run.corrected_masks / "a.png"), expected)


def test_a_class_painted_over_ignored_pixels_is_a_correction(run: Run, tmp_path: Path) -> None:
    over = np.zeros(SIZES["a"], dtype=np.uint8)
    over[1:4, 1:4] = 2  # the brush of the class "dog", grown over the pixel with 255
    before = read_mask(run.pseudo_mask_file("a"))
    coco, studio = tmp_path / "coco.json", tmp_path / "tasks.json"
    export(run.pseudo_masks, coco, format="coco", classes=CLASSES)
    content = json.loads(coco.read_text(encoding="utf-8"))
    for annotation in content["annotations"]:
        if annotation["image_id"] == 1 and annotation["category_id"] == 2:
            grown = (before == 2) | (over == 2)
            code = coco_mask.encode(np.asfortranarray(grown, dtype=np.uint8))
            annotation["segmentation"]["counts"] = code["counts"].decode("ascii")
    coco.write_text(json.dumps(content), encoding="utf-8")
    export(run.pseudo_masks, studio, format="label-studio", classes=CLASSES)
    as_annotated("label-studio", studio)
    tasks = json.loads(studio.read_text(encoding="utf-8"))
    for region in tasks[0]["annotations"][0]["result"]:
        if region["value"]["brushlabels"] == ["dog"]:
            region["value"]["rle"] = encode_brush((before == 2) | (over == 2))
    studio.write_text(json.dumps(tasks), encoding="utf-8")
    for file in (coco, studio):
        result = import_masks(run, file, base="pseudo_masks")
        assert result.corrected == {"a": 1}
        assert read_mask(run.corrected_masks / "a.png")[2, 2] == 2
        assert '1 pixels in 1 images lie in "ignored" and in a class' in result.warnings[0]


def test_an_import_adds_to_the_one_before_or_starts_over(run: Run, tmp_path: Path) -> None:
    first, second = tmp_path / "1.zip", tmp_path / "2.zip"
    correct(run, first, ids=("a",))
    correct(run, second, ids=("sub/b",))
    result = import_masks(run, first)
    assert (result.base, result.origin, result.earlier) == (run.pseudo_masks, run.pseudo_masks, ())
    result = import_masks(run, second)
    assert result.corrected == {"sub/b": 1}
    assert (result.base, result.origin, result.earlier) == (run.corrected_masks, run.pseudo_masks, ("a",))
    assert read_mask(run.corrected_masks / "a.png")[0, 0] == 1
    notes = read_json(run.corrected_masks / NOTES)
    assert (notes["base"], notes["corrected"]) == ("../pseudo_masks", {"a": 1, "sub/b": 1})
    assert "a" not in notes["not_in_file"]
    import_masks(run, second, base="pseudo_masks")
    assert read_mask(run.corrected_masks / "a.png")[0, 0] == 0
    assert read_json(run.corrected_masks / NOTES)["corrected"] == {"sub/b": 1}
    hidden = [path.name for path in run.path.iterdir() if path.name.startswith(".")]
    assert hidden == []


def test_another_folder_is_added_to_as_well(run: Run, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    for id in ("a", "sub/b", "sub/ü c"):
        correct(run, tmp_path / f"{id[-1]}.zip", ids=(id,))
    import_masks(run, tmp_path / "a.zip")
    assert import_masks(run, tmp_path / "b.zip", out=mine).base == run.corrected_masks
    assert import_masks(run, tmp_path / "c.zip", out=mine).base == mine
    assert read_json(mine / NOTES)["corrected"] == {"a": 1, "sub/b": 1, "sub/ü c": 1}
    assert read_json(run.corrected_masks / NOTES)["corrected"] == {"a": 1}


@pytest.mark.parametrize("name", EXPORTERS)
def test_masks_that_nobody_touched_undo_no_earlier_correction(name: str, run: Run, tmp_path: Path) -> None:
    first, whole = tmp_path / "1.zip", tmp_path / f"whole{EXPORTERS[name].suffix}"
    correct(run, first, ids=("a",))
    export(run.pseudo_masks, whole, format=name, classes=CLASSES)  # a colleague's share, with "a" in it
    as_annotated(name, whole)
    import_masks(run, first)
    result = import_masks(run, whole)
    assert result.corrected == {}
    assert result.warnings == (
        "1 masks are in the file without what an earlier import corrected in them: a. These corrections are "
        "kept; --base pseudo_masks starts over.",
    )
    assert read_mask(run.corrected_masks / "a.png")[0, 0] == 1
    assert read_json(run.corrected_masks / NOTES)["corrected"] == {"a": 1}


def edit(file: Path, id: str, place: tuple[int, int], value: int, *, keep_notes: bool) -> None:
    """Paint a pixel of an exported COCO file, as a tool does that keeps unknown fields, or not."""
    content = json.loads(file.read_text(encoding="utf-8"))
    (image,) = (image for image in content["images"] if image["file_name"] == f"{id}.jpg")
    region = np.zeros((image["height"], image["width"]), dtype=np.uint8, order="F")
    region[place] = 1
    code = coco_mask.encode(region)
    shape = {"size": list(region.shape), "counts": code["counts"].decode("ascii")}
    content["annotations"].append({"image_id": image["id"], "category_id": value, "segmentation": shape})
    if not keep_notes:
        content.pop("info", None)
    file.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize("keep_notes", [True, False])
def test_two_people_correct_two_regions_of_one_mask(keep_notes: bool, run: Run, tmp_path: Path) -> None:
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    for file, place in ((first, (7, 1)), (second, (0, 0))):
        export(run.pseudo_masks, file, format="coco", classes=CLASSES)
        edit(file, "a", place, 1, keep_notes=keep_notes)
    edit(second, "a", (7, 2), 3, keep_notes=keep_notes)
    import_masks(run, first)
    result = import_masks(run, second)
    expected = read_mask(run.pseudo_mask_file("a"))
    expected[7, 1] = expected[0, 0] = 1
    expected[7, 2] = 3
    np.testing.assert_array_equal(read_mask(run.corrected_masks / "a.png"), expected)
    assert result.corrected == {"a": 2}
    assert "1 masks are in the file without what an earlier import corrected" in result.warnings[-1]
    edit(first, "a", (7, 2), 1, keep_notes=keep_notes)  # where the other says 3
    result = import_masks(run, first)
    assert read_mask(run.corrected_masks / "a.png")[7, 2] == 1
    assert any(
        text.startswith("1 pixels in 1 masks were corrected before, and otherwise in this file: a.")
        for text in result.warnings
    )


@pytest.mark.parametrize("keep_notes", [True, False])
def test_two_people_correct_one_mask_in_a_second_round(keep_notes: bool, run: Run, tmp_path: Path) -> None:
    write_json(run.pseudo_masks_file, {"margin": 0.1})
    first, second, third = (tmp_path / f"{n}.json" for n in range(3))
    export(run.pseudo_masks, first, format="coco", classes=CLASSES)
    for column in range(6):
        edit(first, "a", (0, column), 1, keep_notes=keep_notes)
    import_masks(run, first)
    for file in (second, third):
        export(run.corrected_masks, file, format="coco", classes=CLASSES)
    edit(second, "a", (7, 1), 3, keep_notes=keep_notes)
    edit(second, "a", (7, 2), 3, keep_notes=keep_notes)
    edit(third, "a", (7, 11), 1, keep_notes=keep_notes)
    expected = read_mask(run.corrected_masks / "a.png")
    expected[7, 1] = expected[7, 2] = 3
    expected[7, 11] = 1
    import_masks(run, second)
    result = import_masks(run, third)
    np.testing.assert_array_equal(read_mask(run.corrected_masks / "a.png"), expected)
    assert result.corrected == {"a": 1}
    import_masks(run, second)  # what it was exported from has been superseded twice
    np.testing.assert_array_equal(read_mask(run.corrected_masks / "a.png"), expected)
    assert mask_ids(run.corrected_masks) == sorted(SIZES)
    import_masks(run, second, base="pseudo_masks")
    assert not (run.corrected_masks / VERSIONS).exists()


def test_an_export_of_an_earlier_making_corrects_nothing_that_nobody_touched(
    run: Run, tmp_path: Path
) -> None:
    write_json(run.pseudo_masks_file, {"margin": 0.1})
    file = tmp_path / "x.json"
    export(run.pseudo_masks, file, format="coco", classes=CLASSES)
    edit(file, "a", (0, 0), 1, keep_notes=True)
    write_json(run.pseudo_masks_file, {"margin": 0.2})
    for id, size in SIZES.items():
        write_mask(run.pseudo_mask_file(id), np.full(size, 2, dtype=np.uint8))
    result = import_masks(run, file)
    assert result.corrected.keys() == {"a"}
    assert result.warnings == (
        "1 masks were exported from pseudo-masks of another making and changed since: a. They were taken "
        "whole, with what nobody touched in them. To correct the present pseudo-masks, export these again.",
    )
    assert (read_mask(run.corrected_masks / "sub/b.png") == 2).all()


@pytest.mark.parametrize("keep_notes", [True, False])
def test_corrections_outlast_a_new_making_that_nobody_touched(
    keep_notes: bool, run: Run, tmp_path: Path
) -> None:
    write_json(run.pseudo_masks_file, {"margin": 0.1})
    correct(run, tmp_path / "1.zip", ids=("a",))
    import_masks(run, tmp_path / "1.zip")
    before = read_mask(run.corrected_masks / "a.png")
    write_json(run.pseudo_masks_file, {"margin": 0.2})
    write_mask(run.pseudo_mask_file("a"), np.full(SIZES["a"], 2, dtype=np.uint8))
    file = tmp_path / "x.json"
    export(run.pseudo_masks, file, format="coco", classes=CLASSES, only={"a"})
    edit(file, "a", (7, 11), 3, keep_notes=keep_notes)
    before[7, 11] = 3
    assert import_masks(run, file).corrected == {"a": 1}
    np.testing.assert_array_equal(read_mask(run.corrected_masks / "a.png"), before)


def test_masks_that_all_differ_and_do_not_say_where_they_are_from_are_told(run: Run, tmp_path: Path) -> None:
    write_json(run.pseudo_masks_file, {"margin": 0.1})
    file = tmp_path / "x.json"
    export(run.pseudo_masks, file, format="coco", classes=CLASSES, only={"a", "sub/b"})
    for id in ("a", "sub/b"):
        edit(file, id, (0, 0), 1, keep_notes=False)
    (warning,) = import_masks(run, file).warnings
    assert warning.startswith("Each of the 2 masks in the file differs from the run's, and the file does not")
    reviews = [Review(id, 0.5, 0.5, None, 0.0) for id in SIZES]
    write_reviews(run, reviews)
    queue = open_queue(run)
    for id in ("a", "sub/b"):
        decide(run, id, "correct", masks=queue.masks)
    assert import_masks(run, file, base="pseudo_masks").warnings == ()


@pytest.mark.parametrize("name", EXPORTERS)
def test_pixels_that_the_export_dropped_stay_undecided(name: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / f"all{EXPORTERS[name].suffix}"
    export(run.pseudo_masks, file, format=name, classes=CLASSES, settings=ExportSettings(ignored="drop"))
    as_annotated(name, file)
    assert import_masks(run, file).corrected == {}
    assert read_mask(run.corrected_masks / "a.png")[2, 2] == 255


def test_whether_255_was_dropped_must_be_said_where_the_file_does_not(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    settings = ExportSettings(ignored="drop")
    export(run.pseudo_masks, file, format="coco", classes=CLASSES, settings=settings)
    edit(file, "a", (0, 0), 1, keep_notes=False)
    with pytest.raises(DataError, match=r"all 3 pixels with 255 came back as background\. .* --ignored drop"):
        import_masks(run, file)
    assert not run.corrected_masks.exists()
    assert import_masks(run, file, ignored="drop").corrected == {"a": 1}
    assert import_masks(run, file, base="pseudo_masks", ignored="keep").corrected == {
        "a": 2,
        "sub/b": 1,
        "sub/ü c": 1,
    }


@pytest.mark.parametrize("is_old", [False, True])
def test_corrections_outlast_a_move_of_the_run(is_old: bool, run: Run, tmp_path: Path) -> None:
    first, whole = tmp_path / "1.zip", tmp_path / "whole.zip"
    correct(run, first, ids=("a",))
    export(run.pseudo_masks, whole, format="cvat", classes=CLASSES)
    import_masks(run, first)
    if is_old:  # written when the base was noted by its absolute path
        notes = read_json(run.corrected_masks / NOTES)
        write_json(run.corrected_masks / NOTES, {**notes, "base": str(run.pseudo_masks)})
    run.path.rename(tmp_path / "moved")
    moved = Run(tmp_path / "moved")
    assert origin(moved.corrected_masks) == moved.pseudo_masks
    result = import_masks(moved, whole)
    assert (result.origin, result.corrected, result.earlier) == (moved.pseudo_masks, {}, ("a",))
    assert read_mask(moved.corrected_masks / "a.png")[0, 0] == 1


def test_a_new_making_of_the_masks_below_corrections_is_told(run: Run, tmp_path: Path) -> None:
    correct(run, tmp_path / "1.zip", ids=("a",))
    write_json(run.pseudo_masks_file, {"threshold": 0.3})
    assert import_masks(run, tmp_path / "1.zip").warnings == ()
    assert import_masks(run, tmp_path / "1.zip").warnings == ()
    write_json(run.pseudo_masks_file, {"threshold": 0.4})
    for _ in range(2):  # adding once more does not make them anew
        (warning,) = import_masks(run, tmp_path / "1.zip").warnings
        assert warning.startswith("The pseudo-masks were made anew since the import before.")
        assert "--base pseudo_masks starts over" in warning
    assert import_masks(run, tmp_path / "1.zip", base="pseudo_masks").warnings == ()
    assert import_masks(run, tmp_path / "1.zip").warnings == ()


def test_masks_made_since_the_import_before_belong_to_the_next(run: Run, tmp_path: Path) -> None:
    correct(run, tmp_path / "1.zip", ids=("a",))
    import_masks(run, tmp_path / "1.zip")
    for id in ("new", "newer"):
        write_mask(run.pseudo_mask_file(id), np.zeros((4, 5), dtype=np.uint8))
    correct(run, tmp_path / "2.zip", ids=("new",))
    assert import_masks(run, tmp_path / "2.zip").corrected == {"new": 1}
    assert read_mask(run.corrected_masks / "newer.png").shape == (4, 5)


def test_a_correction_of_a_corrected_mask_counts_and_needs_no_original(run: Run, tmp_path: Path) -> None:
    first, second = tmp_path / "1.zip", tmp_path / "2.zip"
    correct(run, first, ids=("a",))
    export(run.pseudo_masks, second, format="cvat", classes=CLASSES)
    import_masks(run, first)
    path = run.pseudo_mask_file("a")
    path.write_bytes(path.read_bytes()[:-2])
    assert import_masks(run, second).corrected == {"a": 1}
    assert read_mask(run.corrected_masks / "a.png")[0, 0] == 0


@pytest.mark.parametrize("keep_notes", [True, False])
def test_originals_that_were_made_anew_in_another_size_tell_nothing(
    keep_notes: bool, run: Run, tmp_path: Path
) -> None:
    correct(run, tmp_path / "1.zip", ids=("a",))
    import_masks(run, tmp_path / "1.zip")
    second = tmp_path / "2.json"
    export(run.corrected_masks, second, format="coco", classes=CLASSES)
    edit(second, "a", (7, 11), 1, keep_notes=keep_notes)
    expected = read_mask(run.corrected_masks / "a.png")
    expected[7, 11] = 1
    write_mask(run.pseudo_mask_file("a"), np.zeros((4, 6), dtype=np.uint8))
    assert import_masks(run, second).corrected == {"a": 1}
    np.testing.assert_array_equal(read_mask(run.corrected_masks / "a.png"), expected)


def test_the_format_can_be_named_and_another_folder_taken(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "voc"
    correct(run, folder, format="voc")
    result = import_masks(run, folder, format="cvat", out=tmp_path / "mine")
    assert result.folder == tmp_path / "mine"
    assert (tmp_path / "mine" / "a.png").is_file()
    assert not run.corrected_masks.exists()


@pytest.mark.parametrize("out", [".", ".."])
def test_the_current_folder_is_not_replaced(
    out: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.zip"
    correct(run, file)
    import_masks(run, file)
    place = run.corrected_masks if out == "." else run.corrected_masks / "sub"
    monkeypatch.chdir(place)
    with pytest.raises(SwtformerError, match="is the current folder or one around it; name a new folder"):
        import_masks(run, file, out=Path(out))
    assert import_masks(run, file, out=Path("inner/../mine")).folder == Path("inner/../mine")
    assert (place / "mine" / NOTES).is_file()


def test_other_peoples_images_are_rows_of_the_report(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    correct(run, file, ids=("a", "sub/b"))
    run.pseudo_mask_file("sub/b").unlink()
    result = import_masks(run, file)
    assert [failure.id for failure in result.failures] == ["sub/b"]
    (row,) = read_failures(run)
    assert (row.id, row.stage) == ("sub/b", "import")
    assert "the run has no mask of the image 'sub/b'" in row.reason
    run.pseudo_mask_file("a").write_bytes(b"")
    with pytest.raises(DataError, match=r"x\.zip: has no mask of any image in .*pseudo_masks"):
        import_masks(run, file, base="pseudo_masks")


def test_a_mask_that_lost_everything_is_named(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "edited"
    write_mask(folder / "a.png", np.zeros(SIZES["a"], dtype=np.uint8))
    export(folder, tmp_path / "x.json", format="coco", classes=CLASSES)
    (warning,) = import_masks(run, tmp_path / "x.json").warnings
    assert warning.startswith("1 images come back all background, though their masks had classes: a.")


def test_damaged_masks_are_replaced_or_left_out(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    correct(run, file, ids=("a",))
    for id in ("a", "none"):
        path = run.pseudo_mask_file(id)
        path.write_bytes(path.read_bytes()[:-2])
    result = import_masks(run, file)
    assert result.corrected == {"a": 8 * 12}
    assert [failure.id for failure in result.failures] == ["none"]
    assert not (run.corrected_masks / "none.png").exists()


def test_a_bad_file_changes_nothing_and_all_that_is_wrong_is_listed(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    correct(run, file, format="coco", ids=("a", "sub/b", "none"))
    import_masks(run, file)
    before = read(run.corrected_masks)
    content = json.loads(file.read_text())
    content["images"][0]["width"] += 1
    content["images"][1]["file_name"] = "../sub/b.png"
    content["categories"][0]["name"] = "cats"
    file.write_text(json.dumps(content))
    with pytest.raises(DataError) as caught:
        import_masks(run, file)
    message = str(caught.value)
    assert "x.json: 3 problems to fix first" in message
    for part in ("has 12×8. Expected equal sizes", "leaves the images' folder", "Did you mean 'cat'?"):
        assert part in message
    for id, labels in before.items():
        np.testing.assert_array_equal(read_mask(run.corrected_masks / f"{id}.png"), labels)


def test_folders_that_hold_something_else_are_left_alone(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    correct(run, file)
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "link").symlink_to(outside)
    for out in (run.pseudo_masks, file, tmp_path / "link"):
        with pytest.raises(SwtformerError, match="holds something else than an earlier import; name another"):
            import_masks(run, file, out=out)
    assert list(outside.iterdir()) == []
    assert len(read(run.pseudo_masks)) == 4


def test_an_import_stopped_between_its_last_steps_is_put_right(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    correct(run, file)
    import_masks(run, file)
    run.corrected_masks.rename(run.path / ".corrected_masks.old")
    with pytest.raises(DataError, match="has no mask of any image"):
        import_masks(run, _empty(tmp_path))
    assert (run.corrected_masks / NOTES).is_file()
    run.corrected_masks.rename(run.path / ".corrected_masks.old")
    correct(run, tmp_path / "y.zip", ids=("a",))
    assert import_masks(run, tmp_path / "y.zip").earlier == ("sub/b",)


def _empty(folder: Path) -> Path:
    path = folder / "none.json"
    path.write_text('{"images": [], "annotations": [], "categories": []}')
    return path


def test_a_stop_leaves_nothing(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    correct(run, file)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_masks(run, file, progress=stop)
    assert not run.corrected_masks.exists()
    assert not list(run.path.glob(".*"))


def test_a_folder_that_cannot_be_written_is_named(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    correct(run, file)
    with pytest.raises(SwtformerError, match=r"x\.zip/out: cannot be written"):
        import_masks(run, file, out=file / "out")
