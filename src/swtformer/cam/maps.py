"""CAM: class maps of a trained classifier in one forward pass, checked by their sum, and their refinement."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from swtformer.cam.networks import (
    MethodNetwork,
    Network,
    Reading,
    TimmNetwork,
    is_of_timm,
    refuse_correlation,
    unwrapped,
)
from swtformer.cam.pooled import PooledNetwork
from swtformer.errors import SwtformerError
from swtformer.functional.activation import normalised, with_background
from swtformer.functional.seeds import refined_maps
from swtformer.methods import Method, PyramidMethod
from swtformer.methods.prototypes import PrototypeSettings
from swtformer.short_repr import ShortRepr

TOLERANCE = 1e-4
"""Largest gap between a logit and its map's mean plus bias, relative to the largest logit."""


@dataclass(frozen=True, repr=False)
class ClassMaps(ShortRepr):
    """Class maps of a batch of images.

    Attributes:
        maps: (B, C, h, w) raw maps, any sign; their mean over space plus `bias` is `logits`.
        bias: (B, C) part of the logits that belongs to no place in the image.
        logits: (B, C) of the classifier.
    """

    maps: Tensor
    bias: Tensor
    logits: Tensor

    def normalised(self, classes: Sequence[int] | None = None) -> Tensor:
        """Positive part of the maps, each divided by its maximum (Eq. 1).

        Args:
            classes: indices of the classes; all by default.

        Returns:
            (B, K, h, w) in [0, 1).

        Raises:
            SwtformerError: an index is out of range, or `classes` is not a sequence of indices.
        """
        if classes is None:
            return normalised(self.maps, norm="max")
        return normalised(self.maps[:, _checked(classes, self.maps.shape[1])], norm="max")


@dataclass(frozen=True, repr=False)
class RefinedMaps(ShortRepr):
    """Maps of some classes before and after refinement; channel 0 is background, k+1 is `classes[k]`.

    Attributes:
        classes: indices of the classes that are present in any image of the batch, ascending.
        present: (B, K) 0/1, which of them each image shows.
        cam: (B, K+1, h, w) in [0, 1] on the classifier's own grid; absent classes are 0.
        rcam: (B, K+1, h', w') in [0, 1), the R-CAMs; absent classes are 0.
        seeds: (B, K+1, h'', w'') 0/1 seeds that the prototypes came from, on the grid of the features that
            located them.
        logits: (B, C) of all classes.
    """

    classes: tuple[int, ...]
    present: Tensor
    cam: Tensor
    rcam: Tensor
    seeds: Tensor
    logits: Tensor


