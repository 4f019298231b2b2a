"""Pixel masks from image-level labels: weakly supervised semantic segmentation.

The public names are loaded when they are first used, so that importing the package does not load torch. They
are those of the commands, but for `run_stages` (the command `run`), `write_report` (`report`), `export_masks`
(`export`), `import_masks` (`import`), `export_onnx` (`onnx`), and `predict_shards` and `localize_shards`
(`predict` and `localize`, where the images come in shards):

    import swtformer

    data = swtformer.open_dataset("photos")
    run = swtformer.train(data, out="runs/photos")
    swtformer.localize(run, data)
    swtformer.refine(run)
    swtformer.pseudo_label(run)
    swtformer.segment(run)
    swtformer.predict(run, "new", out="predictions")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swtformer.cam import CAM as CAM
    from swtformer.datasets import open_dataset as open_dataset
    from swtformer.errors import SwtformerError as SwtformerError
    from swtformer.methods import create_model as create_model
    from swtformer.methods.pretrained import from_pretrained as from_pretrained
    from swtformer.methods.pretrained import save_pretrained as save_pretrained
    from swtformer.publishing.export import export_onnx as export_onnx
    from swtformer.publishing.hub import pull as pull
    from swtformer.publishing.hub import push as push
    from swtformer.segmentation.pretrained import load_network as load_network
    from swtformer.settings import Settings as Settings
    from swtformer.stages.chain import run_stages as run_stages
    from swtformer.stages.evaluate import evaluate as evaluate
    from swtformer.stages.export_masks import export_masks as export_masks
    from swtformer.stages.import_masks import import_masks as import_masks
    from swtformer.stages.localize import localize as localize
    from swtformer.stages.localize import localize_shards as localize_shards
    from swtformer.stages.mask import mask as mask
    from swtformer.stages.predict import predict as predict
    from swtformer.stages.predict import predict_shards as predict_shards
    from swtformer.stages.pseudo_label import pseudo_label as pseudo_label
    from swtformer.stages.refine import refine as refine
    from swtformer.stages.report import report as _report
    from swtformer.stages.reproduce import reproduce as reproduce
    from swtformer.stages.segment import segment as segment
    from swtformer.stages.train import train as train
    from swtformer.store.run import Run as Run

    __version__: str
    write_report = _report

_HOMES = {
    "CAM": "swtformer.cam:CAM",
    "Run": "swtformer.store.run:Run",
    "Settings": "swtformer.settings:Settings",
    "SwtformerError": "swtformer.errors:SwtformerError",
    "create_model": "swtformer.methods:create_model",
    "evaluate": "swtformer.stages.evaluate:evaluate",
    "export_masks": "swtformer.stages.export_masks:export_masks",
    "export_onnx": "swtformer.publishing.export:export_onnx",
    "from_pretrained": "swtformer.methods.pretrained:from_pretrained",
    "import_masks": "swtformer.stages.import_masks:import_masks",
    "load_network": "swtformer.segmentation.pretrained:load_network",
    "localize": "swtformer.stages.localize:localize",
    "localize_shards": "swtformer.stages.localize:localize_shards",
    "mask": "swtformer.stages.mask:mask",
    "open_dataset": "swtformer.datasets:open_dataset",
    "predict": "swtformer.stages.predict:predict",
    "predict_shards": "swtformer.stages.predict:predict_shards",
    "pseudo_label": "swtformer.stages.pseudo_label:pseudo_label",
    "pull": "swtformer.publishing.hub:pull",
    "push": "swtformer.publishing.hub:push",
    "refine": "swtformer.stages.refine:refine",
    "reproduce": "swtformer.stages.reproduce:reproduce",
    "run_stages": "swtformer.stages.chain:run_stages",
    "save_pretrained": "swtformer.methods.pretrained:save_pretrained",
    "segment": "swtformer.stages.segment:segment",
    "train": "swtformer.stages.train:train",
    # Not `report`: that is the package of the report's templates.
    "write_report": "swtformer.stages.report:report",
}
__all__ = sorted(["__version__", *_HOMES])


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
