from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from support.counts_exporter import counts_registered
from support.label_images import as_annotated, without_fingerprints
from support.mask_runs import CLASSES, SIZES, draw_mask_run
from swtformer.datasets.mask_images import read_mask
from swtformer.errors import DataError, SwtformerError
from swtformer.exporters import Correction, exchange_formats, exporter
from swtformer.exporters.coco import CocoExporter
from swtformer.exporters.fingerprints import fingerprint
from swtformer.settings import Settings
from swtformer.stages.export_masks import export_masks
from swtformer.stages.import_masks import import_masks
from swtformer.store.corrections import NOTES, Corrections, origin, read_corrections
from swtformer.store.failures import read_failures
from swtformer.store.files import write_json
from swtformer.store.masks import write_mask
from swtformer.store.pseudo_masks import version_of
from swtformer.store.run import Run

FORMATS = [format.name for format in exchange_formats()]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = draw_mask_run(tmp_path)
    write_json(run.pseudo_masks_file, {"margin": 0.1})
    return run


def read(folder: Path) -> dict[str, np.ndarray]:
    return {id: read_mask(folder / f"{id}.png") for id in SIZES}


def exported(
    run: Run, out: Path, *, format: str = "coco", source: Any = "pseudo_masks", **options: str
) -> Path:
    """An export that its tool saved without a change."""
    settings = run.settings().model_copy(
        update={"export": Settings.model_validate({"export": options}).export}
    )
    export_masks(run, out, format=format, source=source, settings=settings)
    as_annotated(format, out)
    return out


def corrected(run: Run, out: Path, *ids: str, format: str = "cvat") -> Path:
    """Some of the run's masks with one pixel more of class 1, from a tool that drops the fingerprints."""
    folder = out.parent / f"{out.name}.edited"
    for id in ids:
        labels = read_mask(run.pseudo_mask_file(id))
        labels[0, 0] = 1
        write_mask(folder / f"{id}.png", labels)
    write_json(folder / "classes.json", CLASSES)
    export_masks(folder, out, format=format)
    as_annotated(format, out)
    without_fingerprints(format, out)
    return out


def paint(file: Path, id: str, pixels: Mapping[tuple[int, int], int], *, keeps_info: bool = True) -> None:
    """Paint pixels in an exported COCO file, with a tool that keeps unknown fields or not."""
    content = json.loads(file.read_text(encoding="utf-8"))
    (image,) = (image for image in content["images"] if image["file_name"].startswith(f"{id}."))
    for place, value in pixels.items():
        region = np.zeros((image["height"], image["width"]), dtype=np.uint8, order="F")
        region[place] = 1
        code = coco_mask.encode(region)
        shape = {"size": list(region.shape), "counts": code["counts"].decode("ascii")}
        content["annotations"].append({"image_id": image["id"], "category_id": value, "segmentation": shape})
    if not keeps_info:
        del content["info"]
    file.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize("name", FORMATS)
def test_corrected_masks_replace_those_of_the_run(name: str, run: Run, tmp_path: Path) -> None:
    file = corrected(run, tmp_path / f"x{exporter(name).suffix}", "sub/b", format=name)
    expected = read(run.pseudo_masks)
    expected["sub/b"][0, 0] = 1
    calls: list[tuple[int, int]] = []
    result = import_masks(run, file, progress=lambda stage, done, total, note="": calls.append((done, total)))
    found = read(run.corrected_masks)
    for id, labels in expected.items():
        np.testing.assert_array_equal(found[id], labels)
    assert (result.folder, result.base, result.earlier) == (run.corrected_masks, run.pseudo_masks, ())
    assert (result.corrected, result.unchanged) == ({"sub/b": 1}, ())
    assert (result.kept, result.failures) == (("a", "none", "sub/ü c"), ())
    assert read_corrections(run.corrected_masks) == Corrections(
        base=run.pseudo_masks,
        corrected={"sub/b": fingerprint(expected["sub/b"])},
        version=version_of(run.pseudo_masks),
    )
    assert (4, 4) in calls


