"""The contract of a method: a network that learns from image-level labels and makes maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from swtformer.backbones.base import Backbone, FeatureExtractor, Normalisation, keep_batch_statistics
from swtformer.errors import CheckpointError, SettingsError
from swtformer.hub.model import HubModel
from swtformer.settings import METHODS, LocalizeSettings, ModelSettings, NoSettings, Section
from swtformer.store.models import WEIGHTS, Kind, saved_images, saved_settings
from swtformer.store.notes import Made as Made
from swtformer.store.weights import load_weights, read_weights


@dataclass(frozen=True)
class Batch:
    """What a training step sees.

    Attributes:
        images: (B, 3, H, W) RGB crops, uint8 or floats in [0, 1].
        present: (B, C) 0/1 image-level labels.
        valid: (B, 1, H, W) 0/1, 0 on padded pixels of the crop; all are valid where None.
        index: (B,) positions of the images in the training set, as in `before_epoch`; None outside training.
    """

    images: Tensor
    present: Tensor
    valid: Tensor | None = None
    index: Tensor | None = None


@dataclass(frozen=True)
class Maps:
    """Maps of a batch of equal-sized images.

    Attributes:
        present: (B, C) 0/1 labels that the maps were made for, given or predicted.
        cam: (B, C, h, w) in [0, 1), absent classes 0.
        rcam: (B, C+1, h, w) in [0, 1), index 0 is background; None where the method makes none.
        probabilities: (B, C) class probabilities, mean over the views.
    """

    present: Tensor
    cam: Tensor
    rcam: Tensor | None
    probabilities: Tensor


class TrainingImages(ABC):
    """The training set without augmentation, as a method sees it between epochs.

    A loop over it reads one image after the other.
    """

    @property
    @abstractmethod
    def present(self) -> Tensor:
        """(N, C) 0/1 image-level labels of all images, without reading any."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Batch:
        """The whole image of a position at its own size, as a batch of one on the CPU.

        If it cannot be read, it is the next one of the set, as in training; `Batch.index` says which one.
        """

    def __iter__(self) -> Iterator[Batch]:
        return (self[index] for index in range(len(self)))


@dataclass(frozen=True)
class CamHead:
    """A classification head on the deepest features, for networks that start from it.

    Attributes:
        convolution: deepest features to class activations.
        pooling: class activations to logits.
    """

    convolution: nn.Conv2d
    pooling: Literal["gap", "gmp", "gwrp"]


