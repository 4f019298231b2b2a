"""SWTformer-V1: a classifier on patch tokens whose CAM head gives the maps (Sec. 3-2 and 3-3)."""

from __future__ import annotations

from typing import final

from swtformer.methods.pyramid import PyramidMethod
from swtformer.settings import METHODS


@final
@METHODS.register("swtformer_v1")
class SWTformerV1(PyramidMethod):
    """CAMs of Eq. 1 from a CAM head on the last stage, trained with the classification loss alone."""