@pytest.mark.parametrize("ignored", ["keep", "drop"])
@pytest.mark.parametrize("name", FORMATS)
def test_masks_that_nobody_changed_change_nothing(name: str, ignored: str, run: Run, tmp_path: Path) -> None:
    file = exported(run, tmp_path / f"x{exporter(name).suffix}", format=name, ignored=ignored)
    result = import_masks(run, file)
    assert result.warnings == ()
    assert (result.corrected, result.kept) == ({}, ())
    assert result.unchanged == tuple(sorted(SIZES))
    for id, labels in read(run.pseudo_masks).items():
        np.testing.assert_array_equal(read_mask(run.corrected_masks / f"{id}.png"), labels)


def test_an_export_only_format_cannot_be_imported(run: Run, tmp_path: Path) -> None:
    with counts_registered():
        export_masks(run, tmp_path / "x.csv", format="toy_counts")
        with pytest.raises(SwtformerError, match="'toy_counts' is export-only"):
            import_masks(run, tmp_path / "x.csv", format="toy_counts")


def test_values_without_a_class_are_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = exported(run, tmp_path / "masks.json")
    labels = np.full(SIZES["a"], 77, dtype=np.uint8)
    monkeypatch.setattr(CocoExporter, "read", lambda *_: iter([Correction("a", labels, "line 3")]))
    with pytest.raises(DataError, match=r"line 3: expected values 0 .* got 77"):
        import_masks(run, file, format="coco")
    assert not run.corrected_masks.exists()


def test_a_class_painted_over_ignored_pixels_is_reported(run: Run, tmp_path: Path) -> None:
    file = exported(run, tmp_path / "x.json")
    paint(file, "a", {(2, 2): 2})
    result = import_masks(run, file)
    assert result.corrected == {"a": 1}
    assert read_mask(run.corrected_masks / "a.png")[2, 2] == 2
    assert "1 pixels in 1 images lie in regions" in result.warnings[0]


def test_an_import_adds_to_the_one_before_or_starts_over(run: Run, tmp_path: Path) -> None:
    second = corrected(run, tmp_path / "2.zip", "sub/b")
    import_masks(run, corrected(run, tmp_path / "1.zip", "a"))
    result = import_masks(run, second)
    assert (result.corrected, result.base, result.earlier) == ({"sub/b": 1}, run.pseudo_masks, ("a",))
    assert read_mask(run.corrected_masks / "a.png")[0, 0] == 1
    corrections = read_corrections(run.corrected_masks)
    assert corrections is not None
    assert (corrections.base, corrections.corrected.keys()) == (run.pseudo_masks, {"a", "sub/b"})
    assert import_masks(run, second).corrected == {}
    assert import_masks(run, second, base="pseudo_masks").corrected == {"sub/b": 1}
    assert read_mask(run.corrected_masks / "a.png")[0, 0] == 0
    assert [path.name for path in run.path.iterdir() if path.name.startswith(".")] == []


