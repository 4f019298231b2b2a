"""Whether the segmentation network that a run holds is the one that the settings ask for."""

from __future__ import annotations

from swtformer.engine.training_folder import holds_weights
from swtformer.errors import SettingsError
from swtformer.settings import METHODS, Settings, differing
from swtformer.store.notes import network_notes
from swtformer.store.run import Run

SECTIONS = ("seed", "data", "segment")
"""Sections of the settings that decide the weights of a segmentation network."""


def require_same_network(run: Run, settings: Settings) -> None:
    """Refuse settings under which the segmentation network that is there would have been another one.

    Besides the settings of its training, these are the settings of the maps and pseudo-masks that it was
    trained on, as its training noted them: the current files may be newer. Without a checkpoint or finished
    network nothing is refused.

    Raises:
        SettingsError: they differ; the message names them and the folder to remove.
    """
    trained = Run(run.segmentation)
    if not holds_weights(trained):
        return
    changed = differing(trained.settings().shaping(*SECTIONS), settings.shaping(*SECTIONS))
    made_with = network_notes(trained).masks_made_with
    if settings.segment.masks is None and made_with is not None:
        changed += differing(made_with, settings_of_masks(settings))
    if changed:
        raise SettingsError(
            f"{trained.path} holds a network of other settings: {', '.join(changed)}. Remove this folder, or "
            "move it elsewhere to keep it, and the network is retrained; what the stages before it made is "
            "kept as far as it is current. To go on with this network, run the stages one by one."
        )


def settings_of_masks(settings: Settings) -> dict[str, object]:
    """The settings that shape the pseudo-masks of a run that goes through all stages, each `auto` settled."""
    start = settings.refine.source
    if start == "auto":
        start = "rcam" if "rcam" in METHODS[settings.model.method].makes else "cam"
    source = "refined" if settings.pseudo_label.source == "auto" else settings.pseudo_label.source
    sections = {
        "refine": settings.refine.model_copy(update={"source": start}),
        "pseudo_label": settings.pseudo_label.model_copy(update={"source": source}),
    }
    refining = ("refine", "refiner") if source == "refined" else ()
    return settings.model_copy(update=sections).shaping("localize", *refining, "pseudo_label")
