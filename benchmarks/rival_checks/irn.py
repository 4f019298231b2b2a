"""IRN (github.com/jiwoon-ahn/irn, MIT): boundaries, pairs, loss and walk against the refiner `irn`.

Their network is ResNet-50 with random weights. It joins five levels and ours four, so the weights of its
first level are 0 where the levels are joined; ours is given their maps of the other four. Where they pad
images to 512 px, here the image has the size that they pad to. Pairs whose first pixel is near the border,
which they drop in training, are left out there.
"""

from __future__ import annotations

import os
import types
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rival_checks import Check, compared
from rival_checks._borrowed import statements, stay_on_the_cpu, stub
from swtformer.functional.affinity import LabelPairs, affinity_loss, boundary_affinity, half_disc, label_pairs
from swtformer.functional.random_walk import random_walk
from swtformer.refiners import create_refiner
from swtformer.refiners.irn import BoundaryNetwork

FOLDER = "irn"
RADIUS = 10
SIDE_PX = 128
NETWORK, INDEXING = "net/resnet50_irn.py", "misc/indexing.py"


def checks(folder: Path) -> list[Check]:
    """See `rival_checks`."""
    stay_on_the_cpu()
    torch.manual_seed(0)
    coarse = torch.rand(1, 3, 8, 8)
    image = F.interpolate(coarse, (SIDE_PX, SIDE_PX), mode="bilinear")
    net = _their_network()
    network = _our_network(net)
    views = network.normalisation(torch.cat([image, image.flip(-1)]))
    with torch.no_grad():
        boundaries, _ = net(views)  # (1, h, w)
        both = network.logits(torch.cat([image, image.flip(-1)]))
        ours = ((both[0] + both[1].flip(-1)) / 2).sigmoid()[None]
    return [
        compared("boundaries of two views", f"{NETWORK}: EdgeDisplacement", ours=ours, other=boundaries),
        *_training(folder),
        _walk(boundaries),
        _refined(folder, network, image, boundaries),
    ]


def _their_network() -> Any:
    from net import resnet50, resnet50_irn

    build = resnet50.resnet50
    resnet50.resnet50 = lambda pretrained, **options: build(pretrained=False, **options)
    net = resnet50_irn.EdgeDisplacement(crop_size=SIDE_PX)
    with torch.no_grad():
        net.fc_edge6.weight[:, :32] = 0
        net.fc_edge6.weight.mul_(8)  # boundaries between 0 and 1, not all near one half
    net.eval()
    return net


class _TheirStages(nn.Module):
    """Maps of their levels 2 to 5 as a pyramid."""

    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    channels = (256, 512, 1024, 2048)
    keeps_batch_statistics = True

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.stages = nn.ModuleList(net.backbone)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        maps = []
        for stage in self.stages:
            images = stage(images)
            maps.append(images)
        return tuple(maps[1:])


def _our_network(net: Any) -> BoundaryNetwork:
    network = BoundaryNetwork(_TheirStages(net))  # type: ignore[arg-type]
    for ours, theirs in zip(network.projections, net.edge_layers[1:5], strict=True):
        ours.load_state_dict(theirs.state_dict())
    network.boundary.load_state_dict(
        {"weight": net.fc_edge6.weight[:, 32:].detach(), "bias": net.fc_edge6.bias.detach()}
    )
    return network.eval()


