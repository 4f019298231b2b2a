"""Every setting once: typed sections, from which YAML files and command-line flags are derived."""

from swtformer.settings.base import OptimisationSettings, Section
from swtformer.settings.later_stages import (
    ExportSettings,
    PredictSettings,
    PseudoLabelSettings,
    RefineSettings,
    SegmentSettings,
)
from swtformer.settings.reading import dump_settings, merge, read_settings, validate
from swtformer.settings.sections import Settings
from swtformer.settings.stage_one import (
    DataSettings,
    EvaluateSettings,
    LocalizeSettings,
    LossSettings,
    MaskSettings,
    ModelSettings,
    TrainSettings,
)

__all__ = [
    "DataSettings",
    "EvaluateSettings",
    "ExportSettings",
    "LocalizeSettings",
    "LossSettings",
    "MaskSettings",
    "ModelSettings",
    "OptimisationSettings",
    "PredictSettings",
    "PseudoLabelSettings",
    "RefineSettings",
    "Section",
    "SegmentSettings",
    "Settings",
    "TrainSettings",
    "dump_settings",
    "merge",
    "read_settings",
    "validate",
]
