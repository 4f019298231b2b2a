"""The network: encoder, decoder and a 1×1 convolution to class logits at the size of the image."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Self, cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.backbones import create_backbone
from swtformer.backbones.base import Normalisation
from swtformer.errors import SettingsError, SwtformerError
from swtformer.hub.model import HubModel
from swtformer.methods import Method
from swtformer.segmentation.decoders import DecoderName, create_decoder
from swtformer.segmentation.encoders import BackboneEncoder, Encoder, bare_encoder, create_encoder, family_of
from swtformer.segmentation.presence import Pooling, PresenceHead, gated
from swtformer.settings import Section, SegmentSettings
from swtformer.store.models import WEIGHTS, Kind, saved_settings
from swtformer.store.weights import load_weights, read_weights

MULTIPLE_PX = 32
"""Height and width that encoders and decoders agree on are multiples of this."""


class NetworkSettings(Section):
    """What a saved network is rebuilt from."""

    decoder: DecoderName
    """The decoder."""
    encoder: str
    """Name of the encoder in its family."""
    family: Literal["backbone", "smp"]
    """Whose encoder: one of our backbones, or one of segmentation-models-pytorch."""
    mean: tuple[float, float, float]
    """Per-channel mean of images in [0, 1] that is taken away."""
    std: tuple[float, float, float]
    """Per-channel standard deviation that is divided by."""
    presence: Literal["none"] | Pooling = "none"
    """How the image-level head pools; none if there is no such head."""
    presence_kernel: Literal[1, 3] = 1
    """Side of its convolution."""


class Parts(NamedTuple):
    """What the network computes before the two are put together.

    Attributes:
        pixels: (B, C+1, H, W) logits of every pixel, background first.
        presence: (B, C) logits of each class being in the image at all; None without the image-level head.
    """

    pixels: Tensor
    presence: Tensor | None


@final
class SegmentationNetwork(HubModel):
    """Images of any size to logits of background and classes at that size.

    Encoders and decoders need sides that are multiples of 32. An image of another size is resized (bilinear)
    to the nearest such size, at most 16 px away and at least 32 px; its logits are resized back to the image.
    Padding instead would change features well inside the image.

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
        """Logits of every pixel, where a class is held back as far as the image does not show it.

        Args:
            images: (B, 3, H, W) RGB, uint8 or floats in [0, 1], of any size from 1 px.
            presence: how strongly; 0 leaves the image-level head out.

        Returns:
            (B, C+1, H, W) logits, background first.
        """
        parts = self.parts(images)
        if parts.presence is None:
            return parts.pixels
        return gated(parts.pixels, parts.presence, strength=presence)

    def parts(self, images: Tensor) -> Parts:
        """Logits of pixels and of the whole image, as the losses take them.

        Args:
            images: as for `forward`.
        """
        size = (images.shape[-2], images.shape[-1])
        images = _resized_image(self.normalisation(images), (_fitting(size[0]), _fitting(size[1])))
        features = self.backbone(images.contiguous(memory_format=torch.channels_last))
        presence = None if self.presence is None else self.presence(features[-1])
        if self.settings.decoder == "deeplabv3plus":
            # Its last map has stride 16; encoders that cannot be dilated have it enlarged from stride 32.
            features[-1] = _resized(features[-1], (features[-2].shape[-2], features[-2].shape[-1]))
        return Parts(_resized(self.head(self.decoder(features)), size), presence)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """See `HubModel.read`."""
        settings, classes = saved_settings(folder, NetworkSettings, kind="segmentation")
        encoder = bare_encoder(
            settings.encoder, family=settings.family, dilated=settings.decoder == "deeplabv3plus"
        )
        network = assemble(settings, encoder, classes)
        load_weights(network, read_weights(folder / WEIGHTS), source=folder / WEIGHTS)
        return network.eval()

    def config(self) -> NetworkSettings:
        """See `HubModel.config`."""
        return self.settings

    def task(self) -> str:
        """See `HubModel.task`."""
        return (
            f"Segments photographs into background and {len(self.classes)} classes; no labels are needed. "
            f"Decoder {self.settings.decoder} on the encoder `{self.settings.encoder}`."
        )


