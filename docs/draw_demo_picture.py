"""Draw docs/demo.png from a run: rows of image, CAM, R-CAM, mask and truth, named at the top.

python docs/draw_demo_picture.py runs/demo docs/demo.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from swtformer.datasets import open_dataset
from swtformer.datasets.images import read_image
from swtformer.datasets.mask_images import read_mask
from swtformer.report.pictures import map_overlay, mask_overlay
from swtformer.report.selection import varied
from swtformer.store.files import read_json
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.run import Run

ROWS, SIDE_PX, GAP_PX, TOP_PX = 4, 160, 6, 24
COLUMNS = ("image", "CAM", "R-CAM", "mask", "truth")


def main() -> None:
    """Pick images by their classes, never by their scores, and paste their pictures together."""
    run = Run(Path(sys.argv[1]))
    made = read_json(run.maps_file)
    data = open_dataset(made["data"], run.settings().data, split=made["split"])
    single = [record for record in data.records if record.present and len(record.present) == 1]
    rows = []
    for record in varied(single, ROWS):
        photograph = np.asarray(Image.fromarray(read_image(record.image)).resize((SIDE_PX, SIDE_PX)))
        maps = ClassActivationMaps.load(run.map_file(record.id))
        assert maps.rcam is not None
        assert record.mask is not None
        rows.append(
            [
                photograph,
                map_overlay(photograph, maps.cam[0].astype(np.float32)),
                map_overlay(photograph, maps.rcam[1].astype(np.float32)),
                mask_overlay(photograph, read_mask(run.mask_file(record.id))),
                mask_overlay(photograph, read_mask(record.mask)),
            ]
        )
    step = SIDE_PX + GAP_PX
    sheet = Image.new("RGB", (len(COLUMNS) * step - GAP_PX, TOP_PX + ROWS * step - GAP_PX), "white")
    drawing = ImageDraw.Draw(sheet)
    for x, name in enumerate(COLUMNS):
        middle = x * step + SIDE_PX / 2, TOP_PX / 2
        drawing.text(middle, name, fill="black", anchor="mm", font=ImageFont.load_default(16))
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            sheet.paste(Image.fromarray(picture), (x * step, TOP_PX + y * step))
    sheet.save(sys.argv[2], optimize=True)


if __name__ == "__main__":
    main()
