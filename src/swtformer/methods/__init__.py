"""Methods: networks that are trained on image-level labels and make maps.

To add one: a file with a `Method` (or `PyramidMethod`) that registers itself, and its test. The contract
tests in tests/methods run over every method that is registered.
"""

from __future__ import annotations

from swtformer.methods.base import Batch, CamHead, Maps, Method, TrainingImages, create_model
from swtformer.methods.checked_maps import checked_maps
from swtformer.methods.pyramid import Encoding, Localization, PyramidMethod, PyramidSettings
from swtformer.methods.summed_views import summed_cams
from swtformer.settings import METHODS

__all__ = [
    "METHODS",
    "Batch",
    "CamHead",
    "Encoding",
    "Localization",
    "Maps",
    "Method",
    "PyramidMethod",
    "PyramidSettings",
    "TrainingImages",
    "checked_maps",
    "create_model",
    "summed_cams",
]
