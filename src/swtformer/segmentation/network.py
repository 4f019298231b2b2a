"""The network: encoder, decoder, and a 1×1 convolution to class logits at the size of the image."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self, cast, final

import torch
from torch import Tensor, nn

from swtformer.backbones import create_backbone
from swtformer.backbones.base import Backbone, Normalisation, keep_batch_statistics
from swtformer.errors import SettingsError, SwtformerError
from swtformer.functional.views import resized
from swtformer.hub.model import HubModel
from swtformer.methods import Method
from swtformer.segmentation.decoders import FIXED_STRIDES, DecoderName, create_decoder
from swtformer.segmentation.encoders import BackboneEncoder, Encoder, create_encoder, family_of
from swtformer.segmentation.presence import Pooling, PresenceHead, gated
from swtformer.settings import Section, SegmentSettings
from swtformer.store.models import WEIGHTS, Kind, saved_images, saved_settings
from swtformer.store.weights import load_weights, read_weights

MULTIPLE_PX = 32
"""Encoders and decoders take heights and widths that are multiples of this."""

NEVER = -1e4
"""Logit of a label that no pixel has; finite in half precision as well."""


class NetworkSettings(Section):
    """What a saved network is rebuilt from."""

    decoder: DecoderName
    """The decoder."""
    encoder: str
    """Name of the encoder."""
    family: Literal["backbone", "smp"]
    """Family of the encoder: our backbones, or segmentation-models-pytorch."""
    output_stride: Literal[32, 16, 8] = 32
    """Stride of the last stage of a backbone."""
    dilated: bool = True
    """Whether it was dilated for that."""
    mean: tuple[float, ...]
    """Per-channel mean of images in [0, 1] that is subtracted."""
    std: tuple[float, ...]
    """Per-channel standard deviation by which the images are divided."""
    presence: Literal["none"] | Pooling = "none"
    """How the image-level head pools; none if there is no such head."""
    presence_kernel: Literal[1, 3] = 1
    """Side of the head's convolution."""
    background: bool = True
    """Whether pixels may show none of the classes; if not, channel 0 of the logits is never the largest."""
    long_side_px: int | None = None
    """Long side of the photographs that it sees; none for their own size."""
    largest_side_px: int | None = None
    """Long side of the largest photograph that it was trained on."""

    def scale_of(self, long_side_px: int, *, is_scene: bool = False) -> float:
        """Factor on an image's size at which the network sees it.

        Args:
            long_side_px: of the image.
            is_scene: whether the images of the training are tiles of such images, so that it is seen at the
                scale of the largest of these; a photograph is seen whole, at the network's own size.
        """
        if self.long_side_px is None:
            return 1.0
        if is_scene and self.largest_side_px is not None:
            return self.long_side_px / min(long_side_px, self.largest_side_px)
        return self.long_side_px / long_side_px


class Parts(NamedTuple):
    """Logits of pixels and of the whole image, before they are combined.

    Attributes:
        pixels: (B, C+1, H, W) logits of every pixel, background first.
        presence: (B, C) logits of the presence of each class in the image; None without image-level head.
    """

    pixels: Tensor
    presence: Tensor | None