def _training(folder: Path) -> list[Check]:
    """Affinities, pairs and loss of drawn boundaries and labels, where they keep the pairs."""
    from misc.indexing import PathIndex
    from net.resnet50_irn import AffinityDisplacementLoss

    size = (24, 28)
    edges = F.interpolate(torch.rand(2, 1, 6, 7), size, mode="bilinear")
    index = PathIndex(radius=RADIUS, default_size=size)
    prefix = AffinityDisplacementLoss.path_indices_prefix
    buffers = {f"{prefix}{number}": torch.from_numpy(own) for number, own in enumerate(index.path_indices)}
    fake = types.SimpleNamespace(n_path_lengths=len(buffers), _buffers=buffers)
    theirs = AffinityDisplacementLoss.to_affinity(fake, edges)
    order = [half_disc(RADIUS).index((int(dy), int(dx))) for dy, dx in index.search_dst]
    kept = index.radius_floor

    def inner(pairs: Tensor) -> Tensor:
        return pairs[:, order, :-kept, kept:-kept]

    ours = boundary_affinity(edges[:, 0], radius=RADIUS)
    made = [
        compared("affinity", f"{NETWORK}: to_affinity", ours=inner(ours).flatten(2), other=theirs),
    ]
    coarse = torch.tensor([0, 0, 1, 2, 15, 255])[torch.randint(0, 6, (2, 1, 6, 7))]
    labels = F.interpolate(coarse.float(), size, mode="nearest")[:, 0].long()
    extract = _their_pairs(folder)(index.src_indices, index.dst_indices)
    their_pairs = [torch.stack(kind) for kind in zip(*(extract(own.numpy()) for own in labels), strict=True)]
    found = label_pairs(labels, radius=RADIUS)
    pairs = LabelPairs(inner(found.background), inner(found.foreground), inner(found.different))
    for name, other in zip(("background", "foreground", "different"), their_pairs, strict=True):
        own = getattr(pairs, name).flatten(2).float()
        what = "voc12/dataloader.py: GetAffinityLabelFromIndices"
        made.append(compared(f"pairs of labels, {name}", what, ours=own, other=other))
    scope: dict[str, Any] = {"torch": torch, "aff": theirs}
    scope |= dict(zip(("bg_pos_label", "fg_pos_label", "neg_label"), their_pairs, strict=True))
    exec(statements(folder / NETWORK, "pos_aff_loss = (-1)", "neg_aff_loss = (-1)"), scope)
    exec(statements(folder / "step/train_irn.py", "bg_pos_aff_loss = ", "neg_aff_loss = "), scope)
    other = (scope["pos_aff_loss"] + scope["neg_aff_loss"]) / 2
    own = affinity_loss(inner(ours), pairs)
    made.append(compared("boundary loss", "step/train_irn.py", ours=own, other=other))
    return made


def _their_pairs(folder: Path) -> Any:
    """Their class; the module reads a file relative to its folder, and packages for images and CRF."""
    stub("imageio")
    stub("pydensecrf")
    stub("pydensecrf.densecrf")
    stub("pydensecrf.utils", unary_from_labels=None)
    before = Path.cwd()
    os.chdir(folder)
    try:
        from voc12.dataloader import GetAffinityLabelFromIndices
    finally:
        os.chdir(before)
    return GetAffinityLabelFromIndices


def _walk(boundaries: Tensor) -> Check:
    """256 steps of drawn maps at the published radius and power; pairs across the border are 0 in both."""
    from misc.indexing import propagate_to_edge

    maps = torch.rand(3, *boundaries.shape[-2:])
    theirs = propagate_to_edge(maps, boundaries, radius=5, beta=10, exp_times=8)[:, 0]
    start = maps[None] * (1 - boundaries[:, None])
    affinity = boundary_affinity(boundaries, radius=5)
    ours = random_walk(start, affinity, radius=5, beta=10, steps=2**8)[0]
    return compared("random walk, 256 steps", f"{INDEXING}: propagate_to_edge", ours=ours, other=theirs)


def _refined(folder: Path, network: BoundaryNetwork, image: Tensor, boundaries: Tensor) -> Check:
    """The refiner with the published background, against their step before it enlarges the maps."""
    from misc import indexing

    maps = torch.rand(3, *boundaries.shape[-2:])
    args = types.SimpleNamespace(beta=10, exp_times=8)
    scope: dict[str, Any] = {"indexing": indexing, "args": args, "edge": boundaries}
    scope["cam_downsized_values"] = maps
    script = folder / "step/make_sem_seg_labels.py"
    exec(statements(script, "rw = indexing.propagate_to_edge", "rw = indexing.propagate_to_edge"), scope)
    rw = scope["rw"][:, 0]
    refiner: Any = create_refiner("irn", {"background": 0.25}, source="cam")
    refiner.network = network
    background = 1 - maps.amax(0, keepdim=True)
    ours = refiner.refine(image[0], torch.cat([background, maps]))
    return compared("refined maps", "step/make_sem_seg_labels.py", ours=ours[1:], other=rw / rw.max())
