"""Linearises a classifier's head for each image, so that its scores split over the places of the image.

A class activation map is exact if the class score is the mean of the map. With mean pooling and a linear
layer, weights times features are such a map. Several families have more behind their pooling: a norm
(convnext, metaformer, ViTs that average), or a hidden layer with an activation (mobilenetv3, hgnet). These
do not commute with the mean. But for a given image they are affine once the quantities that they derive from
the *pooled* vector v are held fixed: the standard deviation of a norm, the slope of an activation. With

    LayerNorm   u ↦ γ (u − mean_D u) / σ(v) + β        RMSNorm   u ↦ γ u / rms(v) + β
    activation  u ↦ φ(0) + u (φ(v) − φ(0)) / v

the head is affine in the features u of a place and exact at u = v, so the maps still add up to the score.
Layer-wise relevance propagation fixes the same quantities (Ali et al., "XAI for Transformers", ICML 2022).
Gradients would not do: the derivative of a LayerNorm in the direction of v is 0, so gradient maps behind one
have a mean of 0 whatever the score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from timm.layers import RmsNorm, RmsNorm2d
from torch import Tensor, nn

NEAR_ZERO = 1e-4
"""Activations count as constants for inputs below this part of φ(0), where the slope has no digits left."""

_ELEMENTWISE = (
    nn.ELU,
    nn.GELU,
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.Hardtanh,
    nn.LeakyReLU,
    nn.Mish,
    nn.PReLU,
    nn.ReLU,
    nn.ReLU6,
    nn.Sigmoid,
    nn.SiLU,
    nn.Softplus,
    nn.Tanh,
)


def scores_by_place(
    model: nn.Module, head: Callable[[Tensor], Tensor], features: Tensor, places: Tensor
) -> tuple[Tensor, Tensor]:
    """Logits of images, and scores of single places by the head linearised for each image.

    Layers in front of the pooling are applied to every place by itself. Whether that is right cannot be seen
    here.

    Args:
        model: owner of the modules that the head uses.
        head: features to (B, C) logits.
        features: features of B images, as the head takes them.
        places: features of B·n places in the same layout, each like an image of one place.

    Returns:
        (B, C) logits and (B, n, C) scores of the places, affine in their features.
    """
    with _watched(model) as watched:
        logits = head(features)
    with _linearised(watched, len(logits)):
        scores = head(places)
    return logits, scores.unflatten(0, (len(logits), -1))


_Seen = dict[nn.Module, list[Tensor]]


@contextmanager
def _watched(model: nn.Module) -> Iterator[_Seen]:
    """Collect the inputs of norms and activations, in the order of calls."""
    seen: _Seen = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.setdefault(module, []).append(inputs[0].clone())  # activations may be in-place

    hooks = [item.register_forward_pre_hook(note) for item in model.modules() if _is_frozen_kind(item)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _linearised(seen: _Seen, images: int) -> Iterator[None]:
    """Fix the statistics and slopes of norms and activations to those of the pooled vectors."""
    waiting = {module: list(inputs) for module, inputs in seen.items()}
    given: dict[nn.Module, Tensor] = {}

    def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        given[module] = inputs[0].clone()

    def after(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        pooled, places = waiting[module].pop(0), given.pop(module)
        per_image = len(places) // images
        if places.numel() != per_image * pooled.numel():
            return None  # in front of the pooling
        by_image = places.unflatten(0, (images, per_image))
        return _frozen(module, pooled, by_image).flatten(0, 1).to(output.dtype)

    hooks = [module.register_forward_pre_hook(before) for module in seen]
    hooks += [module.register_forward_hook(after) for module in seen]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _is_activation(module: nn.Module) -> bool:
    return isinstance(module, _ELEMENTWISE) or type(module).__module__.startswith("timm.layers.activations")


def _is_centred_norm(module: nn.Module) -> bool:
    if any(module.children()):
        return False  # timm's norms with an activation inside
    return isinstance(module, nn.LayerNorm) or (isinstance(module, nn.GroupNorm) and module.num_groups == 1)


def _is_frozen_kind(module: nn.Module) -> bool:
    is_rms = isinstance(module, (nn.RMSNorm, RmsNorm, RmsNorm2d))
    return is_rms or _is_centred_norm(module) or _is_activation(module)


def _frozen(module: nn.Module, pooled: Tensor, places: Tensor) -> Tensor:
    """A norm or activation of places (B, n, …), affine for each image and exact at `pooled` (B, …)."""
    if _is_activation(module):
        zero, value = module.forward(torch.zeros_like(pooled)), module.forward(pooled.clone())
        is_small = pooled.abs() <= NEAR_ZERO * zero.abs() + torch.finfo(pooled.dtype).tiny
        slope = torch.where(is_small, 0, (value - zero) / torch.where(is_small, 1, pooled))
        return torch.where(is_small, value, zero)[:, None] + slope[:, None] * places
    vectors, centred = pooled.flatten(1).float(), places.flatten(2).float()
    if _is_centred_norm(module):
        vectors = vectors - vectors.mean(-1, keepdim=True)
        centred = centred - centred.mean(-1, keepdim=True)
    epsilon: float | None = getattr(module, "eps")  # noqa: B009
    if epsilon is None:
        epsilon = torch.finfo(pooled.dtype).eps  # the default of nn.RMSNorm
    spread = (vectors.square().mean(-1) + epsilon).sqrt()
    result = centred / spread[:, None, None]
    for parameter, combine in (("weight", torch.mul), ("bias", torch.add)):
        value = getattr(module, parameter, None)
        if value is not None:
            result = combine(result, value)
    return result.reshape(places.shape)
