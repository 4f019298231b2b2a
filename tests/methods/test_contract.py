"""The contract that every method keeps: those that are registered, and the toys of other kinds.

A new method is tested by being in METHODS. What the stages make of each is in test_stages.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from support.models import CLASSES, backbone_of, tiny
from support.toy_methods import TOYS, registered_toys
from swtformer.backbones.base import Backbone
from swtformer.errors import PluginError, SettingsError, SwtformerError
from swtformer.methods import (
    METHODS,
    Batch,
    Maps,
    Method,
    PyramidMethod,
    TrainingImages,
    checked_maps,
    create_model,
)
from swtformer.settings import LocalizeSettings, ModelSettings, SegmentSettings, Settings
from swtformer.training.module import TrainingModule

every_method = pytest.mark.parametrize("name", [*METHODS, *TOYS])
without_pyramid = pytest.mark.parametrize("name", ["toy_tokens", "toy_two_branches"])
PLAIN = LocalizeSettings(scales=(1.0,), flip=False)


@pytest.fixture(autouse=True)
def toys() -> Iterator[None]:
    with registered_toys():
        yield


@pytest.fixture
def batch(images: torch.Tensor, present: torch.Tensor) -> Batch:
    return Batch(images, present, valid=torch.ones(2, 1, *images.shape[-2:]), index=torch.arange(2))


class FewImages(TrainingImages):
    """The images of a batch as a training set."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    @property
    def present(self) -> torch.Tensor:
        return self.batch.present

    def __len__(self) -> int:
        return len(self.batch.images)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        place = range(len(self))[index]
        return Batch(self.batch.images[[place]], self.batch.present[[place]], index=torch.tensor([place]))


def losses_of(model: Method, batch: Batch) -> dict[str, torch.Tensor]:
    """Those of the first step of a training."""
    torch.manual_seed(0)
    with torch.no_grad():
        model.eval().before_epoch(0, FewImages(batch), epochs=1)
    return model.train().losses(batch, epoch=0.0)


def weights_of(name: str, value: float) -> dict[str, float]:
    """The method's options that are weights of its losses."""
    fields = METHODS[name].settings_type.model_fields
    return {key: value for key in tiny(name).loss_names if key in fields}


def test_toys_do_not_stay_registered() -> None:
    for name in TOYS:
        METHODS.unregister(name)
        assert name not in METHODS


@every_method
def test_other_bands_are_taken_or_refused(name: str) -> None:
    settings = ModelSettings(method=name, backbone=backbone_of(name), weights="none", bands=4)
    try:
        model = create_model(settings, CLASSES)
    except SettingsError:
        return
    image = torch.randint(0, 256, (1, 4, 64, 64), dtype=torch.uint8)
    assert checked_maps(model, image, torch.ones(1, 3), settings=PLAIN).cam.shape == (1, 3, 16, 16)


def test_a_method_that_normalises_three_bands_refuses_others() -> None:
    with pytest.raises(SettingsError, match="'toy_tokens' takes images of three bands, not of 4"):
        create_model(ModelSettings(method="toy_tokens", weights="none", bands=4), CLASSES)
    assert create_model(ModelSettings(method="sipe", backbone="swin_nano", weights="none", bands=4), CLASSES)


@every_method
@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.5)])
def test_maps_are_what_makes_announces(
    name: str, scales: tuple[float, ...], images: torch.Tensor, present: torch.Tensor
) -> None:
    model = tiny(name)
    made = checked_maps(model, images, present, settings=LocalizeSettings(scales=scales))
    assert isinstance(made, Maps)
    assert "cam" in model.makes
    assert (made.rcam is not None) == ("rcam" in model.makes)
    assert made.cam.shape == (2, 3, 16, 24)
    assert made.probabilities.shape == (2, 3)
    assert torch.equal(made.present, present)
    for maps in (made.cam, made.probabilities, *([] if made.rcam is None else [made.rcam])):
        assert maps.dtype == torch.float32
        assert not maps.requires_grad
        assert maps.min() >= 0
        assert maps.max() <= 1
    assert not made.cam[present == 0].any()
    if made.rcam is not None:
        assert made.rcam.shape == (2, 4, 16, 24)
        assert not made.rcam[:, 1:][present == 0].any()


