"""Refined maps hold only for the maps that they were made from: what tells that these are still the same."""

from __future__ import annotations

from swtformer.errors import SwtformerError
from swtformer.store.files import digest, read_json
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.run import Run


def maps_stamp(maps: ClassActivationMaps) -> str:
    """Equal for maps of one image by one model with equal settings; `made_from` of refined maps begins so."""
    return digest(maps.made_by, maps.made_from)


def require_refined_from_maps(run: Run) -> None:
    """Refuse refined maps that were made before `localize` made others.

    Args:
        run: with maps.json and refined.json.

    Raises:
        SwtformerError: they were, or one of the files is missing.
    """
    plain = Run(run.path)
    if read_json(plain.refined_file).get("maps_made_by") != read_json(plain.maps_file)["made_by"]:
        raise SwtformerError(
            f"{plain.refined} was made from other maps than those that {plain.maps} holds now; "
            "run `swtformer refine` again."
        )


def require_refined_from(run: Run, id: str, refined: ClassActivationMaps) -> None:
    """Refuse an image's refined maps where its maps are not those that they were made from.

    Raises:
        SwtformerError: they are not, or they are missing or damaged.
    """
    plain = Run(run.path)
    if not refined.made_from.startswith(maps_stamp(ClassActivationMaps.load(plain.map_file(id)))):
        raise SwtformerError(
            f"{plain.refined_map_file(id)} was made from other maps than {plain.map_file(id)} holds now; "
            "run `swtformer refine` again."
        )
