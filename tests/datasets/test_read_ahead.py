from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swtformer.datasets.read_ahead import read_ahead
from swtformer.datasets.records import Record
from swtformer.errors import ImageError
from swtformer.settings import ImageSettings


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_images_come_in_order_with_errors_in_their_place(tmp_path: Path, threads: int) -> None:
    records = []
    for i in range(20):
        path = tmp_path / f"{i}.png"
        Image.new("RGB", (4, 3), (i, 0, 0)).save(path)
        records.append(Record(str(i), path, None))
    records[7].image.write_bytes(b"no image")
    read = list(read_ahead(records, ImageSettings(), threads=threads))
    assert [record.id for record, _ in read] == [str(i) for i in range(20)]
    assert isinstance(read[7][1], ImageError)
    for i, (_, image) in enumerate(read):
        if i != 7:
            np.testing.assert_array_equal(image, np.full((3, 4, 3), [i, 0, 0]))


def test_stopping_early_leaves_no_thread_behind(tmp_path: Path) -> None:
    records = [Record(str(i), tmp_path / f"{i}.png", None) for i in range(50)]
    reading = read_ahead(records, ImageSettings(), threads=2)
    assert isinstance(next(reading)[1], ImageError)
    reading.close()
    assert list(reading) == []
