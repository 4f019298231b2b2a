import numpy as np
import pytest
from PIL import Image

from swtformer.datasets import sheet
from swtformer.datasets.records import ImageSet, Record
from swtformer.datasets.sheet import class_colours, picture_sheet
from swtformer.errors import DataError, SwtformerError

GREY = (120, 120, 120)


def save_image(path, size=(174, 232)):
    Image.new("RGB", (size[1], size[0]), GREY).save(path)
    return path


@pytest.fixture
def make_set(tmp_path):
    """A set of plain grey images from lists of present classes."""

    def make(*presents, classes=("cat", "dog", "cow"), masks=()):
        records = []
        for number, present in enumerate(presents):
            image = save_image(tmp_path / f"{number}.png")
            mask = masks[number] if number < len(masks) else None
            records.append(Record(f"picture-{number}", image, present, mask))
        return ImageSet("set", "folder", tmp_path, classes, tuple(records), labels_from="folders")

    return make


def draw(image_set, path, **options):
    picture_sheet(image_set, path, **options)
    with Image.open(path) as picture:
        return np.array(picture.convert("RGB"))


def well(pixels, position=0):
    """The part of the sheet that holds the picture of a tile in the first row, frame excluded."""
    left = sheet.MARGIN_PX + position * (sheet.TILE_PX[0] + sheet.GAP_PX)
    top = sheet.HEADER_PX
    return pixels[top + 1 : top + sheet.TILE_PX[1], left + 1 : left + sheet.TILE_PX[0] - 1]


def chips(pixels, classes):
    """Classes whose colour is on the sheet."""
    packed = pixels.astype(np.int64) @ [65_536, 256, 1]
    return [
        index
        for index, (red, green, blue) in enumerate(class_colours(classes))
        if (packed == red * 65_536 + green * 256 + blue).any()
    ]


def test_pictures_and_labels_are_drawn(tmp_path, make_set):
    pixels = draw(make_set((0,), (1, 2)), tmp_path / "sheet.png")
    assert (well(pixels, 0) == GREY).all()
    assert (well(pixels, 1) == GREY).all()
    assert chips(pixels, 3) == [0, 1, 2]


def test_every_class_is_covered_even_beyond_the_count(tmp_path, make_set):
    classes = tuple(f"class {number}" for number in range(12))
    image_set = make_set(*[(0,)] * 30, *[(number,) for number in range(12)], classes=classes)
    for seed in range(3):
        pixels = draw(image_set, tmp_path / "sheet.png", count=5, seed=seed)
        assert chips(pixels, 12) == list(range(12))


def test_count_and_size_of_the_sheet(tmp_path, make_set):
    image_set = make_set(*[(0,)] * 20)
    tile = sheet.TILE_PX[1] + sheet.CAPTION_PX + sheet.GAP_PX
    rest = sheet.HEADER_PX + sheet.MARGIN_PX - sheet.GAP_PX
    assert draw(image_set, tmp_path / "a.png", count=8).shape[0] == rest + tile
    assert draw(image_set, tmp_path / "b.png", count=9).shape[0] == rest + 2 * tile
    assert draw(image_set, tmp_path / "c.png").shape[0] == rest + 3 * tile


def test_choice_depends_on_the_seed_only(tmp_path, make_set):
    image_set = make_set(*[(0,)] * 30)
    first, again, other = (
        draw(image_set, tmp_path / f"{name}.png", count=4, seed=seed)
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert (first == again).all()
    assert (first != other).any()


def test_masks_are_tinted_and_outlined(tmp_path, make_set):
    mask = np.zeros((174, 232), dtype=np.uint8)
    mask[40:100, 50:150] = 2
    mask[120:140, 50:150] = 255
    mask[150:160, 50:150] = 77
    Image.fromarray(mask).save(tmp_path / "mask.png")
    picture = well(draw(make_set((1,), masks=[tmp_path / "mask.png"]), tmp_path / "sheet.png"))
    colour = np.asarray(class_colours(3)[1])
    inside = picture[69, 99]
    np.testing.assert_allclose(inside, 0.78 * np.asarray(GREY) + 0.22 * colour, atol=1)
    assert (picture[39:41, 60:140] == colour).all()
    assert (picture[50:90, 49:51] == colour).all()
    assert (picture[36, 60:140] == GREY).all()
    assert (picture[115:] == GREY).all()


def test_unreadable_images_are_marked_and_do_not_cover_their_class(tmp_path, make_set):
    image_set = make_set(*[(0,)] * 6)
    for record in image_set.records[:5]:
        record.image.write_bytes(b"<html>")
    pixels = draw(image_set, tmp_path / "sheet.png", count=1)
    shown = [position for position in range(6) if (well(pixels, position) == GREY).all()]
    marked = [position for position in range(6) if (well(pixels, position) == sheet.ALARM).all(axis=-1).any()]
    assert len(shown) == 1
    assert marked == list(range(shown[0]))


def test_masks_that_do_not_fit_are_marked(tmp_path, make_set):
    Image.new("L", (3, 3)).save(tmp_path / "small.png")
    (tmp_path / "broken.png").write_bytes(b"")
    image_set = make_set((0,), (0,), masks=[tmp_path / "small.png", tmp_path / "broken.png"])
    pixels = draw(image_set, tmp_path / "sheet.png")
    for position in (0, 1):
        picture = well(pixels, position)
        assert (picture[:100] == GREY).all()
        assert (picture[160:] == sheet.ALARM).all(axis=-1).any()


def test_background_and_unlabelled_pictures_come_last(tmp_path, make_set):
    image_set = make_set((), None, (2,), (0,))
    Image.new("RGB", (232, 174), (255, 0, 0)).save(image_set.records[3].image)
    pixels = draw(image_set, tmp_path / "sheet.png")
    assert (well(pixels, 0) == (255, 0, 0)).all()
    assert chips(pixels, 3) == [0, 2]


def test_many_and_long_labels_fit(tmp_path, make_set):
    classes = tuple("a very long class name, number " * 3 + str(number) for number in range(30))
    pixels = draw(make_set(tuple(range(30)), (5,), classes=classes), tmp_path / "sheet.png")
    right = sheet.MARGIN_PX + sheet.TILE_PX[0]
    gap = pixels[sheet.HEADER_PX :, right : right + sheet.GAP_PX]
    assert (gap == sheet.PAPER).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (1000, 700)])
def test_any_picture_size(tmp_path, make_set, size):
    image_set = make_set((0,))
    save_image(image_set.records[0].image, size)
    assert (well(draw(image_set, tmp_path / "sheet.png")) == GREY).all(axis=-1).any()


def test_jpeg_sheets(tmp_path, make_set):
    picture_sheet(make_set((0,)), tmp_path / "sheet.JPG")
    with Image.open(tmp_path / "sheet.JPG") as picture:
        assert picture.format == "JPEG"


def test_other_extensions_and_empty_sets_are_refused(tmp_path, make_set):
    with pytest.raises(SwtformerError, match=r"sheet\.pdf: .* written as \.png or \.jpg"):
        picture_sheet(make_set((0,)), tmp_path / "sheet.pdf")
    with pytest.raises(DataError, match="set holds no images"):
        picture_sheet(make_set(), tmp_path / "sheet.png")
    assert list(tmp_path.glob("*sheet*")) == []


def test_neighbouring_classes_have_unlike_colours():
    colours = np.asarray(class_colours(20), dtype=int)
    assert np.abs(np.diff(colours, axis=0)).sum(axis=1).min() > 150
    assert len({tuple(colour) for colour in colours.tolist()}) == 20
