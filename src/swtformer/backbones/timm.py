"""Any four-stage network of timm: convnext, pvt_v2, mobilenetv2, resnet, twins, davit, focalnet and so on.

Stages 1-3 are timm's own feature maps. Stage 4 is what the family's classifier pools, final norm included. It
is the output of `forward_features` where that is a map on the same grid (MobileNetV2, EfficientNet: the 1280
channels after the last 1×1 convolution rather than the 320 before it), else the last feature map after the
family's norm. Norms behind the pooling (convnext, metaformer …) are applied per token. VGG's stage 4 is the
pooled stage 3, which has no weights; its first two fully connected layers are left out.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.layers import LayerNorm2d
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from swtformer.backbones.base import (
    STRIDES,
    Backbone,
    Pyramid,
    cannot_be_dilated,
    check_images,
    for_bands,
    with_last_stride,
)
from swtformer.backbones.weights import load_into
from swtformer.errors import SwtformerError, nearest

_MULTIPLES = (1, 2, 4, 8, 16, 32)
_PROBES = ((33, 47), (37, 59))


class TimmBackbone(Backbone):
    """The four stages of a timm network.

    A few families (dla, hrnet, tresnet) take only sizes that are multiples of a number of pixels, which is
    found by trial. Images are resized to the nearest such size.

    Attributes:
        multiple_px: heights and widths that the network takes are multiples of this; 1 for most families.
    """

    def __init__(
        self,
        name: str,
        *,
        weights: str,
        drop_path: float,
        bands: int = 3,
        output_stride: int = 32,
        dilated: bool = True,
    ) -> None:
        """Build, load weights, and find the network's stages and sizes.

        Args:
            name: timm name, with or without a tag.
            weights: "pretrained", "none", or a path.
            drop_path: stochastic depth rate; ignored by families without stochastic depth.
            bands: channels of the images.
            output_stride: stride of the last stage, 32, 16 or 8.
            dilated: whether convolutions behind a stride that is taken away are dilated, so that they see as
                far as before.

        Raises:
            SwtformerError: the network is unknown, lacks four stages, cannot have this output stride, or has
                a fixed input size.
            CheckpointError: the weights file does not fit.
        """
        super().__init__()
        self.name = name
        self.strides, self.dilated = with_last_stride(output_stride), dilated
        model = _build(name, drop_path, bands, output_stride)
        if output_stride != 32 and not dilated:
            _undilate(model)
        self.keeps_batch_statistics = weights != "none"
        self.mean = for_bands(model.pretrained_cfg["mean"], bands)
        self.std = for_bands(model.pretrained_cfg["std"], bands)
        self._indices = _stage_indices(name, model.feature_info, self.strides)
        self.norm: nn.Module = nn.Identity()
        self.model = model
        self._final_is_map = False
        self.eval()
        self.multiple_px = self._find_multiple()
        self._final_is_map = self._finds_final_map()
        load_into(model, weights, name=name, rename=lambda tensors: timm_names(model, tensors))
        self.norm = _take_head_norm(model)
        if isinstance(getattr(model, "pre_logits", None), nn.Module):
            model.pre_logits = nn.Identity()  # 120 of the 134 million weights of VGG, behind the maps
        self._stages = self._find_stages()
        self.train()

    def forward(self, images: Tensor) -> Pyramid:
        """Feature maps of normalised images (B, D, H, W); see `Backbone.forward`."""
        check_images(images, len(self.mean))
        if self.multiple_px == 1:
            return self._pyramid(images)
        size = tuple(images.shape[2:])
        fitting = tuple(max(32, round(side / self.multiple_px) * self.multiple_px) for side in size)
        if fitting != size:
            images = F.interpolate(images, size=fitting, mode="bilinear", align_corners=False)
        return self._pyramid(images)

    def stage_modules(self) -> tuple[Sequence[nn.Module], ...]:
        """Modules per stage: a module belongs to the first stage whose map depends on it."""
        return self._stages

    def _pyramid(self, images: Tensor) -> Pyramid:
        final, maps = self.model.forward_intermediates(
            images, indices=self._indices, norm=True, output_fmt="NCHW"
        )
        first, second, third, fourth = maps
        return first, second, third, self._normalised(final if self._final_is_map else fourth)

    def _normalised(self, last: Tensor) -> Tensor:
        result: Tensor
        if isinstance(self.norm, nn.LayerNorm) and not isinstance(self.norm, LayerNorm2d):
            result = self.norm(last.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        else:
            result = self.norm(last)
        return result

    def _find_multiple(self) -> int:
        """The smallest multiple such that the network takes sizes rounded to it."""
        reason = ""
        for multiple in _MULTIPLES:
            sizes = [tuple(-(-side // multiple) * multiple for side in probe) for probe in _PROBES]
            try:
                with torch.no_grad():
                    pyramids = [self._pyramid(torch.zeros(1, len(self.mean), *size)) for size in sizes]
                if all(
                    _strides_are_right(pyramid, size, self.strides)
                    for pyramid, size in zip(pyramids, sizes, strict=True)
                ):
                    return multiple
                reason = reason or f"its maps are not at strides {self.strides}"
            except (AssertionError, RuntimeError, ValueError, TypeError, IndexError) as error:
                reason = reason or str(error).splitlines()[0]
        raise SwtformerError(
            f"Backbone {self.name!r} does not take images of arbitrary size ({reason}). "
            "Choose another, such as 'swin_tiny' or 'convnext_tiny'."
        )

    def _finds_final_map(self) -> bool:
        """Whether `forward_features` gives a (B, num_features, h, w) map on the grid of stage 4."""
        images = torch.zeros(1, len(self.mean), 64, 96)
        with torch.no_grad():
            final, maps = self.model.forward_intermediates(images, indices=self._indices, output_fmt="NCHW")
        return tuple(final.shape[1:]) == (self.model.num_features, *maps[3].shape[2:])

    def _find_stages(self) -> tuple[list[nn.Module], ...]:
        """Modules by the first map that depends on them; parameters that no map depends on are frozen.

        In training mode, as some families cache tables in evaluation, which hides their parameters.
        """
        parameters = list(self.parameters())
        self.train()
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            maps = self._pyramid(torch.zeros(1, len(self.mean), 64, 64))
            reached = [
                torch.autograd.grad(each.sum(), parameters, allow_unused=True, retain_graph=True)
                for each in maps
            ]
        stage_of: dict[nn.Parameter, int] = {}
        for position, parameter in enumerate(parameters):
            stages = [stage for stage in range(4) if reached[stage][position] is not None]
            if stages:
                stage_of[parameter] = stages[0]
            else:
                parameter.requires_grad_(False)
        first, second, third, fourth = (each.shape[1] for each in maps)
        self.channels = (first, second, third, fourth)
        groups: tuple[list[nn.Module], ...] = ([], [], [], [])
        _sort_into(groups, self, stage_of)
        return groups


def _sort_into(
    groups: tuple[list[nn.Module], ...], module: nn.Module, stage_of: dict[nn.Parameter, int]
) -> None:
    """Add each module to the group of its stage; modules that span several stages are split."""
    stages = {stage_of[parameter] for parameter in module.parameters() if parameter in stage_of}
    if len(stages) == 1:
        groups[stages.pop()].append(module)
    elif stages:
        for child in module.children():
            _sort_into(groups, child, stage_of)
        for parameter in module.parameters(recurse=False):
            if parameter in stage_of:
                groups[stage_of[parameter]].append(nn.ParameterList([parameter]))


def _strides_are_right(maps: Sequence[Tensor], size: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether map sizes are the image's divided by the strides, rounded up or down."""
    return all(
        abs(length * stride - side) < stride + 1
        for each, stride in zip(maps, strides, strict=True)
        for length, side in zip(each.shape[2:], size, strict=True)
    )