class Method(HubModel):
    """A network that is trained on image-level labels and makes maps.

    A method owns its training step and its map making: it runs its own forward passes, as many as it needs. A
    network that is a pyramid with a CAM head is a `PyramidMethod`, which has most of this already. A
    `Normalisation` for as many bands as `settings.bands` says that the network takes other images than RGB.

    `Method.from_pretrained` loads the method that config.json names.

    Attributes:
        name: the name that it was registered under.
        settings_type: the method's own options: section `method` of the settings.
        makes: what its maps are: "cam", and "rcam" where it refines them itself.
        loss_names: losses that a step may give; columns of metrics.csv and curves of the report. Set on
            the instance where options decide.
        settings: the model section that it was built from.
        options: its own options, an instance of `settings_type`.
        classes: class names in order; channel k+1 of a map is class k.
        has_background: whether maps hold a background; where not, every pixel is of a present class.
        training_state: tensors by name that only the training needs, such as pseudo-labels of its images.
            They may have any shape. Checkpoints hold them, the saved model does not.
    """

    kind: ClassVar[Kind] = "cam"
    name: ClassVar[str]
    settings_type: ClassVar[type[Section]] = NoSettings
    makes: ClassVar[frozenset[Made]] = frozenset({"cam"})
    loss_names: tuple[str, ...]

    def __init__(self, settings: ModelSettings, classes: tuple[str, ...], options: Section | None) -> None:
        super().__init__()
        self.settings = settings
        self.classes = classes
        self.options: Any = self.settings_type() if options is None else options
        self.has_background = True
        self.training_state: dict[str, Tensor] = {}

    @classmethod
    @abstractmethod
    def build(cls, settings: ModelSettings, classes: tuple[str, ...], options: Section | None = None) -> Self:
        """Make the network with the weights that the settings name.

        Raises:
            SwtformerError: the backbone is unknown or unfit, or its weights are not to be had.
            CheckpointError: the weights file is damaged, unsafe or made for another network.
        """

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """(B, C) class logits of (B, 3, H, W) RGB images, uint8 or floats in [0, 1], of at least 32×32 px."""

    @abstractmethod
    def losses(self, batch: Batch, *, epoch: float) -> dict[str, Tensor]:
        """Run the forward passes of a training step.

        Args:
            batch: crops with labels.
            epoch: epochs since the training started, 1.5 in the middle of the second.

        Returns:
            Unweighted losses, each a scalar, by names of `loss_names`; a loss may be left out.
        """

    def loss_weights(self, epoch: float) -> dict[str, float]:
        """Weights of the losses at an epoch (see `losses`); 1 for those that it leaves out."""
        return {}

    @abstractmethod
    def maps(self, images: Tensor, present: Tensor | None, *, settings: LocalizeSettings) -> Maps:
        """Make the maps of images over all views, in eval mode and without gradients.

        Args:
            images: (B, 3, H, W) uint8 RGB of one size.
            present: (B, C) 0/1 labels, or None to let the classifier choose: every class with a probability
                of at least `settings.class_threshold`, and the most probable one in any case.
            settings: scales, mirror images (`mirrored`, which holds `flip` and `views`), output stride.

        Returns:
            Maps on a grid of ceil(H / stride) × ceil(W / stride).
        """

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """All parameters by group; "backbone" has the plain learning rate, the others are new layers."""
        backbone = {id(parameter) for parameter in self.pretrained_parameters()}
        groups: dict[str, list[nn.Parameter]] = {"backbone": [], "head": []}
        for parameter in self.parameters():
            groups["backbone" if id(parameter) in backbone else "head"].append(parameter)
        return groups

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Parameters of the parts that come with trained weights."""
        extractors = [module for module in self.modules() if isinstance(module, FeatureExtractor)]
        return [parameter for extractor in extractors for parameter in extractor.parameters()]

    def learning_rate_multipliers(self) -> dict[str, float]:
        """Learning rates of groups relative to the backbone's; other groups have `train.head_multiplier`."""
        return {}

    def has_idle_parameters(self) -> bool:
        """Whether a step may leave a trained parameter without a gradient (DDP must know)."""
        return True

    def before_epoch(self, epoch: int, images: TrainingImages, *, epochs: int) -> None:
        """Update what depends on the whole training set, such as clusters or pseudo-labels.

        Called before every epoch, in eval mode and without gradients. What it computes goes to
        `training_state`, so that a resumed training has it as well. Random numbers of torch are seeded
        before the call, the same in all processes.

        Args:
            epoch: from 0.
            images: all training images.
            epochs: of the whole training; early stopping may end it before.
        """

    def freeze(self, stages: int) -> None:
        """Take the first stages of `reusable_features` out of training; the stem is part of the first.

        Raises:
            SettingsError: the method has no stages to freeze.
        """
        backbone = self.reusable_features()
        if backbone is not None:
            for modules in backbone.stage_modules()[:stages]:
                for module in modules:
                    module.requires_grad_(False)
        elif stages:
            raise SettingsError(
                f"train.freeze_stages: the method {self.settings.method!r} has no stages to freeze."
            )

    def keep_batch_statistics(self, keep: bool) -> None:
        """Say whether batch norm uses the statistics that came with the weights."""
        keep_batch_statistics(self, keep)
        self.train(self.training)

    def reusable_features(self) -> Backbone | None:
        """The pyramid that refiners and segmentation networks may start from; None where there is none."""
        return None

    def reusable_head(self) -> CamHead | None:
        """The classification head on `reusable_features`; None where there is none."""
        return None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """See `HubModel.read`."""
        config, classes = read_config(folder)
        model = create_model(config.model_settings(), classes, config.options)
        if not isinstance(model, cls):
            raise CheckpointError(
                f"{folder}: holds the method {type(model).__name__}, not {cls.__name__}; "
                "Method.from_pretrained loads every method."
            )
        load_weights(model, read_weights(folder / WEIGHTS), source=folder / WEIGHTS)
        model.images = saved_images(folder)
        model.has_background = config.background
        return model.eval()

    def config(self) -> SavedConfig:
        """See `HubModel.config`; the weights are saved with it, and where they came from can be a path."""
        values = self.settings.model_dump() | {
            "weights": "none",
            "options": self.options.model_dump(mode="json"),
            "background": self.has_background,
        }
        return SavedConfig.model_validate(values)

    def task(self) -> str:
        """See `HubModel.task`."""
        rcam = " and R-CAMs" if "rcam" in self.makes else ""
        features = self.reusable_features()
        network = "" if features is None else f" on `{features.name}`"
        return (
            f"Says which of {len(self.classes)} classes a photograph shows and makes class activation "
            f"maps{rcam} that say where. Trained on image-level labels alone. "
            f"Method `{self.settings.method}`{network}."
        )


def create_model(
    settings: ModelSettings, classes: tuple[str, ...], options: Section | Mapping[str, Any] | None = None
) -> Method:
    """Build a method with the weights that the settings name.

    Args:
        settings: the model section; `weights` says where the backbone's weights come from.
        classes: class names in order, at least one.
        options: options of the method, its defaults where None.

    Raises:
        SettingsError: no class was given, the method or an option of it is unknown, or the backbone is, or no
            `Normalisation` of the network takes images of as many bands.
        CheckpointError: the weights file is damaged or made for another network.
    """
    if not classes:
        raise SettingsError("A model needs at least one class; the data set names none.")
    options = METHODS.options(settings.method, options)
    model: Method = METHODS[settings.method].build(settings, tuple(classes), options)
    normalised = {part.mean.shape[1] for part in model.modules() if isinstance(part, Normalisation)}
    if settings.bands != 3 and settings.bands not in normalised:
        raise SettingsError(
            f"The method {settings.method!r} takes images of three bands, not of {settings.bands}; choose "
            "three by `data.bands`, or another method."
        )
    # Convolutions, in bf16 above all, run several times faster on this layout (CPU and GPU).
    return model.to(memory_format=torch.channels_last)


class SavedConfig(ModelSettings):
    """What a saved model is rebuilt from: the model section, and the method's own options."""

    options: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies defaults
    """Options of the method."""
    background: bool = True
    """Whether its maps hold a background; not where every pixel has a class."""

    def model_settings(self) -> ModelSettings:
        """The model section; the weights are beside the config, whatever it says."""
        own = self.model_dump(exclude={"options", "background"})
        return ModelSettings.model_validate(own | {"weights": "none"})


def read_config(folder: Path) -> tuple[SavedConfig, tuple[str, ...]]:
    """What a saved model is rebuilt from, and its class names.

    Raises:
        CheckpointError: config.json is missing, damaged, of another kind, or of a newer version.
    """
    return saved_settings(folder, SavedConfig, kind="cam")
