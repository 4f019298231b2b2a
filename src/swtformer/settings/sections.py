"""Every setting once: typed models from which the YAML files and the command-line flags are derived.

A default lives in its section and nowhere else. METHOD in the documentation says what each reading of the
paper means.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from swtformer.settings.base import Section
from swtformer.settings.field_help import describe_fields
from swtformer.settings.later_stages import (
    ExportSettings,
    PredictSettings,
    PseudoLabelSettings,
    RefineSettings,
    SegmentSettings,
)
from swtformer.settings.stage_one import (
    DataSettings,
    EvaluateSettings,
    LocalizeSettings,
    LossSettings,
    MaskSettings,
    ModelSettings,
    TrainSettings,
)


class Settings(Section):
    """All sections; this is what a `--config` file and a run's settings.yaml hold."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of everything random."""
    data: DataSettings = Field(default_factory=DataSettings)
    model: ModelSettings = Field(default_factory=ModelSettings)
    loss: LossSettings = Field(default_factory=LossSettings)
    train: TrainSettings = Field(default_factory=TrainSettings)
    localize: LocalizeSettings = Field(default_factory=LocalizeSettings)
    mask: MaskSettings = Field(default_factory=MaskSettings)
    evaluate: EvaluateSettings = Field(default_factory=EvaluateSettings)
    refine: RefineSettings = Field(default_factory=RefineSettings)
    pseudo_label: PseudoLabelSettings = Field(default_factory=PseudoLabelSettings)
    segment: SegmentSettings = Field(default_factory=SegmentSettings)
    predict: PredictSettings = Field(default_factory=PredictSettings)
    export: ExportSettings = Field(default_factory=ExportSettings)


describe_fields(Section)  # once all sections are there
