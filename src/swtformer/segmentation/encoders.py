"""Encoders: our own backbones, and all encoders of segmentation-models-pytorch."""

from __future__ import annotations

import difflib
import warnings
from abc import abstractmethod
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from swtformer.backbones import create_backbone, own_names
from swtformer.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone, FeatureExtractor
from swtformer.backbones.rolled_windows import rolls_before_padding
from swtformer.backbones.swin import known_names
from swtformer.backbones.weights import fetched, fill, pretrained_file, read_tensors
from swtformer.errors import SettingsError, SwtformerError, nearest
from swtformer.segmentation.library import require_smp
from swtformer.store.files import read_json

Family = Literal["backbone", "smp"]
Triple = tuple[float, float, float]

TIMM_PREFIX = "tu-"
"""Prefix of timm's names in segmentation-models-pytorch."""
OLD_TIMM_PREFIX = "timm-"
"""Its deprecated prefix."""
_PROBES = ((64, 64), (96, 160))
"""Heights and widths at which encoders are tried."""
_CLASSIFIERS = ("fc.", "classifier.", "last_linear.", "head.")
_CANNOT = (TypeError, ValueError, AssertionError, RuntimeError)
"""Errors of networks that cannot be dilated, or cannot be encoders."""


class Encoder(FeatureExtractor):
    """Normalised images to the list of feature maps that decoders of segmentation-models-pytorch take.

    Attributes:
        channels: of the maps. The first is the image (3) or a map at stride 1 (vgg); 0 at stride 2 if the
            encoder has no such map.
    """

    channels: tuple[int, ...]

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]:
        """The images (or a map at stride 1), then maps at strides 2, 4, 8, 16 and 32; those of a backbone
        with a smaller output stride are no coarser than that.

        Args:
            images: (B, 3, H, W), normalised, H and W multiples of 32.
        """


