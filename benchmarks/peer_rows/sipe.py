"""SIPE (chenqi1126/SIPE): maps of a photograph, refinement by prototypes, seeds on large grids."""

from __future__ import annotations

import contextlib
import functools
import io
import tempfile
import types
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rival_checks._borrowed import stay_on_the_cpu, stub
from torch import Tensor, nn

from peer_rows import Row, Setup, largest_difference
from peer_rows._drawn import CLASSES, PRESENT, draw_photograph, labels

FOLDER = "SIPE"
SWIN = "swin_tiny_patch4_window7_224"
SCALES = (1.0, 0.5, 1.5, 2.0)
CHANNELS = 768


def our_maps(precision: str) -> Setup:
    """The body of `localize` for one photograph of 375×500."""

    def setup() -> Callable[[], Any]:
        from swtformer.datasets.images import read_image
        from swtformer.inference.kept_maps import maps_of
        from swtformer.methods import checked_maps, create_model
        from swtformer.precision import autocast, use_onednn
        from swtformer.settings import Settings, validate

        torch.manual_seed(0)
        values = {"long_side_px": None, "scales": list(SCALES), "precision": precision}
        settings = validate(
            Settings,
            {
                "model": {"method": "swtformer_v2", "backbone": SWIN, "weights": "none"},
                "localize": values,
            },
            where="peers.py",
        )
        model = create_model(settings.model, CLASSES).eval()
        use_onednn(model)
        folder = Path(tempfile.mkdtemp())
        draw_photograph(folder / "one.jpg", (375, 500))

        def work() -> None:
            image = read_image(folder / "one.jpg", settings.data)
            with torch.inference_mode(), autocast(settings.localize.precision, "cpu"):
                made = checked_maps(
                    model,
                    torch.from_numpy(image).permute(2, 0, 1)[None],
                    labels(),
                    settings=settings.localize,
                )
            maps_of(made, 0, size=(375, 500)).save(folder / "one.npz")

        return work

    return setup


