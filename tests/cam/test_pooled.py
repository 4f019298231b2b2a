"""Classifiers of torchvision and of one's own; their maps are checked against the classifier's own layers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from swtformer.cam import CAM
from swtformer.errors import SwtformerError

IMAGES = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Wrapper(nn.Module):
    """Somebody's own module around a network of timm."""

    def __init__(self, name: str = "resnet10t") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = timm.create_model(name, pretrained=False, num_classes=5)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(images / 2)
        return logits


class Own(nn.Module):
    """A feature map that is averaged without a module, and a hidden layer behind it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.ReLU(), nn.Conv2d(8, 6, 2, stride=2))
        self.classifier = nn.Sequential(nn.Linear(6, 7), nn.GELU(), nn.Linear(7, 4))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.stem(images).mean((2, 3)))
        return logits


def torchvision_model(name: str) -> nn.Module:
    torch.manual_seed(0)
    model: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=5)
    return model.eval()


def test_resnet_of_torchvision_gives_the_classic_cam() -> None:
    model = torchvision_model("resnet18")
    cam = CAM(model)
    made = cam(IMAGES)
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (cam._network.mean, cam._network.std))
    with torch.no_grad():
        images = (IMAGES / 255 - mean) / std
        features = nn.Sequential(*list(model.children())[:-2])(images)
        expected = torch.einsum("cd,bdhw->bchw", model.fc.weight, features)
        torch.testing.assert_close(made.logits, model(images))
    torch.testing.assert_close(made.maps, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(made.bias, model.fc.bias.expand(2, -1))


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "shufflenet_v2_x0_5", "densenet121"])
def test_pyramids_of_torchvision(name: str) -> None:
    refined = CAM(torchvision_model(name)).refine(IMAGES, classes=[1, 3])
    assert refined.cam.shape == (2, 3, 2, 3)
    assert refined.rcam.shape == (2, 3, 4, 6)


def test_maps_of_layers_that_put_channels_last_are_no_stages() -> None:
    cam = CAM(torchvision_model("swin_t"))
    with torch.no_grad():
        pyramid = cam._network.read(torch.rand(1, 3, 64, 96)).pyramid
    assert [tuple(stage.shape) for stage in pyramid] == [(1, 96, 16, 24), (1, 768, 2, 3)]


def test_a_wrapper_gives_the_maps_of_what_it_wraps() -> None:
    wrapper = Wrapper().eval()
    images = torch.rand(2, 3, 64, 96)
    made = CAM(wrapper)(images)
    torch.testing.assert_close(made.maps, CAM(wrapper.net)(images / 2).maps, atol=1e-5, rtol=1e-4)


def test_a_mean_without_a_module_and_a_hidden_layer() -> None:
    model = Own()
    images = torch.rand(2, 3, 64, 96)
    made = CAM(model)(images)
    with torch.no_grad():
        torch.testing.assert_close(made.logits, model(images))
    assert made.maps.shape == (2, 4, 4, 6)
    torch.testing.assert_close(made.maps.mean((2, 3)) + made.bias, made.logits, atol=1e-5, rtol=1e-4)
    assert model.training, "the mode is kept"


def test_an_image_changes_the_maps_where_it_changes() -> None:
    cam = CAM(Own())
    images = torch.rand(1, 3, 64, 96)
    changed = images.clone()
    changed[..., :16, :16] = 0
    # The slopes of the hidden layer follow the whole image, so only the corner may change by much.
    gap = (cam(changed).maps - cam(images).maps).abs().sum(1)[0]
    assert gap.argmax() == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: torchvision_model("squeezenet1_1"), "how SqueezeNet scores classes"),
        (lambda: torchvision_model("vgg11"), "how VGG scores classes"),
        (lambda: Wrapper("convnext_atto"), r"how Wrapper scores .*inside, `\.net`\.$"),
    ],
)
def test_other_heads_are_refused(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(SwtformerError, match=message):
        CAM(make())


def test_a_space_to_depth_stem_takes_three_channels() -> None:
    torch.manual_seed(0)
    model = timm.create_model("tresnet_m", pretrained=False, num_classes=5).eval()
    assert CAM(model)(IMAGES).maps.shape == (2, 5, 2, 3)
