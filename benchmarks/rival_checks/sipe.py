"""SIPE (chenqi1126/SIPE): a training step with padded crops, and maps over scales and mirror images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rival_checks import Check, compared
from rival_checks._resnet50 import drawn_images, drawn_labels, ours_at_stride_16, weights_of
from swtformer.functional.seeds import prototypes
from swtformer.functional.views import views
from swtformer.methods import Batch
from swtformer.settings import LocalizeSettings

FOLDER = "SIPE"
CODE = "network/resnet50_SIPE.py"
SCALES = (1.0, 0.5, 1.5)


def checks(folder: Path) -> list[Check]:
    torch.Tensor.cuda = lambda tensor, *_, **__: tensor  # type: ignore[method-assign]
    ours = ours_at_stride_16("sipe")
    with weights_of(ours):
        from network import resnet50_SIPE

        trained, mapping = resnet50_SIPE.Net(num_cls=21), resnet50_SIPE.CAM(num_cls=21)
    for theirs in (trained.double(), mapping.double()):
        theirs.classifier.load_state_dict(ours.head.state_dict())
        for number, projection in enumerate(ours.fusion.projections, start=1):
            getattr(theirs, f"side{number}").load_state_dict(projection.state_dict())
    images, present = drawn_images(), drawn_labels()
    return [*_training_step(ours, trained, images, present), *_maps(ours, mapping, images, present)]


def _training_step(ours: Any, theirs: Any, images: Tensor, present: Tensor) -> list[Check]:
    valid = torch.ones(len(images), 1, *images.shape[-2:])
    valid[0, :, :, 96:] = 0
    valid[1, :, :40] = 0

    low = F.interpolate(valid, tuple(side // 16 for side in images.shape[-2:]), mode="nearest")
    labels = F.pad(present, (1, 0), value=1)[:, :, None, None]
    made = theirs(ours.normalisation(images), low * labels)
    is_cam = made["IS_cam"] / (F.adaptive_max_pool2d(made["IS_cam"], (1, 1)) + 1e-5)
    cls = F.multilabel_soft_margin_loss(made["score"], present[:, :, None, None])
    gsc = torch.mean(torch.abs(made["cam"] - is_cam))
    (cls + gsc).backward()

    batch = Batch(images, present, valid)
    encoding = ours.encode(images)
    fused = ours.fused(encoding.pyramid)
    cam, rcam, _ = ours.compared(batch, encoding)
    refined = ours.reading.refine(encoding.pyramid[-1], fused, cam, present, valid=low)
    centres = (
        prototypes(fused, refined.seeds) * refined.seeds.mean((2, 3))[:, :, None]
    )  # theirs: of all places
    losses = ours.losses(batch, epoch=0.0)
    torch.stack(list(losses.values())).sum().backward()

    forward = f"{CODE}: Net.forward"
    pairs = [
        ("class scores", forward, encoding.logits, made["score"][:, :, 0, 0]),
        ("CAM", forward, cam, made["cam"]),
        ("seeds", f"{CODE}: Net.get_seed", refined.seeds, made["seeds"]),
        ("prototypes", f"{CODE}: Net.get_prototype", centres, made["prototypes"][:, :, :, 0, 0]),
        ("IS-CAM", f"{CODE}: Net.reactivate", refined.similarities, made["IS_cam"]),
        ("IS-CAM that the loss compares", "train_resnet50_SIPE.py: train", rcam, is_cam),
        ("CLS loss", "train_resnet50_SIPE.py: train", losses["cls"], cls),
        ("GSC loss", "train_resnet50_SIPE.py: train", losses["gsc"], gsc),
    ]
    trained = {
        "layer3": (ours.backbone.model.layer3[0].conv2, theirs.resnet50.layer3[0].conv2),
        "layer4": (ours.backbone.model.layer4[0].conv2, theirs.resnet50.layer4[0].conv2),
        "the classifier": (ours.head, theirs.classifier),
        "side3": (ours.fusion.projections[2], theirs.side3),
    }
    for name, (own, other) in trained.items():
        scale = other.weight.grad.abs().max()
        gradients = own.weight.grad / scale, other.weight.grad / scale
        pairs.append((f"gradient of {name}, relative", forward, *gradients))
    return [
        compared(what, where, ours=own.detach(), other=other.detach()) for what, where, own, other in pairs
    ]


@torch.no_grad()
def _maps(ours: Any, theirs: Any, images: Tensor, present: Tensor) -> list[Check]:
    expected = []
    for image, labels in zip(images, present, strict=True):
        seen = views(image[None], scales=SCALES, flip=True)
        total = torch.zeros(21, *image.shape[-2:])
        for (_, plain), (_, mirrored) in zip(seen[::2], seen[1::2], strict=True):
            pair = ours.normalisation(torch.cat([plain, mirrored]))
            is_cam = theirs(pair, F.pad(labels, (1, 0), value=1)[:, None, None])[1]
            total += F.interpolate(is_cam[:, None], image.shape[-2:], mode="bilinear", align_corners=False)[
                :, 0
            ]
        expected.append(total / (F.adaptive_max_pool2d(total, (1, 1)) + 1e-5))
    settings = LocalizeSettings(scales=SCALES, flip=True, seeds="view", stride=1)
    made = ours.maps(images, present, settings=settings)
    where = f"{CODE}: CAM.forward; make_cam.py: _work"
    return [compared("IS-CAM over scales", where, ours=made.rcam, other=torch.stack(expected))]