def require_known(name: str) -> None:
    """Refuse a name that timm does not know, with the nearest one that it does.

    Raises:
        SwtformerError: the network or the tag of its weights is unknown.
    """
    architecture = name.split(".")[0]
    if not timm.is_model(architecture):
        from swtformer.backbones import own_names

        raise SwtformerError(
            f"Unknown backbone {name!r}. {nearest(architecture, [*own_names(), *timm.list_models()])}"
        )
    if "." in name and name not in timm.list_pretrained(architecture + "*"):
        tagged = timm.list_pretrained(architecture + ".*")
        raise SwtformerError(f"Unknown weights tag in backbone {name!r}. {nearest(name, tagged)}")


def _build(name: str, drop_path: float, bands: int, output_stride: int) -> Any:
    """A timm network with random weights and without classifier."""
    require_known(name)
    options: dict[str, Any] = {"pretrained": False, "num_classes": 0}
    if bands != 3:
        options["in_chans"] = bands
    if output_stride == 32:
        return _created(name, drop_path, options)
    try:
        return _created(name, drop_path, {**options, "output_stride": output_stride})
    except AssertionError as error:  # timm's way to say that a family has no other stride
        raise cannot_be_dilated(name, output_stride) from error
    except TypeError as error:
        if "output_stride" not in str(error):
            raise
        raise cannot_be_dilated(name, output_stride) from error