class CAM:
    """Class activation maps of any classifier that averages a feature map over its places.

        cam = swtformer.CAM(timm.create_model("convnext_tiny", pretrained=True))
        made = cam(images)                       # all classes, one forward pass
        made.maps, made.logits, made.normalised([281, 282])
        cam.refine(images, classes=[281]).rcam

    Nothing is trained, no gradient is taken and nothing is kept between calls. The model stays on its device,
    in its dtype and its mode. A call puts hooks on it and removes them, so calls from several threads need a
    lock.

    Heads with more than a linear layer behind the pooling (norms, hidden layers) are linearised for each
    image, see `swtformer.cam.linearise`. At construction and at every call the maps are checked to add up to
    the logits. Refused are models for which they do not, models whose scores are not means over places (class
    tokens, attention or maximum pooling, VGG's 7×7 classifier), and image sizes at which timm's Swin mixes
    opposite borders.
    """

    def __init__(self, model: nn.Module) -> None:
        """Wrap a model and try it on noise.

        Args:
            model: a classifier of timm or torchvision, one of your own that ends in the mean of a feature
                map and one module behind it, or a model of this package with pooling gap; compiled or
                inside DataParallel as well.

        Raises:
            SwtformerError: maps of this model would be wrong; the message says why.
        """
        self.model = unwrapped(model)
        self._network = as_network(self.model)
        self._probe()

    def __call__(self, images: Tensor) -> ClassMaps:
        """Class maps of images.

        Args:
            images: (B, 3, H, W) of any size that the model takes, or of its bands. uint8 is normalised as the
                model's weights expect. Floats are given to the model as they are: RGB in [0, 1]
                for models of this package, normalised for others. Floats that look like bytes, and all other
                types, are refused.

        Returns:
            Maps of all classes on the grid of the last features.

        Raises:
            SwtformerError: the model does not take images of this type, range or size, or the maps do not
                add up to the logits.
        """
        reading = self._read(images)
        return ClassMaps(maps=reading.maps, bias=reading.bias, logits=reading.logits)

    def refine(
        self,
        images: Tensor,
        *,
        classes: Sequence[int] | None = None,
        present: Tensor | None = None,
        options: PrototypeSettings | None = None,
    ) -> RefinedMaps:
        """Maps refined by image-specific prototypes, without any training; see `prototype_refinement`.

        Models of the methods V2, V3 and SIPE are refined by their own options, from one view: those of SIPE
        as in its training, by seeds of the last stage. Of other models, all stages from stride 4 are
        normalised per place and concatenated on the grid of the last but one, and the seeds are found as in
        V3.

        Args:
            images: as in `__call__`.
            classes: indices of the classes that every image shows.
            present: (B, C) 0/1 image-level labels, instead of `classes`.
            options: how maps are refined, such as `SWTformerV3Settings(background_weight=0.8)`; by default
                the method's own options, and those of V3 for other models. Fusions are the model's own.

        Raises:
            SwtformerError: neither or both of `classes` and `present` are given, they do not fit the model,
                or the options have `pixel_correlation`.
        """
        reading = self._read(images)
        labels = _labels(reading.logits, classes, present)
        if options is None:
            options = self._network.options
        refuse_correlation(options)
        wanted = labels.any(0).nonzero()[:, 0]
        maps = normalised(reading.maps.float(), norm=options.norm)
        cam = with_background(maps, labels, over=options.background_over)
        cam = torch.cat([cam[:, :1], cam[:, wanted + 1]], dim=1)
        pyramid = [stage.float() for stage in reading.pyramid]
        with torch.no_grad():
            features = self._network.fused(pyramid)
        way = options.reading()
        if not self._network.has_background:
            way = replace(way, background_weight=0.0)
        refinement = way.refine(pyramid[-1], features, cam, labels[:, wanted])
        return RefinedMaps(
            classes=tuple(wanted.tolist()),
            present=labels[:, wanted],
            cam=cam,
            rcam=refined_maps(refinement.similarities, scaled=way.scaled),
            seeds=refinement.seeds,
            logits=reading.logits,
        )

    @torch.no_grad()
    def _read(self, images: Tensor) -> Reading:
        _require_tensor(images, "images", "(B, 3, H, W)")
        if images.ndim != 4 or images.shape[1] != self._network.channels or images.numel() == 0:
            raise SwtformerError(
                f"Expected images (B, {self._network.channels}, H, W), got {tuple(images.shape)}."
            )
        prepared = self._prepared(images)
        try:
            return self._reading(prepared)
        except torch.OutOfMemoryError:
            raise
        except (AssertionError, RuntimeError, ValueError) as error:  # families refuse sizes in different ways
            size = "×".join(str(side) for side in images.shape[2:])
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise SwtformerError(
                f"{self._network.name} does not take images of {size} px: {reason}"
            ) from error

    @torch.no_grad()
    def _reading(self, prepared: Tensor) -> Reading:
        """Features and maps of prepared images; the maps are checked. The model's own errors pass."""
        with _evaluating(self.model):
            reading = self._network.read(prepared)
        _check_sum(reading, self._network.name)
        return reading

    def _prepared(self, images: Tensor) -> Tensor:
        """Images on the model's device and in its dtype; bytes are normalised."""
        parameter = next(self.model.parameters())
        images = images.to(parameter.device)
        if images.dtype == torch.uint8:
            if self._network.channels != len(self._network.mean):
                raise SwtformerError(
                    f"{self._network.name} takes {self._network.channels} channels, and nothing says how "
                    "bytes are normalised for it; give floats, normalised as in its training."
                )
            mean = torch.tensor(self._network.mean, device=images.device).view(-1, 1, 1)
            std = torch.tensor(self._network.std, device=images.device).view(-1, 1, 1)
            images = (images.float() / 255 - mean) / std
        elif not images.is_floating_point():
            raise SwtformerError(
                f"images are {images.dtype}; give bytes as torch.uint8, or {self._network.floats}."
            )
        elif self._network.float_range is not None:
            least, most = self._network.float_range
            lowest, highest = images.amin().item(), images.amax().item()
            if lowest < least or highest > most:
                raise SwtformerError(
                    f"{self._network.name} takes {self._network.floats}, got {lowest:.4g} to {highest:.4g}; "
                    "give bytes as torch.uint8."
                )
        return images.to(parameter.dtype)

    @torch.no_grad()
    def _probe(self) -> None:
        """Compare with the model's own logits on noise, at the first of `probe_sizes` that it takes."""
        generator = torch.Generator().manual_seed(0)
        for size in self._network.probe_sizes:
            noise = torch.rand(2, self._network.channels, *size, generator=generator)
            try:
                reading = self._reading(self._prepared(noise))
                if reading.maps.shape[-2:].numel() == 1:
                    raise SwtformerError(f"The maps of {self._network.name} have only one place.")
                with _evaluating(self.model):
                    expected = self._network.logits(self._prepared(noise))
            except (SwtformerError, RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
                reason = error
                continue
            _check_sum(replace(reading, logits=expected), self._network.name)
            return
        if isinstance(reason, SwtformerError):
            raise reason
        raise SwtformerError(
            f"CAM cannot follow the head of {self._network.name}: {str(reason).splitlines()[0]}"
        ) from reason


def as_network(model: nn.Module) -> Network:
    """Wrap a model for CAM.

    Raises:
        SwtformerError: its kind is unknown, or its scores are not means over the image.
    """
    if isinstance(model, PyramidMethod):
        return MethodNetwork(model)
    if isinstance(model, Method):
        raise SwtformerError(
            f"CAM takes methods with a CAM head on a pyramid, not {model.settings.method!r}; call its maps()."
        )
    return TimmNetwork(model) if is_of_timm(model) else PooledNetwork(model)


def _check_sum(reading: Reading, name: str) -> None:
    """Refuse maps whose mean plus bias differs from the logits."""
    logits = reading.logits.float()
    if not logits.isfinite().all():
        raise SwtformerError(f"{name} gives logits that are not finite; check its weights and the images.")
    maps = reading.maps.float()
    gap = (maps.mean((-2, -1)) + reading.bias.float() - logits).abs().max()
    tolerance = max(TOLERANCE, 8 * torch.finfo(reading.logits.dtype).eps)
    # Large values that cancel each other leave rounding errors of their own size.
    scale = torch.stack([logits.abs().max(), maps.abs().max() / 100]).max()
    if gap > tolerance * scale:
        raise SwtformerError(
            f"The class maps of {name} do not add up to its logits (they are off by {gap.item():.3g}, the "
            f"largest logit is {logits.abs().max().item():.3g}), so they would be wrong: its head is not a "
            "mean over places, or does something unknown to CAM."
        )


def _labels(logits: Tensor, classes: Sequence[int] | None, present: Tensor | None) -> Tensor:
    """(B, C) 0/1 floats from `classes` or `present`."""
    if (classes is None) == (present is None):
        raise SwtformerError("Give either classes or present: the classes that the images show.")
    if classes is not None:
        labels = torch.zeros_like(logits, dtype=torch.float32)
        labels[:, _checked(classes, logits.shape[1])] = 1
        return labels
    assert present is not None
    _require_tensor(present, "present", "(B, C) of 0 and 1")
    if present.shape != logits.shape:
        raise SwtformerError(
            f"present must be (images, classes) {tuple(logits.shape)}, got {tuple(present.shape)}."
        )
    return (present > 0).to(logits.device, torch.float32)


def _checked(classes: Sequence[int], count: int) -> list[int]:
    try:
        indices = [operator.index(item) for item in classes]
    except TypeError:
        raise SwtformerError(
            f"classes must be a sequence of class indices, such as [0, 2]; got {classes!r}."
        ) from None
    unknown = [index for index in indices if not 0 <= index < count]
    if unknown:
        raise SwtformerError(f"There is no class {unknown[0]}: the model has {count}, counted from 0.")
    return indices


def _require_tensor(value: object, name: str, shape: str) -> None:
    if not isinstance(value, Tensor):
        raise SwtformerError(
            f"{name} must be a torch tensor {shape}, got {type(value).__name__}; torch.as_tensor makes one."
        )


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards every module is in its previous mode."""
    training = [module for module in model.modules() if module.training]
    if training:
        model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
