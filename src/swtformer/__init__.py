"""Pixel masks from image-level labels: weakly supervised semantic segmentation.

The public names are loaded when they are first used, so that importing the package does not load torch:

    from swtformer import Settings, open_dataset, train, localize, mask, evaluate

    settings = Settings()
    data = open_dataset("photos", settings.data)
    run = train(data, settings=settings, out="runs/photos")
    localize(run, data)
    mask(run)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swtformer.cam import CAM
    from swtformer.datasets import open_dataset
    from swtformer.errors import SwtformerError
    from swtformer.methods import create_model
    from swtformer.methods.pretrained import from_pretrained, save_pretrained
    from swtformer.run import Run
    from swtformer.settings import Settings
    from swtformer.stages.chain import run_stages
    from swtformer.stages.evaluate import evaluate
    from swtformer.stages.localize import localize
    from swtformer.stages.mask import mask
    from swtformer.stages.predict import predict
    from swtformer.stages.pseudo_label import pseudo_label
    from swtformer.stages.refine import refine
    from swtformer.stages.report import report as write_report
    from swtformer.stages.segment import segment
    from swtformer.stages.train import train

    __version__: str

__all__ = [
    "CAM",
    "Run",
    "Settings",
    "SwtformerError",
    "__version__",
    "create_model",
    "evaluate",
    "from_pretrained",
    "localize",
    "mask",
    "open_dataset",
    "predict",
    "pseudo_label",
    "refine",
    "run_stages",
    "save_pretrained",
    "segment",
    "train",
    "write_report",
]

_HOMES = {
    "CAM": "swtformer.cam:CAM",
    "Run": "swtformer.run:Run",
    "Settings": "swtformer.settings:Settings",
    "SwtformerError": "swtformer.errors:SwtformerError",
    "create_model": "swtformer.methods:create_model",
    "evaluate": "swtformer.stages.evaluate:evaluate",
    "from_pretrained": "swtformer.methods.pretrained:from_pretrained",
    "localize": "swtformer.stages.localize:localize",
    "mask": "swtformer.stages.mask:mask",
    "open_dataset": "swtformer.datasets:open_dataset",
    "predict": "swtformer.stages.predict:predict",
    "pseudo_label": "swtformer.stages.pseudo_label:pseudo_label",
    "refine": "swtformer.stages.refine:refine",
    "run_stages": "swtformer.stages.chain:run_stages",
    "save_pretrained": "swtformer.methods.pretrained:save_pretrained",
    "segment": "swtformer.stages.segment:segment",
    "train": "swtformer.stages.train:train",
    # Not `report`: that is the package of the report's templates.
    "write_report": "swtformer.stages.report:report",
}


def __getattr__(name: str) -> Any:
    """Load a public name (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        return version("swtformer")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    """Public names, loaded or not."""
    return sorted({*globals(), *__all__})
