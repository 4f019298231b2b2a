"""Later rounds of `run`: whose maps they have, what is kept, and what people decided before."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from support.chain_data import draw_photos, quick_chain
from swtformer.app.study import Studio
from swtformer.datasets import open_dataset
from swtformer.datasets.mask_images import read_mask
from swtformer.errors import SettingsError, SwtformerError
from swtformer.exporters.fingerprints import fingerprint
from swtformer.review.decisions import decide, open_queue, rejected_ids
from swtformer.segmentation.pretrained import load_network
from swtformer.settings import Settings
from swtformer.stages.chain import ChainResult, run_stages
from swtformer.stages.mask import mask
from swtformer.stages.predict import predict
from swtformer.stages.rounds import begin_round, carry_over, require_current
from swtformer.stages.segment import segment
from swtformer.store.corrections import Corrections, read_corrections, write_corrections
from swtformer.store.files import sha256
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.masks import write_mask
from swtformer.store.models import WEIGHTS, finished_networks, newest_network
from swtformer.store.notes import PredictionNotes, network_notes, read_notes
from swtformer.store.pseudo_masks import version_of
from swtformer.store.run import Run


def begin_corrections(run: Run) -> None:
    """Copy a run's pseudo-masks to where corrected ones go."""
    for id in run.map_ids():
        write_mask(run.corrected_masks / f"{id}.png", read_mask(run.pseudo_mask_file(id)))


def run(table: Path, out: Path, settings: Settings, rounds: int) -> ChainResult:
    return run_stages(open_dataset(table, settings.data), settings=settings, out=out, rounds=rounds)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ChainResult]:
    """What three rounds, two of them with a network, made of a folder of photographs."""
    folder = tmp_path_factory.mktemp("rounds")
    table = draw_photos(folder)
    return folder, run(table, folder / "run", quick_chain(folder), rounds=3)


def test_a_round_has_stages_of_its_own(whole: tuple[Path, ChainResult]) -> None:
    _, result = whole
    assert [(step.stage, step.round) for step in result.steps] == [
        *((stage, 1) for stage in ("check", "train", "localize", "refine", "pseudo-label", "segment")),
        *((stage, 2) for stage in ("localize", "pseudo-label", "segment")),
        *((stage, 3) for stage in ("localize", "pseudo-label")),
        ("evaluate", 1),
        ("report", 1),
    ]
    later = [result.run.round(number) for number in (2, 3)]
    assert result.run.rounds() == later
    for one in later:
        assert len(one.map_ids()) == len(list(one.pseudo_masks.rglob("*.png"))) == 9


def test_its_maps_are_probabilities_of_the_network_before(whole: tuple[Path, ChainResult]) -> None:
    _, result = whole
    second = result.run.round(2)
    assert sha256(second.model / WEIGHTS) == sha256(Run(result.run.segmentation).model / WEIGHTS)
    for id in second.map_ids():
        maps = ClassActivationMaps.load(second.map_file(id))
        assert maps.rcam is not None
        np.testing.assert_allclose(maps.rcam.astype(np.float64).sum(0), 1, atol=5e-3)
        first = ClassActivationMaps.load(result.run.map_file(id))
        np.testing.assert_array_equal(maps.values, first.values)


def test_its_network_goes_on_from_the_network_before(whole: tuple[Path, ChainResult]) -> None:
    _, result = whole
    networks = finished_networks(result.run)
    assert [network.path.parent.name for network in networks] == ["run", "round-2"]
    assert newest_network(result.run) == networks[-1]
    before, after = (dict(load_network(network.path).named_parameters()) for network in networks)
    moved = [float((after[name] - value).detach().abs().max()) for name, value in before.items()]
    assert 0 < max(moved) < 0.01


def test_the_newest_network_predicts(whole: tuple[Path, ChainResult], tmp_path: Path) -> None:
    folder, result = whole
    predict(result.run, folder / "images", tmp_path / "out")
    notes = read_notes(tmp_path / "out" / "predictions.json", PredictionNotes)
    assert notes is not None
    assert notes.weights == sha256(Run(result.run.round(2).segmentation).model / WEIGHTS)


def test_every_round_is_scored_and_shown(whole: tuple[Path, ChainResult]) -> None:
    _, result = whole
    assert result.scores is not None
    assert [step.masks for step in result.scores.steps][6:] == [
        "round 2: maps of the network before",
        "round 2: pseudo-masks",
        "round 2: pseudo-masks",
        "round 2: segmentation network",
        "round 3: maps of the network before",
        "round 3: pseudo-masks",
        "round 3: pseudo-masks",
    ]
    page = result.run.report_file.read_text(encoding="utf-8")
    assert '<section id="rounds"' in page
    assert '<section id="changes"' in page
    assert "<code>run/round-2/segmentation/</code>" in page
    assert "Round 1 of " in page


