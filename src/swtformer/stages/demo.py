"""The demo: the whole way from labelled images to a report, on drawn images, in a few minutes."""

from __future__ import annotations

from pathlib import Path

from swtformer.datasets import open_dataset
from swtformer.datasets.shapes import draw_shapes
from swtformer.progress import Progress, shown
from swtformer.progress_view import shows_progress
from swtformer.settings import Settings, validate
from swtformer.stages.evaluate import evaluate
from swtformer.stages.localize import localize
from swtformer.stages.mask import mask
from swtformer.stages.report import report
from swtformer.stages.train import train
from swtformer.store.run import Run

IMAGES = 800
SIDE_PX = 96
EPOCHS = 16

SETTINGS = {
    "data": {"format": "shapes", "split": "train", "validation_split": "val"},
    "model": {
        "method": "swtformer_v2",
        "backbone": "swin_nano",
        "weights": "none",
        "drop_path": 0.0,
    },
    "method": {"kernel": 3, "background_weight": 0.7, "fusion_multiplier": 1.0},
    "train": {
        "epochs": EPOCHS,
        "learning_rate": 8e-4,
        "head_multiplier": 1.0,
        "crop_px": SIDE_PX,
        "long_side_px": [90, 110],
        "warmup_fraction": 0.1,
        "workers": 0,
    },
    "localize": {"long_side_px": None, "scales": [4.0]},
    "segment": {
        "decoder": "segformer",
        "epochs": 8,
        "learning_rate": 8e-4,
        "head_multiplier": 1.0,
        "crop_px": SIDE_PX,
        "long_side_px": None,
        "scale": [0.75, 1.5],
        "workers": 0,
    },
}
"""A small Swin from scratch: what suits two cores and a few minutes, not what suits photographs."""


@shows_progress
def demo(
    out: str | Path, *, seed: int = 0, images: int = IMAGES, epochs: int = EPOCHS, progress: Progress = shown
) -> Run:
    """Draw `shapes`, train V2 on their labels, make maps and masks of unseen images, score them, report.

    Called again with the same arguments, an interrupted demo is resumed.

    Args:
        out: run folder; the drawn images go into its folder `shapes`.
        seed: seed of the images and of the training.
        images: number of images; a fifth of them is not trained on and scored.
        epochs: passes over the training images.
        progress: called at every step.

    Returns:
        The run; its report is `run.report_file`.

    Raises:
        SettingsError: the folder holds a run that the demo did not make.
    """
    run = Run(Path(out))
    settings = validate(Settings, {**SETTINGS, "seed": seed}, where="demo")
    settings = settings.model_copy(update={"train": settings.train.model_copy(update={"epochs": epochs})})
    folder = draw_shapes(
        run.path / "shapes",
        count=images,
        size=(SIDE_PX, SIDE_PX),
        seed=seed,
        on_image=lambda done, total: progress("draw", done, total),
    )
    training = open_dataset(folder, settings.data)
    train(training, settings=settings, out=run.path, resume=run.settings_file.is_file(), progress=progress)
    unseen = open_dataset(folder, settings.data, split="val")
    localize(run, unseen, settings=settings, progress=progress)
    mask(run, settings=settings.mask, progress=progress)
    evaluate(run, unseen, settings=settings.evaluate, progress=progress)
    report(run, unseen, progress=progress)
    return run
