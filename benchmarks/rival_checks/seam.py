"""SEAM (github.com/YudeWang/SEAM, MIT): its network, losses and maps against `seam` on `resnet38d`.

Weights are random, those of the CAM head large enough that maps are not near 0. Batch norm has the statistics
of a drawn batch, so that 38 layers keep activations in range. Dropout is off, as in evaluation. Gradients of
the backbone are compared in float64: in float32 their own network differs from itself by 3e-2 when its
tensors lie in another order in memory.
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
from rival_checks._borrowed import functions, settle_batch_norm, statements, stub
from swtformer.backbones.resnet38d import published_names
from swtformer.methods import METHODS, Batch, create_model
from swtformer.settings import LocalizeSettings, ModelSettings

FOLDER = "SEAM"
CLASSES = tuple(f"class{index}" for index in range(20))
SIDE = (112, 144)
NETWORK, TRAINING = "network/resnet38_SEAM.py", "train_SEAM.py"


def checks(folder: Path) -> list[Check]:
    """See `rival_checks`."""
    torch.manual_seed(0)
    net = _their_network()
    model = _our_network(net)
    images = F.interpolate(torch.rand(2, 3, 14, 18), SIDE, mode="bilinear")
    present = torch.zeros(2, 20)
    present[0, [1, 7, 12]], present[1, [3]] = 1, 1
    seen = model.normalisation(images)
    with torch.no_grad():
        theirs = net.forward_as_dict(seen)
        made = [
            compared(f"backbone, {name}", "network/resnet38d.py: Net", ours=ours, other=theirs[name])
            for name, ours in zip(("conv3", "conv4", "conv5", "conv6"), model.backbone(seen), strict=True)
        ]
        cam, refined = net(seen)
        enlarged = model._enlarged(images, present)
    made += [
        compared("CAM", f"{NETWORK}: forward", ours=enlarged.activations, other=cam[:, 1:]),
        compared("refined CAM", f"{NETWORK}: PCM", ours=enlarged.refined, other=refined),
        *_losses(folder, net, model, images, present),
        _maps(folder, net, model, images, present),
        _names(net),
        _backbone_gradient(net, model, seen[:1, :, :64, :64].double()),
    ]
    return made


def _their_network() -> Any:
    from network import resnet38_SEAM

    net = resnet38_SEAM.Net()
    settle_batch_norm(net, torch.randn(2, 3, *SIDE))
    with torch.no_grad():
        net.fc8.weight.mul_(10)
    return net


def _our_network(net: Any) -> Any:
    settings = ModelSettings(method="seam", backbone="resnet38d", weights="none")
    model: Any = create_model(settings, CLASSES, METHODS.options("seam", {}))
    state = net.state_dict()
    model.backbone.load_state_dict(published_names(state))
    model.head.load_state_dict({"weight": state["fc8.weight"][1:]})
    for ours, theirs in zip(model.correlation.projections, ("f8_3", "f8_4"), strict=True):
        ours.load_state_dict({"weight": state[f"{theirs}.weight"]})
    model.correlation.mixing.load_state_dict({"weight": state["f9.weight"]})
    return model.eval()


def _losses(folder: Path, net: Any, model: Any, images: Tensor, present: Tensor) -> list[Check]:
    """Values and gradients of the statements of their training step."""
    script = folder / TRAINING
    seen = {"torch": torch, "F": F}
    scope: dict[str, Any] = seen | functions(script, "adaptive_min_pooling_loss", "max_onehot", **seen)
    scope |= {
        "visualization": types.SimpleNamespace(
            **functions(folder / "tool/visualization.py", "max_norm", **seen)
        )
    }
    label = torch.cat([torch.ones(len(present), 1), present], 1)[:, :, None, None]
    step = statements(script, "cam1, cam_rv1 = model", "loss_cls = ").replace("(int)", "int")
    first = model.normalisation(images)
    second = F.interpolate(first, scale_factor=0.3, mode="bilinear", align_corners=True)
    scope |= {"model": net, "img1": first, "img2": second, "label": label, "scale_factor": 0.3}
    exec(step, scope)
    theirs = {
        "cls": (scope["loss_cls1"] + scope["loss_cls2"]) / 2,
        "er": scope["loss_er"],
        "ecr": scope["loss_ecr"],
        "min_pool": (scope["loss_rvmin1"] + scope["loss_rvmin2"]) / 2,
    }
    ours = model.losses(Batch(images, present), epoch=0.0)
    named = {"cls": "classification loss", "er": "ER loss", "ecr": "ECR loss", "min_pool": "min-pooling loss"}
    made = [
        compared(named[key], TRAINING, ours=ours[key].detach(), other=theirs[key].detach()) for key in named
    ]
    sum(theirs.values()).backward()
    sum(ours.values()).backward()
    pairs = {
        "CAM head": (model.head.weight.grad, net.fc8.weight.grad[1:]),
        "correlated features": (model.correlation.mixing.weight.grad, net.f9.weight.grad),
    }
    for what, (own, other) in pairs.items():
        size = other.abs().max()
        made.append(compared(f"gradient, {what}", TRAINING, ours=own / size, other=other / size))
    return made


def _backbone_gradient(net: Any, model: Any, seen: Tensor) -> Check:
    """Gradient of a drawn function of all four maps by an early layer, in float64; this comes last."""
    gradients = []
    for network in (model.backbone.double(), net.double()):
        network.zero_grad()
        maps = network.forward_as_dict(seen).values() if network is net else network(seen)
        generator = torch.Generator().manual_seed(1)
        weighted = [
            (each * torch.randn(each.shape, generator=generator, dtype=each.dtype)).sum() for each in maps
        ]
        torch.stack(weighted).sum().backward()
        gradients.append(network.b3.conv_branch2a.weight.grad)
    size = gradients[1].abs().max()
    return compared(
        "gradient, backbone", "network/resnet38d.py: Net", ours=gradients[0] / size, other=gradients[1] / size
    )


def _maps(folder: Path, net: Any, model: Any, images: Tensor, present: Tensor) -> Check:
    """Their maps of an image and its mirror image at full size, against R-CAMs without background."""
    sum_cam = 0
    with torch.no_grad():
        for mirrored in (False, True):
            view = images.flip(-1) if mirrored else images
            _, cam = net(model.normalisation(view))
            cam = cam[:, 1:] * present[:, :, None, None]
            sum_cam = sum_cam + (cam.flip(-1) if mirrored else cam)
    steps = statements(folder / "infer_SEAM.py", "sum_cam[sum_cam < 0]", "norm_cam = ")
    norm = []
    for own in sum_cam.numpy():
        scope = {"np": np, "sum_cam": own.copy()}
        exec(steps, scope)
        norm.append(torch.from_numpy(scope["norm_cam"]).clamp(min=0))
    settings = LocalizeSettings(scales=(1.0,), flip=True, stride=1, seeds="view", long_side_px=None)
    # Floats pass `views` as bytes would: it divides by 255.
    made = model.maps(images * 255, present, settings=settings)
    return compared("maps of two views", "infer_SEAM.py", ours=made.rcam[:, 1:], other=torch.stack(norm))


def _names(net: Any) -> Check:
    """Names of a `.params` file through their conversion, which has MXNet replaced, and through ours."""
    from network import resnet38d

    names = [
        name
        for name in net.state_dict()
        if not name.startswith(("fc8", "f8_", "f9")) and not name.endswith("num_batches_tracked")
    ]
    tensors = {_mxnet_name(name): net.state_dict()[name] for name in names}
    tensors["arg:linear1000_weight"] = torch.zeros(1)
    load = {name: types.SimpleNamespace(asnumpy=value.numpy) for name, value in tensors.items()}
    stub("mxnet", nd=types.SimpleNamespace(load=lambda _: load))
    theirs = resnet38d.convert_mxnet_to_torch("")
    ours = published_names(tensors)
    if ours.keys() != theirs.keys():
        raise ValueError(f"names differ: {sorted(ours.keys() ^ theirs.keys())[:5]}")
    gap = torch.stack([(ours[name] - theirs[name]).abs().max().float() for name in ours]).max()
    return Check("names of published weights", "network/resnet38d.py: convert_mxnet_to_torch", float(gap))


def _mxnet_name(name: str) -> str:
    """What MXNet calls a tensor."""
    kinds = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_var"}
    *layer, kind = name.split(".")
    place = "aux" if kind.startswith("running") else "arg"
    if layer == ["conv1a"]:
        return "arg:conv1a_weight"
    if layer == ["bn7"]:
        return f"{place}:bn7_{kinds[kind]}"
    stage, _, index = layer[0][1:].partition("_")
    block = f"{stage}b{index}" if index else f"{stage}a"
    own, _, branch = layer[1].partition("_")
    return f"arg:res{block}_{branch}_weight" if own == "conv" else f"{place}:bn{block}_{branch}_{kinds[kind]}"