def their_maps() -> Callable[[], Any]:
    """Their data set and their loop (`make_cam._work`) over timm's Swin-T in place of their ResNet-50."""
    stay_on_the_cpu()
    stub("scipy.misc")
    import make_cam  # type: ignore[import-not-found]
    from data import data_voc  # type: ignore[import-not-found]
    from tool import imutils  # type: ignore[import-not-found]

    def to_multiple_of_four(image: Any, scale: float, order: int) -> Any:
        size = [-(-round(side * scale) // 4) * 4 for side in image.shape[:2]]
        return imutils.pil_resize(image, size, order)

    imutils.pil_rescale = to_multiple_of_four
    root = Path(tempfile.mkdtemp())
    for name in ("JPEGImages", "npy"):
        (root / name).mkdir()
    draw_photograph(root / "JPEGImages" / "one.jpg", (376, 500))  # timm's Swin takes multiples of 4
    images = data_voc.VOC12ClsDatasetMSF.__new__(data_voc.VOC12ClsDatasetMSF)
    vars(images).update(
        img_name_list=["one"],
        voc12_root=str(root),
        scales=SCALES,
        label_list=[labels()[0].numpy()],
        img_normal=data_voc.TorchvisionNormalize(),
    )
    torch.cuda.device_count = lambda: 2  # it counts one process for each, less one
    make_cam.cuda = types.SimpleNamespace(device=lambda index: contextlib.nullcontext())
    net = _their_cam()
    net.cuda = lambda: net
    arguments = Namespace(num_workers=0, session_name=str(root), visualize=False)

    def work() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            make_cam._work(0, net, [images], arguments)

    return work


class _Swapped(nn.Module):
    """A layer whose maps have their channels last, among layers that have them first."""

    def __init__(self, layer: nn.Module, norm: nn.Module | None = None, *, is_first: bool = False) -> None:
        super().__init__()
        self.layer, self.norm, self.is_first = layer, norm or nn.Identity(), is_first

    def forward(self, maps: Tensor) -> Tensor:
        made = self.layer(maps if self.is_first else maps.permute(0, 2, 3, 1))
        swapped: Tensor = self.norm(made).permute(0, 3, 1, 2)
        return swapped


def _their_cam() -> Any:
    """Their CAM module on timm's Swin-T, in evaluation mode."""
    import timm
    from network.resnet50_SIPE import CAM  # type: ignore[import-not-found]

    torch.manual_seed(0)
    swin = timm.create_model(SWIN, num_classes=0, strict_img_size=False)
    net = CAM.__new__(CAM)
    nn.Module.__init__(net)
    net.num_cls = len(CLASSES) + 1
    net.stage0 = _Swapped(swin.patch_embed, is_first=True)
    net.stage1, net.stage2, net.stage3 = (_Swapped(layer) for layer in swin.layers[:3])
    net.stage4 = _Swapped(swin.layers[3], swin.norm)
    for number, (given, made) in enumerate(zip((96, 192, 384, 768), (128, 128, 256, 256), strict=True), 1):
        setattr(net, f"side{number}", nn.Conv2d(given, made, 1, bias=False))
    net.classifier = nn.Conv2d(CHANNELS, len(CLASSES), 1, bias=False)
    for module in net.modules():  # their own train() needs their ResNet
        module.training = False
    return net


Sizes = tuple[int, tuple[int, int], tuple[int, int]]
"""Images, grid of the tokens that locate seeds, grid of the prototypes."""

STEP: Sizes = (16, (7, 7), (14, 14))


def _features(sizes: Sizes, *, gradient: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features of the last stage, fused ones, class activations, labels (two of each image)."""
    images, tokens, grid = sizes
    torch.manual_seed(0)
    last = torch.randn(images, CHANNELS, *tokens)
    fused = torch.randn(images, CHANNELS, *grid).requires_grad_(gradient)
    activations = torch.randn(images, len(CLASSES), *tokens).requires_grad_(gradient)
    present = torch.zeros(images, len(CLASSES))
    rows = torch.arange(images)
    present[rows, rows % len(CLASSES)] = 1
    present[rows, (7 * rows + 3) % len(CLASSES)] = 1
    return last, fused, activations, present


def their_refinement(sizes: Sizes, *, gradient: bool) -> Callable[[], Any]:
    """get_seed, get_prototype, reactivate and, with gradients, the loss of their training script."""
    stay_on_the_cpu()
    from network.resnet50_SIPE import Net

    net = Net.__new__(Net)
    nn.Module.__init__(net)
    net.num_cls = len(CLASSES) + 1
    last, fused, activations, present = _features(sizes, gradient=gradient)
    label = torch.cat([torch.ones(len(present), 1), present], 1)[..., None, None]

    def work() -> Tensor:
        with torch.set_grad_enabled(gradient):
            cam = F.relu(activations)
            cam = cam / (F.adaptive_max_pool2d(cam, (1, 1)) + 1e-5)
            cam = torch.cat([1 - torch.max(cam, dim=1)[0].unsqueeze(1), cam], dim=1) * label
            seeds, _ = net.get_seed(cam.clone(), label.clone(), last.clone())
            maps = net.reactivate(net.get_prototype(seeds, fused), fused)
            maps = maps / (F.adaptive_max_pool2d(maps, (1, 1)) + 1e-5)  # train_resnet50_SIPE.py
            if gradient:
                cam = F.interpolate(cam, sizes[2], mode="bilinear", align_corners=False)
                fused.grad = activations.grad = None
                torch.mean(torch.abs(cam - maps)).backward()
        return maps.detach()  # type: ignore[no-any-return]

    return work


def our_refinement(sizes: Sizes, *, gradient: bool) -> Callable[[], Any]:
    """The same by `functional`."""
    from swtformer.functional.activation import normalised, with_background
    from swtformer.functional.losses import consistency_loss
    from swtformer.functional.seeds import locate_seeds, prototype_similarity, prototypes, refined_maps

    last, fused, activations, present = _features(sizes, gradient=gradient)

    def work() -> Tensor:
        with torch.set_grad_enabled(gradient):
            cam = with_background(normalised(activations, norm="max"), present, over="all")
            seeds = locate_seeds(last, cam, present, affinity="relu", background_weight=0.5, seedless="none")
            centres = prototypes(fused, F.interpolate(seeds, sizes[2], mode="nearest"))
            maps = refined_maps(prototype_similarity(fused, centres, present), scaled="each")
            if gradient:
                cam = F.interpolate(cam, sizes[2], mode="bilinear", align_corners=False)
                fused.grad = activations.grad = None
                consistency_loss(cam, maps, present, over="all").backward()
        return maps.detach()

    return work


SEEDS: Sizes = (1, (48, 64), (48, 64))

KINDS: dict[str, Setup] = {
    "maps_theirs": their_maps,
    "maps_ours": our_maps("fp32"),
    "maps_ours_bf16": our_maps("bf16"),
    "step_theirs": functools.partial(their_refinement, STEP, gradient=True),
    "step_ours": functools.partial(our_refinement, STEP, gradient=True),
    "seeds_theirs": functools.partial(their_refinement, SEEDS, gradient=False),
    "seeds_ours": functools.partial(our_refinement, SEEDS, gradient=False),
}
MAPS = f"maps of a 375×500 photograph with {len(PRESENT)} of 20 classes, Swin-T, 4 scales, mirrored"
ROWS = (
    Row(f"{MAPS}, fp32", "make_cam.py: _work", "maps_theirs", "maps_ours", gflop=561),
    Row(
        f"{MAPS}, ours in bf16",
        "make_cam.py: _work",
        "maps_theirs",
        "maps_ours_bf16",
        gflop=561,
        precision="bf16",
    ),
    Row(
        "refinement and its gradient, 16 images, seeds on 7×7, prototypes on 14×14",
        "network/resnet50_SIPE.py: Net",
        "step_theirs",
        "step_ours",
        largest_difference,
    ),
    Row(
        "seeds and prototypes on 48×64",
        "network/resnet50_SIPE.py: Net",
        "seeds_theirs",
        "seeds_ours",
        largest_difference,
    ),
)
