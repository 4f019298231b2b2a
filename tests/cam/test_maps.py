"""CAM over families of networks: the sum of the maps, the gradient as oracle, side effects, refusals."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from support.models import tiny
from swtformer import CAM
from swtformer.cam.networks import side_by_side
from swtformer.errors import SwtformerError
from swtformer.methods import create_model
from swtformer.methods.swtformer_v3 import SWTformerV3Settings
from swtformer.settings import ModelSettings

SMALL_SWIN = {"embed_dim": 24, "depths": (1, 2, 2, 1), "num_heads": (1, 1, 2, 2)}
SMALL_VIT = {"embed_dim": 48, "depth": 2, "num_heads": 2, "global_pool": "avg"}

LINEAR = {
    "resnet10t": {},
    "mobilenetv2_035": {},
    "test_efficientnet": {},
    "regnetx_002": {},
    "densenet121": {"block_config": (1, 1, 1, 1)},
    "pvt_v2_b0": {},
    "test_nfnet": {},
    "test_byobnet": {},
    "swin_tiny_patch4_window7_224": {**SMALL_SWIN, "img_size": 112},
    "swinv2_tiny_window8_256": {**SMALL_SWIN, "img_size": 128, "window_size": 4},
}
"""Families with mean pooling and a linear layer behind it: classifier weights times features are the maps."""

OTHERS = {
    "test_convnext": {},  # a norm behind the pooling
    "mobilenetv3_small_050": {},  # a hidden layer with Hardswish
    "mobilenetv4_conv_small_035": {},  # a norm and ReLU
    "ghostnet_050": {},
    "hgnetv2_b0": {},
    "poolformer_s12": {},
    "test_mambaout": {},  # NHWC features, a hidden layer with GELU
    "twins_svt_small": {"depths": (1, 1, 1, 1)},  # a list of tokens
    "vit_tiny_patch16_224": {**SMALL_VIT, "img_size": 64},  # a class token that is not averaged, a norm
    "test_vit2": {},
    "hiera_tiny_224": {"stages": (1, 1, 1, 1), "embed_dim": 24, "num_heads": 1},  # tokens in another order
    "levit_128s": {"depth": (1, 1, 1)},  # batch norm in front of the classifier
}

CLASSES = 5


def create(name: str, **options: Any) -> nn.Module:
    """A small untrained network whose classifier is not near zero."""
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False, num_classes=CLASSES, **options).eval()
    found = model.get_classifier()
    for classifier in found if isinstance(found, tuple) else (found,):
        for parameter in classifier.parameters():
            nn.init.normal_(parameter, std=0.5)
    return model


def pictures(name: str, model: Any) -> Tensor:
    """Noise of a size that is not square, where the network takes it."""
    fixed = ("swin", "vit", "hiera", "levit", "test_vit")
    if name.startswith(fixed):
        size = getattr(getattr(model, "patch_embed", None), "img_size", None) or (224, 224)
    else:
        size = (64, 128)
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", [*LINEAR, *OTHERS])
def test_maps_add_up_to_the_models_own_logits(name: str) -> None:
    model = create(name, **(LINEAR | OTHERS)[name])
    images = pictures(name, model)
    made = CAM(model)(images)
    with torch.no_grad():
        expected = model(images)
    assert made.maps.shape[:2] == (2, CLASSES)
    scale = float(expected.abs().max())
    assert scale > 1e-3
    torch.testing.assert_close(made.logits, expected, atol=1e-4 * scale, rtol=0)
    torch.testing.assert_close(made.maps.mean((-2, -1)) + made.bias, expected, atol=1e-4 * scale, rtol=0)


@pytest.mark.parametrize("name", LINEAR)
def test_linear_heads_give_the_gradient_cam(name: str) -> None:
    """Grad-CAM without its ReLU: mean gradient of the logit at the features, times the features."""
    model: Any = create(name, **LINEAR[name])
    images = pictures(name, model)
    features = model.forward_features(images).detach().requires_grad_()
    logits = model.forward_head(features)
    expected = []
    axis = 3 if name.startswith("swin") else 1
    for label in range(CLASSES):
        (gradient,) = torch.autograd.grad(logits[:, label].sum(), features, retain_graph=True)
        expected.append((gradient * features).sum(axis))
    oracle = torch.stack(expected, 1).detach()
    made = CAM(model)(images)
    places = oracle.shape[-2:].numel()
    # A mean over the places has a gradient of weight / places.
    torch.testing.assert_close(
        made.maps, oracle * places, atol=1e-4 * float(made.maps.abs().max()), rtol=1e-4
    )


@pytest.mark.parametrize(
    "name", ["test_convnext", "test_vit2", "hiera_tiny_224", "twins_svt_small", "test_mambaout"]
)
def test_a_change_in_one_corner_shows_in_that_corner(name: str) -> None:
    """Catches transposed grids and shuffled tokens, to which the sum is blind."""
    model = create(name, **OTHERS[name])
    images = pictures(name, model)[:1] * 0.1
    changed = images.clone()
    height, width = images.shape[2:]
    changed[..., : height // 4, -(width // 4) :] += 3 * torch.randn(height // 4, width // 4)
    cam = CAM(model)
    gap = (cam(changed).maps - cam(images).maps).abs().sum(1)[0]
    row, column = divmod(int(gap.argmax()), gap.shape[1])
    assert row <= gap.shape[0] // 3
    assert column >= gap.shape[1] * 2 // 3 - 1


def test_frozen_layer_norm_by_hand() -> None:
    """Convnext's head: γ (F − mean F) / σ(pooled) under the classifier's weights."""
    model: Any = create("test_convnext")
    images = pictures("test_convnext", model)
    with torch.no_grad():
        features = model.forward_features(images)
        pooled = features.mean((2, 3))
        norm, layer = model.head.norm, model.head.fc
        spread = (pooled.var(1, unbiased=False) + norm.eps).sqrt()[:, None, None, None]
        centred = (features - features.mean(1, keepdim=True)) / spread * norm.weight.view(-1, 1, 1)
        expected = torch.einsum("cd,bdhw->bchw", layer.weight, centred)
    made = CAM(model)(images)
    torch.testing.assert_close(made.maps, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(made.bias, (layer.weight @ norm.bias + layer.bias).expand(2, -1).detach())


def test_frozen_activation_by_hand() -> None:
    """MobileNetV3's head: hard swish is its input times a gate, which is that of the pooled features."""
    model: Any = create("mobilenetv3_small_050")
    images = pictures("mobilenetv3_small_050", model)
    with torch.no_grad():
        features = model.forward_features(images)
        hidden = model.conv_head(features.mean((2, 3), keepdim=True))
        gate = (hidden + 3).clamp(0, 6) / 6
        part = nn.functional.conv2d(features, model.conv_head.weight)
        expected = torch.einsum("cd,bdhw->bchw", model.classifier.weight, gate * part)
    torch.testing.assert_close(CAM(model)(images).maps, expected, atol=1e-5, rtol=1e-3)


