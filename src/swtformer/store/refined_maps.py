"""Refined maps are stale once the maps that they were made from have changed."""

from __future__ import annotations

from swtformer.errors import SwtformerError
from swtformer.store.files import digest
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.notes import RefinedNotes, map_notes, read_notes
from swtformer.store.run import RefinedRun, Run


def maps_stamp(maps: ClassActivationMaps) -> str:
    """Fingerprint of one image's maps; `made_from` of the refined ones begins with it."""
    return digest(maps.made_by, maps.made_from)


def refined_notes(run: Run) -> RefinedNotes:
    """How a run's refined maps were made.

    Raises:
        SwtformerError: there are none, or refined.json is damaged.
    """
    notes = read_notes(run.refined_file, RefinedNotes)
    if notes is None:
        raise SwtformerError(f"{run.refined} holds no refined maps; make them with `swtformer refine`.")
    return notes


def require_refined_from_maps(run: Run) -> None:
    """Refuse a run's refined maps if `localize` has made other maps since.

    Raises:
        SwtformerError: there are none, or they are stale.
    """
    plain = Run(run.path)
    notes = refined_notes(run)
    if notes.maps_made_by != map_notes(plain).made_by:
        raise SwtformerError(
            f"{plain.refined} is stale: it was made from other maps than {plain.maps} holds now. Run "
            "`swtformer refine` again."
        )


def load_current(run: Run, id: str, *, made_by: str) -> ClassActivationMaps:
    """An image's maps, unless they are stale (`require_current`).

    Raises:
        SwtformerError: they are missing, damaged or stale.
    """
    maps = ClassActivationMaps.load(run.map_file(id))
    require_current(run, id, maps, made_by=made_by)
    return maps


def require_current(run: Run, id: str, maps: ClassActivationMaps, *, made_by: str) -> None:
    """Refuse an image's maps if others of the run are newer, or if the maps that they were refined from are.

    Args:
        run: a `RefinedRun` where they are refined maps.
        id: of the image.
        maps: loaded from `run.map_file(id)`.
        made_by: fingerprint that all maps of the run carry.

    Raises:
        SwtformerError: they are stale, or the maps that they were refined from are missing or damaged.
    """
    is_refined = isinstance(run, RefinedRun)
    command = "refine" if is_refined else "localize"
    stale = ""
    if maps.made_by != made_by:
        stale = f"was made by another model or with other settings than {run.maps_file} says"
    elif is_refined:
        plain = Run(run.path).map_file(id)
        if not maps.made_from.startswith(maps_stamp(ClassActivationMaps.load(plain))):
            stale = f"was made from other maps than {plain} holds now"
    if stale:
        raise SwtformerError(f"{run.map_file(id)} is stale: it {stale}. Run `swtformer {command}` again.")