def test_another_folder_is_added_to_as_well(run: Run, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    files = {id: corrected(run, tmp_path / f"{id[-1]}.zip", id) for id in ("a", "sub/b", "sub/ü c")}
    import_masks(run, files["a"])
    assert import_masks(run, files["sub/b"], out=mine).earlier == ("a",)
    assert import_masks(run, files["sub/ü c"], out=mine).earlier == ("a", "sub/b")
    notes = [read_corrections(folder) for folder in (mine, run.corrected_masks)]
    assert [sorted(item.corrected) for item in notes if item] == [["a", "sub/b", "sub/ü c"], ["a"]]


@pytest.mark.parametrize("name", FORMATS)
def test_unchanged_masks_undo_no_earlier_correction(name: str, run: Run, tmp_path: Path) -> None:
    whole = exported(run, tmp_path / f"whole{exporter(name).suffix}", format=name)  # a colleague's, with "a"
    import_masks(run, corrected(run, tmp_path / "1.zip", "a"))
    result = import_masks(run, whole)
    assert (result.corrected, result.warnings) == ({}, ())
    assert read_mask(run.corrected_masks / "a.png")[0, 0] == 1
    assert result.earlier == ("a",)


@pytest.mark.parametrize("keeps_info", [True, False])
def test_a_mask_that_two_people_corrected_is_reported_and_the_file_wins(
    keeps_info: bool, run: Run, tmp_path: Path
) -> None:
    first, second = (exported(run, tmp_path / f"{n}.json") for n in (1, 2))
    paint(first, "a", {(7, 0): 1}, keeps_info=keeps_info)
    paint(second, "a", {(0, 0): 3}, keeps_info=keeps_info)
    assert import_masks(run, first).warnings == ()
    result = import_masks(run, second)
    assert result.warnings[0].startswith("1 mask (a) was corrected before, and differently")
    expected = read_mask(run.pseudo_mask_file("a"))
    expected[0, 0] = 3
    np.testing.assert_array_equal(read_mask(run.corrected_masks / "a.png"), expected)


def test_a_second_round_on_corrected_masks_is_no_conflict(run: Run, tmp_path: Path) -> None:
    import_masks(run, corrected(run, tmp_path / "1.zip", "a"))
    file = exported(run, tmp_path / "2.json", source="corrected_masks")
    paint(file, "a", {(7, 0): 3})
    result = import_masks(run, file)
    assert (result.corrected, result.warnings) == ({"a": 1}, ())
    expected = read_mask(run.pseudo_mask_file("a"))
    expected[0, 0], expected[7, 0] = 1, 3
    np.testing.assert_array_equal(read_mask(run.corrected_masks / "a.png"), expected)


def remade(run: Run) -> None:
    write_json(run.pseudo_masks_file, {"margin": 0.2})
    for id, size in SIZES.items():
        write_mask(run.pseudo_mask_file(id), np.full(size, 2, dtype=np.uint8))


def test_of_masks_of_an_earlier_version_only_the_changed_are_imported(run: Run, tmp_path: Path) -> None:
    file = exported(run, tmp_path / "x.json")
    paint(file, "a", {(0, 0): 1})
    remade(run)
    result = import_masks(run, file)
    assert result.corrected.keys() == {"a"}
    (warning,) = result.warnings
    assert warning.startswith("4 masks (a, none, sub/b, sub/ü c) were exported from other masks")
    assert (read_mask(run.corrected_masks / "sub/b.png") == 2).all()


def test_masks_of_elsewhere_are_taken_once_their_fingerprints_are_removed(run: Run, tmp_path: Path) -> None:
    file = exported(run, tmp_path / "x.json")
    remade(run)
    assert import_masks(run, file).corrected == {}
    without_fingerprints("coco", file)
    assert import_masks(run, file, empty="background").corrected.keys() == SIZES.keys()


def test_corrections_stay_and_other_masks_follow_the_pseudo_masks(run: Run, tmp_path: Path) -> None:
    first, second = corrected(run, tmp_path / "1.zip", "a"), corrected(run, tmp_path / "2.zip", "sub/b")
    import_masks(run, first)
    before = read_mask(run.corrected_masks / "a.png")
    remade(run)
    write_mask(run.pseudo_mask_file("new"), np.zeros((4, 5), dtype=np.uint8))
    import_masks(run, second)
    np.testing.assert_array_equal(read_mask(run.corrected_masks / "a.png"), before)
    assert (read_mask(run.corrected_masks / "none.png") == 2).all()
    assert read_mask(run.corrected_masks / "new.png").shape == (4, 5)
    assert version_of(run.corrected_masks) == version_of(run.pseudo_masks)


def test_an_original_that_is_gone_or_has_another_size_is_not_needed(run: Run, tmp_path: Path) -> None:
    import_masks(run, corrected(run, tmp_path / "1.zip", "a", "sub/b"))
    file = exported(run, tmp_path / "2.json", source="corrected_masks")
    for id in ("a", "sub/b"):
        paint(file, id, {(7, 0): 3})
    write_mask(run.pseudo_mask_file("a"), np.zeros((4, 6), dtype=np.uint8))
    run.pseudo_mask_file("sub/b").unlink()
    result = import_masks(run, file)
    assert (result.corrected, result.warnings) == ({"a": 1, "sub/b": 1}, ())


def test_corrections_move_with_their_run(run: Run, tmp_path: Path) -> None:
    whole = exported(run, tmp_path / "whole.zip", format="cvat")
    import_masks(run, corrected(run, tmp_path / "1.zip", "a"))
    run.path.rename(tmp_path / "moved")
    moved = Run(tmp_path / "moved")
    assert origin(moved.corrected_masks) == moved.pseudo_masks
    result = import_masks(moved, whole)
    assert (result.base, result.corrected, result.earlier) == (moved.pseudo_masks, {}, ("a",))
    assert read_mask(moved.corrected_masks / "a.png")[0, 0] == 1


def test_the_format_can_be_named_and_another_folder_taken(run: Run, tmp_path: Path) -> None:
    folder = corrected(run, tmp_path / "voc", "sub/b", format="voc")
    result = import_masks(run, folder, format="cvat", out=tmp_path / "mine")
    assert result.folder == tmp_path / "mine"
    assert (tmp_path / "mine" / "a.png").is_file()
    assert not run.corrected_masks.exists()


def test_images_that_the_run_does_not_have_are_failures(run: Run, tmp_path: Path) -> None:
    file = corrected(run, tmp_path / "x.zip", "a", "sub/b")
    run.pseudo_mask_file("sub/b").unlink()
    result = import_masks(run, file)
    assert [failure.id for failure in result.failures] == ["sub/b"]
    (row,) = read_failures(run)
    assert (row.id, row.stage) == ("sub/b", "import")
    assert "the run has no mask of the image 'sub/b'" in row.reason
    run.pseudo_mask_file("a").unlink()
    with pytest.raises(DataError, match=r"x\.zip: has no mask of any image in"):
        import_masks(run, file, base="pseudo_masks")


BOX = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 3, 3]}


