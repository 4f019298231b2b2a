from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from swtformer.datasets.records import Record
from swtformer.errors import ImageError
from swtformer.report.cases import MAPS_PER_TILE, Columns, Context, build_case, describe_labels, label_name
from swtformer.settings import DataSettings
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.masks import write_mask
from swtformer.store.run import Run

CLASSES = ("cat", "dog", "cow", "hen", "pig")


@pytest.fixture
def record(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    labels = np.zeros((30, 40), np.uint8)
    labels[5:20, 5:20], labels[0] = 2, 255
    write_mask(tmp_path / "truth.png", labels)
    return Record(id="a", image=tmp_path / "a.png", present=(0, 1), mask=tmp_path / "truth.png")


@pytest.fixture
def context(tmp_path):
    everything = Columns(cam=True, rcam=True, mask=True, truth=True)
    return Context(Run(tmp_path / "run"), CLASSES, CLASSES, everything, DataSettings())


def save_maps(context, count, *, rcam=True):
    rng = np.random.default_rng(0)
    ClassActivationMaps(
        values=np.arange(1, count + 1),
        size=(30, 40),
        cam=rng.random((count, 8, 10)),
        rcam=rng.random((count + 1, 8, 10)) if rcam else None,
        probabilities=np.zeros(len(CLASSES)),
    ).save(context.run.map_file("a"))


def tiles(record, context):
    return {tile.caption: tile for tile in build_case(record, context).tiles}


def test_a_whole_case(record, context):
    save_maps(context, 2)
    write_mask(context.run.mask_file("a"), np.full((30, 40), 1, np.uint8))
    case = build_case(record, context, score="mIoU 50.0 %")
    assert [tile.caption for tile in case.tiles] == ["Image", "CAM", "R-CAM", "Mask", "Truth"]
    assert (case.id, case.labels, case.score) == ("a", "cat, dog", "mIoU 50.0 %")
    by_name = {tile.caption: tile for tile in case.tiles}
    assert [picture.label for picture in by_name["CAM"].pictures] == ["cat", "dog"]
    assert [swatch.name for swatch in by_name["Mask"].legend] == ["cat"]
    assert [(swatch.name, swatch.colour) for swatch in by_name["Truth"].legend] == [
        ("dog", "#008000"),
        ("ignored", "#e0e0c0"),
    ]
    assert all(picture.alt for tile in case.tiles for picture in tile.pictures)


def test_cam_and_rcam_show_their_own_maps(record, context):
    rcam = np.zeros((2, 8, 10))
    rcam[1] = 1
    maps = ClassActivationMaps(np.array([1]), (30, 40), np.zeros((1, 8, 10)), np.zeros(5), rcam)
    maps.save(context.run.map_file("a"))
    shown = tiles(record, context)
    replace(maps, cam=rcam[1:]).save(context.run.map_file("a"))
    assert shown["CAM"].pictures[0].uri != shown["R-CAM"].pictures[0].uri
    assert tiles(record, context)["CAM"].pictures[0].uri == shown["R-CAM"].pictures[0].uri


def test_many_classes_share_a_tile_and_the_rest_is_counted(record, context):
    save_maps(context, 5)
    assert len(tiles(record, context)["CAM"].pictures) == MAPS_PER_TILE
    assert tiles(record, context)["CAM"].note == "and 1 more"


def test_an_image_without_a_class(record, context):
    save_maps(context, 0)
    write_mask(context.run.mask_file("a"), np.zeros((30, 40), np.uint8))
    shown = tiles(record, context)
    assert shown["CAM"].note == "no class to map"
    assert shown["Mask"].note == "background only"
    assert len(shown["Mask"].pictures) == 1


def test_parts_that_one_image_lacks(record, context):
    save_maps(context, 1, rcam=False)
    shown = tiles(record, context)
    assert shown["R-CAM"].note == "not made"
    assert shown["Mask"].note == "none for this image"
    assert not shown["Mask"].pictures


def test_damaged_maps_and_masks_say_so(record, context):
    context.run.map_file("a").parent.mkdir(parents=True)
    context.run.map_file("a").write_bytes(b"PK\x03\x04 nonsense")
    context.run.masks.mkdir()
    context.run.mask_file("a").write_bytes(b"nonsense")
    shown = tiles(record, context)
    for caption in ("CAM", "R-CAM", "Mask"):
        assert shown[caption].note.startswith("cannot be read: ")
        assert not shown[caption].pictures


def test_columns_that_the_run_lacks_are_left_out(record, context):
    bare = Context(context.run, CLASSES, CLASSES, Columns(), DataSettings())
    assert list(tiles(record, bare)) == ["Image"]


def test_a_damaged_photograph_is_refused(record, context):
    record.image.write_bytes(b"nonsense")
    with pytest.raises(ImageError, match=r"a\.png"):
        build_case(record, context)


def test_names():
    assert describe_labels(Record("a", "a.png", None), CLASSES) == "labels not known"  # type: ignore[arg-type]
    assert describe_labels(Record("a", "a.png", ()), CLASSES) == "no class"  # type: ignore[arg-type]
    assert [label_name(value, CLASSES) for value in (0, 1, 5, 6, 255)] == [
        "background",
        "cat",
        "pig",
        "value 6",
        "ignored",
    ]


def refine_maps(context):
    ClassActivationMaps(
        values=np.array([2]),
        size=(30, 40),
        cam=np.zeros((1, 8, 10)),
        refined=np.ones((2, 8, 10)),
        probabilities=np.zeros(len(CLASSES)),
    ).save(context.run.refined_map_file("a"))


@pytest.mark.parametrize(("name", "caption"), [("dense_crf", "After dense_crf"), ("my_own", "After my_own")])
def test_refined_maps_follow_those_of_the_method(record, context, name, caption):
    save_maps(context, 2)
    refine_maps(context)
    context = replace(context, columns=replace(context.columns, refiner=name))
    captions = list(made := tiles(record, context))
    assert captions.index(caption) == captions.index("R-CAM") + 1
    assert [picture.label for picture in made[caption].pictures] == ["dog"]


def test_images_that_were_not_refined_say_so(record, context):
    context = replace(context, columns=replace(context.columns, refiner="par"))
    assert tiles(record, context)["After par"].note == "none for this image"
    context.run.refined_map_file("a").parent.mkdir(parents=True)
    context.run.refined_map_file("a").write_bytes(b"no maps")
    assert "cannot be read" in tiles(record, context)["After par"].note
    save_maps(context, 1)
    context.run.map_file("a").rename(context.run.refined_map_file("a"))
    assert "no refined maps" in tiles(record, context)["After par"].note
