"""Rows of the paper's tables, read from `configs/reproduce`: how each is trained, and what was published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from swtformer.errors import SettingsError, nearest
from swtformer.settings import Section, Settings, merge, read_yaml, shipped_configs, validate
from swtformer.settings.registry import REGISTRIES
from swtformer.settings.sections import CHOSEN_BY

TableName = Literal["table1", "table2", "table3"]

FigureName = Literal["figure1", "figure4"]

FOLDER = "reproduce"

OPTIONS = {"method", "refiner"}
"""Sections of the options of a plug-in that a row chooses."""

PUBLISHED_IMAGES = {"table1": 1449, "table2": 1464, "table3": 1464}
"""Images behind the published figures: PASCAL VOC 2012 val for mAP, train for seeds."""

TRAINED_IMAGES = 10_582
"""Images of PASCAL VOC 2012 trainaug, which all rows were trained on."""

PUBLISHED_ON = {
    "table1": "PASCAL VOC 2012 val",
    "table2": "PASCAL VOC 2012 train",
    "table3": "PASCAL VOC 2012 train",
}


class Published(Section):
    """A published figure, and what of ours stands beside it."""

    value: Annotated[float, Field(gt=0, le=100)] | None = None
    """mIoU, or mAP for maps `classifier`, in percent; nothing was published where None."""
    maps: Literal["cam", "rcam", "refined", "classifier"]
    """Maps of ours that are scored, or the classifier."""
    row: str | None = None
    """Row whose run is scored, such as that of the plain CAM; by default the row itself."""
    method: dict[str, Any] = Field(default_factory=dict)
    """Options of the method that maps are made with, where they differ from those of the training."""
    note: str = ""
    """What the figure is of, where the table does not say it."""


class RowSettings(Section):
    """The section `row` of a row's file."""

    title: str
    """The method, as in the table."""
    pretraining: str
    """What the published weights were trained on before."""
    table1: Published | None = None
    """mAP of the image labels."""
    table2: Published | None = None
    """Seed as the paper's Table 2 has it, which for some rows is a plain CAM."""
    table3: Published | None = None
    """Seed as the ablation has it."""
    full: Published | None = None
    """The whole method, from its own paper or repository."""
    departures: str = ""
    """Where this training differs from the published one."""


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        name: of its file, and of its folder.
        about: what was published.
        values: its settings, plain nested values; only what the file holds.
    """

    name: str
    about: RowSettings
    values: dict[str, Any]

    def settings(self, flags: dict[str, Any], *, seed: int) -> Settings:
        """The settings of its run.

        Args:
            flags: plain nested values that stand above the row's. Options that its method or its refiner does
                not have are those of other rows.
            seed: of the training.
        """
        chosen = validate(Settings, merge(self.values, merge(flags, {"seed": seed})), where=self.name)
        for section in OPTIONS & flags.keys():
            options = getattr(chosen, section)
            for name in flags[section].keys() - _option_names(chosen, section):
                del options[name]
        return chosen

    def published(self, column: str) -> Published | None:
        """The figure of a table or of `full`."""
        found: Published | None = getattr(self.about, column)
        return found


ORDER: dict[TableName, tuple[str, ...]] = {
    "table1": ("mctformer_v1", "mctformer_v2", "swtformer_v1", "swtformer_v2"),
    "table2": (
        "psa",
        "irn",
        "seam",
        "sc_cam",
        "sipe",
        "mctformer_v1",
        "mctformer_v2",
        "transcam",
        "swtformer_v1",
        "swtformer_v2",
        "mctformer_plus",
        "swtformer_v3",
    ),
    "table3": ("swtformer_v1", "swtformer_v2_gsc", "swtformer_v2"),
}
"""Rows of each table, from top to bottom; the last two of Table 2 are not in the paper. Figure 1 has files of
its own in the same folder."""


def require_known(rows: Sequence[Row], flags: dict[str, Any]) -> None:
    """Refuse options of methods and refiners that none of the rows has.

    Raises:
        SettingsError: naming the option.
    """
    for section in OPTIONS & flags.keys():
        known = set().union(*(_option_names(row.settings(flags, seed=0), section) for row in rows))
        for name in flags[section].keys() - known:
            raise SettingsError(f"No row has an option {section}.{name}. {nearest(name, known)}")


def _option_names(settings: Settings, section: str) -> set[str]:
    """Names of the options that the method or the refiner of a run has."""
    owner, field = CHOSEN_BY[section]
    return set(REGISTRIES[section][getattr(getattr(settings, owner), field)].settings_type.model_fields)


def read_row(path: Path) -> Row:
    """A row's file.

    Raises:
        SettingsError: it is missing, or holds unknown keys or wrong values.
    """
    values = read_yaml(path)
    about = values.pop("row", None)
    if not isinstance(about, dict):
        raise SettingsError(f"{path}: expected a section 'row:' with the published figures.")
    checked = validate(Settings, values, where=str(path)).model_dump(exclude_unset=True, mode="json")
    return Row(path.stem, validate(RowSettings, about, where=f"{path}: row"), checked)


def rows_of(table: TableName, only: tuple[str, ...] = ()) -> list[Row]:
    """The rows of a table, in its order.

    Args:
        table: which.
        only: names of rows to take; all where empty.

    Raises:
        SettingsError: a name is not a row of the table.
    """
    for name in only:
        if name not in ORDER[table]:
            raise SettingsError(f"{table} has no row {name!r}. {nearest(name, ORDER[table])}")
    return read_rows([name for name in ORDER[table] if not only or name in only])


def read_rows(names: Sequence[str]) -> list[Row]:
    """Rows by their names, which must exist."""
    files = {path.stem: path for path in shipped_configs(FOLDER)}
    return [read_row(files[name]) for name in names]