class BackboneEncoder(Encoder):
    """One of our backbones.

    Attributes:
        strides, dilated: those of the backbone.
    """

    def __init__(self, backbone: Backbone, *, keeps_batch_statistics: bool) -> None:
        super().__init__()
        self.model = backbone
        self.channels = (len(backbone.mean), 0, *backbone.channels)
        self.strides, self.dilated = backbone.strides, backbone.dilated
        self.mean, self.std = backbone.mean, backbone.std
        self.keeps_batch_statistics = backbone.keeps_batch_statistics = keeps_batch_statistics

    def forward(self, images: Tensor) -> list[Tensor]:
        """See `Encoder.forward`; the map at stride 2 has no channels."""
        height, width = images.shape[-2:]
        return [images, images.new_empty(images.shape[0], 0, height // 2, width // 2), *self.model(images)]


class SmpEncoder(Encoder):
    """An encoder of segmentation-models-pytorch."""

    def __init__(self, model: Any, *, mean: Triple, std: Triple, keeps_batch_statistics: bool) -> None:
        super().__init__()
        self.model = model
        self.channels = tuple(model.out_channels)
        self.mean, self.std = mean, std
        self.keeps_batch_statistics = keeps_batch_statistics

    def forward(self, images: Tensor) -> list[Tensor]:
        """See `Encoder.forward`."""
        return list(self.model(images))


def family_of(name: str) -> Family:
    """The family that has a name: segmentation-models-pytorch, else our backbones."""
    is_theirs = name.startswith((TIMM_PREFIX, OLD_TIMM_PREFIX)) or name in _smp_names()
    return "smp" if is_theirs else "backbone"


def create_encoder(
    name: str,
    *,
    family: Family,
    weights: str,
    dilated: bool = False,
    tried: bool = True,
    bands: int = 3,
    backbone_stride: int = 32,
    backbone_dilated: bool = True,
) -> Encoder:
    """Build an encoder by name.

    Args:
        name: name in segmentation-models-pytorch ("resnet50", "mit_b2", "tu-convnext_tiny") or, for the
            family "backbone", in `create_backbone`.
        family: the family that has the name.
        weights: "pretrained", "none", or a .safetensors or .pth file.
        dilated: whether the last map has stride 16 by dilation, if the family is "smp" and supports it.
        tried: whether to check that it takes images of any size; that of a saved network does.
        bands: channels of the images; other than 3 for the family "backbone" alone.
        backbone_stride, backbone_dilated: `output_stride` and `dilated` of `create_backbone`, for the family
            "backbone" alone.

    Raises:
        SwtformerError: the name is unknown, or the weights are not available.
        SettingsError: the encoder takes only some image sizes, mixes opposite borders, or reads RGB alone.
        CheckpointError: the weights file is damaged, unsafe or made for another network.
    """
    if family == "smp" and bands != 3:
        raise SettingsError(
            f"The encoder {name!r} reads red, green and blue, and data.bands names {bands} bands. Use "
            "segment.encoder run, or a backbone such as swin_tiny."
        )
    try:
        if family == "smp":
            model = _built(name, dilated=dilated)
            if tried:
                _require_any_size(name, model)
            return _smp_encoder(name, model, weights=weights, dilated=dilated)
        _require_known(name)
        backbone = create_backbone(
            name,
            weights=weights,
            bands=bands,
            output_stride=backbone_stride,
            dilated=backbone_dilated,
        )
    except SwtformerError as error:
        raise type(error)(str(error).replace("model.weights", "segment.weights")) from error.__cause__
    return BackboneEncoder(backbone, keeps_batch_statistics=weights != "none")


def _smp_names() -> list[str]:
    return list(require_smp().encoders.get_encoder_names())


def _require_known(name: str) -> None:
    """Refuse a name that no family has; `create_backbone` checks the weights tag."""
    import timm

    architecture = name.split(".")[0]
    if architecture not in own_names() and not timm.is_model(architecture):
        known = [*_smp_names(), *own_names(), *timm.list_models()]
        raise SwtformerError(f"Unknown encoder {name!r}. {nearest(architecture, known)}")


def _smp_encoder(name: str, model: Any, *, weights: str, dilated: bool) -> SmpEncoder:
    """Wrap a model without weights, and load those that are asked for."""
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    if name.startswith(TIMM_PREFIX):
        mean, std = _timm_statistics(name)
        if weights != "none":
            model = _built(name, dilated=dilated, tensors=_timm_tensors(name, weights))
    elif weights == "pretrained":
        mean, std = _fill_published(model, name)
    elif weights != "none":
        _fill_from(model, Path(weights), name)
    return SmpEncoder(model, mean=mean, std=std, keeps_batch_statistics=weights != "none")


def _built(name: str, *, dilated: bool, tensors: dict[str, Tensor] | None = None) -> Any:
    """The encoder, with the tensors of a timm network if there are any."""
    import timm

    architecture = name.removeprefix(TIMM_PREFIX).split(".")[0]
    is_known = timm.is_model(architecture) if name.startswith(TIMM_PREFIX) else name in _smp_names()
    if not is_known:
        known = [*_smp_names(), *(TIMM_PREFIX + model for model in timm.list_models())]
        raise SwtformerError(f"Unknown encoder {name!r}. {nearest(name.split('.')[0], known)}")
    build = partial(_smp_model, name)
    if tensors is not None:
        build = partial(build, weights=True, pretrained_cfg_overlay={"state_dict": tensors})
    if dilated:
        try:
            return build(output_stride=16)
        except _CANNOT:
            # `SegmentationNetwork` enlarges the last map of encoders that cannot be dilated. Other problems
            # are raised again below.
            pass
    try:
        return build()
    except _CANNOT as error:
        raise SwtformerError(f"Encoder {name!r} cannot be used: {error} Choose another.") from error


def _smp_model(name: str, **options: Any) -> Any:
    with warnings.catch_warnings():
        # Some encoders have no other name than the deprecated one.
        warnings.filterwarnings("ignore", "`timm-` encoders are deprecated", DeprecationWarning)
        return require_smp().encoders.get_encoder(name, **options)


@torch.no_grad()
def _require_any_size(name: str, model: nn.Module) -> None:
    """Try an encoder at two small sizes; refuse timm's Swins in any case.

    Raises:
        SettingsError: the encoder takes only some sizes, or mixes opposite borders of images.
    """
    architecture = name.removeprefix(TIMM_PREFIX).split(".")[0]
    near = difflib.get_close_matches(architecture, known_names(), n=1)
    instead = f"Use {near[0]!r}, a backbone of ours that takes any size." if near else "Choose another."
    if any(map(rolls_before_padding, model.modules())):
        raise SettingsError(
            f"Encoder {name!r} takes only one image size, and at others would mix opposite borders of "
            f"images, as timm's Swins roll their grid before they pad it. {instead}"
        )
    model.eval()
    for height, width in _PROBES:
        try:
            model(torch.zeros(1, 3, height, width))
        except _CANNOT as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise SettingsError(
                f"Encoder {name!r} takes only some image sizes, and not {height}×{width} ({reason}). "
                f"{instead}"
            ) from error
    model.train()


def _timm_statistics(name: str) -> tuple[Triple, Triple]:
    import timm

    published = timm.models.get_pretrained_cfg(name.removeprefix(TIMM_PREFIX), allow_unregistered=True)
    if published is None:
        return IMAGENET_MEAN, IMAGENET_STD
    return _triple(published.mean), _triple(published.std)


def _timm_tensors(name: str, weights: str) -> dict[str, Tensor]:
    """All tensors of a timm network, checked by `fill`; timm itself would ignore misfits."""
    import timm

    from swtformer.backbones.timm import timm_names

    name = name.removeprefix(TIMM_PREFIX)
    path = pretrained_file(name) if weights == "pretrained" else Path(weights)
    whole = timm.create_model(name, pretrained=False, num_classes=0)
    fill(whole, timm_names(whole, read_tensors(path)), source=str(path), network=name)
    return dict(whole.state_dict())


def _fill_published(model: nn.Module, name: str) -> tuple[Triple, Triple]:
    """Load the published weights of an encoder; returns the mean and standard deviation that they expect."""
    published = require_smp().encoders.encoders[name]["pretrained_settings"]
    kind = published["imagenet"] if "imagenet" in published else next(iter(published.values()))
    fetch = partial(fetched, kind["repo_id"], name=name, revision=kind["revision"])
    path = fetch("model.safetensors")
    fill(model, read_tensors(path), source=str(path), network=name)
    about = read_json(fetch("config.json"))
    return _triple(about["mean"]), _triple(about["std"])


def _fill_from(model: nn.Module, path: Path, name: str) -> None:
    tensors = {key: value for key, value in read_tensors(path).items() if not key.startswith(_CLASSIFIERS)}
    fill(model, tensors, source=str(path), network=name)


def _triple(values: Any) -> Triple:
    first, second, third = (float(value) for value in values)
    return first, second, third