def edited(file: Path, annotations: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Path:
    """A COCO file with other annotations, from a tool that drops the fingerprints."""
    content = json.loads(file.read_text(encoding="utf-8"))
    content.pop("info", None)
    content["annotations"] = annotations(content["annotations"])
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def test_a_region_that_is_not_a_mask_is_passed_over_and_listed(run: Run, tmp_path: Path) -> None:
    file = corrected(run, tmp_path / "x.json", "a", "sub/b", format="coco")
    edited(file, lambda found: [*found, BOX])
    result = import_masks(run, file)
    assert result.corrected == {"a": 1, "sub/b": 1}
    assert read_mask(run.corrected_masks / "a.png")[0, 0] == 1
    (passed_over,) = result.passed_over
    assert passed_over.id == "a"
    assert "is a box without a segmentation" in passed_over.reason
    assert result.failures == ()
    assert read_failures(run) == [passed_over]
    import_masks(run, exported(run, tmp_path / "y.json"))
    assert read_failures(run) == []


def test_a_strict_import_of_such_a_region_writes_nothing(run: Run, tmp_path: Path) -> None:
    file = corrected(run, tmp_path / "x.json", "a", format="coco")
    edited(file, lambda found: [*found, BOX])
    before = sorted(run.path.rglob("*"))
    with pytest.raises(DataError, match=r"annotations\[\d\]: is a box without"):
        import_masks(run, file, strict=True)
    assert sorted(run.path.rglob("*")) == before


def test_an_image_with_nothing_but_such_regions_keeps_its_mask(run: Run, tmp_path: Path) -> None:
    file = corrected(run, tmp_path / "x.json", "a", "sub/b", format="coco")
    edited(file, lambda found: [BOX, *(item for item in found if item["image_id"] != 1)])
    result = import_masks(run, file)
    assert result.corrected == {"sub/b": 1}
    assert "a" in result.kept
    np.testing.assert_array_equal(
        read_mask(run.corrected_masks / "a.png"), read_mask(run.pseudo_mask_file("a"))
    )


def listed_in_coco(run: Run, folder: Path) -> Path:
    return edited(exported(run, folder / "x.json"), lambda found: [])


def with_info(run: Run, folder: Path) -> Path:
    file = exported(run, folder / "x.json")
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(content | {"annotations": []}), encoding="utf-8")
    return file


def listed_in_voc(run: Run, folder: Path) -> Path:
    out = exported(run, folder / "voc", format="voc")
    for mask in (out / "SegmentationClass").rglob("*.png"):
        mask.rename(mask.with_suffix(".txt"))
    return out