def _created(name: str, drop_path: float, options: dict[str, Any]) -> Any:
    if drop_path == 0:
        return timm.create_model(name, **options)
    try:
        return timm.create_model(name, **options, drop_path_rate=drop_path)
    except TypeError as error:
        if "drop_path_rate" not in str(error):
            raise
        return timm.create_model(name, **options)


def _undilate(model: nn.Module) -> None:
    """Give dilated convolutions neighbouring taps; padding follows, so that maps keep their size."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and max(module.dilation) > 1:
            module.dilation = (1, 1)
            if any(module.padding):  # those of TensorFlow pad when they see the image
                module.padding = tuple(side // 2 for side in module.kernel_size)


def _stage_indices(name: str, feature_info: Sequence[dict[str, Any]], strides: Sequence[int]) -> list[int]:
    """Indices of timm's feature maps at four strides.

    Maps of equal stride in a dilated network are told apart by their order, so that each must be the only one
    of its stage.
    """
    given = [feature["reduction"] for feature in feature_info]
    if tuple(strides) == STRIDES:
        if set(STRIDES) <= set(given):
            return [len(given) - 1 - given[::-1].index(stride) for stride in STRIDES]
        raise SwtformerError(
            f"Backbone {name!r} has feature maps at strides {sorted(set(given))}, expected 4, 8, 16 and "
            "32: choose a four-stage network, such as 'swin_tiny' or 'convnext_tiny'."
        )
    if given[-4:] != list(strides) or strides[0] in given[:-4]:
        raise cannot_be_dilated(name, strides[-1])
    return list(range(len(given) - 4, len(given)))


def _take_head_norm(model: Any) -> nn.Module:
    """Remove the norm behind the pooling from the network and return it; identity if there is none."""
    norm = getattr(getattr(model, "head", None), "norm", None)
    weight = getattr(norm, "weight", None)
    if isinstance(norm, nn.Module) and weight is not None and weight.shape == (model.num_features,):
        model.head.norm = nn.Identity()
        return norm
    return nn.Identity()


def timm_names(model: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A published checkpoint with the network's own names, without its classifier.

    If the names differ, timm's function for the family renames them. If that fails, the file belongs to
    another network and is returned as it is.
    """
    classifier = model.pretrained_cfg["classifier"] or ()
    prefixes = tuple(f"{part}." for part in ((classifier,) if isinstance(classifier, str) else classifier))

    def without_classifier(named: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: t for name, t in named.items() if not name.startswith(prefixes)}

    if without_classifier(tensors).keys() == model.state_dict().keys():
        return without_classifier(tensors)
    rename = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if rename is None:
        return without_classifier(tensors)
    try:
        return without_classifier(dict(rename(dict(tensors), model)))
    except (KeyError, RuntimeError, ValueError, IndexError, AttributeError, TypeError, AssertionError):
        return without_classifier(tensors)
