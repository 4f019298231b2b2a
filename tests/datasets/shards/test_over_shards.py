"""Masks of shards against those of the same photographs in a folder, on three file systems."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from support.buckets import s3_bucket as s3_bucket
from support.masked_squares import draw_pair
from support.models import CLASSES, tiny
from support.shards import tar_members, write_parquet, write_tar
from swtformer.datasets.shards import over_shards as driver
from swtformer.datasets.shards import sources
from swtformer.errors import DataError, SettingsError, SwtformerError
from swtformer.methods.pretrained import save_pretrained
from swtformer.settings import PredictSettings
from swtformer.stages.predict import predict, predict_shards
from swtformer.store.remote import DiskFullError, RemoteFile, find_files

QUICK = PredictSettings.model_validate({"precision": "fp32", "flip": False})
PHOTOS = 7


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_pretrained(tiny("swtformer_v2"), folder)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(PHOTOS):
        path = folder / ("sub" if number % 2 else "") / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(draw_pair(number)[0]).save(path)
    return folder


@pytest.fixture(params=["local", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Address of an empty folder."""
    fsspec = pytest.importorskip("fsspec")
    if request.param == "s3":
        yield str(request.getfixturevalue("s3_bucket"))
    elif request.param == "local":
        yield str(tmp_path / "place")
    else:
        yield "memory://place"
        fsspec.filesystem("memory").store.clear()


def _write(address: str, content: bytes) -> None:
    import fsspec

    with fsspec.open(address, "wb", auto_mkdir=True) as stream:
        stream.write(content)


def _read(address: str) -> bytes:
    import fsspec

    with fsspec.open(address, "rb") as stream:
        return bytes(stream.read())


def _names(address: str) -> list[str]:
    from fsspec.core import url_to_fs

    fs, path = url_to_fs(address)
    fs.invalidate_cache()
    return sorted(each.removeprefix(f"{path}/") for each in fs.find(path) if not each.endswith(".lock"))


def _shards(photos: Path, place: str, scratch: Path) -> None:
    """Two tar files, of four and three photographs."""
    for number in range(2):
        members = {
            path.relative_to(photos).as_posix(): path.read_bytes()
            for path in sorted(photos.rglob("*.png"))
            if (int(path.stem) >= 4) == number
        }
        _write(f"{place}/in/shard-{number}.tar", write_tar(scratch / "shard.tar", members).read_bytes())


def _local_masks(model: Path, photos: Path, out: Path) -> dict[str, bytes]:
    masks = predict(model, photos, out, settings=QUICK).masks
    return {path.relative_to(masks).as_posix(): path.read_bytes() for path in masks.rglob("*.png")}


