"""Every setting once: typed sections, from which YAML files and command-line flags are derived."""

from swtformer.settings.base import OptimisationSettings, Section
from swtformer.settings.images import UNDECIDED, ImageSettings, channels
from swtformer.settings.later_stages import (
    ExportSettings,
    PredictSettings,
    PseudoLabelSettings,
    RefineSettings,
    SegmentSettings,
)
from swtformer.settings.reading import (
    dump_settings,
    parse_yaml,
    read_settings,
    read_yaml,
    shipped_configs,
)
from swtformer.settings.registry import (
    EXPORTERS,
    METHODS,
    READERS,
    REFINERS,
    REGISTRIES,
    NoSettings,
    Registry,
)
from swtformer.settings.sections import CHOSEN_BY, Settings
from swtformer.settings.shaping import AFTER_FIT, NEUTRAL, OnlyWith, differing, shaping
from swtformer.settings.stage_one import (
    DataSettings,
    EvaluateSettings,
    LocalizeSettings,
    MaskSettings,
    ModelSettings,
    TrainSettings,
)
from swtformer.settings.validation import merge, validate

__all__ = [
    "AFTER_FIT",
    "CHOSEN_BY",
    "EXPORTERS",
    "METHODS",
    "NEUTRAL",
    "READERS",
    "REFINERS",
    "REGISTRIES",
    "UNDECIDED",
    "DataSettings",
    "EvaluateSettings",
    "ExportSettings",
    "ImageSettings",
    "LocalizeSettings",
    "MaskSettings",
    "ModelSettings",
    "NoSettings",
    "OnlyWith",
    "OptimisationSettings",
    "PredictSettings",
    "PseudoLabelSettings",
    "RefineSettings",
    "Registry",
    "Section",
    "SegmentSettings",
    "Settings",
    "TrainSettings",
    "channels",
    "differing",
    "dump_settings",
    "merge",
    "parse_yaml",
    "read_settings",
    "read_yaml",
    "shaping",
    "shipped_configs",
    "validate",
]
