"""Every setting once: typed sections, from which YAML files and command-line flags are derived."""

from swtformer.settings.reading import dump_settings, merge, read_settings, validate
from swtformer.settings.sections import (
    DataSettings,
    EvaluateSettings,
    ExportSettings,
    LocalizeSettings,
    LossSettings,
    MaskSettings,
    ModelSettings,
    OptimisationSettings,
    PredictSettings,
    PseudoLabelSettings,
    RefineSettings,
    Section,
    SegmentSettings,
    Settings,
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
