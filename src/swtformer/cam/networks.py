"""What CAM needs of a classifier: features before the pooling, logits, and class maps that add up to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from timm.layers import SpaceToDepth
from torch import Tensor, nn

from swtformer.backbones.rolled_windows import rolls_before_padding
from swtformer.cam.linearise import scores_by_place
from swtformer.errors import SwtformerError
from swtformer.methods import PyramidMethod, PyramidSettings
from swtformer.methods.fusion import side_by_side
from swtformer.methods.prototypes import PrototypeSettings
from swtformer.methods.swtformer_v3 import SWTformerV3Settings

FINEST_STRIDE = 4

OVERSHOOT = 0.2
"""How far floats may lie beyond [0, 1]: bicubic resizing adds less, bytes given as floats lie far beyond."""

FAR_OFF = 20
"""Normalised floats may be this many times as large as a normalised pixel, as weights may have been trained
with another normalisation. Larger ones are taken for bytes: with ImageNet's normalisation, from about 50."""


@dataclass(frozen=True)
class Reading:
    """Features and class maps of images.

    Attributes:
        pyramid: (B, Dk, hk, wk) feature maps, fine to coarse; the last one is pooled.
        maps: (B, C, h, w) class maps; their mean over space plus `bias` is `logits`.
        bias: (B, C) part of the logits that belongs to no place in the image.
        logits: (B, C).
    """

    pyramid: tuple[Tensor, ...]
    maps: Tensor
    bias: Tensor
    logits: Tensor


class Network(ABC):
    """A classifier, whatever library it comes from.

    Attributes:
        name: its name in messages.
        options: how its maps are refined by default.
        channels: number of image channels.
        mean: mean of pixels in [0, 1] by which bytes are normalised.
        std: their standard deviation.
        float_range: range of plausible float images; None if unknown.
        floats: description of float images, for messages.
        probe_sizes: (height, width) at which it is tried.
        has_background: whether its maps hold a background.
    """

    name: str
    options: PrototypeSettings
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    float_range: tuple[float, float] | None
    floats: str
    probe_sizes: tuple[tuple[int, int], ...]
    has_background: bool = True

    @abstractmethod
    def read(self, images: Tensor) -> Reading:
        """Features, maps and logits of prepared images."""

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """(B, C) logits as the model itself gives them."""

    def fused(self, pyramid: Sequence[Tensor]) -> Tensor:
        """(B, D, h, w) features that are compared with prototypes: here `side_by_side`."""
        return side_by_side(pyramid)


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside `torch.compile` and PyTorch's wrappers for several devices."""
    while True:
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            return model


class MethodNetwork(Network):
    """A model of this package: its CAM head gives the maps, bias included; their mean is the logits."""

    def __init__(self, model: PyramidMethod) -> None:
        if model.options.pooling != "gap":
            raise SwtformerError(
                f"The model pools by {model.options.pooling}, so its logits are not the means of its maps. "
                "CAM takes models with pooling gap; use swtformer.localize for this one."
            )
        refuse_correlation(model.options)
        self.name = f"{model.settings.method} on {model.settings.backbone}"
        self.model = model
        own = model.options
        if not isinstance(own, PrototypeSettings):
            own = SWTformerV3Settings(background_over=own.background_over, norm=own.norm)
        self.options = own
        self.channels = model.settings.bands
        # Methods take images in [0, 1] and normalise them themselves.
        self.mean, self.std = self.channels * (0.0,), self.channels * (1.0,)
        self.float_range = (-OVERSHOOT, 1 + OVERSHOOT)
        self.floats = "floats in [0, 1]"
        self.probe_sizes = ((64, 96),)
        self.has_background = model.has_background

    def read(self, images: Tensor) -> Reading:
        """Images are floats in [0, 1]."""
        encoding = self.model.encode(images)
        return Reading(
            encoding.pyramid, encoding.activations, torch.zeros_like(encoding.logits), encoding.logits
        )

    def logits(self, images: Tensor) -> Tensor:
        """See `Network.logits`."""
        return self.model.encode(images).logits

    def fused(self, pyramid: Sequence[Tensor]) -> Tensor:
        """The model's own fused features if it has them, else `side_by_side`."""
        fused = self.model.fused(pyramid)
        return super().fused(pyramid) if fused is None else fused


