"""PSA (github.com/jiwoon-ahn/psa, MIT): affinities, pairs, loss and walk against the refiner `psa`.

Their network is ResNet-38 with random weights, ours has other projections: affinities are compared on the
features of theirs. They drop pairs whose first pixel is within the radius of the left, right or lower border,
so pairs are compared elsewhere, and for the walk ours are set to 0 there.
"""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rival_checks import Check, compared
from rival_checks._borrowed import settle_batch_norm, statements, stay_on_the_cpu, stub
from swtformer.functional.affinity import LabelPairs, affinity_loss, feature_affinity, label_pairs
from swtformer.functional.random_walk import random_walk

FOLDER = "psa"
RADIUS = 5
EDGE = RADIUS - 1
GRID = (18, 18)
NETWORK = "network/resnet38_aff.py: Net.forward"


def checks(folder: Path) -> list[Check]:
    """See `rival_checks`."""
    stay_on_the_cpu()
    stub("scipy.misc")
    torch.manual_seed(0)
    net = _their_network()
    images = F.interpolate(torch.randn(2, 3, 6, 6), [8 * side for side in GRID], mode="bilinear")
    features = []
    net.f9.register_forward_hook(lambda _, __, made: features.append(F.elu(made)))
    with torch.no_grad():
        theirs, dense = net(images), net(images[:1], to_dense=True)
    ours = feature_affinity(features[0], radius=RADIUS)
    made = [compared("affinity", NETWORK, ours=_inner(ours).flatten(2), other=theirs)]
    labels = _labels()
    pairs, their_pairs = _pairs(labels)
    for name, own, other in zip(("background", "foreground", "different"), pairs, their_pairs, strict=True):
        what = f"pairs of labels, {name}"
        made.append(compared(what, "voc12/data.py: ExtractAffinityLabelInRadius", ours=own, other=other))
    made += [_loss(folder, theirs, ours, their_pairs, labels), _walk(folder, dense, ours[:1])]
    return made


def _their_network() -> Any:
    """With batch norm of a drawn batch, and features such that 256 steps do not mix all maps."""
    from network import resnet38_aff

    net = resnet38_aff.Net()
    settle_batch_norm(net, torch.randn(2, 3, 128, 128))
    with torch.no_grad():
        net.f9.weight.mul_(0.6)
    return net


def _inner(pairs: Tensor) -> Tensor:
    """(…, h - 4, w - 8) first pixels that PSA keeps."""
    return pairs[..., :-EDGE, EDGE:-EDGE]


def _labels() -> Tensor:
    """(2, h, w) patches of background, three classes and unsure pixels."""
    coarse = torch.tensor([0, 0, 1, 2, 15, 255])[torch.randint(0, 6, (2, 1, 6, 6))]
    return F.interpolate(coarse.float(), GRID, mode="nearest")[:, 0].long()


def _pairs(labels: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    from voc12.data import ExtractAffinityLabelInRadius

    extract = ExtractAffinityLabelInRadius(cropsize=GRID[0], radius=RADIUS)
    each = [extract(own.numpy().astype(np.uint8)) for own in labels]
    found = label_pairs(labels, radius=RADIUS)
    ours = [
        _inner(pairs).flatten(2).float() for pairs in (found.background, found.foreground, found.different)
    ]
    return ours, [torch.stack(kind) for kind in zip(*each, strict=True)]


def _loss(folder: Path, theirs: Tensor, ours: Tensor, their_pairs: list[Tensor], labels: Tensor) -> Check:
    """Of the pairs that PSA keeps."""
    scope = {"torch": torch, "aff": theirs, "pack": [None, their_pairs]}
    exec(statements(folder / "train_aff.py", "bg_label = pack", "loss = bg_loss"), scope)
    found = label_pairs(labels, radius=RADIUS)
    kept = LabelPairs(_inner(found.background), _inner(found.foreground), _inner(found.different))
    own = affinity_loss(_inner(ours), kept)
    return compared("affinity loss", "train_aff.py", ours=own, other=scope["loss"])  # type: ignore[arg-type]


def _walk(folder: Path, dense: Tensor, ours: Tensor) -> Check:
    """256 steps of drawn maps along the affinities to the power of 8."""
    maps = torch.rand(21, *GRID)
    args = types.SimpleNamespace(beta=8, logt=8)
    script = folder / "infer_aff.py"
    model = types.SimpleNamespace(forward=lambda *_: dense)
    scope: dict[str, Any] = {"torch": torch, "args": args, "model": model, "img": dense}
    exec(statements(script, "aff_mat = torch.pow(", "trans_mat = aff_mat"), scope)
    exec(statements(script, "for _ in range(args.logt)", "trans_mat = torch.matmul"), scope)
    scope |= {"cam_full_arr": maps, "dheight": GRID[0], "dwidth": GRID[1]}
    exec(statements(script, "cam_vec = ", "cam_rw = cam_rw.view"), scope)
    kept = torch.zeros_like(ours)
    _inner(kept).copy_(_inner(ours))
    walked = random_walk(maps[None], kept, radius=RADIUS, beta=8, steps=2**8)
    return compared("random walk, 256 steps", "infer_aff.py", ours=walked, other=scope["cam_rw"])
