import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from swtformer.errors import NonFiniteError, SwtformerError
from swtformer.store.maps import STEPS, ClassActivationMaps, Source, are_current
from swtformer.store.packed_maps import packed


def example(*, rcam: bool = True) -> ClassActivationMaps:
    rng = np.random.default_rng(0)
    return ClassActivationMaps(
        values=np.array([2, 5], np.int16),
        size=(30, 41),
        cam=rng.random((2, 8, 11)).astype(np.float16),
        rcam=rng.random((3, 8, 11)).astype(np.float16) if rcam else None,
        probabilities=rng.random(6).astype(np.float32),
        made_by="abc",
    )


@pytest.mark.parametrize("rcam", [True, False])
def test_round_trip(tmp_path: Path, rcam: bool) -> None:
    steps = np.random.default_rng(1).integers(0, STEPS + 1, (3, 16, 22))
    maps = replace(example(rcam=rcam), refined=(steps / STEPS).astype(np.float16))
    maps.save(tmp_path / "sub" / "a b.npz")
    loaded = ClassActivationMaps.load(tmp_path / "sub" / "a b.npz")
    assert (loaded.size, loaded.made_by) == ((30, 41), "abc")
    np.testing.assert_array_equal(loaded.values, maps.values)
    np.testing.assert_array_equal(loaded.cam, maps.cam)
    np.testing.assert_array_equal(loaded.probabilities, maps.probabilities)
    for name in ("rcam", "refined"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(maps, name))
    assert loaded.cam.dtype == np.float16


def test_refined_maps_are_kept_in_steps(tmp_path: Path) -> None:
    maps = replace(example(), refined=example().rcam)
    maps.save(tmp_path / "a.npz")
    loaded = ClassActivationMaps.load(tmp_path / "a.npz").channels("refined") * STEPS
    np.testing.assert_array_equal(loaded, np.rint(maps.channels("refined") * STEPS))


def test_an_image_without_a_class_round_trips(tmp_path: Path) -> None:
    none = replace(
        example(), values=np.zeros(0), cam=np.zeros((0, 8, 11)), rcam=np.ones((1, 8, 11)), made_by=""
    )
    none.save(tmp_path / "a.npz")
    assert ClassActivationMaps.load(tmp_path / "a.npz").cam.shape == (0, 8, 11)


def test_channels_bring_or_get_a_background() -> None:
    maps = replace(example(), refined=np.full((3, 8, 11), 0.25, np.float16))
    assert (maps.best, replace(maps, refined=None).best, example(rcam=False).best) == (
        "refined",
        "rcam",
        "cam",
    )
    cam = maps.channels("cam")
    np.testing.assert_array_equal(cam[1:], maps.cam)
    np.testing.assert_array_equal(cam[0], 1 - maps.cam.astype(np.float32).max(0))
    np.testing.assert_array_equal(maps.channels("rcam"), maps.rcam)
    assert (maps.channels("refined") == 0.25).all()
    none = replace(maps, values=np.zeros(0), cam=np.zeros((0, 8, 11)))
    assert (none.channels("cam") == np.ones((1, 8, 11))).all()


@pytest.mark.parametrize(("source", "message"), [("rcam", "no R-CAMs"), ("refined", "no refined maps")])
def test_maps_that_were_not_made_have_no_channels(source: Source, message: str) -> None:
    with pytest.raises(SwtformerError, match=message):
        example(rcam=False).channels(source)


def test_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SwtformerError, match=r"a\.npz: does not exist; .*swtformer localize"):
        ClassActivationMaps.load(tmp_path / "a.npz")


@pytest.mark.parametrize("keep", [0, 1, 0.5, -2])
def test_truncated_file(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "a.npz"
    example().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(SwtformerError, match="cannot be read as class activation maps"):
        ClassActivationMaps.load(path)


def test_any_flipped_byte_is_found_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    maps = example()
    maps.save(path)
    whole = bytearray(path.read_bytes())
    refused = 0
    for place in range(0, len(whole), 3):
        damaged = whole.copy()
        damaged[place] ^= 0x41
        path.write_bytes(damaged)
        try:
            loaded = ClassActivationMaps.load(path)
        except SwtformerError:
            refused += 1
        else:
            np.testing.assert_array_equal(loaded.cam, maps.cam)
            np.testing.assert_array_equal(loaded.probabilities, maps.probabilities)
    assert refused > 100


class Payload:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


def test_pickles_are_never_executed(tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    np.savez(tmp_path / "a.npz", size=np.array([Payload(trace)], dtype=object))
    with pytest.raises(SwtformerError, match="cannot be read as class activation maps"):
        ClassActivationMaps.load(tmp_path / "a.npz")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": np.array([5, 2])}, "do not rise from 1"),
        ({"values": np.array([0, 2])}, "do not rise from 1"),
        ({"values": np.array([1, 2, 3])}, "expected 3 cam maps"),
        ({"cam": np.zeros((2, 8, 11), np.float16)}, "its maps are not packed"),
        ({"cam": packed(np.full((2, 8, 11), np.nan, np.float16))}, "finite float16 cam maps"),
        ({"rcam": packed(np.zeros((2, 8, 11), np.float16))}, "expected 3 rcam maps"),
        ({"refined": packed(np.zeros((2, 8, 11), np.int16))}, "expected 3 refined maps"),
        ({"refined": packed(np.zeros((3, 8, 11), np.int16)), "steps": STEPS + 1}, "expected steps of 1/512"),
        ({"probabilities": np.array([np.inf])}, "finite probability"),
    ],
)
def test_arrays_that_do_not_match(tmp_path: Path, change: dict[str, np.ndarray], message: str) -> None:
    example().save(tmp_path / "whole.npz")
    with np.load(tmp_path / "whole.npz") as arrays:
        np.savez(tmp_path / "a.npz", **{**arrays, "steps": STEPS, **change})
    with pytest.raises(SwtformerError, match=message):
        ClassActivationMaps.load(tmp_path / "a.npz")


def test_what_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    for change in ({"rcam": np.full((3, 8, 11), np.nan)}, {"probabilities": np.array([np.inf])}):
        with pytest.raises(NonFiniteError, match=r"a\.npz: not written, .* not finite"):
            replace(example(), **change).save(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="expected 2 cam maps"):
        replace(example(), cam=np.zeros((3, 8, 11))).save(tmp_path / "a.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_bare_array(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(SwtformerError, match="cannot be read as class activation maps"):
        ClassActivationMaps.load(tmp_path / "a.npz")


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(SwtformerError, match=r"class activation maps .*size"):
        ClassActivationMaps.load(tmp_path / "a.npz")


def test_maps_are_current_while_whole_and_of_the_same_fingerprints(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    assert not are_current(path, made_by="model", made_from="image")
    replace(example(), made_by="model", made_from="image").save(path)
    assert are_current(path, made_by="model", made_from="image")
    assert not are_current(path, made_by="another", made_from="image")
    assert not are_current(path, made_by="model", made_from="another")
    path.write_bytes(path.read_bytes()[:-10])
    assert not are_current(path, made_by="model", made_from="image")


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.npz")
    with pytest.raises(SwtformerError, match="not a regular file"):
        ClassActivationMaps.load(tmp_path / "a.npz")
