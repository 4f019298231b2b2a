"""MCTformer-V1: maps are the attention of a class's own token to the patches (see `class_tokens`)."""

from __future__ import annotations

from typing import final

from swtformer.methods.class_tokens import ClassTokenMethod
from swtformer.settings import METHODS


@final
@METHODS.register("mctformer_v1")
class MCTformerV1(ClassTokenMethod):
    """Class attention of the last layers, spread by patch affinity.

    Refiners and segmentation networks cannot start from it (`reusable_features` is None): its layers share
    one stride, and its class tokens belong to the network.
    """
