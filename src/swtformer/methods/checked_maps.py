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

    Raises:
        PluginError: it gives something else.
    """
    made = method.maps(images, present, settings=settings)
    if not isinstance(made, Maps):
        raise PluginError(f"The method {method.name!r}: maps gave {type(made).__name__}; expected Maps.")
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
