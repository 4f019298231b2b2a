"""What the formats share; what each of them must do: test_contract."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from swtformer.errors import ImageError, SwtformerError
from swtformer.exporters.base import (
    LabelledImage,
    copy_image,
    image_bytes,
    require_free_names,
)
from swtformer.settings import ExportSettings
from swtformer.store.files import new_folder

COPY = ExportSettings(images="copy")


def labelled(image: Path | None) -> LabelledImage:
    return LabelledImage("sub/a", "sub/a.jpg", image, np.zeros((2, 3), dtype=np.uint8))


def test_a_size_is_height_and_width() -> None:
    assert labelled(None).size == (2, 3)


@pytest.mark.parametrize("name", ["background", "Background", "IGNORED", "_background_"])
def test_names_that_mean_no_class_are_refused(name: str) -> None:
    with pytest.raises(SwtformerError, match=f"'{name}' means background"):
        require_free_names(["cat", name])
    require_free_names(["cat", f"{name} noise"])


def test_images_are_copied_byte_by_byte_where_asked_and_known(tmp_path: Path) -> None:
    image = tmp_path / "other name.png"
    image.write_bytes(b"\x00\xffany bytes\r\n")
    copy_image(labelled(image), tmp_path / "none", ExportSettings(images="none"))
    copy_image(labelled(None), tmp_path / "none", COPY)
    assert not (tmp_path / "none").exists()
    copy_image(labelled(image), tmp_path / "out", COPY)
    assert (tmp_path / "out/sub/a.jpg").read_bytes() == image.read_bytes()


def test_an_image_that_cannot_be_read_is_blamed_and_not_the_folder_that_is_made(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.jpg: cannot be read: No such file"):
        image_bytes(tmp_path / "gone.jpg")
    refused = pytest.raises(ImageError, match="cannot be read: Is a directory")
    with refused, new_folder(tmp_path / "out") as folder:
        copy_image(labelled(tmp_path), folder, COPY)
    assert os.listdir(tmp_path) == []
