"""Maps of a method, checked against its contract where they are made."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from swtformer.errors import PluginError
from swtformer.methods.base import Maps, Method
from swtformer.settings import LocalizeSettings

ROUNDING = 0.01
"""How far maps in half precision may leave [0, 1]."""


def checked_maps(
    method: Method, images: Tensor, present: Tensor | None, *, settings: LocalizeSettings
) -> Maps:
    """`Method.maps`, if it gives what the contract says; values that are not finite pass.

    The method gets scales of the images as they are: `settings.long_side_px` is dealt with here. So is a set
    without background (`Method.has_background`): R-CAMs have none, whatever the method makes.

    Raises:
        PluginError: it gives something else.
    """
    made = method.maps(images, present, settings=_at_own_size(settings, max(images.shape[-2:])))
    if not isinstance(made, Maps):
        raise PluginError(f"The method {method.name!r}: maps gave {type(made).__name__}; expected Maps.")
    if made.rcam is not None and not method.has_background:
        made.rcam[:, 0] = 0
    batch, classes = len(images), len(method.classes)
    grid = tuple(-(-side // settings.stride) for side in images.shape[-2:])
    expected = {
        "present": (batch, classes),
        "cam": (batch, classes, *grid),
        "rcam": (batch, classes + 1, *grid) if "rcam" in method.makes else None,
        "probabilities": (batch, classes),
    }
    for name, shape in expected.items():
        value = getattr(made, name)
        given = None if value is None else tuple(value.shape)
        if given != shape:
            raise PluginError(
                f"The method {method.name!r}: maps gave {name} of {given}; expected {shape}, as `makes` is "
                f"{sorted(method.makes)}."
            )
        if value is None or not value.numel():
            continue
        least, most = torch.stack(torch.aminmax(value.float())).tolist()
        if not (math.isfinite(least) and math.isfinite(most)):
            return made
        if least < -ROUNDING or most > 1 + ROUNDING:
            raise PluginError(
                f"The method {method.name!r}: maps gave {name} with values of {least:.3g} to {most:.3g}; "
                "expected 0 to 1."
            )
    return made


def _at_own_size(settings: LocalizeSettings, side: int) -> LocalizeSettings:
    """The same views in scales of images whose long side is `side` pixels."""
    if settings.long_side_px is None:
        return settings
    scales = tuple(scale * settings.long_side_px / side for scale in settings.scales)
    return settings.model_copy(update={"scales": scales, "long_side_px": None})
