"""Every setting once: typed models from which the YAML files and the command-line flags are derived.

A default lives in its section and nowhere else. METHOD in the documentation says what each reading of the
paper means.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from swtformer.settings.base import Section
from swtformer.settings.field_help import describe_fields
from swtformer.settings.later_stages import (
    ExportSettings,
    PredictSettings,
    PseudoLabelSettings,
    RefineSettings,
    SegmentSettings,
)
from swtformer.settings.registry import REGISTRIES
from swtformer.settings.shaping import shaping
from swtformer.settings.stage_one import (
    DataSettings,
    EvaluateSettings,
    LocalizeSettings,
    MaskSettings,
    ModelSettings,
    TrainSettings,
)


def _plain(options: Any) -> Any:
    """Options as plain values; in Python they may be given in the plug-in's own type."""
    return options.model_dump(mode="json", exclude_unset=True) if isinstance(options, Section) else options


Options = Annotated[dict[str, Any], BeforeValidator(_plain)]
"""Options of a plug-in: plain values, which the plug-in's own type checks when it is used."""

CHOSEN_BY = {"method": ("model", "method"), "refiner": ("refine", "method"), "reader": ("data", "format")}
"""Section and setting that choose the plug-in whose options a section holds."""


class Settings(Section):
    """All sections; this is what a `--config` file and a run's settings.yaml hold."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of everything random."""
    data: DataSettings = Field(default_factory=DataSettings)
    reader: Options = Field(default_factory=dict)
    """Options of the reader that `data.format` names."""
    model: ModelSettings = Field(default_factory=ModelSettings)
    method: Options = Field(default_factory=dict)
    """Options of the method that `model.method` names."""
    train: TrainSettings = Field(default_factory=TrainSettings)
    localize: LocalizeSettings = Field(default_factory=LocalizeSettings)
    mask: MaskSettings = Field(default_factory=MaskSettings)
    evaluate: EvaluateSettings = Field(default_factory=EvaluateSettings)
    refine: RefineSettings = Field(default_factory=RefineSettings)
    refiner: Options = Field(default_factory=dict)
    """Options of the refiner that `refine.method` names."""
    pseudo_label: PseudoLabelSettings = Field(default_factory=PseudoLabelSettings)
    segment: SegmentSettings = Field(default_factory=SegmentSettings)
    predict: PredictSettings = Field(default_factory=PredictSettings)
    export: ExportSettings = Field(default_factory=ExportSettings)
    exporter: Options = Field(default_factory=dict)
    """Options of the format that masks are exported in."""

    def shaping(self, *sections: str) -> dict[str, Any]:
        """The settings of some sections that shape a result, as plain values by dotted name.

        Args:
            sections: their names; "seed" is one, and so are "method" and "refiner".

        Raises:
            SettingsError: an option does not exist or has a wrong value.
        """
        shaped: dict[str, Any] = {}
        for name in sections:
            if name == "seed":
                shaped[name] = self.seed
            else:
                shaped |= shaping(
                    self.plugin_options(name) if name in CHOSEN_BY else getattr(self, name), name
                )
        return shaped

    def plugin_options(self, section: str) -> Any:
        """The options of the plug-in that the settings choose, in its own type.

        Args:
            section: "method" or "refiner".

        Raises:
            SettingsError: an option does not exist or has a wrong value.
        """
        owner, field = CHOSEN_BY[section]
        return REGISTRIES[section].options(getattr(getattr(self, owner), field), getattr(self, section))


describe_fields(Section)  # once all sections are there