class TimmNetwork(Network):
    """A timm classifier that pools by the mean."""

    def __init__(self, model: Any) -> None:
        self.name = _name(model)
        self.options = SWTformerV3Settings()
        if getattr(model, "num_classes", 1) == 0:
            raise SwtformerError(f"{self.name} has no classifier: create it with num_classes of 1 or more.")
        _refuse_pooling(self.name, _pool_type(model))
        config = getattr(model, "pretrained_cfg", None) or {}
        self.model = model
        self.channels = channels_of(model)  # `in_chans` does not change the config
        self.mean = tuple(config.get("mean", (0.485, 0.456, 0.406)))
        self.std = tuple(config.get("std", (0.229, 0.224, 0.225)))
        self.float_range = None
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
                f"The features of {self.name} are not a map; expected a tensor of 3 or 4 dimensions."
            )
        is_list = final.ndim == 3
        if is_list:
            # timm's own map rather than a reshaped list: some families (hiera) order tokens differently.
            features = stages[-1]
        else:
            features = final.permute(0, 3, 1, 2) if self._is_channels_last(final) else final
        tokens = appended(features)
        if is_list:
            prefix = getattr(self.model, "num_prefix_tokens", 0)
            places = torch.cat([tokens.new_zeros(len(tokens), prefix, tokens.shape[1]), tokens[:, None]], 1)
        elif features is final:
            places = tokens[:, :, None, None]
        else:
            places = tokens[:, None, None, :]
        logits, scores = scores_by_place(self.model, self.model.forward_head, final, places)
        maps, bias = maps_and_bias(scores, features)
        return Reading((*stages[:-1], features), maps, bias, logits)

    def _final_and_stages(self, images: Tensor) -> tuple[Any, list[Tensor]]:
        options = {"indices": self._indices, "output_fmt": "NCHW"}
        try:
            final, stages = self.model.forward_intermediates(images, norm=True, **options)
        except AssertionError as error:
            if "norm" not in str(error):
                raise
            # Families whose only norm is behind the pooling (hiera) refuse norm=True.
            final, stages = self.model.forward_intermediates(images, norm=False, **options)
        return final, stages

    def _is_channels_last(self, features: Tensor) -> bool:
        layout = getattr(self.model, "output_fmt", None)
        if layout is not None:
            return str(getattr(layout, "value", layout)) == "NHWC"
        return bool(features.shape[1] != self.model.num_features == features.shape[3])


def is_of_timm(model: nn.Module) -> bool:
    """Whether a model is a classifier as timm builds them."""
    needed = ("forward_features", "forward_intermediates", "forward_head")
    return all(callable(getattr(model, method, None)) for method in needed)


def channels_of(model: nn.Module) -> int:
    """Number of image channels that a network takes, by its first layer; 3 if that is not a convolution."""
    block = 1  # timm's TResNet moves blocks of pixels into channels
    for item in model.modules():
        if isinstance(item, SpaceToDepth):
            block = item.bs
        elif isinstance(item, nn.Conv2d):
            return item.in_channels // block**2
        elif isinstance(item, nn.Linear):
            break
    return 3


def appended(features: Tensor) -> Tensor:
    """(B·(n+1), D) places of (B, D, h, w) features, image by image, with one without features behind each."""
    tokens = features.flatten(2).mT
    return torch.cat([tokens, torch.zeros_like(tokens[:, :1])], dim=1).flatten(0, 1)


def maps_and_bias(scores: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
    """(B, C, h, w) maps and (B, C) bias from (B, n+1, C) scores of `appended` places.

    The score of the place without features is the bias.
    """
    bias = scores[:, -1]
    return (scores[:, :-1] - bias[:, None]).mT.unflatten(2, features.shape[2:]), bias


def _name(model: nn.Module) -> str:
    config = getattr(model, "pretrained_cfg", None) or {}
    return str(config.get("architecture") or type(model).__name__)


def _pool_type(model: Any) -> str | None:
    """timm's name of the pooling in front of the classifier; None if unknown."""
    head = getattr(model, "head", None)
    if "AttentionPool" in type(head).__name__:
        return "map"  # its pool_type means something else
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
            f"{name} scores classes from its class token, which mixes all patches in every block, so no map "
            "of the patches has the class score as its mean. Use a model that averages its patches (timm: "
            "global_pool='avg', if it was trained that way)."
        )
    how = "attention" if pool == "map" else pool
    reason = f"pools by {how}, so its scores are not means over places"
    if not pool:
        reason = "does not pool (global_pool=''), so it gives no class scores"
    raise SwtformerError(f"{name} {reason}. CAM takes classifiers that pool by the mean.")


def _stage_indices(feature_info: Any) -> list[int] | int:
    """Indices of the last feature map of each stride from 4, fine to coarse; 1, the last map, if unknown."""
    try:
        strides = [feature["reduction"] for feature in feature_info]
    except (TypeError, KeyError):
        return 1
    last = {stride: index for index, stride in enumerate(strides) if stride >= FINEST_STRIDE}
    return sorted(last.values()) or 1


@contextmanager
def _no_wrapping(model: nn.Module, name: str) -> Iterator[None]:
    """Refuse sizes at which timm's Swin mixes opposite borders of the image (`rolls_before_padding`)."""

    def check(block: Any, inputs: tuple[Tensor, ...]) -> None:
        height, width = inputs[0].shape[1:3]
        (rows, columns) = block.window_size
        if height % rows or width % columns:
            raise SwtformerError(
                f"At this image size {name} mixes opposite borders of the image, since its windows of "
                f"{rows}×{columns} do not divide its grid of {height}×{width}. Resize the images (the size "
                "of its training always fits), or use swtformer's own Swin."
            )

    hooks = [
        block.register_forward_pre_hook(check) for block in model.modules() if rolls_before_padding(block)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def refuse_correlation(options: PyramidSettings) -> None:
    """Refuse options whose CAMs no class weights make.

    Raises:
        SwtformerError: they have `pixel_correlation`.
    """
    if options.pixel_correlation:
        raise SwtformerError(
            "With the option pixel_correlation, maps are averaged over the places that look alike, so class "
            "weights alone do not make them. CAM takes models and options without it; use "
            "swtformer.localize."
        )
