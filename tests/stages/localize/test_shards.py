from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from support.shards import tar_members, write_parquet, write_tar
from support.squares import draw_squares, quick_settings
from swtformer.datasets.records import ImageSet
from swtformer.methods import create_model
from swtformer.methods.pretrained import save_pretrained
from swtformer.settings import ModelSettings
from swtformer.stages.localize import localize, localize_shards
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.run import Run

ARRAYS = ("values", "size", "cam", "probabilities", "rcam")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    return draw_squares(tmp_path_factory.mktemp("squares"))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    model = create_model(
        ModelSettings(method="swtformer_v2", backbone="swin_nano", weights="none"), ("red", "green")
    )
    run = Run(tmp_path / "run")
    run.write_settings(quick_settings())
    save_pretrained(model, run.model)
    return run


def _names(data: ImageSet, present: tuple[int, ...] | None) -> list[str]:
    return [data.classes[index] for index in present or ()]


def _same_maps(found: dict[str, bytes], run: Run, tmp_path: Path) -> None:
    for key, content in found.items():
        (tmp_path / "one.npz").write_bytes(content)
        own, local = (
            ClassActivationMaps.load(tmp_path / "one.npz"),
            ClassActivationMaps.load(run.map_file(key)),
        )
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(own, name), getattr(local, name))


def test_maps_are_those_of_a_folder(run: Run, data: ImageSet, tmp_path: Path) -> None:
    members: dict[str, bytes] = {}
    for number, record in enumerate(data.records):
        members[f"{record.id}.png"] = record.image.read_bytes()
        names = _names(data, record.present)
        if number % 2 and names:
            members[f"{record.id}.cls"] = ",".join(names).encode()
        else:
            members[f"{record.id}.json"] = f'{{"labels": {list(record.present or ())}}}'.encode()
    write_tar(tmp_path / "in" / "a.tar", members)
    before = sorted(path.name for path in run.path.iterdir())
    result = localize_shards(run, str(tmp_path / "in" / "*.tar"), str(tmp_path / "out"))
    assert (result.images, result.failures) == (12, ())
    assert sorted(path.name for path in run.path.iterdir()) == before
    localize(run, data)
    found = tar_members(tmp_path / "out" / "a.tar")
    assert set(found) == {f"{record.id}.npz" for record in data.records}
    _same_maps({name.removesuffix(".npz"): content for name, content in found.items()}, run, tmp_path)
    assert localize_shards(run, str(tmp_path / "in" / "*.tar"), str(tmp_path / "out")).made == 0


def test_parquet_with_a_column_of_labels(run: Run, data: ImageSet, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {
        "key": [record.id for record in data.records],
        "image": [record.image.read_bytes() for record in data.records],
        "labels": [_names(data, record.present) for record in data.records],
    }
    write_parquet(tmp_path / "in" / "a.parquet", columns)
    result = localize_shards(run, str(tmp_path / "in" / "a.parquet"), str(tmp_path / "out"))
    assert result.images == 12
    localize(run, data)
    rows = parquet.read_table(tmp_path / "out" / "a.parquet").to_pylist()
    _same_maps({row["__key__"]: row["npz"] for row in rows}, run, tmp_path)


def test_the_model_chooses_the_classes_where_there_are_no_labels(
    run: Run, data: ImageSet, tmp_path: Path
) -> None:
    first, second = data.records[:2]
    members = {"a.png": first.image.read_bytes(), "b.png": second.image.read_bytes(), "b.cls": b"red"}
    write_tar(tmp_path / "in" / "a.tar", members)
    write_tar(tmp_path / "in" / "b.tar", {"a.png": first.image.read_bytes()})
    given = localize_shards(run, str(tmp_path / "in" / "*.tar"), str(tmp_path / "out"))
    assert given.images == 1
    assert [(row.id, row.reason) for row in given.failures][:1] == [("a", "a.png: has no labels")]
    assert "localize.classes predicted" in given.failures[1].reason
    chosen = quick_settings(localize={"classes": "predicted"})
    predicted = localize_shards(run, str(tmp_path / "in" / "*.tar"), str(tmp_path / "out"), settings=chosen)
    assert (predicted.made, predicted.images, predicted.failures) == (2, 3, ())
    with np.load(BytesIO(tar_members(tmp_path / "out" / "b.tar")["a.npz"])) as arrays:
        assert arrays["probabilities"].shape == (2,)
