from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from support.shards import tar_members, write_parquet, write_tar
from support.squares import draw_squares, quick_settings
from swtformer.datasets.records import ImageSet
from swtformer.errors import SwtformerError
from swtformer.methods import create_model
from swtformer.methods.pretrained import save_pretrained
from swtformer.settings import ModelSettings
from swtformer.stages.localize import localize, localize_shards
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.remote import RemoteFile
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


def test_other_classes_make_the_shards_again(run: Run, data: ImageSet, tmp_path: Path) -> None:
    record = data.records[0]
    write_tar(tmp_path / "in" / "a.tar", {"a.png": record.image.read_bytes(), "a.cls": b"red"})
    shards, out = str(tmp_path / "in" / "*.tar"), str(tmp_path / "out")
    made = []
    for order in ('["red", "green"]', '["green", "red"]'):
        config = json.loads((run.model / "config.json").read_text())
        config["classes"] = json.loads(order)
        (run.model / "config.json").write_text(json.dumps(config))
        assert localize_shards(run, shards, out).made == 1
        (tmp_path / "a.npz").write_bytes(tar_members(tmp_path / "out" / "a.tar")["a.npz"])
        made.append(ClassActivationMaps.load(tmp_path / "a.npz").values.tolist())
    assert made == [[1], [2]]


def test_a_model_that_changes_meanwhile_stops_the_work(
    run: Run, data: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = data.records[0]
    write_tar(tmp_path / "in" / "a.tar", {"a.png": record.image.read_bytes(), "a.cls": b"red"})
    fetch = RemoteFile.fetch

    def retrained(file: RemoteFile, target: Path) -> None:
        settings = ModelSettings(method="swtformer_v2", backbone="swin_nano", weights="none")
        save_pretrained(create_model(settings, ("red", "green")), run.model)
        fetch(file, target)

    monkeypatch.setattr(RemoteFile, "fetch", retrained)
    with pytest.raises(SwtformerError, match=r"model was replaced .* Repeat the command"):
        localize_shards(run, str(tmp_path / "in" / "*.tar"), str(tmp_path / "out"))
    assert not (tmp_path / "out" / "a.tar").exists()


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
