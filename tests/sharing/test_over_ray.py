"""Work over a local Ray: order, a worker that is killed, errors."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from support.dying_maps import DyingMapMaking
from support.launched import files_below
from support.ray_clusters import MARKS
from support.ray_clusters import two_workers as two_workers
from support.squares import draw_squares, quick_settings
from support.works import KilledOnce, Refusing, Squaring
from swtformer.datasets.records import ImageSet, Record
from swtformer.errors import NonFiniteError, SwtformerError
from swtformer.methods import create_model
from swtformer.methods.pretrained import save_pretrained
from swtformer.settings import ModelSettings, PredictSettings
from swtformer.sharing import open_team
from swtformer.sharing.base import Team
from swtformer.stages.evaluate import evaluate
from swtformer.stages.localize import localize
from swtformer.stages.predict import predict
from swtformer.stages.refine import refine
from swtformer.store.files import write_json
from swtformer.store.masks import write_mask
from swtformer.store.run import Run

pytestmark = MARKS


@pytest.fixture
def team(two_workers: None) -> Team:
    return open_team("local")


def test_results_come_in_order_though_a_worker_is_killed(team: Team, tmp_path: Path) -> None:
    items, told = list(range(70)), []
    (tmp_path / "made").mkdir()
    work = KilledOnce(Squaring(tmp_path / "made"), 30, tmp_path / "killed")
    results = list(team.divided(work, items, told.append))
    assert [square for square, _ in results] == [item**2 for item in items]
    owners = {owner for _, owner in results}
    assert os.getpid() not in owners
    assert int((tmp_path / "killed").read_text()) not in {owner for _, owner in results[30:33]}
    assert told == sorted(told)
    assert told[-1] == 70
    assert list(team.divided(work, [])) == []
    assert team.agreed(lambda: "yes") == "yes"
    from ray.data import DataContext

    assert not DataContext.get_current().execution_options.preserve_order  # a pipeline of the user's own


def test_a_refusal_is_raised_here(team: Team) -> None:
    results = team.divided(Refusing(3), [1, 2, 3, 4])
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(NonFiniteError, match="3 is not finite"):
        next(results)


def test_a_full_disk_of_a_worker_is_told_in_one_line(team: Team, tmp_path: Path) -> None:
    with pytest.raises(SwtformerError, match=r"A worker of the Ray cluster failed: .*No such file"):
        list(team.divided(Squaring(tmp_path / "gone"), [1, 2]))


def _four_stages(folder: Path, data: ImageSet, *, ray: str | None) -> dict[str, bytes]:
    """What localize, refine, evaluate and predict write."""
    run = Run(folder)
    settings = quick_settings(refine={"accelerator": "cpu"}, data={"masks": str(data.root)})
    run.write_settings(settings)
    write_json(run.classes_file, data.classes)
    torch.manual_seed(0)
    model = create_model(
        ModelSettings(method="swtformer_v2", backbone="swin_nano", weights="none"), data.classes
    )
    save_pretrained(model, run.model)
    made = localize(run, data, ray=ray)
    assert (made.done, [failure.id for failure in made.failures]) == (12, ["broken"])
    assert refine(run, data, ray=ray).done == 12
    scores = evaluate(run, data, ray=ray)
    predicted = predict(run, data, folder / "predicted", settings=PredictSettings(precision="fp32"), ray=ray)
    made_files = files_below(run.maps) | files_below(run.refined) | files_below(predicted.masks)
    told = repr((vars(replace(scores, predictions="")), predicted.failures))
    return {**made_files, "told": told.encode()}


def test_stages_write_what_one_process_writes_though_a_worker_is_killed(
    two_workers: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = draw_squares(tmp_path)
    rng = np.random.default_rng(0)
    records = []
    for record in data.records:
        path = tmp_path / "truth" / f"{record.id}.png"
        write_mask(path, rng.integers(0, 3, (40, 48), dtype=np.uint8))
        records.append(replace(record, mask=path))
    (tmp_path / "broken.png").write_bytes(b"no image")
    records.insert(4, Record("broken", tmp_path / "broken.png", (0,)))
    data = replace(data, records=tuple(records))
    one = _four_stages(tmp_path / "one", data, ray=None)
    monkeypatch.setattr("swtformer.stages.localize.data_set.MapMaking", DyingMapMaking)
    assert _four_stages(tmp_path / "two", data, ray="local") == one
    assert int((tmp_path / "two" / "killed").read_text()) != os.getpid()


def test_without_ray_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SwtformerError, match=r"pip install 'swtformer\[ray\]'"):
        open_team("auto")


def test_a_cluster_that_is_not_there() -> None:
    pytest.importorskip("ray")
    import ray

    ray.shutdown()
    with pytest.raises(SwtformerError, match="No Ray cluster is reached at 'auto'"):
        open_team("auto")
