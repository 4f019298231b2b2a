import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from swtformer.datasets import open_dataset
from swtformer.datasets.check import check
from swtformer.datasets.records import ImageSet, Problem, Record
from swtformer.settings import DataSettings

CLASSES = ("cat", "dog", "cow")


def save_image(path, *, size=(20, 30), orientation=1):
    """A uniform image, of another colour for every name."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (size[1], size[0]), (37 * sum(path.stem.encode()) % 256, 120, 30)).save(path, exif=exif)
    return path


def save_photograph(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((90, 60), Image.Resampling.BICUBIC).save(path)
    return path


def save_mask(path, *values, size=(20, 30)):
    mask = np.zeros(size, dtype=np.uint8)
    mask[0, : len(values)] = values
    Image.fromarray(mask).save(path)
    return path


@pytest.fixture
def mixed(tmp_path):
    """Six images: labelled, multi-label, background, unlabelled, cut off, and gone."""
    cut = save_image(tmp_path / "cut.jpg")
    cut.write_bytes(cut.read_bytes()[:-2])
    records = (
        Record("one", save_image(tmp_path / "one.jpg"), (0,), save_mask(tmp_path / "one.png", 1, 255)),
        Record("two", save_image(tmp_path / "two.jpg", size=(40, 10), orientation=6), (0, 1)),
        Record("none", save_image(tmp_path / "none.jpg"), ()),
        Record("unknown", save_image(tmp_path / "unknown.jpg"), None),
        Record("cut", cut, (1,), source="list.txt:5"),
        Record("gone", tmp_path / "gone.jpg", (1,), source="list.txt:6"),
    )
    left_out = Problem("missing_image", False, "list.txt:7: image 'x' is missing.", "x")
    return ImageSet("mixed", "voc", tmp_path, CLASSES, records, (left_out,), labels_from="list.txt")


def test_counts(mixed):
    report = check(mixed, settings=DataSettings())
    assert report.images == 6
    assert report.unreadable == 2
    assert report.missing == 1
    assert report.skipped == 3
    assert report.classes == CLASSES
    assert report.images_per_class == {"cat": 2, "dog": 3, "cow": 0}
    assert report.images_per_label_count == {0: 1, 1: 3, 2: 1}
    assert report.unlabelled == 1
    assert report.heights_px == (20, 40)
    assert report.widths_px == (10, 30)
    assert report.rotated == 1
    assert (report.masks, report.usable_masks, report.masks_unlike_labels) == (1, 1, 0)


def test_problems_name_file_and_line_in_the_order_of_the_set(mixed):
    report = check(mixed, settings=DataSettings())
    assert [(problem.kind, problem.id) for problem in report.problems] == [
        ("missing_image", "x"),
        ("unreadable_image", "cut"),
        ("unreadable_image", "gone"),
        ("exif_rotation", None),
    ]
    assert not any(problem.fatal for problem in report.problems)
    assert report.problems[1].message.startswith("list.txt:5: ")
    assert "cut.jpg: cannot be decoded" in report.problems[1].message
    assert "gone.jpg: does not exist" in report.problems[2].message
    assert "1 image (two) has an EXIF orientation that is not applied" in report.problems[3].message


def test_strict_makes_unreadable_images_fatal(mixed):
    report = check(mixed, settings=DataSettings(strict=True))
    assert [problem.id for problem in report.problems if problem.fatal] == ["cut", "gone"]


def test_applied_exif_turns_sizes_and_is_no_problem(mixed):
    report = check(mixed, settings=DataSettings(exif="apply"))
    assert report.heights_px == (10, 20)
    assert report.widths_px == (30, 40)
    assert report.rotated == 1
    assert not any(problem.kind == "exif_rotation" for problem in report.problems)


def mask_report(tmp_path, mask, *, present=(0,)):
    record = Record("a", save_image(tmp_path / "a.jpg"), present, mask, source="list.txt:1")
    report = check(ImageSet("set", "voc", tmp_path, CLASSES, (record,)), settings=DataSettings())
    assert report.unreadable == 0
    return report


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (
            lambda path: save_mask(path, 1, 4, 254),
            "mask_values",
            r"values 0 .* to 3 .* got 4, 254\.",
        ),
        (lambda path: save_mask(path, 1, size=(30, 20)), "mask_size", r"20×30 pixels, its image .* 30×20"),
        (lambda path: save_image(path), "unreadable_mask", r"got RGB colours such as"),
        (lambda path: path, "unreadable_mask", r"does not exist"),
    ],
)
def test_masks_that_cannot_be_used(tmp_path, make, kind, message):
    report = mask_report(tmp_path, make(tmp_path / "a.png"))
    (problem,) = report.problems
    assert (problem.kind, problem.fatal, problem.id) == (kind, False, "a")
    assert re.search(message, problem.message)
    assert (report.masks, report.usable_masks) == (1, 0)


def test_a_mask_can_be_wrong_in_two_ways(tmp_path):
    report = mask_report(tmp_path, save_mask(tmp_path / "a.png", 4, size=(30, 20)))
    assert [problem.kind for problem in report.problems] == ["mask_size", "mask_values"]


@pytest.mark.parametrize(("present", "unlike"), [((0,), 0), ((1,), 1), ((0, 1), 1), ((), 1), (None, 0)])
def test_masks_that_show_other_classes_than_the_labels(tmp_path, present, unlike):
    report = mask_report(tmp_path, save_mask(tmp_path / "a.png", 1, 255), present=present)
    assert report.usable_masks == 1
    assert report.masks_unlike_labels == unlike
    kinds = ["mask_unlike_labels"] * unlike
    assert [problem.kind for problem in report.problems] == ["no_labels"] * (present is None) + kinds


@pytest.mark.parametrize(
    ("present", "message"), [(None, "no image has labels"), ((), "no image shows a class")]
)
def test_a_set_that_cannot_be_trained_on_is_refused(tmp_path, present, message):
    images = tuple(Record(name, save_image(tmp_path / f"{name}.jpg"), present) for name in "ab")
    classes = CLASSES if present is None else ()
    report = check(ImageSet("set", "voc", tmp_path, classes, images), settings=DataSettings())
    (problem,) = report.problems
    assert (problem.kind, problem.fatal) == ("no_labels", True)
    assert problem.message.startswith(message)


def test_shared_problems_name_five_images(tmp_path):
    image = save_image(tmp_path / "a.jpg", orientation=3)
    records = tuple(Record(f"r{number}", image, (0,)) for number in range(1200))
    report = check(ImageSet("set", "voc", tmp_path, CLASSES, records), settings=DataSettings())
    problem = report.problems[0]
    assert problem.message.startswith("1,200 images (r0, r1, r2, r3, r4, …) have an EXIF")


def test_progress_counts_every_image(mixed):
    calls = []
    check(mixed, settings=DataSettings(), progress=lambda *told: calls.append(told))
    assert calls == [("check", done, 6) for done in range(7)]


def test_empty_and_wholly_unreadable_sets(mixed):
    nothing = check(replace(mixed, records=(), problems=()), settings=DataSettings())
    assert (nothing.images, nothing.heights_px, nothing.problems) == (0, None, ())
    broken = check(replace(mixed, records=mixed.records[4:]), settings=DataSettings())
    assert (broken.unreadable, broken.heights_px, broken.widths_px) == (2, None, None)


def test_rows_leave_out_what_is_not_there(mixed):
    rows = dict(check(mixed, settings=DataSettings()).rows())
    assert rows["data set"] == "mixed (voc)"
    assert rows["classes per image"] == "0: 1, 1: 3, 2: 1"
    assert rows["height"] == "20 to 40 px"
    assert rows["  that cannot be read"] == "2"
    assert "  that cannot be used" not in rows
    single = check(replace(mixed, records=mixed.records[:1], problems=()), settings=DataSettings())
    assert dict(single.rows()) == {
        "data set": "mixed (voc)",
        "labels from": "list.txt",
        "images": "1",
        "classes": "3",
        "classes per image": "1: 1",
        "height": "20 px",
        "width": "30 px",
        "masks": "1",
    }


def test_a_folder_in_place_of_an_image_is_a_problem(tmp_path):
    record = Record("folder", tmp_path, (0,))
    report = check(ImageSet("set", "voc", tmp_path, CLASSES, (record,)), settings=DataSettings())
    assert "is a folder; expected an image file" in report.problems[0].message


def split_of(folder, name, *seeds, groups=()):
    """Photographs as one split, drawn by these seeds."""
    records = tuple(
        Record(f"{name}{index}", save_photograph(folder / f"{name}{index}.png", seed), (0,), group=group)
        for index, (seed, group) in enumerate(zip(seeds, groups or [None] * len(seeds), strict=True))
    )
    return ImageSet(name, "folder", folder, CLASSES, records)


def test_images_that_look_alike_are_one_remark(tmp_path):
    report = check(split_of(tmp_path, "train", 1, 2, 3, 2), settings=DataSettings())
    (problem,) = report.problems
    assert (problem.kind, problem.fatal, report.groups) == ("look_alikes", False, 0)
    assert "1 set, 1 of them equal files: train1 and train3." in problem.message


def test_groups_are_counted_and_look_alikes_across_them_told(tmp_path):
    data = split_of(tmp_path, "train", 1, 1, 2, 2, groups=("p1", "p2", "p1", "p1"))
    report = check(data, settings=DataSettings())
    assert dict(report.rows())["groups"] == "2"
    assert [problem.kind for problem in report.problems] == ["look_alikes_across_groups", "look_alikes"]


def test_other_splits_are_looked_at_for_copies_and_groups_alone(tmp_path):
    data = split_of(tmp_path, "train", 1, 2, groups=("p1", "p2"))
    val = split_of(tmp_path, "val", 3, 2, 2, groups=("p3", "p4", "p4"))
    lost = Record("lost", tmp_path / "lost.png", (0,), mask=tmp_path / "lost mask.png")
    val = replace(val, records=(*val.records, lost))
    test = split_of(tmp_path, "test", 4, groups=("p1",))
    calls = []
    report = check(
        data, settings=DataSettings(), against=(val, test), progress=lambda *told: calls.append(told)
    )
    assert [(problem.kind, problem.fatal) for problem in report.problems] == [
        ("group_in_two_splits", True),
        ("look_alikes_across_splits", False),
    ]
    assert "p1: 1 and 1 images" in report.problems[0].message
    assert "train1 (train) and val1 (val) and 1 more" in report.problems[1].message
    assert (report.images, report.unreadable) == (2, 0)
    assert calls[-1] == ("check", 7, 7)


def test_labels_in_file_names_are_suggested_where_there_are_no_others(tmp_path):
    for name in ("cat_1", "cat_2", "dog_1", "dog_2"):
        save_image(tmp_path / f"{name}.jpg")
    report = check(open_dataset(tmp_path, DataSettings()), settings=DataSettings())
    message = next(problem.message for problem in report.problems if problem.kind == "no_labels")
    assert "If cat, dog in the file names are labels, set data.pattern to" in message


@pytest.mark.parametrize(
    ("labels", "classes", "background", "told"),
    [
        ((*[(0,), (1,)] * 10, None), CLASSES, "label", True),
        ([(0,), (1,)] * 9, CLASSES, "label", False),
        ((*[(0,), (1,)] * 10, ()), CLASSES, "label", False),
        ((*[(0,), (1,)] * 10, (0, 1)), CLASSES, "label", False),
        ([(0,)] * 20, ("cat",), "label", False),
        ([(0,), (1,)] * 10, CLASSES, "none", False),
    ],
)
def test_one_class_in_every_image_is_told(tmp_path, labels, classes, background, told):
    image = save_image(tmp_path / "0.png")
    records = tuple(Record(str(place), image, present) for place, present in enumerate(labels))
    images = ImageSet("set", "table", tmp_path, classes, records)
    kinds = [problem.kind for problem in check(images, settings=DataSettings(background=background)).problems]
    assert ("one_class_each" in kinds) == told
