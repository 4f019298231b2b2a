"""Features, logits and statistics of a model; its maps are tested in test_maps."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from support.models import tiny
from swtformer.cam.maps import as_network
from swtformer.cam.networks import MethodNetwork, TimmNetwork
from swtformer.errors import SwtformerError

IMAGES = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


class Bare(nn.Module):
    """The least that a classifier like timm's has."""

    def __init__(self, features: Any = None) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4, 5, 16, stride=16)
        self.head = nn.Linear(5, 2)
        self.num_features = 5
        self.features = features

    def forward_features(self, images: Tensor) -> Tensor:
        made: Tensor = self.stem(images)
        return made

    def forward_intermediates(
        self, images: Tensor, indices: object, norm: bool, output_fmt: str
    ) -> tuple[Any, list[Tensor]]:
        made = self.forward_features(images)
        return made if self.features is None else self.features, [made]

    def forward_head(self, features: Tensor) -> Tensor:
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits

    def forward(self, images: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(images))


def small(name: str, **options: Any) -> Any:
    torch.manual_seed(0)
    return timm.create_model(name, pretrained=False, num_classes=5, **options).eval()


@torch.no_grad()
def test_a_timm_pyramid_starts_at_stride_4_and_ends_with_the_pooled_features() -> None:
    model = small("resnet10t")
    reading = as_network(model).read(IMAGES)
    assert [tuple(stage.shape[2:]) for stage in reading.pyramid] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    torch.testing.assert_close(reading.pyramid[-1], model.forward_features(IMAGES))
    torch.testing.assert_close(reading.logits, model(IMAGES))
    torch.testing.assert_close(reading.maps.mean((2, 3)) + reading.bias, reading.logits, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_features_come_channels_first_whatever_the_layout() -> None:
    model = small(
        "swin_tiny_patch4_window7_224", embed_dim=24, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2), img_size=64
    )
    images = IMAGES[..., :64]
    reading = as_network(model).read(images)
    expected = model.forward_features(images).permute(0, 3, 1, 2)
    torch.testing.assert_close(reading.pyramid[-1], expected)
    assert reading.maps.shape == (2, 5, *expected.shape[2:])


def test_channels_are_those_of_the_first_layer_and_statistics_those_of_the_weights() -> None:
    network = as_network(small("resnet10t", in_chans=5))
    assert (network.name, network.channels) == ("resnet10t", 5)
    config = small("resnet10t").pretrained_cfg
    assert (network.mean, network.std) == (tuple(config["mean"]), tuple(config["std"]))


def test_a_size_that_the_model_was_built_for_is_tried_before_that_of_its_weights() -> None:
    vit = small("vit_tiny_patch16_224", img_size=64, depth=1, global_pool="avg")
    assert as_network(vit).probe_sizes == ((64, 96), (64, 64), (224, 224))
    trained = tuple(small("resnet10t").pretrained_cfg["input_size"])[1:]
    assert as_network(small("resnet10t")).probe_sizes == ((64, 96), trained)


@torch.no_grad()
def test_a_classifier_without_a_config() -> None:
    model = Bare().eval()
    network = as_network(model)
    assert (network.name, network.channels) == ("Bare", 4)
    assert network.mean == (0.485, 0.456, 0.406)
    assert network.probe_sizes == ((64, 96), (224, 224))
    images = torch.rand(1, 4, 32, 64)
    reading = network.read(images)
    (features,) = reading.pyramid
    expected = torch.einsum("cd,bdhw->bchw", model.head.weight, features)
    torch.testing.assert_close(reading.maps, expected)
    torch.testing.assert_close(reading.bias, model.head.bias[None])
    torch.testing.assert_close(network.logits(images), model(images))


@pytest.mark.parametrize("features", [torch.zeros(1, 5), {"x": torch.zeros(1, 5, 2, 4)}])
def test_features_that_are_not_a_map_are_refused(features: Any) -> None:
    network = TimmNetwork(Bare(features))
    with pytest.raises(SwtformerError, match="features of Bare are not a map"):
        network.read(torch.rand(1, 4, 32, 64))


def test_only_assertions_about_the_norm_are_caught() -> None:
    model: Any = Bare()
    norms = []

    def refuse(*_: object, norm: bool, **__: object) -> None:
        norms.append(norm)
        raise AssertionError("the grid is odd")

    model.forward_intermediates = refuse
    with pytest.raises(AssertionError, match="the grid is odd"):
        as_network(model).read(torch.rand(1, 4, 32, 64))
    assert norms == [True]


@pytest.mark.parametrize("method", ["swtformer_v1", "swtformer_v2"])
def test_maps_are_refined_by_the_options_of_a_method(method: str) -> None:
    network = as_network(tiny(method, background_over="all", norm="minmax"))
    assert (network.options.background_over, network.options.norm) == ("all", "minmax")


@torch.no_grad()
def test_a_method_gives_its_own_encoding() -> None:
    model = tiny("swtformer_v1")
    network = as_network(model)
    assert isinstance(network, MethodNetwork)
    assert network.name == "swtformer_v1 on swin_nano"
    reading, encoding = network.read(IMAGES), model.encode(IMAGES)
    torch.testing.assert_close(reading.maps, encoding.activations)
    torch.testing.assert_close(reading.maps.mean((2, 3)), network.logits(IMAGES), atol=1e-5, rtol=1e-4)
    assert len(reading.pyramid) == 4
    assert not reading.bias.any()
