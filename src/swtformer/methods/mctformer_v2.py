"""MCTformer-V2: class attention times a CAM of the patch tokens (see `class_tokens`)."""

from __future__ import annotations

from typing import final

from swtformer.methods.class_tokens import PatchCamMethod
from swtformer.settings import METHODS


@final
@METHODS.register("mctformer_v2")
class MCTformerV2(PatchCamMethod):
    """Class attention of the last layers times the patch CAM, spread by patch affinity.

    Class tokens alone say which classes an image shows, as in the public code's evaluation. Refiners and
    segmentation networks cannot start from it (`reusable_features` is None): its layers share one stride, and
    its class tokens belong to the network.
    """
