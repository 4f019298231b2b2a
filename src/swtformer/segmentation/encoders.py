"""Encoders: our own backbones and all of segmentation-models-pytorch, under one contract."""

from __future__ import annotations

import difflib
import warnings
from abc import abstractmethod
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from swtformer.backbones import create_backbone
from swtformer.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone, FeatureExtractor
from swtformer.backbones.rolled_windows import rolls_before_padding
from swtformer.backbones.swin import known_names
from swtformer.backbones.weights import fetched, fill, pretrained_file, read_tensors
from swtformer.errors import SettingsError, SwtformerError, nearest
from swtformer.segmentation.library import require_smp
from swtformer.store.files import read_json

Family = Literal["backbone", "smp"]

TIMM_PREFIX = "tu-"
"""What segmentation-models-pytorch puts before timm's names."""
OLD_TIMM_PREFIX = "timm-"
"""What it put before them once, and still does for some."""
_OLD_TIMM_FAMILIES = ("regnet", "res2", "resnest", "mobilenetv3", "gernet")
"""Families whose old names are timm's networks; those of other families are encoders of its own."""
_PROBES = ((64, 64), (96, 160))
"""Heights and widths that an encoder must take."""
_CLASSIFIERS = ("fc.", "classifier.", "last_linear.", "head.")
_CANNOT = (TypeError, ValueError, AssertionError, RuntimeError)
"""What encoders raise that cannot be dilated, or cannot be encoders at all."""


class Encoder(FeatureExtractor):
    """Normalised images to a list of feature maps, as decoders of segmentation-models-pytorch take it.

    Attributes:
        channels: of the maps, first the image's 3 or those of a map at stride 1 (vgg); 0 at stride 2 where
            the encoder has no such map.
    """

    channels: tuple[int, ...]

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]:
        """The images (or a map at stride 1) and maps at strides 2, 4, 8, 16 and 32.

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
    is_theirs = name.startswith((TIMM_PREFIX, OLD_TIMM_PREFIX)) or name in _smp_names()
    return "smp" if is_theirs else "backbone"


def create_encoder(
    name: str, *, family: Family, weights: str, dilated: bool = False, drop_path: float = 0.0
) -> Encoder:
    """Build an encoder by name, and try whether it takes images of any size.

    Args:
        name: of an encoder of segmentation-models-pytorch ("resnet50", "mit_b2", "tu-convnext_tiny",
            "timm-regnetx_002") or, for the family "backbone", of `create_backbone`.
        family: whose name it is.
        weights: "pretrained", "none", or a .safetensors or .pth file, which is loaded without running code.
        dilated: let the last map have stride 16 by dilation, where the encoder can.
        drop_path: stochastic depth of our backbones.

    Raises:
        SwtformerError: the name is unknown, or the weights are not to be had.
        SettingsError: the encoder does not take images of any size, or mixes their opposite borders.
        CheckpointError: the weights file is damaged, unsafe or made for another network.
    """
    has_weights = weights != "none"
    if family == "smp":
        name = _present_name(name)
        model = _built(name, dilated=dilated)
        _require_any_size(name, model)
        return _smp_encoder(name, model, weights=weights, dilated=dilated)
    _require_known(name)
    try:
        backbone = create_backbone(name, weights=weights, drop_path=drop_path)
    except SwtformerError as error:
        raise type(error)(_with_own_flags(str(error))) from None
    return BackboneEncoder(backbone, keeps_batch_statistics=has_weights)


def bare_encoder(name: str, *, family: Family, dilated: bool) -> Encoder:
    """Build the encoder of a network that was saved: without weights, which it brings, and without a trial.

    Args:
        name: as for `create_encoder`.
        family: whose name it is.
        dilated: as when it was created.

    Raises:
        SwtformerError: the name is unknown.
    """
    if family == "backbone":
        return create_encoder(name, family=family, weights="none")
    name = _present_name(name)
    return _smp_encoder(name, _built(name, dilated=dilated), weights="none", dilated=dilated)


def _smp_names() -> list[str]:
    return list(require_smp().encoders.get_encoder_names())


def _present_name(name: str) -> str:
    """What segmentation-models-pytorch calls an encoder now; its old names of timm's networks go on."""
    architecture = name.removeprefix(OLD_TIMM_PREFIX)
    if architecture == name or not architecture.startswith(_OLD_TIMM_FAMILIES):
        return name
    return f"{TIMM_PREFIX}tf_{architecture}" if "mobilenetv3" in name else f"{TIMM_PREFIX}{architecture}"


def _require_known(name: str) -> None:
    """Refuse a name that no family has; where the weights tag alone is wrong, `create_backbone` says so."""
    import timm

    architecture = name.split(".")[0]
    if architecture not in known_names() and not timm.is_model(architecture):
        known = [*_smp_names(), *known_names(), *timm.list_models()]
        raise SwtformerError(f"Unknown encoder {name!r}. {nearest(architecture, known)}")


def _with_own_flags(message: str) -> str:
    return message.replace("--model.weights", "--segment.weights")


def _smp_encoder(name: str, model: Any, *, weights: str, dilated: bool) -> SmpEncoder:
    """An encoder around a model without weights, filled with those that are asked for."""
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
    build = partial(_smp_model, name)
    if name.startswith(TIMM_PREFIX):
        _require_timm_name(name)
    elif name not in _smp_names():
        raise SwtformerError(f"Unknown encoder {name!r}. {nearest(name, [*_smp_names(), *_timm_names()])}")
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


def _smp_model(name: str, **options: Any) -> Any:
    with warnings.catch_warnings():
        # Its names with the old prefix that are in its own list have no other spelling.
        warnings.filterwarnings("ignore", "`timm-` encoders are deprecated", DeprecationWarning)
        return require_smp().encoders.get_encoder(name, **options)


@torch.no_grad()
def _require_any_size(name: str, model: nn.Module) -> None:
    """Try an encoder on two small sizes, and refuse timm's Swins whatever sizes they take.

    Raises:
        SettingsError: it takes images of one size only, or lets their opposite borders see each other.
    """
    architecture = name.removeprefix(TIMM_PREFIX).split(".")[0]
    near = difflib.get_close_matches(architecture, known_names(), n=1)
    instead = f"Use {near[0]!r}, a backbone of ours that takes any size." if near else "Choose another."
    if any(map(rolls_before_padding, model.modules())):
        raise SettingsError(
            f"Encoder {name!r} takes only one size as it is built, and at others it lets opposite borders of "
            f"images see each other, as timm's Swins roll their grid before they pad it. {instead}"
        )
    model.eval()
    for height, width in _PROBES:
        try:
            model(torch.zeros(1, 3, height, width))
        except _CANNOT as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise SettingsError(
                f"Encoder {name!r} takes only one size or few sizes of images, and none of {height}×{width} "
                f"({reason}). {instead}"
            ) from error
    model.train()


def _require_timm_name(name: str) -> None:
    import timm

    architecture = name.removeprefix(TIMM_PREFIX).split(".")[0]
    if not timm.is_model(architecture):
        raise SwtformerError(
            f"Unknown encoder {name!r}. {nearest(TIMM_PREFIX + architecture, _timm_names())}"
        )


def _timm_names() -> list[str]:
    import timm

    return [TIMM_PREFIX + name for name in timm.list_models()]


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
