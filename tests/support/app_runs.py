"""A run with an untrained model of each kind, pseudo-masks and a review queue, for the app."""

from __future__ import annotations

import socket
from pathlib import Path

import torch

from support.masked_squares import draw_run
from support.models import CLASSES, tiny
from swtformer.methods.pretrained import save_pretrained
from swtformer.segmentation import create_network
from swtformer.settings import SegmentSettings, Settings
from swtformer.store.run import Run

CONFIDENCES = {"2": 0.1, "0": 0.4, "3": 0.6, "1": 0.9}
"""Of the images in the queue, as in review.csv."""


def draw_app_run(folder: Path, *, with_network: bool = True) -> Run:
    """A V2 run of noisy squares whose queue is 2, 0, 3, 1."""
    run, _ = draw_run(folder, count=4)
    model = tiny("swtformer_v2")
    save_pretrained(model, run.model)
    run.write_settings(Settings.model_validate({"model": model.settings.model_dump()}))
    write_queue(run)
    if with_network:
        torch.manual_seed(0)
        settings = SegmentSettings(decoder="segformer", long_side_px=None)
        network = create_network(settings, CLASSES, start=tiny("swtformer_v1"))
        network.eval().write(run.segmentation / "model")
    return run


def write_queue(run: Run) -> None:
    """review.csv as `pseudo_label` writes it."""
    lines = [f"{id},{confidence},{confidence},,0.25" for id, confidence in CONFIDENCES.items()]
    header = "id,confidence,certainty,agreement,undecided"
    run.review_file.write_text("\n".join([header, *lines]) + "\n")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
