"""CAM: class maps of a trained classifier in one forward pass, checked by their sum, and their refinement."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.cam.networks import Reading, as_network, unwrapped
from swtformer.errors import SwtformerError
from swtformer.functional.activation import normalised, with_background
from swtformer.functional.seeds import locate_seeds, refined_maps
from swtformer.methods import PyramidMethod
from swtformer.methods.swtformer_v2 import SWTformerV2Settings

TOLERANCE = 1e-4
"""Largest gap between a logit and the mean of its map plus bias, relative to the largest logit."""


@dataclass(frozen=True)
class ClassMaps:
    """Class maps of a batch of images.

    Attributes:
        maps: (B, C, h, w) raw maps, any sign; their mean over space plus `bias` is `logits`.
        bias: (B, C) part of the logits that lies nowhere in the image.
        logits: (B, C) of the classifier.
    """

    maps: Tensor
    bias: Tensor
    logits: Tensor

    def normalised(self, classes: Sequence[int] | None = None) -> Tensor:
        """Positive part of the maps, each divided by its maximum (Eq. 1).

        Args:
            classes: indices of the classes wanted; all by default.

        Returns:
            (B, K, h, w) in [0, 1).

        Raises:
            SwtformerError: there is no such class, or `classes` is no sequence of indices.
        """
        if classes is None:
            return normalised(self.maps, norm="max")
        return normalised(self.maps[:, _checked(classes, self.maps.shape[1])], norm="max")


@dataclass(frozen=True)
class RefinedMaps:
    """Maps of some classes before and after refinement; channel 0 is background, k+1 is `classes[k]`.

    Attributes:
        classes: indices of the classes that are present in any image of the batch, rising.
        present: (B, K) 0/1, which of them are present in which image.
        cam: (B, K+1, h, w) in [0, 1] on the classifier's own grid; absent classes are 0.
        refined: (B, K+1, h', w') in [0, 1), the R-CAMs; absent classes are 0.
        seeds: (B, K+1, h, w) one-hot seeds that the prototypes came from.
        logits: (B, C) of the classifier, all classes.
    """

    classes: tuple[int, ...]
    present: Tensor
    cam: Tensor
    refined: Tensor
    seeds: Tensor
    logits: Tensor


class CAM:
    """Class activation maps of any timm classifier that pools by the mean, or of a model of this package.

        cam = swtformer.CAM(timm.create_model("convnext_tiny", pretrained=True))
        made = cam(images)                       # all classes, one forward pass
        made.maps, made.logits, made.normalised([281, 282])
        cam.refine(images, classes=[281]).refined

    Nothing is trained, no gradient is taken and nothing is kept between calls. The model is used as it is,
    on its device and in its dtype; it runs in evaluation mode and is given back in the mode that it was in,
    without hooks. While a call runs there are hooks on it, so calls from several threads need a lock.

    Heads that are more than a linear layer behind the pooling (norms, hidden layers) are made linear for each
    image, see `swtformer.cam.linearise`. That the maps add up to the logits is checked at construction
    against the model's own output, and at every call; a model for which they do not is refused. So are
    models whose scores are no mean over places (class tokens, attention or maximum pooling, VGG's 7×7
    classifier), and image sizes at which timm's Swin wraps around.
    """

    def __init__(self, model: nn.Module) -> None:
        """Look at the model and try it on noise.

        Args:
            model: a classifier made by `timm.create_model`, or a model of this package with pooling gap; also
                one that was compiled or is wrapped for several devices (`unwrapped`).

        Raises:
            SwtformerError: no maps of this model would be right; the message says why.
        """
        self.model = unwrapped(model)
        self._network = as_network(self.model)
        self._probe()

    def __call__(self, images: Tensor) -> ClassMaps:
        """Class maps of images.

        Args:
            images: (B, 3, H, W) of any size that the model takes; no image at all gives maps of none. uint8
                is RGB and is scaled and normalised as the model's weights expect it; floats are given to the
                model as they are: normalised for one of timm, RGB in [0, 1] for one of this package. Bytes
                as floats are refused where they can be told, by pixels too bright for floats that the model
                takes; every other type is refused.

        Returns:
            Maps of all classes on the grid of the last features.

        Raises:
            SwtformerError: the model does not take the images (their type, range or size), or the maps do
                not add up.
        """
        reading = self._read(images)
        return ClassMaps(maps=reading.maps, bias=reading.bias, logits=reading.logits)

    def refine(
        self,
        images: Tensor,
        *,
        classes: Sequence[int] | None = None,
        present: Tensor | None = None,
        options: SWTformerV2Settings | None = None,
    ) -> RefinedMaps:
        """Maps refined by image-specific prototypes (Sec. 3-5), without any training.

        Seeds are located by the soft overlap of the maps with the affinity of the last features; a class's
        prototype is the mean feature of its seeds; its refined map is the cosine of every feature with the
        prototype. A SWTformer-V2 fuses features as it has learned to; of other models every stage from
        stride 4 is normalised per place and all are put side by side on the grid of the last stage but one.

        Args:
            images: as in `__call__`.
            classes: indices of the classes present, the same in every image.
            present: (B, C) 0/1 image-level labels, in place of `classes`.
            options: affinity, background_weight, background_over, seedless and norm are used; those of a
                SWTformer-V2, or the defaults, where None.

        Raises:
            SwtformerError: neither or both of classes and present are given, or they do not fit the model.
        """
        reading = self._read(images)
        labels = _labels(reading.logits, classes, present)
        if options is None:
            own = self.model.options if isinstance(self.model, PyramidMethod) else None
            options = own if isinstance(own, SWTformerV2Settings) else SWTformerV2Settings()
        wanted = labels.any(0).nonzero()[:, 0]
        chosen, maps = labels[:, wanted], normalised(reading.maps[:, wanted].float(), norm=options.norm)
        if len(wanted) == 0:
            cam = torch.ones_like(reading.maps[:, :1], dtype=torch.float32)
        elif options.background_over == "present":
            cam = with_background(maps, chosen)
        else:
            everything = normalised(reading.maps.float(), norm=options.norm)
            background = 1 - everything.amax(1, keepdim=True)
            cam = torch.cat([background, maps * chosen[:, :, None, None]], dim=1)
        pyramid = [stage.float() for stage in reading.pyramid]
        seeds = locate_seeds(
            pyramid[-1],
            cam,
            chosen,
            affinity=options.affinity,
            background_weight=options.background_weight,
            seedless=options.seedless,
        )
        refined = refined_maps(self._fused(pyramid), seeds, chosen)
        return RefinedMaps(
            classes=tuple(wanted.tolist()),
            present=chosen,
            cam=cam,
            refined=refined,
            seeds=seeds,
            logits=reading.logits,
        )

    @torch.no_grad()
    def _fused(self, pyramid: Sequence[Tensor]) -> Tensor:
        fused = self.model.fused(pyramid) if isinstance(self.model, PyramidMethod) else None
        return side_by_side(pyramid) if fused is None else fused

    @torch.no_grad()
    def _read(self, images: Tensor) -> Reading:
        _require_tensor(images, "images", "(B, 3, H, W)")
        if images.ndim != 4 or images.shape[1] != self._network.channels or 0 in images.shape[2:]:
            raise SwtformerError(
                f"Expected images (B, {self._network.channels}, H, W), got {tuple(images.shape)}."
            )
        if len(images) == 0:
            return _without_images(self._read(images.new_zeros(1, *images.shape[1:])))
        prepared = self._prepared(images)
        try:
            return self._reading(prepared)
        except torch.OutOfMemoryError:
            raise
        except (AssertionError, RuntimeError, ValueError) as error:  # every family has its own way to refuse
            size = "×".join(str(side) for side in images.shape[2:])
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise SwtformerError(
                f"{self._network.name} does not take images of {size} px: {reason}"
            ) from error

    @torch.no_grad()
    def _reading(self, prepared: Tensor) -> Reading:
        """Of images as the model takes them, its maps checked; whatever the model raises comes through."""
        with _evaluating(self.model):
            reading = self._network.read(prepared)
        _check_sum(reading, self._network.name)
        return reading

    def _prepared(self, images: Tensor) -> Tensor:
        """Images on the model's device and in its dtype; bytes as its weights expect them."""
        parameter = next(self.model.parameters())
        images = images.to(parameter.device)
        if images.dtype == torch.uint8:
            if self._network.channels != len(self._network.mean):
                raise SwtformerError(
                    f"{self._network.name} takes {self._network.channels} channels, and nothing says how "
                    "bytes become its input; give floats, normalised as the model was trained."
                )
            mean = torch.tensor(self._network.mean, device=images.device).view(-1, 1, 1)
            std = torch.tensor(self._network.std, device=images.device).view(-1, 1, 1)
            images = (images.float() / 255 - mean) / std
        elif not images.is_floating_point():
            raise SwtformerError(
                f"images are {images.dtype}, and nothing says what their values mean; give bytes of 0 to 255 "
                "as torch.uint8, or floats as the model takes them."
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
        """Compare with the model's own logits on noise, at a small size or else at the model's own."""
        generator = torch.Generator().manual_seed(0)
        for size in self._network.probe_sizes:
            noise = torch.rand(2, self._network.channels, *size, generator=generator)
            try:
                reading = self._reading(self._prepared(noise))
                if reading.maps.shape[-2:].numel() == 1:
                    raise SwtformerError("The map has one place.")
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


def side_by_side(pyramid: Sequence[Tensor]) -> Tensor:
    """All stages, each divided by its ℓ2 norm per place, as one map on the grid of the last stage but one.

    A cosine of two of its vectors is the mean of the stages' cosines. (Random projections of the stages, as
    an untrained fusion makes them, estimate the same and score a little lower.) Finer stages are averaged
    down, so that no place of theirs is left out.

    Args:
        pyramid: (B, Dk, hk, wk) maps, fine to coarse.

    Returns:
        (B, sum of Dk, h, w).
    """
    grid = pyramid[max(len(pyramid) - 2, 0)].shape[-2:]
    return torch.cat([_resized(F.normalize(stage, dim=1), grid) for stage in pyramid], dim=1)


def _without_images(reading: Reading) -> Reading:
    """The same for an empty batch."""
    pyramid = tuple(stage[:0] for stage in reading.pyramid)
    return Reading(pyramid, reading.maps[:0], reading.bias[:0], reading.logits[:0])


def _resized(maps: Tensor, grid: torch.Size) -> Tensor:
    if maps.shape[-2] > grid[0] and maps.shape[-1] > grid[1]:
        return F.adaptive_avg_pool2d(maps, (grid[0], grid[1]))
    return F.interpolate(maps, grid, mode="bilinear", align_corners=False)


def _check_sum(reading: Reading, name: str) -> None:
    """Refuse maps whose mean plus bias is not the logits."""
    logits = reading.logits.float()
    if not logits.isfinite().all():
        raise SwtformerError(f"{name} gives logits that are not finite; check its weights and the images.")
    maps = reading.maps.float()
    gap = (maps.mean((-2, -1)) + reading.bias.float() - logits).abs().max()
    tolerance = max(TOLERANCE, 8 * torch.finfo(reading.logits.dtype).eps)
    # Large maps that cancel each other leave an error of their own digits.
    scale = torch.stack([logits.abs().max(), maps.abs().max() / 100]).max()
    if gap > tolerance * scale:
        raise SwtformerError(
            f"The class maps of {name} do not add up to its logits (they miss by {gap.item():.3g} of "
            f"{logits.abs().max().item():.3g}): its head is no mean over places, or does something "
            "that is not known here. No map would be right."
        )


def _labels(logits: Tensor, classes: Sequence[int] | None, present: Tensor | None) -> Tensor:
    """(B, C) 0/1 floats from either way of naming classes."""
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
    """Evaluation mode; afterwards every module is in the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    if training:
        model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