def _masks(place: str, names: list[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name in names:
        for member, content in tar_members(_read(f"{place}/{name}")).items():
            if member.endswith(".png"):
                assert member not in found
                found[member] = content
    return found


def test_masks_are_those_of_a_folder(model: Path, photos: Path, place: str, tmp_path: Path) -> None:
    _shards(photos, place, tmp_path)
    result = predict_shards(model, [f"{place}/in/*.tar"], f"{place}/out", settings=QUICK)
    assert (result.is_whole, result.shards, result.made, result.images, result.failures) == (
        True,
        2,
        2,
        7,
        (),
    )
    expected = _local_masks(model, photos, tmp_path / "folder")
    assert len(expected) == PHOTOS
    assert _masks(f"{place}/out", ["shard-0.tar", "shard-1.tar"]) == expected
    assert _names(f"{place}/out") == [
        "failures.csv",
        "shard-0.tar",
        "shard-0.tar.json",
        "shard-1.tar",
        "shard-1.tar.json",
        "shards.json",
    ]
    assert json.loads(_read(f"{place}/out/shards.json"))["classes"] == ["background", *CLASSES]
    areas = json.loads((tmp_path / "folder" / "areas.json").read_text())["images"]
    members = tar_members(_read(f"{place}/out/shard-0.tar"))
    own = next(row for row in areas if row["image"] == "sub/1")
    assert json.loads(members["sub/1.json"]) == {key: own[key] for key in ("width", "height", "areas")}


def test_parquet_shards_become_parquet_shards(model: Path, photos: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    paths = sorted(photos.rglob("*.png"))
    images = [{"bytes": path.read_bytes(), "path": str(path.relative_to(photos))} for path in paths]
    write_parquet(tmp_path / "in" / "train-00000.parquet", {"image": images, "label": [9] * PHOTOS})
    chosen = QUICK.model_copy(update={"overlays": True, "probabilities": True})
    result = predict_shards(model, [str(tmp_path / "in" / "*")], str(tmp_path / "out"), settings=chosen)
    assert result.images == PHOTOS
    rows = parquet.read_table(tmp_path / "out" / "train-00000.parquet").to_pylist()
    expected = _local_masks(model, photos, tmp_path / "folder")
    assert {f"{row['__key__']}.png": row["png"] for row in rows} == expected
    with Image.open(io.BytesIO(rows[0]["overlay.jpg"])) as overlay:
        assert overlay.size == (64, 56)
    with np.load(io.BytesIO(rows[0]["npz"])) as arrays:
        assert arrays["probabilities"].shape == (4, 14, 16)
    assert rows[0]["tif"] is None


def test_what_is_whole_and_current_is_kept(model: Path, photos: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "place")
    _shards(photos, place, tmp_path)
    out = tmp_path / "place" / "out"

    def made(settings: PredictSettings = QUICK) -> int:
        result = predict_shards(model, [f"{place}/in/*.tar"], str(out), settings=settings)
        assert (result.is_whole, result.images) == (True, PHOTOS)
        return result.made

    assert made() == 2
    before = (out / "shard-1.tar").read_bytes()
    assert made() == 0
    (out / "shard-1.tar").write_bytes(before[:600])  # an upload that was interrupted
    (out / "shard-0.tar.json").unlink()
    assert made() == 2
    assert (out / "shard-1.tar").read_bytes() == before
    assert made(QUICK.model_copy(update={"workers": 2})) == 0
    assert made(QUICK.model_copy(update={"overlays": True})) == 2
    assert made(QUICK.model_copy(update={"flip": True})) == 2
    _write(f"{place}/in/shard-1.tar", _read(f"{place}/in/shard-1.tar"))  # of another time
    assert made(QUICK.model_copy(update={"flip": True})) == 1


def test_failures_are_listed_for_each_shard_and_in_all(
    model: Path, photos: Path, place: str, tmp_path: Path
) -> None:
    good = (photos / "0.png").read_bytes()
    members = {"a.png": good, "b.png": good[:-200], "c.jpg": b"<html>", "d.cls": b"1"}
    whole = write_tar(tmp_path / "shard.tar", members).read_bytes()
    _write(f"{place}/in/shard-0.tar", whole)
    _write(f"{place}/in/shard-1.tar", whole[:1500])
    result = predict_shards(model, [f"{place}/in/*.tar"], f"{place}/out", settings=QUICK)
    assert (result.is_whole, result.shards, result.made, result.images) == (True, 2, 1, 1)
    assert [(row.id, row.stage) for row in result.failures] == [
        ("d", "predict"),
        ("b", "predict"),
        ("c", "predict"),
        ("shard-1.tar", "predict"),
    ]
    reasons = {row.id: row.reason for row in result.failures}
    first, second = (find_files(f"{place}/in/shard-{number}.tar")[0].address for number in range(2))
    assert reasons["b"].startswith(f"{first}: b.png: ")
    assert reasons["shard-1.tar"].startswith(f"{second}: is damaged")
    assert "swtformer-scratch" not in str(reasons)
    rows = list(csv.DictReader(io.StringIO(_read(f"{place}/out/failures.csv").decode())))
    assert [row["id"] for row in rows] == [row.id for row in result.failures]
    assert sorted(tar_members(_read(f"{place}/out/shard-0.tar"))) == ["a.json", "a.png"]
    # Mended, the second one is made.
    _write(f"{place}/in/shard-1.tar", write_tar(tmp_path / "shard.tar", {"x.png": good}).read_bytes())
    again = predict_shards(model, [f"{place}/in/*.tar"], f"{place}/out", settings=QUICK)
    assert (again.made, again.images, [row.id for row in again.failures]) == (1, 2, ["d", "b", "c"])


def test_masks_of_what_is_damaged_now_do_not_stay(model: Path, photos: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "place")
    _shards(photos, place, tmp_path)
    predict_shards(model, [f"{place}/in/*.tar"], f"{place}/out", settings=QUICK)
    _write(f"{place}/in/shard-1.tar", b"<html>" * 200)
    result = predict_shards(model, [f"{place}/in/*.tar"], f"{place}/out", settings=QUICK)
    assert [row.id for row in result.failures] == ["shard-1.tar"]
    assert "shard-1.tar" not in _names(f"{place}/out")


def test_processes_divide_the_shards_and_the_last_one_sums_up(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(tmp_path / "place")
    _shards(photos, place, tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    results = []
    for number in (1, 0):
        monkeypatch.setenv("RANK", str(number))
        result = predict_shards(model, [f"{place}/in/*.tar"], f"{place}/out", settings=QUICK)
        results.append((result.is_whole, result.shards, result.made, result.images))
    assert results == [(False, 1, 1, 3), (True, 2, 1, 7)]
    monkeypatch.undo()
    expected = _local_masks(model, photos, tmp_path / "folder")
    assert _masks(f"{place}/out", ["shard-0.tar", "shard-1.tar"]) == expected


def test_faults_of_an_earlier_call_are_no_answer(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process without a shard of its own reports nothing, and the others remove what they try again."""
    place = str(tmp_path / "place")
    _shards(photos, place, tmp_path)
    for name in ("shard-0.tar", "shard-1.tar"):
        _write(f"{place}/in/{name}", b"<html>" * 200)
    shards = [f"{place}/in/*.tar"]
    first = predict_shards(model, shards, f"{place}/out", settings=QUICK)
    assert (first.is_whole, first.images) == (True, 0)
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "2")
    idle = predict_shards(model, shards, f"{place}/out", settings=QUICK)
    assert (idle.is_whole, idle.shards, idle.failures) == (False, 0, ())
    monkeypatch.setattr(driver, "_work", _stopped)
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(KeyboardInterrupt):
        predict_shards(model, shards, f"{place}/out", settings=QUICK)
    assert "failures.csv" not in _names(f"{place}/out")
    assert "shard-0.tar.json" not in _names(f"{place}/out")


def test_a_process_whose_shards_were_kept_does_not_report_old_faults(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(tmp_path / "place")
    _shards(photos, place, tmp_path)
    good = _read(f"{place}/in/shard-0.tar")
    _write(f"{place}/in/shard-0.tar", b"<html>" * 200)
    shards = [f"{place}/in/*.tar"]
    assert len(predict_shards(model, shards, f"{place}/out", settings=QUICK).failures) == 1
    (tmp_path / "place/out/failures.csv").unlink()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    idle = predict_shards(model, shards, f"{place}/out", settings=QUICK)
    assert (idle.is_whole, idle.made, idle.kept, idle.failures) == (False, 0, 1, ())
    assert "failures.csv" not in _names(f"{place}/out")
    _write(f"{place}/in/shard-0.tar", good)
    monkeypatch.setenv("RANK", "0")
    whole = predict_shards(model, shards, f"{place}/out", settings=QUICK)
    assert (whole.is_whole, whole.made, whole.images, whole.failures) == (True, 1, PHOTOS, ())


def test_a_strict_shard_names_its_image(model: Path, tmp_path: Path) -> None:
    write_tar(tmp_path / "place/in/a.tar", {"bad.jpg": b"no picture"})
    strict = QUICK.model_copy(update={"strict": True})
    result = predict_shards(model, f"{tmp_path}/place/in/*", f"{tmp_path}/place/out", settings=strict)
    (failure,) = result.failures
    assert "in/a.tar: bad.jpg" in failure.reason
    assert "images/" not in failure.reason


def test_other_classes_make_the_shards_again(model: Path, photos: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "place")
    _shards(photos, place, tmp_path)
    renamed = tmp_path / "renamed"
    shutil.copytree(model, renamed)
    shards = [f"{place}/in/*.tar"]
    assert predict_shards(renamed, shards, f"{place}/out", settings=QUICK).made == 2
    config = renamed / "config.json"
    config.write_text(config.read_text().replace(f'"{CLASSES[0]}"', '"other"'))
    assert predict_shards(renamed, shards, f"{place}/out", settings=QUICK).made == 2
    members = tar_members(_read(f"{place}/out/shard-0.tar"))
    assert all('"other"' in content.decode() for name, content in members.items() if name.endswith(".json"))


def test_a_model_that_changes_meanwhile_stops_the_work(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(tmp_path / "place")
    _shards(photos, place, tmp_path)
    changing = tmp_path / "changing"
    shutil.copytree(model, changing)
    fetch = RemoteFile.fetch

    def retrained(file: RemoteFile, target: Path) -> None:
        if file.name == "shard-0.tar":
            other = tiny("swtformer_v2")
            torch.nn.init.zeros_(other.head.weight)
            save_pretrained(other, changing)
        fetch(file, target)

    monkeypatch.setattr(RemoteFile, "fetch", retrained)
    with pytest.raises(SwtformerError, match=r"changing: was replaced while .* Repeat the command"):
        predict_shards(changing, [f"{place}/in/*.tar"], f"{place}/out", settings=QUICK)
    assert [name for name in _names(f"{place}/out") if name.endswith(".tar")] == []


def _stopped(*_: object) -> None:
    raise KeyboardInterrupt


KILLED = """
import os, signal, sys
from pathlib import Path
from swtformer.settings import PredictSettings
from swtformer.stages.predict import predict_shards
from swtformer.store.remote import RemoteFolder

put = RemoteFolder.put
def killed(self, file, name):
    if name == "shard-1.tar":
        Path(self.file(name)).write_bytes(file.read_bytes()[:700])
        os.kill(os.getpid(), signal.SIGKILL)
    put(self, file, name)
RemoteFolder.put = killed
quick = PredictSettings(precision="fp32", flip=False)
predict_shards(sys.argv[1], [sys.argv[2]], sys.argv[3], settings=quick)
"""


def test_a_killed_process_loses_one_shard_and_leaves_nothing(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    place = str(tmp_path / "place")
    _shards(photos, place, tmp_path)
    arguments = [str(model), f"{place}/in/*.tar", f"{place}/out"]
    died = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, env=os.environ)
    assert died.returncode == -signal.SIGKILL
    assert (tmp_path / "place" / "out" / "shard-1.tar").stat().st_size == 700
    assert list((tmp_path / "scratch").iterdir()) != []
    result = predict_shards(model, [f"{place}/in/*.tar"], f"{place}/out", settings=QUICK)
    assert (result.made, result.images) == (1, PHOTOS)
    assert _masks(f"{place}/out", ["shard-0.tar", "shard-1.tar"]) == _local_masks(
        model, photos, tmp_path / "folder"
    )
    assert list((tmp_path / "scratch").iterdir()) == []


def test_no_more_than_two_shards_are_on_the_disk(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(tmp_path / "place")
    for number in range(5):
        write_tar(tmp_path / f"place/in/{number}.tar", {"a.png": (photos / "0.png").read_bytes()})
    most = 0
    work = driver._work

    def counted(job: Any, fetched: Any, folder: Path, *rest: Any) -> Any:
        nonlocal most
        most = max(most, sum(path.name.isdigit() for path in folder.parent.iterdir()))
        made = work(job, fetched, folder, *rest)
        most = max(most, sum(path.name.isdigit() for path in folder.parent.iterdir()))
        return made

    monkeypatch.setattr(driver, "_work", counted)
    assert predict_shards(model, [f"{place}/in/*"], f"{place}/out", settings=QUICK).made == 5
    assert most <= 2


def test_images_of_a_folder_make_shards(
    model: Path, photos: Path, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "GROUPED", 5)
    for path in photos.rglob("*.png"):
        _write(f"{place}/photos/{path.relative_to(photos).as_posix()}", path.read_bytes())
    result = predict_shards(model, [f"{place}/photos"], f"{place}/out", settings=QUICK)
    assert (result.shards, result.images, result.failures) == (2, PHOTOS, ())
    names = ["photos-000000.tar", "photos-000001.tar"]
    assert _masks(f"{place}/out", names) == _local_masks(model, photos, tmp_path / "folder")
    again = predict_shards(model, [f"{place}/photos"], f"{place}/out", settings=QUICK)
    assert (again.made, again.kept) == (0, 2)


def test_a_full_disk_stops_the_work(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(tmp_path / "place")
    _shards(photos, place, tmp_path)
    fetch = RemoteFile.fetch

    def full(file: RemoteFile, target: Path) -> None:
        if file.name == "shard-1.tar":
            raise DiskFullError("no space left")
        fetch(file, target)

    monkeypatch.setattr(RemoteFile, "fetch", full)
    with pytest.raises(DiskFullError, match="no space left"):
        predict_shards(model, [f"{place}/in/*.tar"], f"{place}/out", settings=QUICK)
    assert "shard-0.tar.json" in _names(f"{place}/out")
    assert "shard-1.tar.json" not in _names(f"{place}/out")


def test_a_disk_that_fills_up_later_is_told(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(tmp_path / "place")
    _shards(photos, place, tmp_path)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(driver, "pack", full)
    with pytest.raises(SwtformerError, match=r"swtformer-scratch-.*: No space left on device.*TMPDIR"):
        predict_shards(model, [f"{place}/in/*.tar"], f"{place}/out", settings=QUICK)


def test_a_shard_that_is_gone_is_told(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(tmp_path / "place")
    _shards(photos, place, tmp_path)
    fetch = RemoteFile.fetch

    def gone(file: RemoteFile, target: Path) -> None:
        if file.name == "shard-0.tar":
            Path(file.address).unlink()
        fetch(file, target)

    monkeypatch.setattr(RemoteFile, "fetch", gone)
    result = predict_shards(model, [f"{place}/in/*.tar"], f"{place}/out", settings=QUICK)
    assert (result.images, result.is_whole) == (3, True)
    assert "shard-0.tar: cannot be fetched" in result.failures[0].reason


def test_progress_counts_shards_and_names_images(model: Path, photos: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "place")
    _shards(photos, place, tmp_path)
    seen: list[tuple[str, int, int, str]] = []

    def watch(stage: str, done: int, total: int, note: str = "") -> None:
        seen.append((stage, done, total, note))

    predict_shards(model, [f"{place}/in/*.tar"], f"{place}/out", settings=QUICK, progress=watch)
    assert seen[0] == ("predict", 0, 2, "")
    assert ("predict", 1, 2, "shard-1.tar: 2/3") in seen
    assert seen[-1] == ("predict", 2, 2, "")


def test_deep_images_need_a_range(model: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    deep = (draw_pair(0)[0][..., 0].astype(np.uint16) * 16).clip(0, 4095)
    Image.fromarray(deep).save(buffer, format="PNG")
    write_tar(tmp_path / "in" / "a.tar", {"a.png": buffer.getvalue()})
    arguments = (model, [str(tmp_path / "in" / "a.tar")], str(tmp_path / "out"))
    with pytest.raises(SettingsError, match=r"a\.tar: holds images of more than 8 bits.*predict\.range"):
        predict_shards(*arguments, settings=QUICK)
    chosen = PredictSettings.model_validate({**QUICK.model_dump(), "range": (0, 4095)})
    assert predict_shards(*arguments, settings=chosen).images == 1


def test_names_that_clash_and_results_that_would_overwrite_are_refused(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    for folder in ("x", "y"):
        write_tar(tmp_path / folder / "a.tar", {"a.png": (photos / "0.png").read_bytes()})
    both = [str(tmp_path / folder / "a.tar") for folder in ("x", "y")]
    with pytest.raises(DataError, match=r"x/a\.tar and .*y/a\.tar would both become .*out/a\.tar"):
        predict_shards(model, both, str(tmp_path / "out"), settings=QUICK)
    with pytest.raises(DataError, match=r"x/a\.tar: its result would overwrite it"):
        predict_shards(model, both[:1], str(tmp_path / "x"), settings=QUICK)
    result = predict_shards(model, [str(tmp_path / "[xy]" / "*.tar")], str(tmp_path / "out"), settings=QUICK)
    assert result.images == 2
    assert {"x/a.tar", "y/a.tar"} < set(_names(str(tmp_path / "out")))


def test_a_place_that_cannot_be_written_to_is_refused_before_work(
    model: Path, photos: Path, tmp_path: Path, s3_bucket: str
) -> None:
    write_tar(tmp_path / "a.tar", {"a.png": (photos / "0.png").read_bytes()})
    seen: list[int] = []
    with pytest.raises(SwtformerError, match=r"s3://no-such/out/shards\.json: cannot be written"):
        predict_shards(
            model,
            [str(tmp_path / "a.tar")],
            "s3://no-such/out",
            settings=QUICK,
            progress=lambda *_: seen.append(1),
        )
    assert not seen
