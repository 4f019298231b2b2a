"""What `predict` writes of a photograph, as members of a shard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from support.masked_squares import draw_pair
from support.models import tiny
from support.shards import tar_members, write_tar
from swtformer.methods.pretrained import save_pretrained
from swtformer.settings import PredictSettings
from swtformer.stages.predict import predict, predict_shards

ALL = PredictSettings.model_validate(
    {"precision": "fp32", "flip": False, "overlays": True, "probabilities": True}
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_pretrained(tiny("swtformer_v2"), tmp_path / "model")
    return tmp_path / "model"


def test_members_are_the_files_of_a_folder(model: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photos" / "field" / "a.png"
    photo.parent.mkdir(parents=True)
    Image.fromarray(draw_pair(0)[0]).save(photo)
    write_tar(tmp_path / "in" / "0.tar", {"field/a.png": photo.read_bytes()})
    result = predict_shards(model, str(tmp_path / "in" / "*.tar"), str(tmp_path / "out"), settings=ALL)
    assert (result.is_whole, result.images, result.failures) == (True, 1, ())
    folder = predict(model, tmp_path / "photos", tmp_path / "folder", settings=ALL).out
    members = tar_members(tmp_path / "out" / "0.tar")
    assert list(members) == ["field/a.png", "field/a.overlay.jpg", "field/a.npz", "field/a.json"]
    for member, file in (
        ("png", "masks/field/a.png"),
        ("overlay.jpg", "overlays/field/a.jpg"),
        ("npz", "probabilities/field/a.npz"),
    ):
        assert members[f"field/a.{member}"] == (folder / file).read_bytes()
    (row,) = json.loads((folder / "areas.json").read_text())["images"]
    assert json.loads(members["field/a.json"]) == {key: row[key] for key in ("width", "height", "areas")}


def test_other_settings_make_the_shards_again_and_other_workers_do_not(model: Path, tmp_path: Path) -> None:
    Image.fromarray(draw_pair(0)[0]).save(tmp_path / "a.png")
    write_tar(tmp_path / "in" / "0.tar", {"a.png": (tmp_path / "a.png").read_bytes()})

    def made(**change: object) -> int:
        chosen = ALL.model_copy(update=change)
        return predict_shards(
            model, str(tmp_path / "in" / "*.tar"), str(tmp_path / "out"), settings=chosen
        ).made

    assert [made(), made(workers=2), made(overlays=False), made(overlays=False)] == [1, 0, 1, 0]
    assert "a.overlay.jpg" not in tar_members(tmp_path / "out" / "0.tar")