def empty_yolo_files(run: Run, folder: Path) -> Path:
    out = exported(run, folder / "yolo", format="yolo")
    for file in (out / "labels").rglob("*.txt"):
        file.write_text("")
    return out


def empty_cvat_images(run: Run, folder: Path) -> Path:
    out = exported(run, folder / "x.xml", format="cvat-images")
    lines = out.read_text(encoding="utf-8").splitlines()
    out.write_text("\n".join(line for line in lines if "<mask" not in line), encoding="utf-8")
    return out


def empty_tasks(run: Run, folder: Path) -> Path:
    out = exported(run, folder / "x.json", format="label-studio")
    tasks = json.loads(out.read_text(encoding="utf-8"))
    for task in tasks:
        task["annotations"] = [{"result": []}]
    out.write_text(json.dumps(tasks), encoding="utf-8")
    return out


@pytest.mark.parametrize(
    "make",
    [listed_in_coco, with_info, listed_in_voc, empty_yolo_files, empty_cvat_images, empty_tasks],
    ids=lambda make: make.__name__,
)
def test_a_file_without_any_mask_is_refused(
    make: Callable[[Run, Path], Path], run: Run, tmp_path: Path
) -> None:
    import_masks(run, corrected(run, tmp_path / "first.zip", "a"))
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with pytest.raises(DataError, match=r"has no mask of any\. Nothing was imported") as refused:
        import_masks(run, make(run, tmp_path))
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before
    for advice in ("remove", "delete", "--base", "start over"):
        assert advice not in str(refused.value)


@pytest.mark.parametrize(
    "make",
    [listed_in_coco, with_info, empty_yolo_files, empty_cvat_images, empty_tasks],
    ids=lambda make: make.__name__,
)
def test_a_file_in_which_all_masks_were_erased_can_mean_background(
    make: Callable[[Run, Path], Path], run: Run, tmp_path: Path
) -> None:
    drawn = {id for id, labels in read(run.pseudo_masks).items() if labels.any()}
    result = import_masks(run, make(run, tmp_path), empty="background")
    assert result.corrected.keys() == drawn
    for labels in read(run.corrected_masks).values():
        assert set(np.unique(labels)) <= {0, 255}  # YOLO cannot say that ignored pixels were erased


def test_background_still_needs_an_image_of_the_run(run: Run, tmp_path: Path) -> None:
    file = empty_tasks(run, tmp_path)
    for id in SIZES:
        run.pseudo_mask_file(id).rename(run.pseudo_mask_file(f"other-{id.replace('/', '-')}"))
    with pytest.raises(DataError, match="has no mask of any image in"):
        import_masks(run, file, empty="background")


def test_images_that_keep_their_masks_count_as_done(run: Run, tmp_path: Path) -> None:
    file = edited(corrected(run, tmp_path / "x.json", "a", "sub/b", format="coco"), lambda items: items[:1])
    calls = []
    result = import_masks(run, file, progress=lambda stage, done, *_, **__: calls.append((stage, done)))
    assert len(result.kept) == 3
    assert [done for stage, done in calls if stage == "import"] == [1, 2]


def test_a_file_of_boxes_is_refused_and_says_what_they_are(run: Run, tmp_path: Path) -> None:
    file = edited(exported(run, tmp_path / "x.json"), lambda _: [BOX] * 8)
    with pytest.raises(DataError, match="has no mask of any") as refused:
        import_masks(run, file)
    lines = str(refused.value).splitlines()
    assert len(lines) == 1 + 5 + 1
    assert "annotations[0]: is a box without a segmentation" in lines[1]
    assert lines[-1].strip() == "… and 3 more."


