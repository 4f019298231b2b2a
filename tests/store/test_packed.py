from __future__ import annotations

from pathlib import Path

import pytest

from support.shards import tar_members
from swtformer.store import packed
from swtformer.store.packed import pack

FILES = [("a", {"png": b"1", "json": b"{}"}), ("sub/b", {"png": b"2"}), ("x" * 200, {"json": b"[]"})]


def test_tars_have_the_naming_of_webdataset(tmp_path: Path) -> None:
    for name in ("one.tar", "two.tar"):
        pack(iter(FILES), tmp_path / name, ["png", "json"])
    assert list(tar_members(tmp_path / "one.tar").items()) == [
        ("a.png", b"1"),
        ("a.json", b"{}"),
        ("sub/b.png", b"2"),
        (f"{'x' * 200}.json", b"[]"),
    ]
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


@pytest.mark.parametrize("rows", [2, 64])
def test_parquet_files_have_a_row_for_each_image(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(packed, "ROWS", rows)
    for name in ("one.parquet", "two.parquet"):
        pack(iter(FILES), tmp_path / name, ["png", "json", "tif"])
    table = parquet.read_table(tmp_path / "one.parquet")
    assert table.to_pylist() == [
        {"__key__": key, "png": None, "json": None, "tif": None, **contents} for key, contents in FILES
    ]
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_nothing_to_pack_makes_an_empty_shard(tmp_path: Path) -> None:
    pack((), tmp_path / "a.tar", ["png"])
    assert tar_members(tmp_path / "a.tar") == {}
