"""IRN's CAM network (jiwoon-ahn/irn): a training step, and maps over scales and mirror images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rival_checks import Check, compared
from rival_checks._resnet50 import drawn_images, drawn_labels, ours_at_stride_16, weights_of
from swtformer.functional.views import views
from swtformer.methods import Batch
from swtformer.settings import LocalizeSettings

FOLDER = "irn"
CODE = "net/resnet50_cam.py"
SCALES = (1.0, 0.5, 1.5, 2.0)


def checks(folder: Path) -> list[Check]:
    ours = ours_at_stride_16("cam")
    with weights_of(ours):
        from net import resnet50_cam

        trained, mapping = resnet50_cam.Net().double(), resnet50_cam.CAM().double()
    for theirs in (trained, mapping):
        theirs.classifier.load_state_dict(ours.head.state_dict())
    images, present = drawn_images(), drawn_labels()
    return [*_training_step(ours, trained, images, present), *_maps(ours, mapping, images, present)]


def _training_step(ours: Any, theirs: Any, images: Tensor, present: Tensor) -> list[Check]:
    """They pool before the classifier, we behind it."""
    scores = theirs(ours.normalisation(images))
    loss = F.multilabel_soft_margin_loss(scores, present)
    loss.backward()
    losses = ours.losses(Batch(images, present), epoch=0.0)
    losses["cls"].backward()
    with torch.no_grad():
        logits = ours.logits(images)
    own, other = ours.head.weight.grad, theirs.classifier.weight.grad
    scale = other.abs().max()
    return [
        compared("class scores", f"{CODE}: Net.forward", ours=logits, other=scores.detach()),
        compared("loss", "step/train_cam.py: run", ours=losses["cls"].detach(), other=loss.detach()),
        compared("gradient of the classifier, relative", CODE, ours=own / scale, other=other / scale),
    ]


@torch.no_grad()
def _maps(ours: Any, theirs: Any, images: Tensor, present: Tensor) -> list[Check]:
    grid = tuple((side - 1) // 4 + 1 for side in images.shape[-2:])  # imutils.get_strided_size
    expected = torch.zeros(len(images), 20, *grid)
    for image, labels, cam in zip(images, present, expected, strict=True):
        seen = views(image[None], scales=SCALES, flip=True)
        outputs = [
            theirs(ours.normalisation(torch.cat([plain, mirrored])))
            for (_, plain), (_, mirrored) in zip(seen[::2], seen[1::2], strict=True)
        ]
        resized = [
            F.interpolate(item[None], grid, mode="bilinear", align_corners=False)[0] for item in outputs
        ]
        shown = torch.nonzero(labels)[:, 0]
        total = torch.stack(resized).sum(0)[shown]
        cam[shown] = (total / (F.adaptive_max_pool2d(total, (1, 1)) + 1e-5)).float()
    settings = LocalizeSettings(scales=SCALES, flip=True, stride=4)
    made = ours.maps(images, present, settings=settings).cam
    return [
        compared(
            "CAM over scales", f"{CODE}: CAM.forward; step/make_cam.py: _work", ours=made, other=expected
        )
    ]
