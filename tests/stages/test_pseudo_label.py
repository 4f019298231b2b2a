"""Pseudo-masks of drawn maps against a loop in NumPy, and the review queue."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from swtformer.errors import SettingsError, SwtformerError
from swtformer.settings import PseudoLabelSettings, RefineSettings, Settings
from swtformer.stages.pseudo_label import current_pseudo_masks, pseudo_label
from swtformer.stages.refine import refine
from swtformer.store.failures import read_failures
from swtformer.store.files import read_json, write_json
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.refined_maps import maps_stamp
from swtformer.store.run import RefinedRun, Run

IDS = ["a", "b", "none", "sub/c"]


def read(run: Run, id: str) -> np.ndarray:
    with Image.open(run.pseudo_mask_file(id)) as image:
        assert image.mode == "P"
        return np.asarray(image)


def shares(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    full = F.interpolate(torch.from_numpy(maps).float()[None], size, mode="bilinear")[0].numpy()
    return np.asarray(full / full.sum(0))


def refine_by_hand(drawn: Any, ids: list[str]) -> None:
    """Refined maps that are the R-CAMs squared."""
    for id in ids:
        maps = drawn.maps(id)
        refined = replace(maps, refined=maps.rcam**2, made_by="refiner", made_from=maps_stamp(maps))
        refined.save(drawn.run.refined_map_file(id))
    facts = {
        "made_by": "refiner",
        "maps_made_by": "model",
        "method": "par",
        "source": "rcam",
        "background_power": None,
    }
    write_json(drawn.run.refined_file, facts)


def test_margins_below_the_limit_are_undecided(draw: Callable[..., Any]) -> None:
    drawn = draw()
    result = pseudo_label(drawn.run, settings=PseudoLabelSettings(rule="margin", margin=0.3))
    assert (result.source, result.done, result.unrefined, result.failures) == ("maps", 4, 0, ())
    undecided = []
    for id in IDS:
        maps = drawn.maps(id)
        rising = np.sort(shares(maps.rcam, maps.size), axis=0)
        margins = rising[-1] - (rising[-2] if len(rising) > 1 else 0)
        labels = np.array([0, *maps.values])[shares(maps.rcam, maps.size).argmax(0)]
        labels[margins < 0.3] = 255
        assert (read(drawn.run, id) == labels).mean() > 0.999
        undecided.append((labels == 255).mean())
    assert 0 < undecided[0] < 1
    assert result.undecided == pytest.approx(np.mean(undecided), abs=1e-3)
    facts = read_json(drawn.run.pseudo_masks_file)
    assert (facts["source"], facts["rule"], facts["images"]) == ("maps", "margin", 4)
    assert facts["settings"]["pseudo_label.margin"] == 0.3


def test_thresholds_leave_the_middle_undecided(draw: Callable[..., Any]) -> None:
    drawn = draw()
    pseudo_label(drawn.run, settings=PseudoLabelSettings(rule="thresholds", low=0.3, high=0.7))
    maps = drawn.maps("sub/c")
    share = shares(maps.rcam, maps.size)[1]
    expected = np.where(share >= 0.7, maps.values[0], np.where(share <= 0.3, 0, 255))
    assert (read(drawn.run, "sub/c") == expected).mean() > 0.999


def test_each_label_keeps_its_part_over_all_images(draw: Callable[..., Any]) -> None:
    drawn = draw()
    pseudo_label(drawn.run, settings=PseudoLabelSettings(rule="margin", margin=0))
    before = {id: read(drawn.run, id).copy() for id in IDS}
    assert all(255 not in np.unique(labels) for labels in before.values())
    pseudo_label(drawn.run, settings=PseudoLabelSettings(rule="keep", keep=0.5))
    for label in (1, 2, 3):
        all_pixels = sum((before[id] == label).sum() for id in IDS)
        kept = sum((read(drawn.run, id) == label).sum() for id in IDS)
        assert kept / all_pixels == pytest.approx(0.5, abs=0.02)


def test_refined_maps_are_taken_where_there_are_some(draw: Callable[..., Any]) -> None:
    drawn = draw()
    refine_by_hand(drawn, ["a", "b", "none"])
    result = pseudo_label(drawn.run, settings=PseudoLabelSettings(rule="margin", margin=0.5))
    assert (result.source, result.done, result.unrefined) == ("refined", 3, 1)
    assert read_json(drawn.run.pseudo_masks_file)["method"] == "par"
    refined = read(drawn.run, "a").copy()
    assert (
        pseudo_label(drawn.run, settings=PseudoLabelSettings(rule="margin", source="maps", margin=0.5)).done
        == 4
    )
    assert (refined == 255).sum() < (read(drawn.run, "a") == 255).sum()


def test_masks_are_current_while_their_maps_and_rule_are_the_same(draw: Callable[..., Any]) -> None:
    drawn = draw()
    settings = PseudoLabelSettings(rule="margin", margin=0.5)
    assert current_pseudo_masks(drawn.run, settings=settings) is None
    pseudo_label(drawn.run, settings=settings)
    assert current_pseudo_masks(drawn.run, settings=settings) == 4
    assert (
        current_pseudo_masks(drawn.run, settings=PseudoLabelSettings(rule="margin", margin=0.5, keep=0.1))
        == 4
    )
    assert current_pseudo_masks(drawn.run, settings=PseudoLabelSettings(rule="margin", margin=0.4)) is None
    assert current_pseudo_masks(drawn.run, settings=PseudoLabelSettings(rule="keep")) is None
    refine_by_hand(drawn, IDS)
    assert current_pseudo_masks(drawn.run, settings=settings) is None
    pseudo_label(drawn.run, settings=settings)
    assert current_pseudo_masks(drawn.run, settings=settings) == 4
    by_hand = PseudoLabelSettings(rule="margin", source="refined", margin=0.5)  # what `auto` means now
    assert current_pseudo_masks(drawn.run, settings=by_hand) == 4
    from_maps = PseudoLabelSettings(rule="margin", source="maps", margin=0.5)
    assert current_pseudo_masks(drawn.run, settings=from_maps) is None


@pytest.mark.parametrize("lost", ["map", "mask", "review"])
def test_masks_are_stale_where_something_is_gone(draw: Callable[..., Any], lost: str) -> None:
    drawn = draw()
    pseudo_label(drawn.run)
    files = {
        "map": drawn.run.map_file("a"),
        "mask": drawn.run.pseudo_mask_file("a"),
        "review": drawn.run.review_file,
    }
    files[lost].unlink()
    assert current_pseudo_masks(drawn.run, settings=PseudoLabelSettings()) is None


def test_a_run_with_cams_alone_gets_the_label_free_background(draw: Callable[..., Any]) -> None:
    drawn = draw(rcam=False)
    result = pseudo_label(drawn.run, settings=PseudoLabelSettings(rule="margin", margin=0))
    assert set(np.unique(read(drawn.run, "a"))) == {0, 1}
    assert all(review.agreement is None for review in result.reviews)
    assert all(review.confidence == review.certainty for review in result.reviews)


def test_refinement_that_overturns_the_labels_lowers_the_confidence(draw: Callable[..., Any]) -> None:
    drawn = draw()
    refine_by_hand(drawn, IDS)
    before = {review.id: review for review in pseudo_label(drawn.run).reviews}
    assert before["sub/c"].agreement == 1  # squares leave the order of the maps as it is
    maps = drawn.maps("sub/c")
    turned = replace(maps, refined=maps.rcam[:, ::-1] ** 2, made_by="refiner", made_from=maps_stamp(maps))
    turned.save(drawn.run.refined_map_file("sub/c"))
    after = {review.id: review for review in pseudo_label(drawn.run).reviews}
    assert after["sub/c"].agreement is not None
    assert after["sub/c"].agreement < 0.9
    assert after["sub/c"].certainty == pytest.approx(before["sub/c"].certainty, abs=1e-3)
    assert after["sub/c"].confidence < before["sub/c"].confidence


def draw_photographs(drawn: Any) -> None:
    """Two tones with noise, whose edge is not that of the maps."""
    for seed, record in enumerate(drawn.data.records):
        height, width = drawn.maps(record.id).size
        pixels = np.random.default_rng(seed).normal(90, 12, (height, width, 3))
        pixels[:, width // 2 :] += 70
        record.image.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(record.image, quality=95)


def refined_by(drawn: Any, method: str) -> dict[str, np.ndarray]:
    """The labels that a refiner gives to the drawn photographs, undecided nowhere."""
    options = RefineSettings(method=method, source="rcam", accelerator="cpu")
    own = {"bilateral_rgb": 20} if method == "dense_crf" else {"iterations": 10}
    refine(drawn.run, drawn.data, settings=Settings(refine=options, refiner=own))
    labels = {}
    for id in IDS:
        maps = ClassActivationMaps.load(drawn.run.refined_map_file(id))
        labels[id] = np.array([0, *maps.values])[shares(maps.refined, maps.size).argmax(0)]
    return labels


def test_after_a_dense_crf_the_maps_before_it_say_what_is_sure(draw: Callable[..., Any]) -> None:
    drawn = draw()
    draw_photographs(drawn)
    chosen = refined_by(drawn, "dense_crf")
    result = pseudo_label(drawn.run, settings=PseudoLabelSettings(rule="margin", margin=0.3))
    reviews = {review.id: review for review in result.reviews}
    overturned = 0
    for id in IDS:
        maps = drawn.maps(id)
        before = shares(maps.rcam, maps.size)
        expected = np.empty(maps.size)
        margins = np.empty(maps.size)
        for place in np.ndindex(maps.size):
            known = dict(zip((0, *maps.values), before[:, *place], strict=True))
            own = known.pop(chosen[id][place])
            margins[place] = own - max(known.values(), default=0)
            expected[place] = chosen[id][place] if margins[place] >= 0.3 else 255
        assert (read(drawn.run, id) == expected).mean() > 0.999
        means = [
            margins[chosen[id] == label].clip(0).mean() if (chosen[id] == label).any() else 0
            for label in (0, *maps.values)
        ]
        assert reviews[id].certainty == pytest.approx(np.mean(means), abs=1e-3)
        overturned += (margins < 0).sum()
    assert overturned > 0


def test_a_dense_crf_leaves_about_as_much_undecided_as_averaging(draw: Callable[..., Any]) -> None:
    drawn = draw()
    draw_photographs(drawn)
    refined_by(drawn, "par")
    settings = PseudoLabelSettings(rule="margin")
    averaged = pseudo_label(drawn.run, settings=settings).undecided
    refined_by(drawn, "dense_crf")
    assert averaged > 0.1
    assert pseudo_label(drawn.run, settings=settings).undecided == pytest.approx(averaged, rel=0.5)
    assert pseudo_label(drawn.run, settings=PseudoLabelSettings(rule="thresholds")).undecided > 0.05


def test_after_a_dense_crf_each_label_keeps_its_part(draw: Callable[..., Any]) -> None:
    drawn = draw()
    draw_photographs(drawn)
    chosen = refined_by(drawn, "dense_crf")
    pseudo_label(drawn.run, settings=PseudoLabelSettings(rule="keep", keep=0.6, source="refined"))
    for label in (0, 1):
        all_pixels = sum((chosen[id] == label).sum() for id in IDS)
        kept = sum((read(drawn.run, id) == label).sum() for id in IDS)
        assert kept / all_pixels == pytest.approx(0.6, abs=0.02)


def test_after_a_dense_crf_certainty_tells_easy_from_hard(draw: Callable[..., Any]) -> None:
    drawn = draw()
    draw_photographs(drawn)
    for id, gap in (("a", 0.9), ("sub/c", 0.1)):
        maps = drawn.maps(id)
        right = np.arange(maps.rcam.shape[2]) >= maps.rcam.shape[2] // 2
        half = np.broadcast_to(np.where(right, 0.5 + gap / 2, 0.5 - gap / 2), maps.rcam.shape[1:])
        drawn.change(id, rcam=np.stack([1 - half, half]))
    chosen = refined_by(drawn, "dense_crf")
    assert {*np.unique(chosen["a"])} == {0, 1}
    assert {*np.unique(chosen["sub/c"])} == {0, 2}
    certainty = {review.id: review.certainty for review in pseudo_label(drawn.run).reviews}
    assert certainty["a"] > 0.75
    assert certainty["sub/c"] < 0.15


def test_the_review_queue_rises(draw: Callable[..., Any]) -> None:
    drawn = draw()
    refine_by_hand(drawn, IDS)
    maps = drawn.maps("b")
    flat = np.full_like(maps.rcam, 0.4)
    unsure = replace(maps, refined=flat, made_by="refiner", made_from=maps_stamp(maps))
    unsure.save(drawn.run.refined_map_file("b"))
    result = pseudo_label(drawn.run, settings=PseudoLabelSettings(rule="margin"))
    with drawn.run.review_file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    confidences = [float(row["confidence"]) for row in rows]
    assert confidences == sorted(confidences)
    assert [row["id"] for row in rows] == [review.id for review in result.reviews]
    assert rows[0]["id"] == "b"
    assert rows[0]["undecided"] == "1.0"
    assert rows[-1]["id"] == "none"
    assert confidences[-1] == 1
    for row in rows:
        mean = (float(row["certainty"]) + float(row["agreement"])) / 2
        assert float(row["confidence"]) == pytest.approx(mean, abs=1e-4)


def test_scores_of_earlier_masks_are_removed(draw: Callable[..., Any]) -> None:
    run = draw().run
    write_json(run.pseudo_mask_scores_file, {})
    pseudo_label(run)
    assert not run.pseudo_mask_scores_file.exists()


def test_the_runs_own_settings_are_the_default(draw: Callable[..., Any]) -> None:
    drawn = draw(settings=Settings(pseudo_label=PseudoLabelSettings(rule="keep", keep=0.31)))
    pseudo_label(drawn.run)
    assert read_json(drawn.run.pseudo_masks_file)["settings"]["pseudo_label.keep"] == 0.31


@pytest.mark.parametrize("rule", ["margin", "keep"])
def test_maps_that_cannot_be_used_are_skipped(draw: Callable[..., Any], rule: str) -> None:
    drawn = draw()
    settings = PseudoLabelSettings.model_validate({"rule": rule})
    pseudo_label(drawn.run, settings=settings)
    drawn.run.map_file("a").write_bytes(b"")
    drawn.change("b", made_by="another model")
    result = pseudo_label(drawn.run, settings=settings)
    assert result.done == 2
    reasons = {failure.id: failure.reason for failure in read_failures(drawn.run)}
    assert reasons.keys() == {"a", "b"}
    assert "made by another model" in reasons["b"]
    assert not drawn.run.pseudo_mask_file("a").exists()


@pytest.mark.parametrize("rule", ["margin", "keep"])
def test_maps_refined_before_an_image_was_localized_again_are_skipped(
    draw: Callable[..., Any], rule: str
) -> None:
    drawn = draw()
    refine_by_hand(drawn, IDS)
    drawn.change("a", made_from="another image")
    result = pseudo_label(drawn.run, settings=PseudoLabelSettings.model_validate({"rule": rule}))
    assert result.done == 3
    assert [failure.id for failure in result.failures] == ["a"]
    assert "Run `swtformer refine` again" in result.failures[0].reason


def test_images_whose_map_files_are_gone_have_a_row(draw: Callable[..., Any]) -> None:
    drawn = draw()
    write_json(drawn.run.maps_file, {**read_json(drawn.run.maps_file), "ids": IDS})
    drawn.run.map_file("b").unlink()
    result = pseudo_label(drawn.run)
    assert result.done == 3
    assert [failure.id for failure in result.failures] == ["b"]
    assert "its maps were never made, or the file is gone" in read_failures(drawn.run)[0].reason


def test_maps_refined_before_localize_was_run_again_are_refused(draw: Callable[..., Any]) -> None:
    drawn = draw()
    refine_by_hand(drawn, IDS)
    write_json(drawn.run.maps_file, {**read_json(drawn.run.maps_file), "made_by": "a better model"})
    with pytest.raises(SwtformerError, match=r"refined is stale: .*`swtformer refine` again"):
        pseudo_label(drawn.run)


def test_masks_of_images_without_maps_are_removed(draw: Callable[..., Any]) -> None:
    drawn = draw()
    pseudo_label(drawn.run)
    drawn.run.map_file("sub/c").unlink()
    pseudo_label(drawn.run)
    left = {
        path.relative_to(drawn.run.pseudo_masks).as_posix() for path in drawn.run.pseudo_masks.rglob("*.png")
    }
    assert left == {"a.png", "b.png", "none.png"}


def test_an_interrupted_run_does_not_claim_the_old_rule(draw: Callable[..., Any]) -> None:
    drawn = draw()
    pseudo_label(drawn.run)

    def stop(stage: str, *_: object) -> None:
        assert stage == "pseudo-label"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pseudo_label(drawn.run, settings=PseudoLabelSettings(rule="margin", margin=0.9), progress=stop)
    assert not drawn.run.pseudo_masks_file.exists()
    assert not drawn.run.review_file.exists()


def test_refusals(draw: Callable[..., Any]) -> None:
    drawn = draw()
    with pytest.raises(SettingsError, match=r"pseudo_label\.low \(0\.8\) must not be above"):
        pseudo_label(drawn.run, settings=PseudoLabelSettings(low=0.8))
    with pytest.raises(SwtformerError, match=r"no refined maps; .*`swtformer refine`"):
        pseudo_label(drawn.run, settings=PseudoLabelSettings(source="refined"))
    refine_by_hand(drawn, [])
    with pytest.raises(SwtformerError, match="refined holds no maps"):
        pseudo_label(drawn.run)
    assert RefinedRun(drawn.run.path).map_ids() == []
