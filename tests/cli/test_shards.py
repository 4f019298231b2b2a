from __future__ import annotations

from pathlib import Path

import pytest

from support.shards import tar_members, write_tar
from swtformer.cli import main
from swtformer.cli.shards import are_shards
from swtformer.errors import DataError, SettingsError


def test_shards_are_told_from_photographs() -> None:
    assert are_shards(["s3://bucket/a-*.tar"], "s3://bucket/out")
    assert are_shards(["a.tar", "b.parquet"], "out")
    assert not are_shards(["photos", "a.jpg"], "out")
    with pytest.raises(DataError, match="need a command each"):
        are_shards(["a.tar", "a.jpg"], "out")
    with pytest.raises(SettingsError, match="only where the images come in shards"):
        are_shards(["photos"], "s3://bucket/out")


@pytest.fixture
def shards(shapes: Path, tmp_path: Path) -> Path:
    images = sorted(shapes.rglob("*.jpg"))[:4] or sorted(shapes.rglob("*.png"))[:4]
    for number in range(2):
        members = {image.name: image.read_bytes() for image in images[2 * number : 2 * number + 2]}
        write_tar(tmp_path / "in" / f"{number}.tar", members)
    return tmp_path / "in"


def test_predict_and_localize(
    run: Path, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["predict", str(run), f"{shards}/*.tar", f"--out={tmp_path / 'masks'}"]
    assert main(command) == 0
    assert f"Images with masks: 4, in 2 shards: {tmp_path / 'masks'}" in capsys.readouterr().out
    assert main(command) == 0
    assert "2 of them made before" in capsys.readouterr().out
    command = ["localize", str(run), f"{shards}/*.tar", f"--out={tmp_path / 'maps'}", "--localize.scales=1"]
    assert main([*command, "--localize.classes=predicted"]) == 0
    assert "Images with maps: 4, in 2 shards" in capsys.readouterr().out
    assert len(tar_members(tmp_path / "maps" / "0.tar")) == 2
    assert main(command) == 2
    assert "--localize.classes predicted" in capsys.readouterr().err


def test_what_is_skipped_ends_with_3_and_nothing_with_2(
    run: Path, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shards / "1.tar").write_bytes(b"<html>")
    command = ["predict", str(run), str(shards / "0.tar"), str(shards / "1.tar"), f"--out={tmp_path / 'out'}"]
    assert main(command) == 3
    assert "failures.csv says which and why" in capsys.readouterr().err
    (shards / "0.tar").write_bytes(b"<html>")
    assert main(command) == 2
    assert "No image of the shards can be used" in capsys.readouterr().err


def test_a_launched_process_leaves_the_sum_to_the_last(
    run: Path,
    shards: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (shards / "0.tar").write_bytes(b"<html>")
    command = ["predict", str(run), f"{shards}/*.tar", f"--out={tmp_path / 'out'}"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert main(command) == 0
    assert "finished its share of the shards (1)" in capsys.readouterr().out
    monkeypatch.setenv("RANK", "1")
    assert main(command) == 0  # launchers take other codes for a crash
    assert "Images with masks: 2, in 2 shards" in capsys.readouterr().out


def test_out_belongs_to_shards(run: Path, shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["localize", str(run), str(shards / "0.tar")]) == 2
    assert "need --out" in capsys.readouterr().err
    assert main(["localize", str(run), "--out=maps"]) == 2
    assert "need --out" in capsys.readouterr().err
    assert main(["localize", str(run), str(shards / "0.tar"), "--out=maps", "--ray=local"]) == 2
    assert "--ray has no meaning for shards" in capsys.readouterr().err
    assert main(["predict", str(run), str(shards / "0.tar"), "--out=maps", "--ray=local"]) == 2
    assert "--ray has no meaning for shards" in capsys.readouterr().err


def test_a_table_of_labels_is_no_shard(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["localize", str(run), str(tmp_path / "labels.parquet")]) == 2
    assert "need --out" not in capsys.readouterr().err
