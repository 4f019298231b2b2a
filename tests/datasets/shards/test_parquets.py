from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from support.shards import write_parquet
from swtformer.datasets.shards import parquets
from swtformer.datasets.shards.parquets import read_parquet
from swtformer.datasets.shards.samples import Sample
from swtformer.errors import DataError, SwtformerError

pytest.importorskip("pyarrow")


def _read(path: Path, *, labelled: bool = True) -> list[Sample]:
    return list(read_parquet(path, "s3://b/a.parquet", labelled=labelled))


def _images(*paths: str | None) -> list[dict[str, Any]]:
    return [{"bytes": str(number).encode(), "path": path} for number, path in enumerate(paths)]


def test_images_as_hugging_face_writes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquets, "ROWS", 2)
    features = json.dumps({"info": {"features": {"label": {"names": ["dog", "cat"], "_type": "ClassLabel"}}}})
    columns = {"image": _images("a.jpg", "sub/b.png", "c.JPG"), "label": [1, 0, 1], "width": [1, 2, 3]}
    path = write_parquet(tmp_path / "a.parquet", columns, features)
    assert _read(path) == [
        Sample("a", "row 0, a", b"0", ["cat"]),
        Sample("sub/b", "row 1, sub/b", b"1", ["dog"]),
        Sample("c", "row 2, c", b"2", ["cat"]),
    ]
    assert [sample.labels for sample in _read(path, labelled=False)] == [None] * 3


@pytest.mark.parametrize(
    "feature",
    [
        {"feature": {"names": ["dog", "cat"], "_type": "ClassLabel"}, "_type": "List"},
        [{"names": ["dog", "cat"], "_type": "ClassLabel"}],
    ],
)
def test_lists_of_class_numbers(feature: object, tmp_path: Path) -> None:
    features = json.dumps({"info": {"features": {"labels": feature}}})
    columns = {"image": _images("a.jpg", "b.jpg"), "labels": [[0, 1], []]}
    found = _read(write_parquet(tmp_path / "a.parquet", columns, features))
    assert [sample.labels for sample in found] == [["dog", "cat"], []]


def test_numbers_and_names_without_features_stay(tmp_path: Path) -> None:
    columns = {"jpg": [b"0", b"1", None], "__key__": ["x", "y", "z"], "classes": [["cat"], None, []]}
    assert _read(write_parquet(tmp_path / "a.parquet", columns)) == [
        Sample("x", "row 0, x", b"0", ["cat"]),
        Sample("y", "row 1, y", b"1", None),
        Sample("z", "row 2, z", None, []),
    ]


@pytest.mark.parametrize("second", ["a.png", None, "../b.jpg", "/b.jpg"])
def test_rows_are_numbered_where_paths_are_no_keys(second: str | None, tmp_path: Path) -> None:
    found = _read(write_parquet(tmp_path / "a.parquet", {"image": _images("a.jpg", second)}))
    assert [sample.key for sample in found] == ["000000", "000001"]


def test_rows_are_numbered_where_there_are_neither_keys_nor_paths(tmp_path: Path) -> None:
    images = [{"bytes": b"0"}, {"bytes": b"1"}]
    found = _read(write_parquet(tmp_path / "a.parquet", {"image": images}))
    assert [(sample.key, sample.image) for sample in found] == [("000000", b"0"), ("000001", b"1")]


def test_rows_without_a_key_are_numbered(tmp_path: Path) -> None:
    columns = {"jpg": [b"0", b"1", b"2"], "__key__": [None, "y", None]}
    found = _read(write_parquet(tmp_path / "a.parquet", columns))
    assert [sample.key for sample in found] == ["000000", "y", "000002"]


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"name": ["a"]}, "no column of bytes among name"),
        ({"left": [b"1"], "right": [b"2"]}, "has 2 columns of bytes, 'left' and 'right'"),
        (
            {"image": [b"%d" % number * 20_000 for number in range(50)]},
            r"unpacks to [\d,]+ bytes, more than 1 times",
        ),
    ],
)
def test_what_holds_no_images_is_refused(
    columns: dict[str, Any], match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquets, "BOMB_BYTES", 1000)
    monkeypatch.setattr(parquets, "BOMB_TIMES", 1)
    with pytest.raises(DataError, match=match):
        _read(write_parquet(tmp_path / "a.parquet", columns))


@pytest.mark.parametrize("kept", [0, 3, 200, -10])
def test_damaged_files_are_refused(kept: int, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"image": _images(*"abcdefgh")})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"s3://b/a\.parquet: cannot be read as Parquet"):
        _read(path)


def test_pyarrow_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SwtformerError, match=r"pip install 'swtformer\[remote\]'"):
        _read(tmp_path / "a.parquet")