def test_a_model_of_this_package() -> None:
    model = tiny("swtformer_v2")
    images = torch.randint(
        0, 256, (2, 3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    cam = CAM(model)
    made = cam(images)
    with torch.no_grad():
        encoding = model.encode(images)
        present = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
        own = model.localize(encoding, present)
    torch.testing.assert_close(made.maps, encoding.activations)
    torch.testing.assert_close(made.logits, encoding.logits)
    refined = cam.refine(images, present=present)
    assert refined.classes == (0, 2)
    assert own.rcam is not None
    torch.testing.assert_close(refined.rcam, own.rcam[:, [0, 1, 3]])


def test_a_model_of_this_package_without_a_background() -> None:
    model = tiny("swtformer_v3")
    model.has_background = False
    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    present = torch.ones(1, 3)
    with torch.no_grad():
        own = model.localize(model.encode(images), present).rcam
    refined = CAM(model).refine(images, present=present).rcam
    torch.testing.assert_close(refined, own)
    assert refined[:, 0].max() == 0


def test_without_a_background_no_map_of_a_background_comes_from_a_cam_of_0() -> None:
    model = tiny("swtformer_v3")
    model.has_background = False
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.fill_(-50)
    refined = CAM(model).refine(torch.rand(1, 3, 64, 96), present=torch.tensor([[0.0, 1.0, 0.0]])).rcam
    assert refined[:, 0].max() == 0
    assert refined[:, 1].max() > 0


def test_a_model_of_this_package_for_other_bands() -> None:
    settings = ModelSettings(method="swtformer_v3", backbone="swin_nano", weights="none", bands=4)
    model = create_model(settings, ("a", "b")).eval()
    images = torch.randint(0, 256, (1, 4, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(CAM(model)(images).logits, model.logits(images / 255))


def test_bytes_are_normalised_as_the_weights_expect() -> None:
    model: Any = create("test_byobnet")
    images = torch.randint(
        0, 256, (1, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    mean, std = (torch.tensor(model.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    cam = CAM(model)
    torch.testing.assert_close(cam(images).maps, cam((images / 255 - mean) / std).maps)


def test_normalised_maps() -> None:
    model = create("test_byobnet")
    made = CAM(model)(torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
    maps = made.normalised([3, 1])
    positive = made.maps[:, [3, 1]].clamp(min=0)
    torch.testing.assert_close(maps, positive / (positive.amax((2, 3), keepdim=True) + 1e-5))
    assert made.normalised().shape == made.maps.shape
    with pytest.raises(SwtformerError, match="no class 5: the model has 5"):
        made.normalised([5])


def test_an_image_does_not_depend_on_its_neighbours() -> None:
    model = create("test_convnext")
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    cam = CAM(model)
    torch.testing.assert_close(cam(images).maps[2:], cam(images[2:]).maps, atol=1e-5, rtol=1e-4)


def test_refined_maps_of_given_classes() -> None:
    model = create("resnet10t")
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    made = CAM(model).refine(images, classes=[1, 4])
    assert made.classes == (1, 4)
    assert made.cam.shape == (2, 3, 2, 3)
    assert made.rcam.shape == made.seeds.shape == (2, 3, 4, 6)
    assert made.rcam.min() >= 0
    assert made.rcam.max() <= 1
    assert (made.seeds.sum(1) >= 1).all()
    present = torch.zeros(2, CLASSES)
    present[0, [1, 4]] = 1
    present[1, 4] = 1
    other = CAM(model).refine(images, present=present)
    torch.testing.assert_close(other.rcam[0], made.rcam[0])
    assert not other.rcam[1, 1].any()
    torch.testing.assert_close(other.present, torch.tensor([[1.0, 1.0], [0.0, 1.0]]))


def test_stages_side_by_side_tell_two_textures_apart() -> None:
    stages = [torch.zeros(1, 4, size, size) for size in (16, 8, 4, 2)]
    for stage in stages:
        half = stage.shape[-1] // 2
        stage[:, 0, :, :half], stage[:, 1, :, half:] = 1, 1
    fused = side_by_side(stages)
    assert fused.shape == (1, 16, 4, 4)
    left, right = fused[0, :, 1, 0], fused[0, :, 1, 3]
    assert torch.cosine_similarity(left, right, dim=0) < 0.1
    torch.testing.assert_close(fused[0, :, 0, 0], left)


def test_background_over_all_classes() -> None:
    model = tiny("swtformer_v2", background_over="all")
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    present = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    made = CAM(model).refine(images, present=present)
    with torch.no_grad():
        own = model.localize(model.encode(images), present)
    assert own.rcam is not None
    torch.testing.assert_close(made.rcam, own.rcam[:, :2])
    alone = CAM(model).refine(images[1:], classes=[])
    torch.testing.assert_close(alone.cam, made.cam[1:, :1])


def test_images_without_classes_are_all_background() -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    made = CAM(tiny("swtformer_v2")).refine(images, classes=[])
    assert made.classes == ()
    assert made.cam.shape[1] == 1
    assert (made.cam == 1).all()


def test_modes_hooks_and_random_state_are_restored() -> None:
    model = create("test_convnext").train()
    model.get_submodule("stages.0").eval()
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    CAM(model)(torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    torch.testing.assert_close(torch.get_rng_state(), state)


def test_hooks_are_removed_when_a_call_fails() -> None:
    model = create("test_convnext")
    cam = CAM(model)
    model.get_classifier().bias.data[0] = torch.nan
    with pytest.raises(SwtformerError, match="logits that are not finite"):
        cam(torch.zeros(1, 3, 64, 64))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_nothing_is_kept_between_calls() -> None:
    cam = CAM(create("test_convnext"))

    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(item), Tensor) for item in gc.get_objects())

    cam.refine(torch.rand(1, 3, 64, 64), classes=[1])
    before = tensors()
    for _ in range(3):
        cam.refine(torch.rand(1, 3, 64, 64), classes=[1])
    assert tensors() == before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_model_of_this_package_in_another_precision(dtype: torch.dtype) -> None:
    images = torch.randint(0, 256, (1, 3, 64, 97), dtype=torch.uint8)
    wanted = CAM(tiny("swtformer_v2")).refine(images, classes=[0, 1])
    made = CAM(tiny("swtformer_v2").to(dtype)).refine(images, classes=[0, 1])
    assert made.rcam.dtype == torch.float32
    torch.testing.assert_close(made.cam, wanted.cam, atol=0.1, rtol=0)


def test_bfloat16_stays_bfloat16() -> None:
    made = CAM(create("test_convnext").to(torch.bfloat16))(torch.rand(1, 3, 64, 64))
    assert made.maps.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("test_vit", {}, "from its class token"),
        ("resnet10t", {"global_pool": "max"}, "pools by max, so its scores are not means"),
        ("resnet10t", {"global_pool": "catavgmax"}, "pools by catavgmax"),
        ("test_convnext", {"global_pool": "max"}, "pools by max"),
        ("resnet10t", {"global_pool": ""}, "does not pool"),
        ("resnet50_clip", {}, "pools by attention"),
        ("test_vit3", {"global_pool": "map"}, "pools by attention"),
    ],
)
def test_pooling_other_than_the_mean_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    model = timm.create_model(name, pretrained=False, num_classes=CLASSES, **options)
    with pytest.raises(SwtformerError, match=message):
        CAM(model)


def test_a_head_whose_maps_do_not_add_up_is_refused() -> None:
    model: Any = create("resnet10t")
    model.forward_head = lambda features: features.mean((2, 3)).square()[:, :CLASSES]
    with pytest.raises(SwtformerError, match="maps of resnet10t do not add up"):
        CAM(model)


def test_models_without_a_classifier_are_refused() -> None:
    with pytest.raises(SwtformerError, match="resnet10t has no classifier"):
        CAM(timm.create_model("resnet10t", pretrained=False, num_classes=0))
    with pytest.raises(SwtformerError, match=r"takes classifiers, .* FeatureListNet gives list"):
        CAM(timm.create_model("resnet10t", pretrained=False, features_only=True))
    with pytest.raises(SwtformerError, match=r"takes classifiers, .* Conv2d gives shape"):
        CAM(nn.Conv2d(3, 2, 1))


def test_a_method_that_pools_by_maximum_is_refused() -> None:
    with pytest.raises(SwtformerError, match="pools by gmp"):
        CAM(tiny("swtformer_v1", pooling="gmp"))
    with pytest.raises(SwtformerError, match=r"pixel_correlation, maps are averaged.*swtformer.localize"):
        CAM(tiny("swtformer_v1", pixel_correlation=(3, 4)))
    with pytest.raises(SwtformerError, match="pixel_correlation, maps are averaged"):
        CAM(tiny("swtformer_v1")).refine(
            torch.rand(1, 3, 64, 64), classes=[0], options=SWTformerV3Settings(pixel_correlation=(3, 4))
        )


def test_swin_at_a_size_that_mixes_borders_is_refused() -> None:
    name = "swin_tiny_patch4_window7_224"
    cam = CAM(create(name, **SMALL_SWIN, img_size=112, strict_img_size=False))
    assert cam(torch.rand(1, 3, 112, 224)).maps.shape[-2:] == (4, 7)
    with pytest.raises(SwtformerError, match="windows of 7×7 do not divide its grid of 16×14"):
        cam(torch.rand(1, 3, 128, 112))


def test_sizes_that_the_model_refuses() -> None:
    cam = CAM(create("vit_tiny_patch16_224", **SMALL_VIT, img_size=64))
    with pytest.raises(SwtformerError, match="does not take images of 32×64 px"):
        cam(torch.rand(1, 3, 32, 64))


def test_a_size_that_fails_deep_inside_the_model() -> None:
    """efficientformer adds biases of 7×7 places without checking the size: torch complains, not timm."""
    cam = CAM(create("efficientformer_l1", depths=(1, 1, 1, 2)))
    with pytest.raises(SwtformerError, match="images of 96×160 px: The size of tensor a"):
        cam(torch.rand(1, 3, 96, 160))


def test_running_out_of_memory_is_not_blamed_on_the_size() -> None:
    model = create("resnet10t")
    cam = CAM(model)

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    model.layer1.register_forward_pre_hook(fail)
    with pytest.raises(torch.OutOfMemoryError, match="out of memory"):
        cam(torch.rand(1, 3, 64, 64))


def test_wrapped_models_are_unwrapped() -> None:
    images = torch.rand(1, 3, 64, 96)
    for model in (create("resnet10t"), tiny("swtformer_v2")):
        expected = CAM(model)(images).maps
        for wrapped in (
            nn.DataParallel(model),
            torch.compile(model, backend="eager"),
            nn.DataParallel(torch.compile(model, backend="eager")),
        ):
            cam = CAM(wrapped)
            assert cam.model is model
            assert torch.equal(cam(images).maps, expected)
            assert cam.refine(images, classes=[1]).classes == (1,)


def test_shapes_and_labels_that_do_not_fit() -> None:
    cam = CAM(create("resnet10t"))
    images = torch.rand(1, 3, 64, 64)
    for empty, shape in (
        (images[:0], "0, 3, 64, 64"),
        (images[:, :, :0], "1, 3, 0, 64"),
        (images[0], "3, 64"),
    ):
        with pytest.raises(SwtformerError, match=rf"images \(B, 3, H, W\), got \({shape}"):
            cam(empty)
    with pytest.raises(SwtformerError, match="Give either classes or present"):
        cam.refine(images)
    with pytest.raises(SwtformerError, match="Give either classes or present"):
        cam.refine(images, classes=[1], present=torch.ones(1, CLASSES))
    with pytest.raises(SwtformerError, match=r"present must be .*\(1, 5\), got \(5,\)"):
        cam.refine(images, present=torch.ones(CLASSES))


def test_bytes_of_other_channels_are_refused() -> None:
    cam = CAM(create("resnet10t", in_chans=5))
    assert cam(torch.rand(1, 5, 64, 64)).maps.shape == (1, CLASSES, 2, 2)
    with pytest.raises(SwtformerError, match="5 channels, and nothing says how bytes"):
        cam(torch.zeros(1, 5, 64, 64, dtype=torch.uint8))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.bool])
def test_other_types_are_refused(dtype: torch.dtype) -> None:
    cam = CAM(create("resnet10t"))
    with pytest.raises(SwtformerError, match=rf"images are {dtype}; .* normalised floats"):
        cam(torch.ones(1, 3, 64, 64, dtype=dtype))


def test_floats_of_a_model_of_this_package_lie_between_0_and_1() -> None:
    cam = CAM(tiny("swtformer_v2"))
    cam(torch.rand(1, 3, 64, 96))
    cam(1.1 * torch.rand(1, 3, 64, 96) - 0.05)  # as after bicubic resizing
    for images in (torch.full((1, 3, 64, 96), 255.0), torch.full((1, 3, 64, 96), -1.0)):
        with pytest.raises(SwtformerError, match=r"takes floats in \[0, 1\], got"):
            cam(images)


def test_bytes_as_floats_are_refused() -> None:
    cam = CAM(create("resnet10t"))
    cam(6 * torch.randn(1, 3, 64, 64).clamp(-4, 4))  # weights of another normalisation
    with pytest.raises(SwtformerError, match=r"become -2\.12 to 2\.64\), got 0 to 255"):
        cam(torch.linspace(0, 255, 64).expand(1, 3, 64, 64))


def test_arguments_of_wrong_types_are_refused() -> None:
    cam = CAM(create("resnet10t"))
    images: Any = torch.rand(1, 3, 64, 64)
    with pytest.raises(SwtformerError, match="images must be a torch tensor"):
        cam(images.numpy())
    with pytest.raises(SwtformerError, match="present must be a torch tensor"):
        cam.refine(images, present=[[1, 0, 0, 0, 0]])  # type: ignore[arg-type]
    for classes in (1, "12", [0.5]):
        with pytest.raises(SwtformerError, match="must be a sequence of class indices"):
            cam.refine(images, classes=classes)  # type: ignore[arg-type]
        with pytest.raises(SwtformerError, match="must be a sequence of class indices"):
            cam(images).normalised(classes)  # type: ignore[arg-type]
    torch.testing.assert_close(cam(images).normalised(torch.tensor([2])), cam(images).normalised([2]))
