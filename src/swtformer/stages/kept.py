"""What is asked for against what a run already holds: what may be kept, and what must be refused early."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from swtformer.errors import SettingsError
from swtformer.refiners import REFINERS
from swtformer.run import Run, read_json
from swtformer.settings import LocalizeSettings, PseudoLabelSettings, RefineSettings, Section, Settings
from swtformer.stages.run_folder import changed_settings, holds_weights
from swtformer.stages.segment import FREE_TO_CHANGE

_SETTLED_BY_THE_STAGE = (None, "auto")
"""Settings of these values say nothing about what is there."""
_RULES = {"margin": ("margin",), "thresholds": ("low", "high"), "keep": ("keep",)}
"""Settings of pseudo-labels that each rule follows."""


def require_same_network(run: Run, settings: Settings) -> None:
    """Refuse settings under which a segmentation network that is there would have been another one.

    Besides the settings of its training, these are the settings of the maps and pseudo-masks that it was
    trained on. Without a checkpoint or finished network nothing is refused.

    Raises:
        SettingsError: they differ; the message names them and the folder to remove.
    """
    trained = Run(run.segmentation)
    if not holds_weights(trained):
        return
    changed = changed_settings(
        trained.settings(), settings, sections=("data", "segment"), free=FREE_TO_CHANGE
    )
    if settings.segment.masks is None:
        changed += _changed_masks(run, settings)
    if changed:
        raise SettingsError(
            f"{trained.path} holds a network of other settings: {', '.join(changed)}. Remove this folder to "
            "train the network anew; what the stages before it made is kept as far as it is still right."
        )


def changed_rule(run: Run, settings: PseudoLabelSettings) -> list[str]:
    """Names of settings, such as "pseudo_label.rule", that a run's pseudo-masks were not made with."""
    names = ("source", "rule", *_RULES[settings.rule])
    return _changed(run.pseudo_masks_file, settings, "pseudo_label", names)


def _changed_masks(run: Run, settings: Settings) -> list[str]:
    changed = _changed(run.maps_file, settings.localize, "localize", _shaping_maps(settings.localize))
    if settings.pseudo_label.source != "maps":
        names = _shaping_refined(run, settings.refine)
        changed += _changed(run.refined_file, settings.refine, "refine", names)
    return changed + changed_rule(run, settings.pseudo_label)


def _shaping_maps(settings: LocalizeSettings) -> Iterable[str]:
    threshold = ("class_threshold",) if settings.classes == "predicted" else ()
    return ("scales", "flip", "classes", *threshold, "seeds", "stride")


def _shaping_refined(run: Run, settings: RefineSettings) -> Iterable[str]:
    own = REFINERS[settings.method].shaped_by
    from_cams = run.refined_file.is_file() and read_json(run.refined_file).get("source") == "cam"
    return (
        "method",
        "source",
        *(("background_power",) if from_cams else ()),
        *(name for name in RefineSettings.model_fields if name.startswith(own)),
    )


def _changed(file: Path, settings: Section, section: str, names: Iterable[str]) -> list[str]:
    """Which settings differ from those that a result's file of facts tells; none where there is no file."""
    facts: Mapping[str, Any] = read_json(file) if file.is_file() else {}
    wanted = settings.model_dump(mode="json")
    return [
        f"{section}.{name}"
        for name in names
        if name in facts and wanted[name] not in _SETTLED_BY_THE_STAGE and facts[name] != wanted[name]
    ]
