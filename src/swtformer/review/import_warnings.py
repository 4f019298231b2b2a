"""What an import finds in masks that came back, and how the user is told once for the file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from swtformer.errors import DataError
from swtformer.exporters import Correction
from swtformer.review.merge_masks import Merged

SHOWN = 5
"""Ids that a warning names."""


class Findings:
    """Collects what is remarkable in the masks of one file."""

    def __init__(self, file: Path, origin: Path) -> None:
        """Begin with nothing.

        Args:
            file: what is imported.
            origin: folder of the masks before any correction.
        """
        self._file = file
        self._origin = origin
        self._merged: dict[str, Merged] = {}
        self._told = False

    def add(self, correction: Correction, merged: Merged) -> None:
        """Note one mask."""
        self._merged[correction.id] = merged
        self._told = self._told or correction.provenance is not None

    def refuse_unclear(self) -> None:
        """Refuse a file that does not say whether its export dropped 255, where it looks as if it did.

        Raises:
            DataError: all pixels with 255 came back as background.
        """
        undecided = sum(item.undecided for item in self._merged.values())
        if not self._told and undecided and undecided == sum(item.stripped for item in self._merged.values()):
            raise DataError(
                f"{self._file}: all {undecided:,} pixels with 255 came back as background. Were the masks "
                "exported with --export.ignored drop? Then say --ignored drop, and they stay 255. If they "
                "were erased by hand, say --ignored keep."
            )

    def warnings(self, *, marked: Collection[str], has_making: bool) -> list[str]:
        """Sentences for the user.

        Args:
            marked: ids of the masks that the review of the present making marked for correction.
            has_making: whether the masks before correction are pseudo-masks, which may be made anew.
        """
        start_over = f"--base {self._origin.name} starts over"
        warnings = []
        if ids := self._which("is_emptied"):
            warnings.append(
                f"{len(ids)} images come back all background, though their masks had classes: "
                f"{_listed(ids)}. Was anything drawn in them?"
            )
        if ids := self._which("is_outdated"):
            warnings.append(
                f"{len(ids)} masks are in the file without what an earlier import corrected in them: "
                f"{_listed(ids)}. These corrections are kept; {start_over}."
            )
        if ids := self._which("conflicts"):
            pixels = sum(self._merged[id].conflicts for id in ids)
            warnings.append(
                f"{pixels:,} pixels in {len(ids)} masks were corrected before, and otherwise in this file: "
                f"{_listed(ids)}. The values of the file were taken; import the other file again to take "
                "its values."
            )
        if ids := self._which("is_foreign"):
            warnings.append(
                f"{len(ids)} masks were exported from pseudo-masks of another making and changed since: "
                f"{_listed(ids)}. They were taken whole, with what nobody touched in them. To correct the "
                "present pseudo-masks, export these again."
            )
        if has_making and not self._told and self._all_differ(marked):
            warnings.append(
                f"Each of the {len(self._merged)} masks in the file differs from the run's, and the file "
                "does not say what it was exported from. If the pseudo-masks were made anew since that "
                "export, what nobody touched counts as corrected: export again and correct those."
            )
        return warnings

    def _which(self, finding: str) -> list[str]:
        return [id for id, merged in self._merged.items() if getattr(merged, finding)]

    def _all_differ(self, marked: Collection[str]) -> bool:
        """Whether every mask was changed, though nobody marked them all for correction."""
        ids = self._merged.keys()
        return len(ids) > 1 and not ids <= set(marked) and all(item.changed for item in self._merged.values())


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(ids[:SHOWN]) + (", …" if len(ids) > SHOWN else "")
