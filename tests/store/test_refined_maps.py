"""Refined maps are refused once the maps that they were made from have changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from swtformer.errors import SwtformerError
from swtformer.store.files import write_json
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.notes import RefinedNotes
from swtformer.store.refined_maps import maps_stamp, require_current, require_refined_from_maps
from swtformer.store.run import RefinedRun, Run

MAPS = ClassActivationMaps(
    values=np.array([1]),
    size=(8, 8),
    cam=np.ones((1, 2, 2)),
    refined=np.ones((2, 2, 2)),
    probabilities=np.zeros(1),
    made_by="model",
    made_from="image",
)


def test_the_stamp_follows_model_and_image() -> None:
    others = [replace(MAPS, made_by="another"), replace(MAPS, made_from="another")]
    assert maps_stamp(MAPS) == maps_stamp(replace(MAPS, cam=np.zeros((1, 2, 2))))
    assert len({maps_stamp(maps) for maps in (MAPS, *others)}) == 3


def test_a_run_whose_maps_were_made_again(tmp_path: Path) -> None:
    run = Run(tmp_path)
    write_json(run.maps_file, {"made_by": "model"})
    with pytest.raises(SwtformerError, match=r"no refined maps; .*`swtformer refine`"):
        require_refined_from_maps(run)
    notes = RefinedNotes(made_by="refiner", maps_made_by="model", method="par", source="rcam")
    write_json(run.refined_file, notes.model_dump(mode="json"))
    require_refined_from_maps(run)
    write_json(run.maps_file, {"made_by": "another"})
    with pytest.raises(SwtformerError, match=r"is stale: .* `swtformer refine` again"):
        require_refined_from_maps(run)


def test_an_image_whose_maps_were_made_again(tmp_path: Path) -> None:
    run, refined_run = Run(tmp_path), RefinedRun(tmp_path)
    refined = replace(MAPS, made_by="refiner", made_from=f"{maps_stamp(MAPS)} image")
    MAPS.save(run.map_file("a"))
    require_current(refined_run, "a", refined, made_by="refiner")
    replace(MAPS, made_from="another image").save(run.map_file("a"))
    with pytest.raises(SwtformerError, match=r"made from other maps .*`swtformer refine` again"):
        require_current(refined_run, "a", refined, made_by="refiner")


@pytest.mark.parametrize(("kind", "command"), [(Run, "localize"), (RefinedRun, "refine")])
def test_maps_of_another_model_are_stale(kind: type[Run], command: str, tmp_path: Path) -> None:
    require_current(Run(tmp_path), "a", MAPS, made_by="model")
    with pytest.raises(SwtformerError, match=f"another model .*`swtformer {command}` again"):
        require_current(kind(tmp_path), "a", MAPS, made_by="another")