@every_method
def test_views_in_turn_are_the_views_of_each_scale_in_turn(
    name: str, images: torch.Tensor, present: torch.Tensor
) -> None:
    """One scale, named twice, is seen as it is and mirrored; CAMs are sums over views."""
    model = tiny(name)
    both = model.maps(images, present, settings=LocalizeSettings(scales=(1.0,)))
    in_turn = model.maps(images, present, settings=LocalizeSettings(scales=(1.0, 1.0), views="in_turn"))
    torch.testing.assert_close(in_turn.cam, both.cam, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(in_turn.probabilities, both.probabilities)
    first = model.maps(images, present, settings=LocalizeSettings(scales=(1.0,), views="in_turn"))
    alone = model.maps(images, present, settings=PLAIN)
    for made in ("cam", "rcam"):
        torch.testing.assert_close(getattr(first, made), getattr(alone, made))


@every_method
@pytest.mark.parametrize("size", [(1, 1), (33, 47), (40, 160)])
def test_any_size_gives_finite_maps(name: str, size: tuple[int, int]) -> None:
    image = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
    made = tiny(name).maps(
        image, torch.tensor([[1.0, 0.0, 1.0]]), settings=LocalizeSettings(scales=(0.5, 1.0))
    )
    for maps in (made.cam, *([] if made.rcam is None else [made.rcam])):
        assert maps.shape[-2:] == (-(-size[0] // 4), -(-size[1] // 4))
        assert maps.isfinite().all()


@every_method
def test_classes_can_be_predicted(name: str, images: torch.Tensor) -> None:
    """Those of at least the threshold and, in any case, the most probable one."""
    made = tiny(name).maps(images, None, settings=PLAIN.model_copy(update={"class_threshold": 0.0}))
    assert made.present.all()
    made = tiny(name).maps(images, None, settings=PLAIN.model_copy(update={"class_threshold": 1.0}))
    assert made.present.sum(1).tolist() == [1, 1]
    assert torch.equal(made.present.argmax(1), made.probabilities.argmax(1))


@every_method
def test_images_without_a_class_are_background(name: str, images: torch.Tensor) -> None:
    made = tiny(name).maps(images, torch.zeros(2, 3), settings=PLAIN)
    assert not made.cam.any()
    if made.rcam is not None:
        assert (made.rcam[:, 0] == 1).all()
        assert not made.rcam[:, 1:].any()


@every_method
def test_bytes_and_fractions_are_the_same_image(name: str, images: torch.Tensor, batch: Batch) -> None:
    model = tiny(name)
    fractions = images.float() / 255
    with torch.no_grad():
        torch.testing.assert_close(model.logits(images), model.logits(fractions))
    from_bytes = losses_of(tiny(name), batch)
    from_fractions = losses_of(tiny(name), Batch(fractions, batch.present, batch.valid, batch.index))
    torch.testing.assert_close(from_bytes, from_fractions)


@every_method
def test_an_image_does_not_depend_on_its_neighbours(
    name: str, images: torch.Tensor, present: torch.Tensor
) -> None:
    model = tiny(name)
    with torch.no_grad():
        torch.testing.assert_close(model.logits(images)[1:], model.logits(images[1:]), atol=1e-5, rtol=1e-5)
    settings = LocalizeSettings(scales=(1.0,))
    both = model.maps(images, present, settings=settings)
    alone = model.maps(images[1:], present[1:], settings=settings)
    torch.testing.assert_close(both.cam[1:], alone.cam, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(both.probabilities[1:], alone.probabilities, atol=1e-5, rtol=1e-4)
    if both.rcam is not None:
        torch.testing.assert_close(both.rcam[1:], alone.rcam, atol=1e-4, rtol=1e-3)


@every_method
def test_losses_are_announced_and_unweighted(name: str, batch: Batch) -> None:
    model = tiny(name)
    losses = losses_of(model, batch)
    assert set(losses) == set(model.loss_names), "at the default options every loss is trained"
    assert set(model.loss_weights(0.0)) <= set(model.loss_names)
    for value in losses.values():
        assert value.shape == ()
        assert value.isfinite()
    weighted = tiny(name, **weights_of(name, 7.0))
    torch.testing.assert_close(losses_of(weighted, batch), losses)
    assert all(weighted.loss_weights(0.0)[key] == 7 for key in weights_of(name, 7.0))


def test_a_loss_that_is_not_announced_is_an_error_that_names_it(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny("toy_tokens")
    monkeypatch.setattr(type(model), "loss_names", ("cls",))
    step = {"image": batch.images, "present": batch.present, "valid": torch.ones(2, 64, 96)}
    with pytest.raises(PluginError, match=r"'toy_tokens' \(.*Tokens\): .*'patch_cls' .*loss_names \['cls'\]"):
        TrainingModule(model, Settings()).training_step(step, 0)
    for losses, message in (
        (torch.ones(()), "gave Tensor; .*by name"),
        ({"cls": torch.ones(2)}, r"shape \(2,\)"),
    ):
        monkeypatch.setattr(model, "losses", lambda *_, losses=losses, **__: losses)
        with pytest.raises(PluginError, match=f"'toy_tokens' .*{message}"):
            TrainingModule(model, Settings()).training_step(step, 0)


@every_method
def test_losses_train_every_parameter(name: str, batch: Batch) -> None:
    model = tiny(name)
    torch.stack(list(losses_of(model, batch).values())).sum().backward()
    idle = [key for key, item in model.named_parameters() if item.grad is None]
    assert idle == [] or model.has_idle_parameters()
    # The rows of a bias table that no pair of tokens of this small grid uses have a gradient of 0.
    dead = [key for key, item in model.named_parameters() if item.grad is not None and not item.grad.any()]
    assert [key for key in dead if "relative_position_bias" not in key] == []


@every_method
def test_losses_are_finite_without_any_class(name: str, batch: Batch) -> None:
    model = tiny(name)
    nothing = Batch(batch.images, torch.zeros(2, 3), batch.valid, batch.index)
    losses = losses_of(model, nothing)
    torch.stack(list(losses.values())).sum().backward()
    assert all(value.isfinite() for value in losses.values())
    assert all(item.grad.isfinite().all() for item in model.parameters() if item.grad is not None)


@every_method
def test_every_parameter_is_in_one_group(name: str) -> None:
    model = tiny(name)
    grouped = [id(item) for group in model.parameter_groups().values() for item in group]
    assert sorted(grouped) == sorted(id(item) for item in model.parameters())
    assert set(model.learning_rate_multipliers()) <= set(model.parameter_groups())


@every_method
def test_stages_are_frozen_or_freezing_is_refused(name: str) -> None:
    model = tiny(name)
    model.freeze(0)
    assert all(item.requires_grad for item in model.parameters())
    if model.reusable_features() is None:
        with pytest.raises(SettingsError, match=f"freeze_stages.*'{name}' has no stages"):
            model.freeze(1)
    else:
        model.freeze(4)
        assert not any(item.requires_grad for item in model.reusable_features().parameters())
        assert any(item.requires_grad for item in model.parameters())


@every_method
def test_saved_and_loaded_it_gives_the_same(
    name: str, images: torch.Tensor, batch: Batch, tmp_path: Path
) -> None:
    model = tiny(name, **weights_of(name, 0.25))
    losses_of(model, batch)  # what a training leaves in the model must not be in the way
    model.eval().save_pretrained(tmp_path)
    loaded = Method.from_pretrained(tmp_path)
    assert type(loaded) is type(model)
    assert loaded.options == model.options
    assert loaded.classes == CLASSES
    with torch.no_grad():
        torch.testing.assert_close(loaded.logits(images), model.logits(images), atol=0, rtol=0)
    assert loaded.maps(images, batch.present, settings=PLAIN).cam.equal(
        model.maps(images, batch.present, settings=PLAIN).cam
    )


@every_method
def test_what_others_may_reuse(name: str, images: torch.Tensor) -> None:
    """A pyramid of four maps with a head on the last one, or neither."""
    model = tiny(name)
    backbone, head = model.reusable_features(), model.reusable_head()
    if backbone is None:
        assert head is None
        return
    assert isinstance(backbone, Backbone)
    with torch.no_grad():
        pyramid = backbone(images.float() / 255)
        assert [item.shape[1] for item in pyramid] == list(backbone.channels)
        if head is not None:
            assert head.convolution(pyramid[-1]).shape[1] == len(CLASSES)


@without_pyramid
def test_cam_of_any_model_refuses_a_method_without_a_pyramid(name: str) -> None:
    from swtformer.cam import CAM

    with pytest.raises(SwtformerError, match=rf"pyramid.*'{name}'.*maps\(\)"):
        CAM(tiny(name))


@without_pyramid
def test_onnx_refuses_a_method_without_a_pyramid(name: str, tmp_path: Path) -> None:
    from swtformer.publishing.export import export_onnx

    with pytest.raises(SwtformerError, match=f"'{name}'.*ONNX"):
        export_onnx(tiny(name), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


@without_pyramid
def test_a_segmentation_network_cannot_start_from_a_method_without_a_pyramid(name: str) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    from swtformer.segmentation.network import create_network

    with pytest.raises(SettingsError, match=rf"'{name}' has no .*segment\.encoder"):
        create_network(SegmentSettings(encoder="run"), CLASSES, start=tiny(name))


def test_pyramids_are_refined_in_training_as_well(images: torch.Tensor, present: torch.Tensor) -> None:
    for name in METHODS:
        model = tiny(name)
        if not isinstance(model, PyramidMethod):
            continue
        with torch.no_grad():
            logits, made = model(images, present)
        assert logits.shape == (2, 3)
        assert (made.rcam is None) == ("rcam" not in model.makes)
        assert (made.similarities is None) == (made.rcam is None)
        for maps in (made.cam, made.rcam, made.similarities):
            if maps is not None:
                assert maps.shape[:2] == (2, 4)
                assert maps.min() >= 0
                assert maps.max() <= 1 + 1e-6
                assert not maps[:, 1:][present == 0].any()
