"""TransCAM on Conformer-S against github.com/liruiwen/TransCAM: logits, loss and maps of square images.

Its maps exist for squares only. What it does to the maps of all views is in a script (infer_TransCAM.py) and
written again here, without the 1e-5 that it subtracts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rival_checks import Check, compared
from rival_checks.conformer import drawn, old_timm, ours_from
from swtformer.methods import Batch
from swtformer.methods.transcam import TransCAM
from swtformer.settings import METHODS, LocalizeSettings, ModelSettings

FOLDER = "TransCAM"
CLASSES = tuple(f"class{number}" for number in range(20))
FUSIONS = {"tokens": "transcam", "transposed": "attnagg", "class": "clsattn", "none": "convcam"}
"""Names of their `method` by our option `fusion`."""
SIDE_PX = 96
SCALES = (1.0, 2.0)


def built(tensors: dict[str, Tensor], **options: object) -> TransCAM:
    """Ours with the tensors of theirs; their first output is the background, which ours lack."""
    settings = ModelSettings(method="transcam", backbone="conformer_small", output_stride=16)
    model = TransCAM(
        ours_from(tensors, output_stride=16), settings, CLASSES, METHODS.options("transcam", options)
    )
    for part, name in ((model.head, "conv_cls_head"), (model.token_head, "trans_cls_head")):
        part.load_state_dict({key: tensors[f"{name}.{key}"][1:] for key in ("weight", "bias")})
    return model.eval()


def their_maps(theirs: Any, images: Tensor, model: TransCAM, method: str) -> Tensor:
    """infer_TransCAM.py: (B, C, H, W) of all scales and mirror images."""
    total = torch.zeros(len(images), len(CLASSES), SIDE_PX, SIDE_PX)
    for scale in SCALES:
        side = round(SIDE_PX * scale)
        view = images.float() / 255
        if scale != 1:
            view = F.interpolate(view, (side, side), mode="bilinear", antialias=True)
        for mirrored in (False, True):
            seen = model.normalisation(view.flip(-1) if mirrored else view)
            cam = F.interpolate(theirs(method, seen)[2][:, 1:], (SIDE_PX, SIDE_PX), mode="bilinear")
            total += cam.flip(-1) if mirrored else cam
    total = total.clamp_min(0)
    least, most = total.amin((2, 3), keepdim=True), total.amax((2, 3), keepdim=True)
    return (total - least) / (most - least + 1e-5)


@torch.no_grad()
def checks(folder: Path) -> list[Check]:
    """The same weights and images through both."""
    old_timm()
    from network.conformer_CAM import Net_sm

    torch.manual_seed(0)
    theirs = Net_sm().eval()
    tensors = drawn(theirs)
    model = built(tensors)
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (2, 3, SIDE_PX, SIDE_PX), dtype=torch.uint8, generator=generator)
    present = torch.randint(0, 2, (2, len(CLASSES)), generator=generator).float()

    conv, tokens, _ = theirs("transcam", model.normalisation(images))
    seen = model.see(images, attends=True)
    forward = "network/conformer.py: Net.forward"
    found = [
        compared("logits of the CNN branch", forward, ours=seen.conv_logits, other=conv[:, 1:]),
        compared("logits of the transformer branch", forward, ours=seen.token_logits, other=tokens[:, 1:]),
    ]
    loss = F.multilabel_soft_margin_loss((conv + tokens)[:, 1:], present)
    made = model.losses(Batch(images, present), epoch=0.0)["cls"]
    found.append(compared("loss in eval mode", "train_TransCAM.py", ours=made, other=loss))
    settings = LocalizeSettings(scales=SCALES, flip=True, stride=1)
    for fusion, method in FUSIONS.items():
        model = built(tensors, fusion=fusion)
        cam = theirs(method, model.normalisation(images))[2][:, 1:]
        own = model.activations(model.see(images, attends=True))
        found.append(compared(f"CAM, fusion {fusion}", f"{forward}, {method}", ours=own, other=cam))
        other = their_maps(theirs, images, model, method)
        maps = model.maps(images, torch.ones_like(present), settings=settings).cam
        what = f"maps of two scales, mirrored, fusion {fusion}"
        found.append(compared(what, "infer_TransCAM.py", ours=maps, other=other))
    return found