def test_again_it_keeps_all_rounds_and_adds_one(whole: tuple[Path, ChainResult]) -> None:
    folder, result = whole
    again = run(folder / "labels.csv", result.run.path, quick_chain(folder), rounds=3)
    lines = {(step.stage, step.round): step.result for step in again.steps}
    for number in (1, 2, 3):
        assert lines["localize", number] == "maps of 0 images made, 9 kept"
        assert lines["pseudo-label", number] == "9 pseudo-masks kept"
    assert again.scores == result.scores


def test_stages_work_on_a_round_as_on_any_run(whole: tuple[Path, ChainResult]) -> None:
    assert mask(whole[1].run.round(2)).done == 9


@pytest.mark.parametrize(("rounds", "masks"), [(2, True), (0, False)])
def test_rounds_that_cannot_be(rounds: int, masks: bool, tmp_path: Path) -> None:
    settings = quick_chain(tmp_path, segment={"masks": tmp_path} if masks else {})
    with pytest.raises(SettingsError, match=rf"cannot be {rounds} rounds: .* segment\.masks"):
        run(draw_photos(tmp_path), tmp_path / "run", settings, rounds=rounds)


def test_a_round_of_another_network_or_of_other_settings_is_refused_before_any_work(
    whole: tuple[Path, ChainResult], tmp_path: Path
) -> None:
    folder, result = whole
    copy = Run(Path(shutil.copytree(result.run.path, tmp_path / "run")))
    longer = quick_chain(folder, segment={"epochs": 5})
    with pytest.raises(SettingsError, match=r"round-2 was made with other settings: segment\.epochs"):
        require_current(copy, copy.round(2), settings=longer)
    shutil.rmtree(copy.segmentation)
    with pytest.raises(SettingsError, match="round-2 was made from another network"):
        run(folder / "labels.csv", copy.path, quick_chain(folder), rounds=2)
    shutil.rmtree(copy.round(2).path)
    assert len(finished_networks(run(folder / "labels.csv", copy.path, quick_chain(folder), 2).run)) == 1


@pytest.mark.parametrize("number", [2, 3])
def test_the_app_shows_a_round(whole: tuple[Path, ChainResult], number: int) -> None:
    studio = Studio(whole[1].run.round(number))
    assert studio.classes == whole[1].run.classes()
    assert "network" in studio.sources


def test_a_round_needs_a_network(tmp_path: Path) -> None:
    with pytest.raises(SwtformerError, match="has no segmentation network"):
        begin_round(Run(tmp_path), Run(tmp_path / "round-2"), settings=Settings())


def test_corrections_of_masks_that_were_replaced_are_kept(
    whole: tuple[Path, ChainResult], tmp_path: Path
) -> None:
    copy = Run(Path(shutil.copytree(whole[1].run.path, tmp_path / "run")))
    last = copy.round(3)
    begin_corrections(last)
    notes = Corrections(base=last.pseudo_masks, corrected={last.map_ids()[0]: "own"}, version="older")
    write_corrections(last.corrected_masks, notes)
    with pytest.raises(SettingsError, match="corrections of pseudo-masks that have been replaced"):
        carry_over(copy.round(2), last)
    assert read_corrections(last.corrected_masks) == notes


def test_a_round_is_seen_at_the_size_that_it_is_trained_for(
    whole: tuple[Path, ChainResult], tmp_path: Path
) -> None:
    folder, result = whole
    before = load_network(result.run.round(2).model).settings
    settings = quick_chain(folder, segment={"long_side_px": 48})
    data = open_dataset(folder / "labels.csv", settings.data)
    trained = segment(result.run.round(2), data, settings=settings, out=tmp_path / "trained").trained
    assert before.long_side_px is None
    assert load_network(trained.model).settings.long_side_px == 48