def _fitting(side: int) -> int:
    """The nearest multiple, a half to the even one, in integers: exporters cannot follow a rounded float."""
    whole, rest = side // MULTIPLE_PX, side % MULTIPLE_PX
    nearest = whole + (rest + MULTIPLE_PX // 2 - 1 + whole % 2) // MULTIPLE_PX
    return cast(int, torch.sym_max(MULTIPLE_PX, nearest * MULTIPLE_PX))


def _resized_image(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Positions in float32 are off by 1e-5 px, which deep networks turn into 5e-4 of a logit."""
    has_size = tuple(images.shape[-2:]) == size
    # Exporters write the positions out themselves; MPS has no float64.
    if has_size or torch.compiler.is_exporting() or images.device.type == "mps":
        return _resized(images, size)
    return _resized(images.double(), size).to(images.dtype)


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(maps.shape[-2:]) == size:
        return maps
    return F.interpolate(maps, size, mode="bilinear", align_corners=False)


def create_network(
    settings: SegmentSettings, classes: tuple[str, ...], *, start: Method | None = None
) -> SegmentationNetwork:
    """Build a network as the settings of its training say.

    Args:
        settings: encoder, its weights, decoder, and whether there is an image-level head.
        classes: class names in order, at least one.
        start: the run's model; where the encoder is "run", its backbone becomes the encoder and its CAM head
            the image-level head, both with their weights.

    Raises:
        SettingsError: no class was given, or the encoder is "run" and there is no run, or its method has no
            backbone that a saved network can be rebuilt with.
        SwtformerError: the encoder is unknown, its weights are not to be had, or the extra is missing.
        CheckpointError: the weights file is damaged, unsafe or made for another network.
    """
    if not classes:
        raise SettingsError("A segmentation network needs at least one class; the data set names none.")
    encoder: Encoder
    image_level: dict[str, str | int]
    if settings.encoder == "run":
        if start is None:
            raise SettingsError("--segment.encoder run needs a run with a trained model; name an encoder.")
        if start.classes != classes:
            raise SettingsError(f"The run's model knows the classes {start.classes}, the network {classes}.")
        backbone, cam_head = start.reusable_features(), start.reusable_head()
        if backbone is None:
            raise SettingsError(
                f"The method {start.settings.method!r} has no features that a segmentation network can take; "
                "name an encoder with --segment.encoder."
            )
        name, family = backbone.name, "backbone"
        _require_known(name)
        encoder = BackboneEncoder(backbone, keeps_batch_statistics=True)
        image_level = {"presence": "gap"}
        if cam_head is not None:
            kernel = cam_head.convolution.kernel_size[0]
            image_level = {"presence": cam_head.pooling, "presence_kernel": kernel}
    else:
        name, family = settings.encoder, family_of(settings.encoder)
        encoder = _named_encoder(settings, weights=settings.weights)
        cam_head = None
        image_level = {"presence": "gap"}
    about = NetworkSettings.model_validate(
        {
            "decoder": settings.decoder,
            "encoder": name,
            "family": family,
            "mean": encoder.mean,
            "std": encoder.std,
            **(image_level if settings.presence > 0 else {}),
        }
    )
    network = assemble(about, encoder, classes)
    if cam_head is not None and network.presence is not None:
        network.presence.scores.load_state_dict(cam_head.convolution.state_dict())
    return network


def _require_known(name: str) -> None:
    """Refuse a backbone that a saved network could not be rebuilt with."""
    try:
        with torch.random.fork_rng(devices=[]):  # the network's own layers are drawn as without this trial
            create_backbone(name, weights="none")
    except SwtformerError as error:
        raise SettingsError(
            f"The backbone {name!r} of the run's method cannot be rebuilt by its name, so a saved network "
            "could not be loaded again; name an encoder with --segment.encoder."
        ) from error


def require_encoder(settings: SegmentSettings) -> None:
    """Try the encoder that a network will have, long before it is trained; nothing is downloaded.

    Raises:
        SettingsError: it does not take images of any size.
        SwtformerError: it is unknown, the file of its weights is not there, or the extra is missing.
        CheckpointError: the weights file is damaged, unsafe or made for another network.
    """
    if settings.encoder != "run":
        is_online = settings.weights == "pretrained"
        _named_encoder(settings, weights="none" if is_online else settings.weights)


def _named_encoder(settings: SegmentSettings, *, weights: str) -> Encoder:
    name, dilated = settings.encoder, settings.decoder == "deeplabv3plus"
    return create_encoder(name, family=family_of(name), weights=weights, dilated=dilated)


def assemble(settings: NetworkSettings, encoder: Encoder, classes: tuple[str, ...]) -> SegmentationNetwork:
    """Put a network together, in training mode, on the memory layout that convolutions are fastest on."""
    network = SegmentationNetwork(settings, encoder, classes).train()
    return network.to(memory_format=torch.channels_last)
