"""What CAM needs of a network: features before the pooling, logits, and class maps that add up to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from swtformer.backbones.rolled_windows import rolls_before_padding
from swtformer.cam.linearise import scores_by_place
from swtformer.errors import SwtformerError
from swtformer.methods import Method, PyramidMethod

FINEST_STRIDE = 4

OVERSHOOT = 0.2
"""How far beyond [0, 1] floats may lie: more than bicubic resizing adds, less than bytes of any but black
photographs."""

FAR_OFF = 20
"""Normalised floats may be this many times as large as a normalised pixel: weights may have been trained on
under another normalisation. Bytes are told from them by bright pixels only: those of a batch of dark
photographs, below about 50 for ImageNet's normalisation, could be normalised floats as well."""


@dataclass(frozen=True)
class Reading:
    """What a network makes of images.

    Attributes:
        pyramid: (B, Dk, hk, wk) feature maps, the coarsest and last being those that are pooled.
        maps: (B, C, h, w) class maps.
        bias: (B, C) part of the logits that lies nowhere in the image.
        logits: (B, C).
    """

    pyramid: tuple[Tensor, ...]
    maps: Tensor
    bias: Tensor
    logits: Tensor


class Network(Protocol):
    """A classifier behind one face, whatever library it comes from.

    Attributes:
        name: what messages call it.
        channels: of its images.
        mean: of pixels in [0, 1], which bytes are normalised by.
        std: their spread.
        float_range: that floats must lie in; None where nothing is known about them. Bytes as floats can be
            told where they lie outside.
        floats: what they should be, for messages.
        probe_sizes: (height, width) to try it at.
    """

    name: str
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    float_range: tuple[float, float] | None
    floats: str
    probe_sizes: tuple[tuple[int, int], ...]

    def read(self, images: Tensor) -> Reading:
        """Features, maps and logits of images as the model takes them."""

    def logits(self, images: Tensor) -> Tensor:
        """(B, C) logits as the model itself gives them."""


def unwrapped(model: nn.Module) -> nn.Module:
    """The model behind `torch.compile` and wrappers for several devices, which do not touch its logits."""
    while True:
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            return model


def as_network(model: nn.Module) -> Network:
    """The model as CAM sees it.

    Raises:
        SwtformerError: it is of no known kind, or of one whose scores are no means over the image.
    """
    if isinstance(model, PyramidMethod):
        return MethodNetwork(model)
    if isinstance(model, Method):
        raise SwtformerError(
            f"CAM takes methods with a CAM head on a pyramid, not {model.settings.method!r}; call its maps()."
        )
    return TimmNetwork(model)


class MethodNetwork:
    """A model of this package: its CAM head gives the maps, bias included, and their mean the logits."""

    def __init__(self, model: PyramidMethod) -> None:
        if model.options.pooling != "gap":
            raise SwtformerError(
                f"The model pools by {model.options.pooling}, so that its logits are no means of its maps; "
                "CAM takes models of pooling gap. Use swtformer.localize for this one."
            )
        self.name = f"{model.settings.method} on {model.settings.backbone}"
        self.model = model
        self.channels = 3
        # Methods take images in [0, 1] and apply their backbone's mean and spread themselves.
        self.mean: tuple[float, ...] = (0.0, 0.0, 0.0)
        self.std: tuple[float, ...] = (1.0, 1.0, 1.0)
        self.float_range: tuple[float, float] | None = (-OVERSHOOT, 1 + OVERSHOOT)
        self.floats = "floats from 0 to 1 and normalises them itself"
        self.probe_sizes: tuple[tuple[int, int], ...] = ((64, 96),)

    def read(self, images: Tensor) -> Reading:
        """See `Network.read`; images are floats in [0, 1]."""
        encoding = self.model.encode(images)
        return Reading(
            encoding.pyramid, encoding.activations, torch.zeros_like(encoding.logits), encoding.logits
        )

    def logits(self, images: Tensor) -> Tensor:
        """See `Network.logits`."""
        return self.model.encode(images).logits


