from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from support.squares import COLOURS, draw_squares
from swtformer.datasets.records import ImageSet


@pytest.fixture(scope="package")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """Squares with their true masks."""
    folder = tmp_path_factory.mktemp("squares")
    drawn = draw_squares(folder)
    records = []
    for record in drawn.records:
        pixels = np.asarray(Image.open(record.image)).astype(int)
        mask = np.zeros(pixels.shape[:2], np.uint8)
        for label, colour in enumerate(COLOURS, start=1):
            mask[(pixels == colour).all(-1)] = label
        path = folder / f"{record.id}-mask.png"
        Image.fromarray(mask).save(path)
        records.append(replace(record, mask=path))
    return replace(drawn, records=tuple(records))