def test_what_people_decide_later_carries_over_as_well(
    whole: tuple[Path, ChainResult], tmp_path: Path
) -> None:
    copy = Run(Path(shutil.copytree(whole[1].run.path, tmp_path / "run")))
    first, second = copy, copy.round(2)
    one, other, bad = first.map_ids()[:3]

    def correct(run: Run, id: str, value: int) -> None:
        earlier = read_corrections(run.corrected_masks)
        if earlier is None:
            begin_corrections(run)
        labels = np.full_like(read_mask(run.pseudo_mask_file(id)), value)
        write_mask(run.corrected_masks / f"{id}.png", labels)
        known = {} if earlier is None else earlier.corrected
        corrected = {**known, id: fingerprint(labels)}
        version = version_of(run.pseudo_masks)
        write_corrections(
            run.corrected_masks, Corrections(base=run.pseudo_masks, corrected=corrected, version=version)
        )

    decide(first, one, "reject", version=version_of(first.pseudo_masks))
    carry_over(first, second)
    correct(second, one, 3)
    correct(first, other, 2)
    decide(first, bad, "reject", version=version_of(first.pseudo_masks))
    carry_over(first, second)
    assert (read_mask(second.corrected_masks / f"{one}.png") == 3).all(), "this round's own stays"
    assert (read_mask(second.corrected_masks / f"{other}.png") == 2).all()
    assert rejected_ids(second, second.corrected_masks) == {bad}, "the round's own correction counts"
    corrections = read_corrections(second.corrected_masks)
    assert corrections is not None
    assert set(corrections.corrected) == {one, other}


def test_masks_that_somebody_put_into_a_round_stay(whole: tuple[Path, ChainResult], tmp_path: Path) -> None:
    copy = Run(Path(shutil.copytree(whole[1].run.path, tmp_path / "run")))
    last = copy.round(3)
    write_mask(last.corrected_masks / "own.png", np.ones((4, 4), np.uint8))
    carry_over(copy.round(2), last)
    before = copy.round(2)
    begin_corrections(before)
    notes = Corrections(base=before.pseudo_masks, corrected={before.map_ids()[0]: "own"}, version="any")
    write_corrections(before.corrected_masks, notes)
    with pytest.raises(SettingsError, match="Move this folder elsewhere"):
        carry_over(before, last)
    assert (last.corrected_masks / "own.png").is_file()


def test_a_round_that_was_trained_on_other_masks_stays_so(
    whole: tuple[Path, ChainResult], tmp_path: Path
) -> None:
    folder, result = whole
    copy = Run(Path(shutil.copytree(result.run.path, tmp_path / "run")))
    trained = Run(copy.round(2).segmentation)
    own = trained.settings()
    masks = own.segment.model_copy(update={"masks": tmp_path / "by hand"})
    trained.write_settings(own.model_copy(update={"segment": masks}))
    require_current(copy, copy.round(2), settings=quick_chain(folder))
    assert trained.settings().segment.masks == tmp_path / "by hand"


def test_what_people_decided_carries_over(whole: tuple[Path, ChainResult], tmp_path: Path) -> None:
    folder, result = whole
    first, second = result.run, result.run.round(2)
    queue = open_queue(first)
    drawn, rejected, bad = (queue.items[place].review.id for place in (0, 1, 2))
    decide(first, rejected, "reject", version=queue.items[1].version)
    labels = np.zeros_like(read_mask(first.pseudo_mask_file(drawn)))
    labels[:5] = 1
    begin_corrections(first)
    write_mask(first.corrected_masks / f"{drawn}.png", labels)
    version = version_of(first.pseudo_masks)
    corrected = {drawn: fingerprint(labels), bad: "worse"}
    write_corrections(
        first.corrected_masks, Corrections(base=first.pseudo_masks, corrected=corrected, version=version)
    )
    decide(first, bad, "reject", version="worse", reviewed="corrected_masks")
    for _ in range(2):
        carry_over(first, second)
    np.testing.assert_array_equal(read_mask(second.corrected_masks / f"{drawn}.png"), labels)
    np.testing.assert_array_equal(
        read_mask(second.corrected_masks / f"{rejected}.png"), read_mask(second.pseudo_mask_file(rejected))
    )
    corrections = read_corrections(second.corrected_masks)
    assert corrections is not None
    assert corrections.corrected == corrected
    assert rejected_ids(second, second.corrected_masks) == {rejected, bad}

    settings = quick_chain(folder, segment={"resume_anyway": True})
    again = run(folder / "labels.csv", first.path, settings, rounds=4)
    third = first.round(3)
    assert rejected_ids(first.round(4), first.round(4).corrected_masks) == {rejected, bad}
    assert network_notes(Run(third.segmentation)).supervision == "corrected"
    assert network_notes(Run(third.segmentation)).rejected_ids == tuple(sorted((rejected, bad)))
    assert again.scores is not None
    (scored,) = (step for step in again.scores.steps if step.masks == "round 3: segmentation network")
    assert scored.caution

    copy = Run(Path(shutil.copytree(first.path, tmp_path / "copy")))
    run(folder / "labels.csv", copy.path, settings, rounds=4)
    own = Run(copy.round(3).segmentation).settings().segment.masks
    assert own == copy.round(3).corrected_masks.resolve()
