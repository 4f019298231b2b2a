"""What is asked for against what a run already holds: what may be kept, and what must be refused early."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from swtformer.engine.training_folder import changed_settings, holds_weights, settings_of_training
from swtformer.errors import SettingsError
from swtformer.refiners import REFINERS
from swtformer.settings import LocalizeSettings, PseudoLabelSettings, RefineSettings, Section, Settings
from swtformer.stages.segment import FREE_TO_CHANGE, SECTIONS
from swtformer.store.files import read_json
from swtformer.store.run import Run

_SETTLED_BY_THE_STAGE = {
    "refine.source": "auto",
    "refine.background_power": None,
    "refine.walk_steps": None,
    "pseudo_label.source": "auto",
}
"""Values that leave it to the stage to find one out, and so say nothing about what is there."""
_RULES = {"margin": ("margin",), "thresholds": ("low", "high"), "keep": ("keep",)}
"""Settings of pseudo-labels that each rule follows."""


def require_same_network(run: Run, settings: Settings) -> None:
    """Refuse settings under which a segmentation network that is there would have been another one.

    Besides the settings of its training, these are the settings of the maps and pseudo-masks that it was
    trained on, as its training noted them: the files that are there now may have been made anew since.
    Without a checkpoint or finished network nothing is refused.

    Raises:
        SettingsError: they differ; the message names them and the folder to remove.
    """
    trained = Run(run.segmentation)
    if not holds_weights(trained):
        return
    changed = changed_settings(
        settings_of_training(trained), settings, sections=SECTIONS, free=FREE_TO_CHANGE
    )
    if settings.segment.masks is None:
        changed += _changed_masks(trained.environment().get("masks_made_with") or {}, settings)
    if changed:
        raise SettingsError(
            f"{trained.path} holds a network of other settings: {', '.join(changed)}. Remove this folder to "
            "train the network anew; what the stages before it made is kept as far as it is still right."
        )


def changed_rule(run: Run, settings: PseudoLabelSettings) -> list[str]:
    """Names of settings, such as "pseudo_label.rule", that a run's pseudo-masks were not made with."""
    return _changed_rule(read_json(run.pseudo_masks_file), settings)


def _changed_masks(made_with: Mapping[str, Mapping[str, Any]], settings: Settings) -> list[str]:
    """Which settings differ from those that masks were made with; of a section not noted, none."""
    maps, refined = made_with.get("localize", {}), made_with.get("refine", {})
    changed = _changed(maps, settings.localize, "localize", _shaping_maps(settings.localize))
    if settings.pseudo_label.source != "maps":
        names = _shaping_refined(refined, settings.refine)
        changed += _changed(refined, settings.refine, "refine", names)
    rule = settings.pseudo_label
    if rule.source == "auto":  # `run` refines before it makes masks
        rule = rule.model_copy(update={"source": "refined"})
    return changed + _changed_rule(made_with.get("pseudo_label", {}), rule)


def _changed_rule(facts: Mapping[str, Any], settings: PseudoLabelSettings) -> list[str]:
    return _changed(facts, settings, "pseudo_label", ("source", "rule", *_RULES[settings.rule]))


def _shaping_maps(settings: LocalizeSettings) -> Iterable[str]:
    threshold = ("class_threshold",) if settings.classes == "predicted" else ()
    return ("scales", "flip", "classes", *threshold, "seeds", "stride")


def _shaping_refined(facts: Mapping[str, Any], settings: RefineSettings) -> Iterable[str]:
    own = REFINERS[settings.method].shaped_by
    return (
        "method",
        "source",
        *(("background_power",) if facts.get("source") == "cam" else ()),
        *(name for name in RefineSettings.model_fields if name.startswith(own)),
    )


def _changed(facts: Mapping[str, Any], settings: Section, section: str, names: Iterable[str]) -> list[str]:
    """Which settings differ from those that something was made with; none of those that are not noted."""
    wanted = settings.model_dump(mode="json")
    return [
        name
        for name, key in ((f"{section}.{key}", key) for key in names)
        if key in facts and facts[key] != wanted[key] and not _says_nothing(name, wanted[key])
    ]


def _says_nothing(name: str, value: Any) -> bool:
    return name in _SETTLED_BY_THE_STAGE and value == _SETTLED_BY_THE_STAGE[name]