@final
class SegmentationNetwork(HubModel):
    """Images of any size to logits of background and classes at that size.

    Encoders and decoders need sides that are multiples of 32. Images of other sizes are resized (bilinear) to
    the nearest such size, at least 32 px, and the logits are resized back. Padding instead would change
    features well inside the image.

    Attributes:
        settings: what it was built from.
        classes: class names in order; channel k+1 of the logits is class k, channel 0 background.
    """

    kind: ClassVar[Kind] = "segmentation"

    def __init__(self, settings: NetworkSettings, encoder: Encoder, classes: tuple[str, ...]) -> None:
        super().__init__()
        self.settings = settings
        self.classes = classes
        self.backbone = encoder
        self.decoder, width = create_decoder(settings.decoder, encoder.channels)
        self.head = nn.Conv2d(width, len(classes) + 1, 1)
        nn.init.xavier_uniform_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        self.presence: PresenceHead | None = None
        if settings.presence != "none":
            self.presence = PresenceHead(
                encoder.channels[-1],
                len(classes),
                kernel=settings.presence_kernel,
                pooling=settings.presence,
            )
        self.normalisation = Normalisation(settings.mean, settings.std)

    def forward(self, images: Tensor, presence: float = 1.0) -> Tensor:
        """Logits of every pixel, with classes suppressed that the image does not show (see `gated`).

        Args:
            images: (B, 3, H, W) RGB, uint8 or floats in [0, 1], of any size from 1 px.
            presence: strength of the suppression; 0 ignores the image-level head.

        Returns:
            (B, C+1, H, W) logits, background first.
        """
        parts = self.parts(images)
        if parts.presence is None:
            return parts.pixels
        return gated(parts.pixels, parts.presence, strength=presence)

    def parts(self, images: Tensor) -> Parts:
        """Logits of pixels and of the whole image, for the losses.

        Args:
            images: as for `forward`.
        """
        size = (images.shape[-2], images.shape[-1])
        images = _resized_image(self.normalisation(images), (_fitting(size[0]), _fitting(size[1])))
        features = self.backbone(images.contiguous(memory_format=torch.channels_last))
        presence = None if self.presence is None else self.presence(features[-1])
        self._fix_strides(features, images)
        pixels = resized(self.head(self.decoder(features)), size)
        if not self.settings.background:
            pixels = torch.cat([torch.full_like(pixels[:, :1], NEVER), pixels[:, 1:]], dim=1)
        return Parts(pixels, presence)

    def _fix_strides(self, features: list[Tensor], images: Tensor) -> None:
        """Resize the maps whose strides the decoder takes for granted, where the encoder has others."""
        decoder = self.settings.decoder
        if self.settings.output_stride < 32:
            for place, stride in FIXED_STRIDES.get(decoder, {}).items():
                features[place] = resized(features[place], [side // stride for side in images.shape[-2:]])
        elif decoder == "deeplabv3plus":
            # Encoders that cannot be dilated have a last map at stride 32.
            features[-1] = resized(features[-1], (features[-2].shape[-2], features[-2].shape[-1]))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """See `HubModel.read`."""
        settings, classes = saved_settings(folder, NetworkSettings, kind="segmentation")
        encoder = create_encoder(
            settings.encoder,
            family=settings.family,
            weights="none",
            dilated=settings.decoder == "deeplabv3plus",
            tried=False,
            bands=len(settings.mean),
            backbone_stride=settings.output_stride,
            backbone_dilated=settings.dilated,
        )
        network = assemble(settings, encoder, classes)
        load_weights(network, read_weights(folder / WEIGHTS), source=folder / WEIGHTS)
        network.images = saved_images(folder)
        return network.eval()

    def trained_further(self) -> Self:
        """Itself in training mode; batch norm of the encoder keeps the statistics that it has learnt."""
        keep_batch_statistics(self, True)
        return self.train().to(memory_format=torch.channels_last)

    def reusable_features(self) -> Backbone | None:
        """The pyramid that refiners may start from; None where the encoder is none of our backbones."""
        return self.backbone.model if isinstance(self.backbone, BackboneEncoder) else None

    def config(self) -> NetworkSettings:
        """See `HubModel.config`."""
        return self.settings

    def task(self) -> str:
        """See `HubModel.task`."""
        labels = "background and " if self.settings.background else ""
        return (
            f"Segments photographs into {labels}{len(self.classes)} classes; no labels are needed. "
            f"Decoder {self.settings.decoder} on the encoder `{self.settings.encoder}`."
        )


def _fitting(side: int) -> int:
    """`round` to a multiple, in integers, as exporters cannot trace rounded floats."""
    whole, rest = side // MULTIPLE_PX, side % MULTIPLE_PX
    nearest = whole + (rest + MULTIPLE_PX // 2 - 1 + whole % 2) // MULTIPLE_PX
    return cast(int, torch.sym_max(MULTIPLE_PX, nearest * MULTIPLE_PX))


def _resized_image(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize in float64: in float32 positions are off by 1e-5 px, and logits of deep networks by 5e-4."""
    has_size = tuple(images.shape[-2:]) == size
    # Exporters compute positions themselves; MPS has no float64.
    if has_size or torch.compiler.is_exporting() or images.device.type == "mps":
        return resized(images, size)
    return resized(images.double(), size).to(images.dtype)


def create_network(
    settings: SegmentSettings,
    classes: tuple[str, ...],
    *,
    start: Method | None = None,
    bands: int = 3,
    largest_side_px: int | None = None,
    background: bool = True,
) -> SegmentationNetwork:
    """Build a network for training.

    Args:
        settings: encoder, its weights, decoder, and whether there is an image-level head.
        classes: class names in order, at least one.
        start: the run's model. With the encoder "run", its backbone becomes the encoder and its CAM head the
            image-level head, both with their weights.
        bands: channels of the images.
        largest_side_px: long side of the largest photograph that it is trained on.
        background: whether pixels may show none of the classes.

    Raises:
        SettingsError: there are no classes, or the encoder is "run" and there is no run, its model has other
            classes, no features to start from, or a backbone that a saved network cannot be rebuilt with.
        SwtformerError: the encoder is unknown, its weights are not available, or the extra is missing.
        CheckpointError: the weights file is damaged, unsafe or made for another network.
    """
    if not classes:
        raise SettingsError("A segmentation network needs at least one class; the data set has none.")
    cam_head = None
    if settings.encoder == "run":
        if start is None:
            raise SettingsError("segment.encoder run needs a run with a trained model; name an encoder.")
        if start.classes != classes:
            raise SettingsError(f"The run's model has the classes {start.classes}, the network {classes}.")
        backbone, cam_head = start_of_run(start), start.reusable_head()
        name, family = backbone.name, "backbone"
        if len(backbone.mean) != bands:
            raise SettingsError(
                f"The run's model reads {len(backbone.mean)} bands, data.bands names {bands}; name as "
                "many, or another encoder."
            )
        encoder: Encoder = BackboneEncoder(backbone, keeps_batch_statistics=True)
    else:
        name, family = settings.encoder, family_of(settings.encoder)
        encoder = _named_encoder(settings, weights=settings.weights, bands=bands)
    strides: dict[str, Any] = {}
    if isinstance(encoder, BackboneEncoder):
        strides = {"output_stride": encoder.strides[-1], "dilated": encoder.dilated}
    image_level: dict[str, str | int] = {}
    if settings.presence > 0:
        image_level["presence"] = "gap" if cam_head is None else cam_head.pooling
        image_level["presence_kernel"] = 1 if cam_head is None else cam_head.convolution.kernel_size[0]
    about = NetworkSettings.model_validate(
        {
            "decoder": settings.decoder,
            "encoder": name,
            "family": family,
            "mean": encoder.mean,
            "std": encoder.std,
            "background": background,
            "long_side_px": settings.long_side_px,
            "largest_side_px": None if settings.long_side_px is None else largest_side_px,
            **strides,
            **image_level,
        }
    )
    network = assemble(about, encoder, classes)
    if cam_head is not None and network.presence is not None:
        without_bias = {"bias": torch.zeros(len(classes))}
        network.presence.scores.load_state_dict(without_bias | cam_head.convolution.state_dict())
    return network


def start_of_run(model: Method) -> Backbone:
    """The backbone of a run's model, from which the encoder "run" starts.

    Raises:
        SettingsError: the model has none, or one that a saved network could not be rebuilt with.
    """
    backbone = model.reusable_features()
    if backbone is None:
        raise SettingsError(
            f"The method {model.settings.method!r} has no features that a segmentation network can take; "
            "name an encoder with segment.encoder."
        )
    try:
        with torch.random.fork_rng(devices=[]):  # the network's own layers are drawn as without this trial
            create_backbone(
                backbone.name,
                weights="none",
                bands=len(backbone.mean),
                output_stride=backbone.strides[-1],
                dilated=backbone.dilated,
            )
    except SwtformerError as error:
        raise SettingsError(
            f"The backbone {backbone.name!r} of the run's method cannot be rebuilt by its name, so a saved "
            "network could not be loaded again; name an encoder with segment.encoder."
        ) from error
    return backbone


def require_encoder(settings: SegmentSettings) -> None:
    """Check the encoder of a network before other work starts; nothing is downloaded.

    Raises:
        SettingsError: it takes only some image sizes.
        SwtformerError: it is unknown, its weights file does not exist, or the extra is missing.
        CheckpointError: the weights file is damaged, unsafe or made for another network.
    """
    if settings.encoder != "run":
        is_online = settings.weights == "pretrained"
        _named_encoder(settings, weights="none" if is_online else settings.weights)


def _named_encoder(settings: SegmentSettings, *, weights: str, bands: int = 3) -> Encoder:
    name, dilated = settings.encoder, settings.decoder == "deeplabv3plus"
    return create_encoder(name, family=family_of(name), weights=weights, dilated=dilated, bands=bands)


def assemble(settings: NetworkSettings, encoder: Encoder, classes: tuple[str, ...]) -> SegmentationNetwork:
    """Put a network together, in training mode and in channels-last memory format."""
    network = SegmentationNetwork(settings, encoder, classes).train()
    return network.to(memory_format=torch.channels_last)
