"""The drawn folder: same bytes for the same seed, masks that agree with the labels, any size."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swtformer.datasets.scenes import CLASSES
from swtformer.datasets.shapes import draw_shapes
from swtformer.errors import DataError, SwtformerError


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files
    }


def labels_of(folder: Path) -> dict[str, set[str]]:
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as stream:
        return {row["image"]: set(filter(None, row["labels"].split(";"))) for row in csv.DictReader(stream)}


def about(folder: Path) -> dict:
    return json.loads((folder / "shapes.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_shapes(tmp_path_factory.mktemp("drawn") / "set", count=40, size=(64, 96), seed=3)


class TestSameSeedSameBytes:
    def test_two_folders_are_identical(self, drawn: Path, tmp_path: Path) -> None:
        again = draw_shapes(tmp_path / "again", count=40, size=(64, 96), seed=3)
        assert digests(again) == digests(drawn)
        assert len(digests(again)) == 2 * 40 + 2

    def test_another_seed_draws_other_images(self, drawn: Path, tmp_path: Path) -> None:
        other = draw_shapes(tmp_path / "other", count=3, size=(64, 96), seed=4)
        assert not set(digests(other).values()) & set(digests(drawn).values())

    def test_image_and_split_do_not_depend_on_the_count(self, drawn: Path, tmp_path: Path) -> None:
        fewer = draw_shapes(tmp_path / "fewer", count=11, size=(64, 96), seed=3)
        pictures = {name: digest for name, digest in digests(fewer).items() if "/" in name}
        assert pictures.items() <= digests(drawn).items()
        for split, ids in about(fewer)["splits"].items():
            assert ids == about(drawn)["splits"][split][: len(ids)]


class TestMasksAgreeWithLabels:
    def test_folder(self, drawn: Path) -> None:
        classes = about(drawn)["classes"]
        labels = labels_of(drawn)
        assert len(labels) == 40
        for name, given in labels.items():
            values = np.unique(pixels(drawn / "masks" / f"{Path(name).stem}.png"))
            assert {classes[value - 1] for value in values if value} == given


class TestFiles:
    def test_images_and_masks_open_and_have_the_size(self, drawn: Path) -> None:
        for index in range(40):
            with Image.open(drawn / "images" / f"{index:05d}.jpg") as image:
                image.load()
                assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (96, 64))
            with Image.open(drawn / "masks" / f"{index:05d}.png") as mask:
                mask.load()
                assert (mask.format, mask.mode, mask.size) == ("PNG", "P", (96, 64))

    def test_palette_is_black_for_background_and_distinct_per_class(self, drawn: Path) -> None:
        with Image.open(drawn / "masks" / "00000.png") as mask:
            colours = np.array(mask.getpalette()).reshape(-1, 3)[: len(CLASSES) + 1]
        assert colours[0].tolist() == [0, 0, 0]
        assert len({tuple(colour) for colour in colours.tolist()}) == len(CLASSES) + 1

    @pytest.mark.parametrize("size", [(32, 32), (33, 200), (210, 47), (150, 151)])
    def test_any_size(self, tmp_path: Path, size: tuple[int, int]) -> None:
        folder = draw_shapes(tmp_path / "set", count=6, size=size)
        for name in labels_of(folder):
            assert pixels(folder / "images" / name).shape == (*size, 3)
            assert pixels(folder / "masks" / f"{Path(name).stem}.png").shape == size

    def test_splits_are_disjoint_and_whole(self, drawn: Path) -> None:
        splits = about(drawn)["splits"]
        assert len(splits["val"]) == 8
        assert len(splits["train"]) == 32
        assert set(splits["train"]) | set(splits["val"]) == {f"{index:05d}" for index in range(40)}

    def test_shapes_json_says_how_it_was_drawn(self, drawn: Path) -> None:
        facts = about(drawn)
        assert facts["classes"] == list(CLASSES)
        assert (facts["format"], facts["seed"], facts["count"], facts["size"]) == ("shapes", 3, 40, [64, 96])

    def test_progress_is_told_after_each_image(self, tmp_path: Path) -> None:
        told: list[tuple[int, int]] = []
        draw_shapes(
            tmp_path / "set", count=3, size=(32, 32), on_image=lambda done, total: told.append((done, total))
        )
        assert told == [(1, 3), (2, 3), (3, 3)]


class TestFolder:
    def test_the_same_call_again_changes_nothing(self, tmp_path: Path) -> None:
        folder = draw_shapes(tmp_path / "set", count=2, size=(32, 32))
        (folder / "images" / "00000.jpg").write_bytes(b"touched")
        assert draw_shapes(tmp_path / "set", count=2, size=(32, 32)) == folder
        assert (folder / "images" / "00000.jpg").read_bytes() == b"touched"

    def test_another_set_is_not_overwritten(self, tmp_path: Path) -> None:
        draw_shapes(tmp_path / "set", count=2, size=(32, 32))
        before = digests(tmp_path / "set")
        with pytest.raises(SwtformerError, match="already holds something else"):
            draw_shapes(tmp_path / "set", count=2, size=(32, 32), seed=1)
        assert digests(tmp_path / "set") == before

    def test_a_file_in_the_way_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "set").write_text("mine")
        with pytest.raises(SwtformerError, match="already holds something else"):
            draw_shapes(tmp_path / "set", count=1, size=(32, 32))

    def test_an_empty_folder_is_filled(self, tmp_path: Path) -> None:
        (tmp_path / "set").mkdir()
        draw_shapes(tmp_path / "set", count=1, size=(32, 32))
        assert (tmp_path / "set" / "shapes.json").is_file()

    def test_an_interrupted_call_leaves_nothing_and_can_be_repeated(self, tmp_path: Path) -> None:
        def interrupt(done: int, total: int) -> None:
            if done == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            draw_shapes(tmp_path / "set", count=3, size=(32, 32), on_image=interrupt)
        assert list(tmp_path.iterdir()) == []
        draw_shapes(tmp_path / "set", count=3, size=(32, 32))
        assert len(labels_of(tmp_path / "set")) == 3

    def test_a_parent_that_is_a_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        with pytest.raises(SwtformerError, match="cannot be written"):
            draw_shapes(tmp_path / "file" / "set", count=1, size=(32, 32))


def test_all_mistakes_are_listed_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        draw_shapes(tmp_path / "set", count=0, seed=-1, size=(31, 32))
    assert str(refused.value).splitlines()[1:] == [
        "  count: expected 1 or more, got 0",
        "  seed: expected 0 or more, got -1",
        "  size: expected 32 or more, got 31",
    ]
    assert not (tmp_path / "set").exists()