class TimmNetwork:
    """A timm classifier that pools by the mean; the layout of its features is found, never assumed."""

    def __init__(self, model: Any) -> None:
        self.name = _name(model)
        for method in ("forward_features", "forward_intermediates", "forward_head"):
            if not callable(getattr(model, method, None)):
                wrapped = getattr(model, "module", None)
                hint = (
                    " If it wraps one of these, give its `.module`." if isinstance(wrapped, nn.Module) else ""
                )
                raise SwtformerError(
                    f"CAM does not know how {self.name} is built: it has no `{method}`. It takes classifiers "
                    f"made by timm.create_model (not with features_only) and models of swtformer.{hint}"
                )
        if getattr(model, "num_classes", 1) == 0:
            raise SwtformerError(f"{self.name} has no classifier: create it with num_classes of 1 or more.")
        _refuse_pooling(self.name, _pool_type(model))
        config = getattr(model, "pretrained_cfg", None) or {}
        self.model = model
        # The first layer tells: `in_chans` changes it and not the config.
        first = next(item for item in model.modules() if isinstance(item, (nn.Conv2d, nn.Linear)))
        self.channels = first.in_channels if isinstance(first, nn.Conv2d) else 3
        self.mean = tuple(config.get("mean", (0.485, 0.456, 0.406)))
        self.std = tuple(config.get("std", (0.229, 0.224, 0.225)))
        self.float_range: tuple[float, float] | None = None
        self.floats = "normalised floats"
        if "mean" in config and len(self.mean) == self.channels:
            pixels = [
                (value - mean) / std
                for mean, std in zip(self.mean, self.std, strict=True)
                for value in (0, 1)
            ]
            farthest = FAR_OFF * max(abs(pixel) for pixel in pixels)
            self.float_range = (-farthest, farthest)
            self.floats += f" (pixels become {min(pixels):.3g} to {max(pixels):.3g})"
        trained = tuple(config.get("input_size", (3, 224, 224)))[1:]
        built = getattr(getattr(model, "patch_embed", None), "img_size", None) or trained
        self.probe_sizes = tuple(dict.fromkeys([(64, 96), tuple(built), trained]))
        self._norm = True
        self._indices = _stage_indices(getattr(model, "feature_info", None))

    def logits(self, images: Tensor) -> Tensor:
        """See `Network.logits`."""
        logits: Tensor = self.model(images)
        return logits

    def read(self, images: Tensor) -> Reading:
        """See `Network.read`."""
        with _no_wrapping(self.model, self.name):
            final, stages = self._final_and_stages(images)
        if not isinstance(final, Tensor) or final.ndim not in (3, 4):
            raise SwtformerError(
                f"The features of {self.name} are no map; expected a tensor of 3 or 4 dimensions."
            )
        is_list = final.ndim == 3
        if is_list:
            # timm's own map, not a reshape of the list: some families (hiera) keep tokens in another order.
            features = stages[-1]
        else:
            features = final.permute(0, 3, 1, 2) if self._is_channels_last(final) else final
        tokens = features.flatten(2).mT
        # A place without features is appended: its score is the bias.
        tokens = torch.cat([tokens, torch.zeros_like(tokens[:, :1])], dim=1).flatten(0, 1)
        if is_list:
            prefix = getattr(self.model, "num_prefix_tokens", 0)
            places = torch.cat([tokens.new_zeros(len(tokens), prefix, tokens.shape[1]), tokens[:, None]], 1)
        elif features is final:
            places = tokens[:, :, None, None]
        else:
            places = tokens[:, None, None, :]
        logits, scores = scores_by_place(self.model, self.model.forward_head, final, places)
        bias = scores[:, -1]
        maps = (scores[:, :-1] - bias[:, None]).mT.unflatten(2, features.shape[2:])
        return Reading((*stages[:-1], features), maps, bias, logits)

    def _final_and_stages(self, images: Tensor) -> tuple[Any, list[Tensor]]:
        try:
            final, stages = self.model.forward_intermediates(
                images, indices=self._indices, norm=self._norm, output_fmt="NCHW"
            )
        except AssertionError as error:
            if not self._norm or "norm" not in str(error):
                raise
            self._norm = (
                False  # families whose only norm is behind the pooling refuse to be asked for it (hiera)
            )
            return self._final_and_stages(images)
        return final, stages

    def _is_channels_last(self, features: Tensor) -> bool:
        layout = getattr(self.model, "output_fmt", None)
        if layout is not None:
            return str(getattr(layout, "value", layout)) == "NHWC"
        return bool(features.shape[1] != self.model.num_features == features.shape[3])


def _name(model: nn.Module) -> str:
    config = getattr(model, "pretrained_cfg", None) or {}
    return str(config.get("architecture") or type(model).__name__)


def _pool_type(model: Any) -> str | None:
    """timm's name of the pooling in front of the classifier; None where the model does not tell."""
    head = getattr(model, "head", None)
    if "AttentionPool" in type(head).__name__:
        return "map"  # its own pool_type says which of the results is taken
    for owner in (model, head):
        for attribute in ("global_pool", "pool_type"):
            pool = getattr(owner, attribute, None)
            pool = getattr(pool, "pool_type", pool)
            if isinstance(pool, str):
                return pool
    return None


def _refuse_pooling(name: str, pool: str | None) -> None:
    if pool is None or pool in ("avg", "fast", "fastavg"):
        return
    if pool == "token":
        raise SwtformerError(
            f"{name} scores classes from its class token: what the token has gathered from each patch went "
            "through attention in every block, and no map of the patch tokens has the class score as its "
            "mean. Use a model that averages its patches (timm: global_pool='avg', if it was trained so)."
        )
    reasons = {
        "map": "pools by attention, so its scores are no mean over places",
        "": "does not pool (global_pool=''), so it gives no class scores",
    }
    reason = reasons.get(pool, f"pools by {pool}, so its scores are no mean over places")
    raise SwtformerError(f"{name} {reason}. CAM takes classifiers that pool by the mean.")


def _stage_indices(feature_info: Any) -> list[int] | int:
    """Indices of the last feature map of every stride from 4, fine to coarse; 1, the last map, if unknown."""
    try:
        strides = [feature["reduction"] for feature in feature_info]
    except (TypeError, KeyError):
        return 1
    last = {stride: index for index, stride in enumerate(strides) if stride >= FINEST_STRIDE}
    return sorted(last.values()) or 1


@contextmanager
def _no_wrapping(model: nn.Module, name: str) -> Iterator[None]:
    """Refuse images whose opposite borders timm's Swin would let see each other (`rolls_before_padding`)."""

    def check(block: Any, inputs: tuple[Tensor, ...]) -> None:
        height, width = inputs[0].shape[1:3]
        (rows, columns) = block.window_size
        if height % rows or width % columns:
            raise SwtformerError(
                f"{name} lets opposite borders of images of this size see each other: a shifted window of "
                f"{rows}×{columns} does not divide its grid of {height}×{width}. Resize the images so that "
                "it does (the size that the model was trained at always fits), or use swtformer's own Swin."
            )

    hooks = [
        block.register_forward_pre_hook(check) for block in model.modules() if rolls_before_padding(block)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
