"""Files that are written byte by byte, as MXNet's three versions of the format have them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from swtformer.backbones.mxnet_params import read_params
from swtformer.backbones.weights import read_tensors
from swtformer.errors import CheckpointError

TYPES = {"float32": 0, "float64": 1, "float16": 2, "uint8": 3, "int32": 4, "int8": 5, "int64": 6}
VERSIONS = ("legacy", "wide", "storage")


def array(values: np.ndarray, *, version: str = "storage", storage: int = 0) -> bytes:
    """One array: shape, device 1 (the CPU) with number 0, type, values."""
    head = {"legacy": b"", "wide": struct.pack("<I", 0xF993FAC8), "storage": struct.pack("<I", 0xF993FAC9)}
    made = head[version] + (struct.pack("<i", storage) if version == "storage" else b"")
    sides = "I" if version == "legacy" else "q"
    made += struct.pack(f"<I{values.ndim}{sides}", values.ndim, *values.shape)
    return made + struct.pack("<iii", 1, 0, TYPES[values.dtype.name]) + values.tobytes()


def params(arrays: list[bytes], names: list[str]) -> bytes:
    """A list of arrays with their names."""
    made = struct.pack("<QQQ", 0x112, 0, len(arrays)) + b"".join(arrays) + struct.pack("<Q", len(names))
    return made + b"".join(struct.pack("<Q", len(name)) + name.encode() for name in names)


WEIGHT = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)


@pytest.mark.parametrize("version", VERSIONS)
def test_arrays_of_every_version_come_back_by_name(tmp_path: Path, version: str) -> None:
    path = tmp_path / "weights.params"
    arrays = [array(WEIGHT, version=version), array(np.array([1.5, 2.0], np.float16), version=version)]
    path.write_bytes(params(arrays, ["arg:res2a_weight", "aux:bn7_moving_mean"]))
    read = read_params(path)
    assert list(read) == ["arg:res2a_weight", "aux:bn7_moving_mean"]
    assert torch.equal(read["arg:res2a_weight"], torch.from_numpy(WEIGHT))
    assert read["aux:bn7_moving_mean"].dtype == torch.float32
    assert read["aux:bn7_moving_mean"].tolist() == [1.5, 2.0]
    assert read_tensors(path).keys() == read.keys()


@pytest.mark.parametrize("dtype", ["float64", "uint8", "int32", "int8", "int64"])
def test_other_types_stay(tmp_path: Path, dtype: str) -> None:
    (tmp_path / "weights.params").write_bytes(params([array(np.array([[1, 2]], dtype))], ["a"]))
    read = read_params(tmp_path / "weights.params")["a"]
    assert read.numpy().dtype == dtype
    assert read.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ends too early"),
        (b"<html>404</html>" * 9, "begins with other bytes"),
        (params([array(WEIGHT)], ["a", "b"]), "1 arrays and 2 names"),
        (params([array(WEIGHT, storage=1)], ["a"]), "sparse arrays"),
        (struct.pack("<QQQI", 0x112, 0, 1, 99), "array of 99 sides"),
        (struct.pack("<QQQIIIiii", 0x112, 0, 1, 2, 1, 1, 1, 0, 9), "unknown type"),
        (struct.pack("<QQQIIqiii", 0x112, 0, 1, 0xF993FAC8, 1, -1, 1, 0, 0), "negative sides"),
        # Sides whose product is far beyond the file: nothing is allocated.
        (struct.pack("<QQQIIIiii", 0x112, 0, 1, 2, 2**31, 2**31, 1, 0, 0), "ends too early"),
        (struct.pack("<QQQ", 0x112, 0, 2**60), "ends too early"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "weights.params").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"not a .params file of MXNet: .*{message}"):
        read_params(tmp_path / "weights.params")


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    whole = params([array(WEIGHT, version="legacy"), array(WEIGHT)], ["first", "second"])
    for length in range(len(whole)):
        (tmp_path / "weights.params").write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="truncated"):
            read_params(tmp_path / "weights.params")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.params").mkdir()
    with pytest.raises(CheckpointError, match="truncated or not"):
        read_params(tmp_path / "weights.params")
