"""Encoders: our own backbones and all of segmentation-models-pytorch, under one contract."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from swtformer.backbones import create_backbone
from swtformer.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone, FeatureExtractor
from swtformer.backbones.weights import fetched, fill, pretrained_file, read_tensors
from swtformer.errors import SwtformerError, nearest
from swtformer.run import read_json
from swtformer.segmentation.library import require_smp

Family = Literal["backbone", "smp"]

TIMM_PREFIX = "tu-"
"""What segmentation-models-pytorch puts before timm's names."""
_CLASSIFIERS = ("fc.", "classifier.", "last_linear.", "head.")
_CANNOT = (TypeError, ValueError, AssertionError, RuntimeError)
"""What encoders raise that cannot be dilated, or cannot be encoders at all."""


class Encoder(FeatureExtractor):
    """Normalised images to a list of feature maps, as decoders of segmentation-models-pytorch take it.

    Attributes:
        channels: of the maps, the image's 3 first; 0 at stride 2 where the encoder has no such map.
    """

    channels: tuple[int, ...]

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]:
        """The images and their maps at strides 2, 4, 8, 16 and 32.

        Args:
            images: (B, 3, H, W), normalised, H and W multiples of 32.
        """


class BackboneEncoder(Encoder):
    """One of our backbones."""

    def __init__(self, backbone: Backbone, *, keeps_batch_statistics: bool) -> None:
        super().__init__()
        self.model = backbone
        self.channels = (3, 0, *backbone.channels)
        self.mean, self.std = backbone.mean, backbone.std
        self.keeps_batch_statistics = backbone.keeps_batch_statistics = keeps_batch_statistics

    def forward(self, images: Tensor) -> list[Tensor]:
        """See `Encoder.forward`; the map at stride 2 has no channels."""
        height, width = images.shape[-2:]
        return [images, images.new_empty(images.shape[0], 0, height // 2, width // 2), *self.model(images)]


class SmpEncoder(Encoder):
    """An encoder of segmentation-models-pytorch."""

    def __init__(
        self,
        model: Any,
        *,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        keeps_batch_statistics: bool,
    ) -> None:
        super().__init__()
        self.model = model
        self.channels = tuple(model.out_channels)
        self.mean, self.std = mean, std
        self.keeps_batch_statistics = keeps_batch_statistics

    def forward(self, images: Tensor) -> list[Tensor]:
        """See `Encoder.forward`."""
        return list(self.model(images))


def family_of(name: str) -> Family:
    """Which family a name means: segmentation-models-pytorch's where it has the name, else ours."""
    is_theirs = name.startswith(TIMM_PREFIX) or name in require_smp().encoders.get_encoder_names()
    return "smp" if is_theirs else "backbone"


def create_encoder(
    name: str, *, family: Family, weights: str, dilated: bool = False, drop_path: float = 0.0
) -> Encoder:
    """Build an encoder by name.

    Args:
        name: of an encoder of segmentation-models-pytorch ("resnet50", "mit_b2", "tu-convnext_tiny") or, for
            the family "backbone", of `create_backbone`.
        family: whose name it is.
        weights: "pretrained", "none", or a .safetensors or .pth file, which is loaded without running code.
        dilated: let the last map have stride 16 by dilation, where the encoder can.
        drop_path: stochastic depth of our backbones.

    Raises:
        SwtformerError: the name is unknown, or the weights are not to be had.
        CheckpointError: the weights file is damaged, unsafe or made for another network.
    """
    has_weights = weights != "none"
    if family == "smp":
        return _smp_encoder(name, weights=weights, dilated=dilated)
    try:
        backbone = create_backbone(name, weights=weights, drop_path=drop_path)
    except SwtformerError as error:
        raise type(error)(_with_own_flags(str(error))) from None
    return BackboneEncoder(backbone, keeps_batch_statistics=has_weights)


def _with_own_flags(message: str) -> str:
    return message.replace("--model.weights", "--segment.weights")


def _smp_encoder(name: str, *, weights: str, dilated: bool) -> SmpEncoder:
    model = _built(name, dilated=dilated)
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    try:
        if name.startswith(TIMM_PREFIX):
            mean, std = _timm_statistics(name)
            if weights != "none":
                model = _built(name, dilated=dilated, tensors=_timm_tensors(name, weights))
        elif weights == "pretrained":
            mean, std = _fill_published(model, name)
        elif weights != "none":
            _fill_from(model, Path(weights), name)
    except SwtformerError as error:
        raise type(error)(_with_own_flags(str(error))) from None
    return SmpEncoder(model, mean=mean, std=std, keeps_batch_statistics=weights != "none")


def _built(name: str, *, dilated: bool, tensors: dict[str, Tensor] | None = None) -> Any:
    """The encoder; tensors are those of a timm network."""
    build = partial(require_smp().encoders.get_encoder, name)
    if name.startswith(TIMM_PREFIX):
        _require_timm_name(name)
    if tensors is not None:
        build = partial(build, weights=True, pretrained_cfg_overlay={"state_dict": tensors})
    if dilated:
        try:
            return build(output_stride=16)
        except _CANNOT:
            # The network enlarges the last map of an encoder that cannot be dilated; whatever else is wrong
            # with this one, building it plainly below raises again, with its reason.
            pass
    try:
        return build()
    except _CANNOT as error:
        raise SwtformerError(f"Encoder {name!r} cannot be used: {error} Choose another.") from error


def _require_timm_name(name: str) -> None:
    import timm

    architecture = name.removeprefix(TIMM_PREFIX).split(".")[0]
    if not timm.is_model(architecture):
        known = [TIMM_PREFIX + item for item in timm.list_models()]
        raise SwtformerError(f"Unknown encoder {name!r}. {nearest(TIMM_PREFIX + architecture, known)}")


def _timm_statistics(name: str) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    import timm

    published = timm.models.get_pretrained_cfg(name.removeprefix(TIMM_PREFIX), allow_unregistered=True)
    if published is None:
        return IMAGENET_MEAN, IMAGENET_STD
    return _triple(published.mean), _triple(published.std)


def _timm_tensors(name: str, weights: str) -> dict[str, Tensor]:
    """All tensors of a timm network, each accounted for; timm itself would pass over misfits in silence."""
    import timm

    from swtformer.backbones.timm import timm_names

    name = name.removeprefix(TIMM_PREFIX)
    path = pretrained_file(name) if weights == "pretrained" else Path(weights)
    whole = timm.create_model(name, pretrained=False, num_classes=0)
    fill(whole, timm_names(whole, read_tensors(path)), source=str(path), network=name)
    return dict(whole.state_dict())


def _fill_published(
    model: nn.Module, name: str
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Fill an encoder with its published weights; the mean and standard deviation that they expect."""
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


def _triple(values: Any) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third
