"""The model card: what a model is, what it was made from, how it scored, and what it is not good for.

The text is templates/card.md. It names no path and no command line of the machine.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Protocol

from jinja2 import Environment, PackageLoader
from torch import nn

from swtformer.errors import CheckpointError, SwtformerError
from swtformer.hub.access import find_model
from swtformer.label_sources import are_of_masks, are_of_outlines
from swtformer.settings import ImageSettings, Section
from swtformer.store.files import read_rows
from swtformer.store.models import Kind, saved_config
from swtformer.store.notes import network_notes, training_notes
from swtformer.store.run import Run
from swtformer.store.scores import read_held_out_scores, read_scores


class Described(Protocol):
    """A network that a card can be written for; see `swtformer.hub.model.HubModel`."""

    kind: ClassVar[Kind]
    classes: tuple[str, ...]
    images: ImageSettings

    def config(self) -> Section:
        """What it is rebuilt from."""

    def task(self) -> str:
        """What it does, in a sentence or two."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """All its parameters."""


def card_text(
    model: Described,
    *,
    name: str = "OWNER/NAME",
    license: str | None = None,
    run: str | os.PathLike[str] | None = None,
) -> str:
    """The card as Markdown, with the metadata that the hub reads.

    Args:
        model: the network.
        name: "owner/name" on the hub.
        license: identifier of the weights' licence ("apache-2.0"); None if none is stated.
        run: the run that trained the network; data, settings and scores are read from it. None if unknown.

    Raises:
        SwtformerError: `run` is not a run.
        CheckpointError: the run trained another network.
    """
    environment = Environment(
        loader=PackageLoader("swtformer.hub"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["basename"] = lambda path: Path(path).name
    environment.filters["cell"] = _cell
    config = model.config()
    return environment.get_template("card.md").render(
        name=name,
        license=license,
        task=model.task(),
        images=model.images.in_words(),
        is_network=model.kind == "segmentation",
        long_side_px=getattr(config, "long_side_px", None),
        has_background=getattr(config, "background", True),
        classes=model.classes,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        **({} if run is None else _facts(model, run)),
    )


def _facts(model: Described, run: str | os.PathLike[str]) -> dict[str, Any]:
    """What the run knows."""
    found = find_model(run, model.kind)
    trained, held = found.trained, saved_config(found.folder)["classes"]
    if trained is None:
        raise CheckpointError(f"{run}: is a model without its run, which the card is written from.")
    if held != list(model.classes):
        raise CheckpointError(
            f"{found.folder}: holds another model than the one that the card is for. Its classes are {held}, "
            f"not {list(model.classes)}."
        )
    # A segmentation network's folder is in the run that made its masks.
    labels_run = Run(trained.path.parent) if model.kind == "segmentation" else trained
    labels_from = training_notes(labels_run).labels_from or "not recorded"
    labels_are = "of masks" if are_of_masks(labels_from) else "by hand"
    if labels_from == "not recorded" or are_of_outlines(labels_from):
        labels_are = "unknown"
    is_network = model.kind == "segmentation"
    return {
        "notes": network_notes(trained),
        "settings": trained.settings(),
        "labels_from": labels_from,
        "labels_are": labels_are,
        "scores": read_held_out_scores(trained) if is_network else read_scores(trained.scores_file),
        "validation": None if is_network else _kept_validation(trained),
    }


def _kept_validation(trained: Run) -> dict[str, float | None] | None:
    """Validation mAP of the weights that were kept; None if none was measured."""
    if not trained.metrics_file.is_file():
        return None
    try:
        rows = [
            {name: _number(row.get(f"validation_{name}")) for name in ("map_per_class", "map_per_image")}
            for row in read_rows(trained.metrics_file)[1]
            if row.get("validation_map_per_class")
        ]
    except ValueError as error:
        raise SwtformerError(f"{trained.metrics_file}: expected numbers as scores ({error}).") from None
    measured = [row for row in rows if row["map_per_class"] is not None]
    if trained.settings().train.keep == "best" and measured:
        return max(measured, key=lambda row: row["map_per_class"] or 0.0) | {"chose_epoch": True}
    return rows[-1] if rows else None


def _number(text: str | None) -> float | None:
    """A number of metrics.csv; None if it is missing or undefined."""
    value = float(text or "nan")
    return value if math.isfinite(value) else None


def _cell(text: str) -> str:
    """Text that does not break a table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
