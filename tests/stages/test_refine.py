"""Refinement of drawn maps: what lies on disk, what is reused, what is skipped, what is refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from support.blobs import CLASSES, draw_maps
from support.launched import KILLED, files_below, killed_at, launch
from swtformer.datasets.records import ImageSet, Record
from swtformer.errors import DataError, NonFiniteError, PluginError, SwtformerError
from swtformer.refiners import REFINERS, create_refiner
from swtformer.refiners.par import PixelAdaptiveRefinement
from swtformer.settings import Settings, validate
from swtformer.stages.refine import refine
from swtformer.store.failures import read_failures
from swtformer.store.files import read_json, write_json
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.run import Run

IDS = ["a", "b", "sub/c", "none"]


@pytest.fixture
def drawn(draw: Callable[..., Any]) -> Any:
    """The run with drawn maps, and its images on disk."""
    drawn = draw(settings=quick())
    rng = np.random.default_rng(0)
    for record in drawn.data.records:
        height, width = drawn.maps(record.id).size
        record.image.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))
        image.save(record.image, quality=95)
    return drawn


PAR = {"iterations": 2, "dilations": [1, 3]}


def quick(refiner: dict[str, Any] = PAR, **changes: Any) -> Settings:
    values = {"refine": {"accelerator": "cpu", **changes}, "refiner": refiner}
    return validate(Settings, values, where="test")


def load(run: Run, id: str) -> ClassActivationMaps:
    return ClassActivationMaps.load(run.refined_map_file(id))


@pytest.mark.parametrize(("given", "error"), [(None, PluginError), (torch.nan, NonFiniteError)])
def test_a_refiner_that_breaks_its_contract_stops_the_stage(
    given: float | None, error: type[SwtformerError], drawn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refined(self: PixelAdaptiveRefinement, images: torch.Tensor, maps: Sequence[torch.Tensor]) -> Any:
        return None if given is None else [own * given for own in maps]

    monkeypatch.setattr(PixelAdaptiveRefinement, "_refined", refined)
    with pytest.raises(error, match="The refiner 'par'"):
        refine(drawn.run, drawn.data)


def test_every_image_is_refined_by_the_settings(drawn: Any) -> None:
    calls: list[tuple[Any, ...]] = []
    result = refine(drawn.run, drawn.data, progress=lambda *call: calls.append(call))
    assert (result.method, result.done, result.reused, result.unmapped) == ("par", 4, 0, 0)
    assert result.failures == ()
    assert calls[-1] == ("refine", 4, 4)
    refiner = create_refiner("par", PAR)
    for record in drawn.data.records:
        maps, refined = drawn.maps(record.id), load(drawn.run, record.id)
        with Image.open(record.image) as image:
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        expected = refiner.refine(pixels, torch.from_numpy(maps.rcam).float())
        assert refined.refined is not None
        assert refined.rcam is None
        np.testing.assert_allclose(refined.refined, expected, atol=1e-3)
        np.testing.assert_array_equal(refined.cam, maps.cam)
        np.testing.assert_array_equal(refined.values, maps.values)
        assert refined.size == maps.size
    facts = read_json(drawn.run.refined_file)
    assert (facts["method"], facts["source"], facts["split"], facts["images"]) == ("par", "rcam", "val", 4)
    assert facts["scales"] == [0.5, 1.0]
    assert facts["background_power"] is None


def test_cams_get_a_background(drawn: Any) -> None:
    refine(drawn.run, drawn.data, settings=quick(source="cam"))
    assert read_json(drawn.run.refined_file)["background_power"] > 1
    refined = load(drawn.run, "b").refined
    assert refined is not None
    assert refined.shape[0] == 3
    refine(drawn.run, drawn.data, settings=quick(source="cam", background_power=2.5))
    assert read_json(drawn.run.refined_file)["background_power"] == 2.5


def test_44_current_maps_are_kept_and_the_rest_refined_again(drawn: Any) -> None:
    refine(drawn.run, drawn.data)
    kept, truncated = drawn.run.refined_map_file("a"), drawn.run.refined_map_file("sub/c")
    before = kept.stat().st_mtime_ns, truncated.read_bytes()
    truncated.write_bytes(before[1][:100])
    drawn.run.refined_map_file("b").unlink()
    result = refine(drawn.run, drawn.data)
    assert (result.done, result.reused) == (2, 2)
    assert kept.stat().st_mtime_ns == before[0]
    np.testing.assert_array_equal(load(drawn.run, "a").refined, ClassActivationMaps.load(kept).refined)


@pytest.mark.parametrize("change", ["maps", "image", "options", "workers", "source"])
def test_44_stale_maps_are_refined_again(drawn: Any, change: str) -> None:
    refine(drawn.run, drawn.data)
    settings = quick()
    if change == "maps":
        drawn.change("a", made_from="another image")
    elif change == "image":
        os.utime(drawn.data.records[0].image, (1, 1))
    elif change == "options":
        settings = quick({**PAR, "iterations": 3})
    elif change == "workers":
        settings = quick(workers=3)
    else:  # what `auto` means here; R-CAMs bring their own background
        settings = quick(source="rcam", background_power=2.0)
    done = {"maps": 1, "image": 1, "options": 4, "workers": 0, "source": 0}[change]
    result = refine(drawn.run, drawn.data, settings=settings)
    assert (result.done, result.reused) == (done, 4 - done)


def test_maps_of_another_model_are_not_refined(drawn: Any) -> None:
    refine(drawn.run, drawn.data)
    drawn.change("a", made_by="another model")
    for _ in range(2):
        result = refine(drawn.run, drawn.data)
        assert [(failure.id, failure.stage) for failure in result.failures] == [("a", "refine")]
        assert "is stale" in result.failures[0].reason
        assert not drawn.run.refined_map_file("a").exists()


def test_an_interrupted_run_resumes(drawn: Any) -> None:
    def stop(stage: str, done: int, total: int, note: str = "") -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refine(drawn.run, drawn.data, progress=stop)
    result = refine(drawn.run, drawn.data)
    assert (result.done, result.reused) == (2, 2)


def test_what_cannot_be_used_is_skipped_and_recorded(drawn: Any) -> None:
    refine(drawn.run, drawn.data)
    first, second, third, _ = drawn.data.records
    first.image.write_bytes(first.image.read_bytes()[:-40])
    drawn.run.map_file(second.id).write_bytes(b"")
    Image.new("RGB", (9, 7)).save(third.image)
    result = refine(drawn.run, drawn.data)
    assert (result.done, result.reused) == (0, 1)
    assert {failure.id for failure in result.failures} == {"a", "b", "sub/c"}
    reasons = {failure.id: failure for failure in read_failures(drawn.run)}
    assert reasons["a"].path == str(first.image)
    assert reasons["b"].path.endswith("b.npz")
    assert "the image has 9×7" in reasons["sub/c"].reason
    for id in ("a", "b", "sub/c"):
        assert not drawn.run.refined_map_file(id).exists()
    shutil.rmtree(drawn.run.maps)
    with pytest.raises(SwtformerError, match="holds no maps"):
        refine(drawn.run, drawn.data)


def test_images_without_maps_are_counted(drawn: Any) -> None:
    drawn.run.map_file("a").unlink()
    result = refine(drawn.run, drawn.data)
    assert (result.done, result.unmapped) == (3, 1)
    others = replace(drawn.data, records=(replace(drawn.data.records[1], id="other"),))
    with pytest.raises(SwtformerError, match="None of the 1 images of drawn/val has maps"):
        refine(drawn.run, others)


def test_the_data_that_the_maps_were_made_for_are_the_default(drawn: Any, tmp_path: Path) -> None:
    table = tmp_path / "images" / "labels.csv"
    rows = [f"{record.id}.jpg,{'' if not record.present else 'cat'}" for record in drawn.data.records]
    table.write_text("image,labels\n" + "\n".join(rows) + "\n")
    write_json(drawn.run.maps_file, {**read_json(drawn.run.maps_file), "data": str(table), "split": None})
    result = refine(drawn.run)
    assert result.done + result.unmapped == 4
    assert result.done > 0


@pytest.mark.parametrize(("wanted", "given"), [("auto", "rcam"), ("cam", "cam")])
def test_a_refiner_knows_what_it_starts_from(drawn: Any, wanted: str, given: str) -> None:
    sources = []

    @REFINERS.register("source")
    class Source(PixelAdaptiveRefinement):
        def _refined(self, images: torch.Tensor, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
            sources.append(self.source)
            return super()._refined(images, maps)

    refine(drawn.run, drawn.data, settings=quick(method="source", source=wanted))
    REFINERS.unregister("source")
    assert sources == [given] * 4


@dataclass(frozen=True)
class Batches:
    """A run with twelve images of three sizes in turn, and what refining them did."""

    run: Run
    data: ImageSet
    refined: list[int]

    def maps(self) -> dict[str, np.ndarray]:
        """The refined maps of every image that has some."""
        files = {record.id: self.run.refined_map_file(record.id) for record in self.data.records}
        made = {id: ClassActivationMaps.load(file).refined for id, file in files.items() if file.is_file()}
        return {id: maps for id, maps in made.items() if maps is not None}


@pytest.fixture
def many(tmp_path: Path) -> Iterator[Batches]:
    run, records, batches = Run(tmp_path / "run"), [], []
    write_json(run.maps_file, {"made_by": "model"})
    rng = np.random.default_rng(1)
    for place in range(12):
        present = ((0,), (), (1, 2))[place % 2 + place // 8]
        height, width = ((40, 60), (33, 47), (60, 40))[place % 3]
        record = Record(f"{place:02}", tmp_path / f"{place}.png", present)
        Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(record.image)
        draw_maps(place, (height, width), present, rcam=True).save(run.map_file(record.id))
        records.append(record)

    class Watched(PixelAdaptiveRefinement):
        """PAR that notes its batches and stumbles over images with a white corner or too many at once."""

        def _refined(self, images: torch.Tensor, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
            batches.append(len(images))
            if (images[:, :, 0, 0] == 1).all(1).any():
                raise DataError("the corner is white")
            if len(images) > 3:
                raise torch.OutOfMemoryError("four are too many")
            return super()._refined(images, maps)

    REFINERS.register("watched")(Watched)
    run.write_settings(quick(method="watched"))
    data = ImageSet("many", "table", tmp_path, CLASSES, tuple(records))
    yield Batches(run, data, batches)
    REFINERS.unregister("watched")


def test_batches_give_the_maps_of_single_images(many: Batches) -> None:
    refine(many.run, many.data)
    assert many.refined == [1] * 12  # by default on a CPU
    alone = many.maps()
    many.refined.clear()
    shutil.rmtree(many.run.refined)
    calls: list[tuple[Any, ...]] = []
    result = refine(
        many.run,
        many.data,
        settings=quick(method="watched", batch_size=3),
        progress=lambda *call: calls.append(call),
    )
    assert many.refined == [3, 3, 3, 1, 1, 1]
    assert (result.done, result.failures) == (12, ())
    assert calls == [("refine", done, 12) for done in range(13)]
    for id, maps in many.maps().items():
        np.testing.assert_allclose(maps.astype(float), alone[id].astype(float), atol=2e-3)
    assert refine(many.run, many.data, settings=quick(method="watched", batch_size=1)).reused == 12


def test_one_image_of_a_batch_fails_alone(many: Batches) -> None:
    for place in (3, 6):
        with Image.open(many.data.records[place].image) as image:
            image.load()
        image.putpixel((0, 0), (255, 255, 255))
        image.save(many.data.records[place].image)
    many.data.records[4].image.write_bytes(b"")
    result = refine(many.run, many.data, settings=quick(method="watched", batch_size=3))
    assert [failure.id for failure in result.failures] == ["03", "04", "06"]
    assert result.failures[0].reason == "the corner is white"
    assert len(many.maps()) == result.done == 9


def test_a_batch_that_is_too_large_is_halved(many: Batches) -> None:
    assert refine(many.run, many.data, settings=quick(method="watched", batch_size=4)).done == 12
    assert many.refined == [4, 2, 2] * 3
    alone = many.data.subset([0])
    many.refined.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PixelAdaptiveRefinement, "_refined", _out_of_memory)
        with pytest.raises(torch.OutOfMemoryError, match="one is too many"):
            refine(many.run, alone, settings=quick({"iterations": 3}, method="watched"))


def _out_of_memory(*_: object) -> list[torch.Tensor]:
    raise torch.OutOfMemoryError("one is too many")


def test_an_interrupted_batch_resumes_in_order(many: Batches) -> None:
    def stop(stage: str, done: int, total: int, note: str = "") -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refine(many.run, many.data, settings=quick(method="watched", batch_size=3), progress=stop)
    assert sorted(many.maps()) == ["00", "01"]
    result = refine(many.run, many.data, settings=quick(method="watched", batch_size=3))
    assert (result.done, result.reused) == (10, 2)


def _refine_launched(drawn: Any) -> None:
    result = refine(drawn.run, drawn.data)
    name = f"{os.environ['RANK']}.txt"
    (drawn.run.path / name).write_text(repr((result.done, result.reused, result.failures)))


def _refine_killed(drawn: Any) -> None:
    ClassActivationMaps.save = killed_at(1, ClassActivationMaps.save)  # type: ignore[method-assign]
    _refine_launched(drawn)


def test_two_processes_divide_the_images_and_one_of_them_is_killed(drawn: Any, tmp_path: Path) -> None:
    drawn.run.map_file("a").write_bytes(b"no maps")
    expected = refine(drawn.run, drawn.data)
    one = files_below(drawn.run.refined)
    shutil.rmtree(drawn.run.refined)
    drawn.run.failures_file.unlink()

    # The second image to do, of three, is the second process's.
    assert launch(_refine_killed, drawn) == [1, KILLED]
    assert {path.stem for path in drawn.run.refined.rglob("*.npz")} == {"b", "none"}
    assert not drawn.run.failures_file.exists()
    assert launch(_refine_launched, drawn) == [0, 0]
    assert files_below(drawn.run.refined) == one
    assert read_failures(drawn.run) == list(expected.failures)
    told = repr((1, 2, expected.failures))
    assert {path.read_text() for path in drawn.run.path.glob("*.txt")} == {told}