def test_an_unchanged_mask_of_background_is_no_fault(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "some"
    write_mask(folder / "none.png", read_mask(run.pseudo_mask_file("none")))
    write_json(folder / "classes.json", CLASSES)
    export_masks(folder, tmp_path / "x.json", format="coco")
    assert import_masks(run, tmp_path / "x.json").unchanged == ("none",)


def test_a_mask_that_lost_everything_is_named(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "edited"
    write_mask(folder / "a.png", np.zeros(SIZES["a"], dtype=np.uint8))
    write_json(folder / "classes.json", CLASSES)
    export_masks(folder, tmp_path / "x.zip", format="cvat")
    without_fingerprints("cvat", tmp_path / "x.zip")
    result = import_masks(run, tmp_path / "x.zip")
    assert result.warnings[0].startswith("1 mask (a) was all background in the file")


@pytest.mark.parametrize("keeps_info", [False, True])
def test_an_image_that_was_not_annotated_keeps_its_mask(run: Run, tmp_path: Path, keeps_info: bool) -> None:
    """COCO and CVAT list all images of a task; a fingerprint tells that regions were erased."""
    file = exported(run, tmp_path / "x.json")
    content = json.loads(file.read_text())
    (erased,) = (image["id"] for image in content["images"] if image["file_name"].startswith("a."))
    content["annotations"] = [item for item in content["annotations"] if item["image_id"] != erased]
    file.write_text(json.dumps(content))
    if not keeps_info:
        without_fingerprints("coco", file)
    result = import_masks(run, file)
    if keeps_info:
        assert list(result.corrected) == ["a"]
        return
    assert (result.corrected, result.kept) == ({}, ("a",))
    np.testing.assert_array_equal(
        read_mask(run.corrected_masks / "a.png"), read_mask(run.pseudo_mask_file("a"))
    )
    assert result.warnings[0].startswith("1 mask (a) was left as in the run, as the file lists")
    again = import_masks(run, file, empty="background")
    assert list(again.corrected) == ["a"]
    assert not read_mask(run.corrected_masks / "a.png").any()


def test_damaged_masks_of_the_run_are_left_out(run: Run, tmp_path: Path) -> None:
    file = exported(run, tmp_path / "x.zip", format="cvat")
    path = run.pseudo_mask_file("none")
    path.write_bytes(path.read_bytes()[:-2])
    result = import_masks(run, file)
    assert {failure.id for failure in result.failures} == {"none"}
    assert not (run.corrected_masks / "none.png").exists()


def test_a_bad_file_changes_nothing_and_all_its_problems_are_listed(run: Run, tmp_path: Path) -> None:
    file = corrected(run, tmp_path / "x.json", "a", "sub/b", "none", format="coco")
    import_masks(run, file)
    before = read(run.corrected_masks)
    content = json.loads(file.read_text())
    content["images"][0]["width"] += 1
    content["images"][1]["file_name"] = "../sub/b.png"
    content["categories"][0]["name"] = "cats"
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"x\.json: 3 problems") as caught:
        import_masks(run, file)
    for part in ("has 12×8. Expected equal sizes", "leaves the images' folder", "Did you mean 'cat'?"):
        assert part in str(caught.value)
    for id, labels in before.items():
        np.testing.assert_array_equal(read_mask(run.corrected_masks / f"{id}.png"), labels)


def test_folders_that_hold_something_else_are_left_alone(run: Run, tmp_path: Path) -> None:
    file = corrected(run, tmp_path / "x.zip", "a")
    for out in (run.pseudo_masks, file):
        with pytest.raises(SwtformerError, match="already holds something else"):
            import_masks(run, file, out=out)
    assert len(read(run.pseudo_masks)) == 4
    with pytest.raises(SwtformerError, match=r"x\.zip/out: cannot be written"):
        import_masks(run, file, out=file / "out")


def test_an_import_that_was_killed_between_its_last_steps_is_added_to(run: Run, tmp_path: Path) -> None:
    import_masks(run, corrected(run, tmp_path / "x.zip", "sub/b"))
    run.corrected_masks.rename(run.path / ".corrected_masks.old")
    assert import_masks(run, corrected(run, tmp_path / "y.zip", "a")).earlier == ("sub/b",)


def test_a_stop_leaves_nothing(run: Run, tmp_path: Path) -> None:
    file = corrected(run, tmp_path / "x.zip", "a")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_masks(run, file, progress=stop)
    assert not (run.path / NOTES).exists()
    assert not run.corrected_masks.exists()
    assert not list(run.path.glob(".*"))
