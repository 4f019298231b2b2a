from pathlib import Path

import pytest

from swtformer.errors import SettingsError, SwtformerError
from swtformer.settings import Settings
from swtformer.store.files import write_json, write_text
from swtformer.store.notes import training_notes
from swtformer.store.run import RefinedRun, Run


def test_a_run_is_named_by_text_and_serves_as_a_path(tmp_path: Path) -> None:
    run = Run(str(tmp_path))
    assert run == Run(tmp_path) == Run(run)
    assert run.model == tmp_path / "model"
    assert Path(run) == tmp_path
    assert RefinedRun(run).maps == tmp_path / "refined"


def test_looking_at_a_run_creates_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    assert training_notes(run).data is None
    assert run.map_ids() == []
    assert not run.path.exists()
    with pytest.raises(SwtformerError, match="not a run folder: it has no settings"):
        run.settings()


def test_settings_and_classes_come_back(tmp_path: Path) -> None:
    run = Run(tmp_path)
    settings = Settings(seed=7)
    run.write_settings(settings)
    write_json(run.classes_file, ["cat", "dog"])
    assert run.settings() == settings
    assert run.classes() == ("cat", "dog")


def test_damaged_settings_name_the_file_and_the_key(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("sede: 3\n")
    with pytest.raises(
        SettingsError, match=r"settings\.yaml:\n  unknown setting 'sede'\. Did you mean 'seed'"
    ):
        Run(tmp_path).settings()


def test_map_ids_cover_sub_folders_and_odd_names(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for id in ("b", "a.1", "sub folder/ü", "maps"):
        write_text(run.map_file(id), "")
    write_json(run.maps_file, {})
    (run.maps / ".b.npz.xyz.tmp").touch()
    assert run.map_ids() == ["a.1", "b", "maps", "sub folder/ü"]
    assert run.mask_file("a.1") == tmp_path / "masks" / "a.1.png"


def test_a_refined_run_puts_refined_maps_in_the_place_of_maps(tmp_path: Path) -> None:
    run, refined = Run(tmp_path), RefinedRun(tmp_path)
    assert refined.map_file("a/b") == run.refined_map_file("a/b") == tmp_path / "refined" / "a" / "b.npz"
    assert refined.maps_file == run.refined_file
    assert refined.scores_file == run.refined / "scores.json" != run.scores_file
    assert refined.masks_file != run.masks_file
    assert refined.settings_file == run.settings_file


def test_folders_that_are_links_are_listed(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.maps.mkdir()
    run.checkpoints.symlink_to("/nowhere")
    assert run.linked_folders() == [run.checkpoints]


@pytest.mark.parametrize("content", ["5", "[1]", '{"a": 1}', "{"])
def test_damaged_classes_name_the_file(content: str, tmp_path: Path) -> None:
    (tmp_path / "classes.json").write_text(content)
    with pytest.raises(SwtformerError, match=r"classes\.json: "):
        Run(tmp_path).classes()


def test_a_later_round_knows_the_run_that_it_belongs_to(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.write_settings(Settings())
    assert run.rounds() == []
    run.round(2).write_settings(Settings())
    run.round(4).write_settings(Settings())
    assert run.rounds() == [run.round(2)]
    assert run.round(2).first == run
    assert run.first == run
    assert Run(tmp_path / "round-2").first == Run(tmp_path / "round-2")
