"""What refinement starts from, and when it has changed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from support.blobs import draw_maps
from swtformer.datasets.records import Record
from swtformer.errors import DataError
from swtformer.labelling.start import RunExamples, Start
from swtformer.settings import ImageSettings
from swtformer.store.notes import MapNotes, write_notes
from swtformer.store.run import Run

SIZE = (12, 20)


@pytest.fixture
def examples(tmp_path: Path) -> RunExamples:
    run, records = Run(tmp_path / "run"), []
    for index, present in enumerate(((0, 2), (1,))):
        record = Record(str(index), tmp_path / f"{index}.png", present)
        pixels = np.random.default_rng(index).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(record.image)
        draw_maps(index, SIZE, present, rcam=True).save(run.map_file(record.id))
        records.append(record)
    write_notes(run.maps_file, MapNotes(made_by="model"))
    return RunExamples(run, records, Start("cam", power=2.0), ImageSettings())


def test_an_example_is_an_image_with_the_maps_to_start_from(examples: RunExamples) -> None:
    assert len(examples) == 2
    example = examples[0]
    with Image.open(examples.records[0].image) as image:
        np.testing.assert_allclose(example.image, np.moveaxis(np.array(image), 2, 0) / 255, atol=1e-6)
    cam = draw_maps(0, SIZE, (0, 2), rcam=True).cam.astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(example.maps[1:], cam)
    np.testing.assert_allclose(example.maps[0], (1 - cam.max(0)) ** 2, atol=1e-6)
    torch.testing.assert_close(example.values, torch.tensor([1, 3]))


def test_an_example_that_cannot_be_read_is_an_error_of_the_data(examples: RunExamples) -> None:
    first, second = examples.records
    Image.new("RGB", (9, 7)).save(first.image)
    with pytest.raises(DataError, match=r"maps is for 20×12 pixels, the image has 9×7"):
        examples[0]
    examples.run.map_file(second.id).write_bytes(b"")
    with pytest.raises(DataError, match=r"1\.npz"):
        examples[1]


def test_the_fingerprint_changes_with_images_maps_and_start(examples: RunExamples) -> None:
    seen = {examples.fingerprint()}
    assert examples.fingerprint() in seen
    for changed in (
        replace(examples, start=Start("cam", power=3.0)),
        replace(examples, images=ImageSettings(exif="apply")),
        replace(examples, records=examples.records[:1]),
    ):
        assert changed.fingerprint() not in seen
        seen.add(changed.fingerprint())
    os.utime(examples.records[0].image, (1, 1))
    assert examples.fingerprint() not in seen
    seen.add(examples.fingerprint())
    maps = replace(draw_maps(1, SIZE, (1,), rcam=True), made_by="another model")
    maps.save(examples.run.map_file("1"))
    assert examples.fingerprint() not in seen
