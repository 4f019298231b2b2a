"""What holds for every refiner, those of other packages included; learned ones have untrained weights."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import swtformer
from support.blobs import CLASSES, draw_maps
from support.blocks import draw_blocks
from support.models import tiny
from support.toy_refiners import TOYS, registered_toys
from swtformer.backbones import create_backbone
from swtformer.datasets.records import ImageSet, Record
from swtformer.methods.pretrained import save_pretrained
from swtformer.refiners import REFINERS, FitSettings, LearnedRefiner, Refiner, create_refiner
from swtformer.settings import Settings
from swtformer.store.files import write_json
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.run import Run

SIZES = [(1, 1), (1, 37), (5, 3), (33, 47), (64, 40)]
NAMES = [*REFINERS, *TOYS]
QUICK = {"fit_epochs": 1, "fit_batch_size": 2, "fit_crop_px": 32, "fit_precision": "fp32", "walk_steps": 4}

for_each = pytest.mark.parametrize("name", NAMES)
for_each_that_learns = pytest.mark.parametrize("name", ["psa", "irn", "toy_texture"])


@pytest.fixture(autouse=True, scope="module")
def toys() -> Iterator[None]:
    with registered_toys():
        yield
    assert not any(name in REFINERS for name in TOYS)


def make(name: str) -> Refiner:
    torch.manual_seed(0)
    refiner = create_refiner(name)
    if isinstance(refiner, LearnedRefiner):
        refiner.build(create_backbone("swin_nano", weights="none"))
    return refiner


build = cache(make)
"""The same refiner at every call: refining leaves no trace in it."""


def learned(name: str) -> LearnedRefiner:
    refiner = make(name)
    assert isinstance(refiner, LearnedRefiner)
    return refiner


def draw(size: tuple[int, int], channels: int, grid: tuple[int, int] | None = None) -> tuple[Tensor, Tensor]:
    """A noisy image in two colours, and maps on a coarser grid."""
    torch.manual_seed(1)
    image = 0.2 * torch.rand(3, *size)
    image[:, :, size[1] // 2 :] += 0.6
    height, width = grid or tuple(-(-side // 4) for side in size)
    return image, torch.rand(channels, height, width)


@for_each
@pytest.mark.parametrize("size", SIZES)
def test_any_size(name: str, size: tuple[int, int]) -> None:
    image, maps = draw(size, 3)
    refined = build(name).refine(image, maps)
    assert refined.shape[0] == 3
    assert refined.dtype == torch.float32
    assert refined.device.type == "cpu"
    assert torch.isfinite(refined).all()
    assert refined.min() >= 0
    assert refined.max() <= 1


@for_each
@pytest.mark.parametrize("grid", [(1, 1), (33, 47), (7, 50)])
def test_maps_of_any_grid(name: str, grid: tuple[int, int]) -> None:
    image, maps = draw((33, 47), 2, grid)
    assert build(name).refine(image, maps).shape[0] == 2


@for_each
def test_background_alone(name: str) -> None:
    image, maps = draw((20, 30), 1)
    refined = build(name).refine(image, torch.ones_like(maps))
    torch.testing.assert_close(refined, torch.ones_like(refined))
    assert refined.shape[0] == 1


@for_each
def test_is_as_sure_as_it_says(name: str) -> None:
    """One label is ahead by 0.2 everywhere; only a refiner that tells how sure it is leaves it so."""
    image = 0.5 + 0.01 * draw((48, 64), 1)[0]
    refiner = build(name)
    refined = refiner.refine(image, torch.tensor([0.4, 0.6])[:, None, None].expand(2, 12, 16).contiguous())
    shares = refined / refined.sum(0)
    margin = float((shares[1] - shares[0]).mean())
    assert margin == pytest.approx(0.2 if refiner.tells_how_sure else 1, abs=0.02)


@for_each
def test_absent_classes_stay_absent_and_change_nothing(name: str) -> None:
    image, maps = draw((33, 47), 4)
    maps[2] = 0
    refiner = build(name)
    refined = refiner.refine(image, maps)
    assert not refined[2].any()
    torch.testing.assert_close(refined[[0, 1, 3]], refiner.refine(image, maps[[0, 1, 3]]))


@for_each
def test_is_deterministic_and_leaves_its_input_alone(name: str) -> None:
    image, maps = draw((33, 47), 3)
    before = image.clone(), maps.clone()
    refiner = build(name)
    first = refiner.refine(image, maps)
    refiner.refine(*draw((20, 64), 2))
    torch.testing.assert_close(refiner.refine(image, maps), first, atol=0, rtol=0)
    torch.testing.assert_close((image, maps), before, atol=0, rtol=0)


@for_each
def test_a_permutation_of_the_classes_permutes_the_result(name: str) -> None:
    image, maps = draw((24, 36), 4)
    order = torch.tensor([0, 3, 1, 2])
    refiner = build(name)
    torch.testing.assert_close(
        refiner.refine(image, maps[order]), refiner.refine(image, maps)[order], atol=1e-4, rtol=1e-3
    )


@for_each
@pytest.mark.parametrize("size", [(1, 1), (33, 47)])
def test_a_batch_is_its_images(name: str, size: tuple[int, int]) -> None:
    """With other numbers of classes, absent ones, other grids, and no class at all."""
    images = [draw(size, 1)[0] * (1 - 0.2 * i) for i in range(4)]
    maps = [draw(size, channels)[1] for channels in (3, 2, 4, 1)]
    maps[1] = torch.rand(2, 5, 6)
    maps[2][1] = 0
    refiner = build(name)
    together = refiner.refine_batch(images, maps)
    assert [len(refined) for refined in together] == [3, 2, 4, 1]
    for image, own, refined in zip(images, maps, together, strict=True):
        torch.testing.assert_close(refined, refiner.refine(image, own), atol=1e-5, rtol=1e-4)


@for_each_that_learns
def test_losses_are_announced_and_reach_every_new_weight(name: str) -> None:
    refiner = learned(name)
    samples = [refiner.sample(example, np.random.default_rng(0)) for example in draw_blocks(2)]
    batch = {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}
    refiner.network.train()
    losses = refiner.losses(batch)
    assert set(losses) <= set(refiner.loss_names)
    assert all(loss.ndim == 0 and loss.isfinite() for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    grouped = [value for group in refiner.parameter_groups().values() for value in group]
    assert {id(value) for value in grouped} == {id(value) for value in refiner.network.parameters()}
    new = [(key, value) for key, value in refiner.network.named_parameters() if "backbone" not in key]
    assert new
    assert all(value.grad is not None and value.grad.any() for _, value in new)


@for_each_that_learns
def test_samples_follow_from_the_generator_and_need_no_network(name: str) -> None:
    (example,) = draw_blocks(1)
    refiner = create_refiner(name)
    assert isinstance(refiner, LearnedRefiner)
    first, same, *others = (refiner.sample(example, np.random.default_rng(seed)) for seed in (0, 0, 1, 2, 3))
    torch.testing.assert_close(first, same, atol=0, rtol=0, equal_nan=True)
    assert any(not torch.equal(first["image"].nan_to_num(), other["image"].nan_to_num()) for other in others)


@for_each_that_learns
def test_new_weights_follow_from_torch_s_generator(name: str) -> None:
    first, same = (learned(name).network.state_dict() for _ in range(2))
    torch.testing.assert_close(first, same, atol=0, rtol=0)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, ImageSet]:
    """A run with an untrained model and the maps of three images."""
    folder = tmp_path_factory.mktemp("contract")
    run, records = Run(folder / "run"), []
    rng = np.random.default_rng(0)
    for index, present in enumerate(((0,), (), (0, 2))):
        size = (40, 56 - 8 * index)
        record = Record(str(index), folder / f"{index}.png", present)
        Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8)).save(record.image)
        draw_maps(index, size, present, rcam=True).save(run.map_file(record.id))
        records.append(record)
    write_json(run.maps_file, {"made_by": "model"})
    save_pretrained(tiny(), run.model)
    return run, ImageSet("drawn", "table", folder, CLASSES, tuple(records))


@for_each
def test_from_a_run_to_refined_maps(name: str, drawn: tuple[Run, ImageSet]) -> None:
    run, data = drawn
    plugin = REFINERS[name]
    options = {key: value for key, value in QUICK.items() if key in plugin.settings_type.model_fields}
    settings = Settings.model_validate(
        {"refine": {"method": name, "accelerator": "cpu", "workers": 0}, "refiner": options}
    )
    stages = set()
    result = swtformer.refine(run, data, settings=settings, progress=lambda stage, *_: stages.add(stage))
    assert (result.method, result.done, result.failures) == (name, 3, ())
    for record in data.records:
        refined = ClassActivationMaps.load(run.refined_map_file(record.id)).refined
        assert refined is not None
        assert len(refined) == len(record.present or ()) + 1
        assert 0 <= refined.min() <= refined.max() <= 1
    assert swtformer.refine(run, data, settings=settings).reused == 3
    assert stages == ({"fit", "refine"} if issubclass(plugin, LearnedRefiner) else {"refine"})
    if issubclass(plugin, LearnedRefiner):
        assert issubclass(plugin.settings_type, FitSettings)
        with Run(run.refined_fit(name)).metrics_file.open(newline="") as stream:
            (row,) = csv.DictReader(stream)
        assert all(float(row[loss]) > 0 for loss in plugin.loss_names)
        another = settings.model_copy(update={"seed": 1})  # for other weights
        assert swtformer.refine(run, data, settings=another).done == 3
