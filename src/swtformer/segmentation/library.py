"""segmentation-models-pytorch, which is optional."""

from __future__ import annotations

from typing import Any

from swtformer.errors import SwtformerError


def require_smp() -> Any:
    """The module `segmentation_models_pytorch`.

    Raises:
        SwtformerError: it is not installed.
    """
    try:
        import segmentation_models_pytorch
    except ModuleNotFoundError:
        raise SwtformerError(
            "Segmentation networks need segmentation-models-pytorch: pip install 'swtformer[seg]'."
        ) from None
    return segmentation_models_pytorch
