import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.metrics import average_precision_score

from support.launched import launch
from swtformer.datasets.of_run import write_labels
from swtformer.errors import DataError, SwtformerError
from swtformer.settings import EvaluateSettings, MaskSettings
from swtformer.stages.evaluate import evaluate, evaluate_folder
from swtformer.stages.mask import mask
from swtformer.store.files import read_json, write_json
from swtformer.store.masks import write_mask
from swtformer.store.notes import RefinedNotes
from swtformer.store.refined_maps import maps_stamp
from swtformer.store.run import RefinedRun
from swtformer.store.scores import Scores, SegmentationScore, read_scores

NAMES = ("background", "cat", "dog", "sheep")
Draw = Callable[..., Any]


def entry(scores: Scores, source: str, policy: str) -> SegmentationScore:
    [found] = [item for item in scores.segmentation if (item.source, item.policy) == (source, policy)]
    return found


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def iou(pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    """IoU of the four labels by counting sets of pixels; nan where a label is absent."""
    result = []
    for label in range(4):
        both = either = 0
        for predicted, truth in pairs:
            valid = truth != 255
            both += int(((predicted == label) & (truth == label) & valid).sum())
            either += int((((predicted == label) | (truth == label)) & valid).sum())
        result.append(both / either if either else float("nan"))
    return result


def predict(
    maps: np.ndarray, values: np.ndarray, size: tuple[int, int], background: float | None
) -> np.ndarray:
    """Argmax over up-sampled channels; a constant background is put first where one is given."""
    full = F.interpolate(torch.from_numpy(maps).float()[None], size, mode="bilinear")[0]
    if background is not None:
        full = torch.cat([torch.full((1, *size), background), full])
    return np.array([0, *values])[full.argmax(0).numpy()]


def naive(drawn: Any, source: str, background: float | None) -> list[float]:
    return iou(naive_masks(drawn, source, background))


def naive_masks(drawn: Any, source: str, background: float | None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Predicted and true mask of every image."""
    pairs = []
    for record in drawn.data.records:
        maps = drawn.maps(record.id)
        channels = maps.cam if source == "cam" else maps.rcam
        if source == "rcam" and background is not None:
            channels = channels[1:]
        if channels.shape[0] == 0:
            predicted = np.zeros(maps.size, np.uint8)
        else:
            predicted = predict(channels, maps.values, maps.size, background)
        pairs.append((predicted, read(record.mask)))
    return pairs


@pytest.mark.parametrize(
    ("source", "policy", "background"),
    [("cam", "fixed", 0.2345), ("cam", "argmax", 0.5), ("rcam", "fixed", 0.2345), ("rcam", "argmax", None)],
)
def test_the_other_means_equal_a_naive_loop(
    draw: Draw, source: str, policy: str, background: float | None
) -> None:
    drawn = draw()
    found = entry(
        evaluate(drawn.run, drawn.data, settings=EvaluateSettings(threshold=0.2345)), source, policy
    )
    masks = naive_masks(drawn, source, background)
    assert found.miou_per_image == pytest.approx(np.mean([np.nanmean(iou([pair])) for pair in masks]))
    assert found.miou_per_image != pytest.approx(found.miou, abs=1e-4)
    per_label = np.array(iou(masks))
    assert list(found.dice.values()) == pytest.approx(2 * per_label / (1 + per_label), nan_ok=True)
    assert found.mean_dice == pytest.approx(np.nanmean(2 * per_label / (1 + per_label)))
    true = [sum(int((truth == label).sum()) for _, truth in masks) for label in range(4)]
    weighted = sum(pixels * value for pixels, value in zip(true, per_label, strict=True) if pixels)
    assert found.frequency_weighted_iou == pytest.approx(weighted / sum(true))


def test_every_source_and_policy_equals_a_naive_loop(draw: Draw) -> None:
    drawn = draw()
    scores = evaluate(drawn.run, drawn.data, settings=EvaluateSettings(threshold=0.2345))
    assert [(item.source, item.policy) for item in scores.segmentation] == [
        (source, policy)
        for source in ("cam", "rcam")
        for policy in ("fixed", "argmax", "label_free", "oracle")
    ]
    for source in ("cam", "rcam"):
        curve = [np.nanmean(naive(drawn, source, k / 100)) for k in range(101)]
        oracle = entry(scores, source, "oracle")
        assert oracle.threshold == np.argmax(curve) / 100
        assert oracle.miou == pytest.approx(max(curve), abs=1e-12)
        assert oracle.uses_ground_truth
        fixed = entry(scores, source, "fixed")
        assert fixed.threshold == 0.2345
        np.testing.assert_allclose(list(fixed.iou.values()), naive(drawn, source, 0.2345), rtol=1e-12)
        label_free = entry(scores, source, "label_free")
        assert not label_free.uses_ground_truth
        rule = mask(drawn.run, settings=MaskSettings(source=source, policy="label_free")).rule
        assert label_free.threshold == rule.threshold
        assert label_free.miou == pytest.approx(curve[round(100 * (rule.threshold or 0))], abs=1e-12)
    assert entry(scores, "cam", "argmax").threshold == 0.5
    assert entry(scores, "cam", "argmax").miou == pytest.approx(np.nanmean(naive(drawn, "cam", 0.5)))
    assert entry(scores, "rcam", "argmax").threshold is None
    assert entry(scores, "rcam", "argmax").miou == pytest.approx(np.nanmean(naive(drawn, "rcam", None)))


def test_scores_json_says_what_was_measured(draw: Draw) -> None:
    drawn = draw()
    scores = evaluate(drawn.run, drawn.data)
    written = json.loads(drawn.run.scores_file.read_text())
    assert read_scores(drawn.run.scores_file) == scores
    assert {key: written[key] for key in ("split", "images", "labels_from", "seeds", "scales", "flip")} == {
        "split": "val",
        "images": 4,
        "labels_from": "labels.csv",
        "seeds": 1,
        "scales": [0.5, 1.0],
        "flip": True,
    }
    assert written["ground_truth"] == str(drawn.truth)
    assert written["predictions"] == str(drawn.run.maps)
    assert written["classes"] == written["scored_classes"] == list(NAMES)
    assert (written["skipped"], written["missing"]) == (0, 0)
    assert set(written["segmentation"][0]) >= {
        "source", "policy", "threshold", "uses_ground_truth", "miou", "iou"
    }  # fmt: skip


def test_groups_that_were_trained_on_are_told(draw: Draw) -> None:
    drawn = draw()
    records = [replace(record, group=f"p{place}") for place, record in enumerate(drawn.data.records)]
    data = replace(drawn.data, records=tuple(records))
    write_labels(drawn.run, replace(data, records=(replace(records[0], id="other"), *records[2:])))
    scores = evaluate(drawn.run, data)
    assert scores.known_groups == ("p0",)
    assert "trained on other images of 1 group that is scored" in scores.about_groups()
    assert read_scores(drawn.run.scores_file) == scores
    write_labels(drawn.run, data)
    assert evaluate(drawn.run, data).about_groups() == ""


def test_without_rcams_only_cams_are_scored(draw: Draw) -> None:
    drawn = draw(rcam=False)
    scores = evaluate(drawn.run, drawn.data)
    assert {item.source for item in scores.segmentation} == {"cam"}


@pytest.mark.parametrize(
    "rule",
    [
        MaskSettings(),
        MaskSettings(source="cam", policy="fixed", threshold=0.4321),
        MaskSettings(source="rcam", policy="label_free"),
        MaskSettings(source="cam", policy="argmax"),
    ],
)
def test_single_images_are_scored_as_their_masks_are(draw: Draw, rule: MaskSettings) -> None:
    drawn = draw()
    mask(drawn.run, settings=rule)
    scores = evaluate(drawn.run, drawn.data)
    expected = {
        record.id: np.nanmean(iou([(read(drawn.run.mask_file(record.id)), read(record.mask))]))
        for record in drawn.data.records
    }
    assert {item.id: item.miou for item in scores.per_image} == pytest.approx(expected)
    folder = evaluate_folder(drawn.run.masks, drawn.data)
    assert {item.id: item.miou for item in folder.per_image} == pytest.approx(expected)
    assert folder.segmentation[0].miou_per_image == pytest.approx(np.mean(list(expected.values())))


def test_without_masks_single_images_follow_the_settings(draw: Draw) -> None:
    drawn = draw(rcam=False)
    before = evaluate(drawn.run, drawn.data).per_image
    mask(drawn.run)
    assert evaluate(drawn.run, drawn.data).per_image == before


def test_classification_both_ways(draw: Draw) -> None:
    drawn = draw()
    rng = np.random.default_rng(3)
    probabilities = {record.id: rng.random(3).astype(np.float32) for record in drawn.data.records}
    for id, values in probabilities.items():
        drawn.change(id, probabilities=values)
    result = evaluate(drawn.run, drawn.data).classification
    assert result is not None
    labels = drawn.data.labels()
    matrix = np.stack([probabilities[record.id] for record in drawn.data.records])
    assert list(result.ap.values()) == pytest.approx(
        [average_precision_score(labels[:, c], matrix[:, c]) for c in range(3)]
    )
    assert result.map_per_class == pytest.approx(average_precision_score(labels, matrix, average="macro"))
    rows = [i for i in range(4) if labels[i].any()]
    assert result.map_per_image == pytest.approx(
        np.mean([average_precision_score(labels[i], matrix[i]) for i in rows])
    )
    assert result.images == 4


def test_images_without_masks_are_classified_and_counted_as_skipped(draw: Draw) -> None:
    drawn = draw()
    records = (replace(drawn.data.records[0], mask=None), *drawn.data.records[1:])
    scores = evaluate(drawn.run, replace(drawn.data, records=records))
    assert (scores.images, scores.skipped) == (3, 1)
    assert scores.classification is not None
    assert scores.classification.images == 4


def test_labels_alone_give_classification_alone(draw: Draw) -> None:
    drawn = draw()
    records = tuple(replace(record, mask=None) for record in drawn.data.records)
    scores = evaluate(drawn.run, replace(drawn.data, records=records))
    assert (scores.segmentation, scores.per_image, scores.ground_truth) == ((), (), "")
    assert scores.images == 4


def test_masks_alone_give_no_classification(draw: Draw) -> None:
    drawn = draw()
    records = tuple(replace(record, present=None) for record in drawn.data.records)
    scores = evaluate(drawn.run, replace(drawn.data, records=records))
    assert scores.classification is None
    assert len(scores.segmentation) == 8
    nothing = tuple(replace(record, mask=None) for record in records)
    with pytest.raises(DataError, match="neither masks nor image-level labels"):
        evaluate(drawn.run, replace(drawn.data, records=nothing))


def test_a_part_of_the_run_keeps_the_label_free_threshold_of_all(draw: Draw) -> None:
    drawn = draw()
    whole = entry(evaluate(drawn.run, drawn.data), "cam", "label_free").threshold
    part = evaluate(drawn.run, drawn.data.subset([2, 3]))
    assert part.images == 2
    assert entry(part, "cam", "label_free").threshold == whole


def test_scored_classes_choose_the_mean_and_keep_all_errors(draw: Draw) -> None:
    drawn = draw()
    everything = entry(evaluate(drawn.run, drawn.data), "cam", "fixed")
    scores = evaluate(drawn.run, drawn.data, settings=EvaluateSettings(score_classes=("sheep", "cat")))
    some = entry(scores, "cam", "fixed")
    assert scores.scored_classes == ("background", "cat", "sheep")
    assert some.iou == everything.iou
    values = [everything.iou[name] for name in scores.scored_classes]
    assert some.miou == pytest.approx(np.mean([value for value in values if value is not None]))
    with pytest.raises(DataError, match=r"Unknown class 'shep' .* mean 'sheep'"):
        evaluate(drawn.run, drawn.data, settings=EvaluateSettings(score_classes=("shep",)))


# FAULTS 26 to 31


def test_26_maps_of_another_size_are_refused(draw: Draw) -> None:
    drawn = draw()
    drawn.change("b", size=(47, 33))
    with pytest.raises(DataError, match=r"b\.npz is for 33×47 .*b\.png has 47×33") as caught:
        evaluate(drawn.run, drawn.data)
    assert caught.value.exit_code == 2
    assert not drawn.run.scores_file.exists()


def test_26_masks_of_another_size_are_refused(draw: Draw, tmp_path: Path) -> None:
    drawn = draw()
    shutil.copytree(drawn.truth, tmp_path / "other")
    write_mask(tmp_path / "other" / "a.png", np.zeros((41, 60), np.uint8))
    with pytest.raises(DataError, match=r"a\.png is for 60×41 .*a\.png has 60×40"):
        evaluate_folder(tmp_path / "other", drawn.data)


def test_27_rgb_masks_are_refused(draw: Draw, tmp_path: Path) -> None:
    drawn = draw()
    shutil.copytree(drawn.truth, tmp_path / "other")
    Image.fromarray(np.ones((40, 60, 3), np.uint8)).save(tmp_path / "other" / "a.png")
    with pytest.raises(DataError, match=r"other/a\.png: .*RGB"):
        evaluate_folder(tmp_path / "other", drawn.data)
    shutil.copy(tmp_path / "other" / "a.png", drawn.truth / "a.png")
    with pytest.raises(DataError, match=r"truth/a\.png: .*RGB"):
        evaluate(drawn.run, drawn.data)


@pytest.mark.parametrize("place", ["truth", "other"])
def test_27_values_out_of_range_are_refused(draw: Draw, tmp_path: Path, place: str) -> None:
    drawn = draw()
    shutil.copytree(drawn.truth, tmp_path / "other")
    labels = np.zeros((40, 60), np.uint8)
    labels[0] = 4
    labels[1] = 200
    write_mask(tmp_path / place / "a.png", labels)
    with pytest.raises(DataError, match=rf"{place}/a\.png: .*, got 4, 200"):
        evaluate_folder(tmp_path / "other", drawn.data)


def test_27_ignored_pixels_change_nothing(draw: Draw) -> None:
    """Whatever is predicted where the truth is 255."""
    drawn = draw()
    before = evaluate(drawn.run, drawn.data)
    assert (read(drawn.truth / "a.png")[:2] == 255).all()
    for record in drawn.data.records:
        labels = read(record.mask).copy()
        cropped = np.where(np.arange(labels.shape[0])[:, None] < 10, 255, labels).astype(np.uint8)
        write_mask(record.mask, cropped)
    pairs = []
    for record in drawn.data.records:
        maps = drawn.maps(record.id)
        if len(maps.values):
            predicted = predict(maps.cam, maps.values, maps.size, 0.15)
            predicted[:10] = 3  # must not matter
        else:
            predicted = np.zeros(maps.size, np.uint8)
        pairs.append((predicted, read(record.mask)))
    after = entry(evaluate(drawn.run, drawn.data), "cam", "fixed")
    assert list(after.iou.values()) == pytest.approx(iou(pairs))
    assert after.iou != entry(before, "cam", "fixed").iou


def test_27_binary_masks_of_0_and_255_get_a_hint(draw: Draw, tmp_path: Path) -> None:
    drawn = draw()
    for record in drawn.data.records:
        write_mask(record.mask, np.where(read(record.mask) == 0, 0, 255).astype(np.uint8))
    with pytest.raises(DataError, match=r"Write 1 instead of 255 for 'cat'"):
        evaluate(drawn.run, drawn.data)
    mask(drawn.run)
    with pytest.raises(DataError, match="binary masks"):
        evaluate_folder(drawn.run.masks, drawn.data)


def test_27_masks_that_are_numbered_otherwise_are_refused(draw: Draw, tmp_path: Path) -> None:
    drawn = draw()
    made = tmp_path / "made"
    for record in drawn.data.records:
        write_mask(made / "masks" / f"{record.id}.png", read(record.mask))
    shutil.copy(drawn.run.settings_file, made)
    (made / "classes.json").write_text(json.dumps(drawn.data.classes[::-1]))
    with pytest.raises(DataError, match=r"the value 1 is '.*' in these masks and 'cat' in the data set"):
        evaluate_folder(made / "masks", drawn.data)
    (made / "classes.json").write_text(json.dumps(drawn.data.classes))
    assert evaluate_folder(made / "masks", drawn.data).segmentation[0].miou == 1


def test_27_undecided_pixels_of_a_prediction_are_misses(draw: Draw, tmp_path: Path) -> None:
    drawn = draw()
    for record in drawn.data.records:
        labels = read(record.mask).copy()
        labels[labels == 1] = 255
        write_mask(tmp_path / "other" / f"{record.id}.png", labels)
    score, _ = evaluate_folder(tmp_path / "other", drawn.data).segmentation
    assert score.policy == "given"
    assert score.iou["cat"] == 0
    assert score.iou["dog"] == score.iou["background"] == 1


def test_28_missing_maps_are_refused_or_scored_as_background(draw: Draw) -> None:
    drawn = draw()
    drawn.run.map_file("a").unlink()
    drawn.run.map_file("none").unlink()
    with pytest.raises(DataError, match=r"2 of 4 images .* a, none\. .* background"):
        evaluate(drawn.run, drawn.data)
    scores = evaluate(drawn.run, drawn.data, settings=EvaluateSettings(missing="background"))
    assert (scores.images, scores.missing) == (4, 2)
    pairs = []
    for record in drawn.data.records:
        truth = read(record.mask)
        predicted = np.zeros_like(truth)
        if record.id in ("b", "sub/c"):
            maps = drawn.maps(record.id)
            predicted = predict(maps.rcam, maps.values, maps.size, None)
        pairs.append((predicted, truth))
    assert list(entry(scores, "rcam", "argmax").iou.values()) == pytest.approx(iou(pairs))
    assert scores.classification is not None
    assert scores.classification.images == 2


def test_28_truncated_maps_are_refused_or_scored_as_background(draw: Draw) -> None:
    drawn = draw()
    path = drawn.run.map_file("b")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(SwtformerError, match=r"b\.npz: cannot be read"):
        evaluate(drawn.run, drawn.data)
    scores = evaluate(drawn.run, drawn.data, settings=EvaluateSettings(missing="background"))
    assert scores.missing == 1
    assert entry(scores, "cam", "fixed").iou["sheep"] == 0


def test_28_missing_masks_are_refused_or_scored_as_background(draw: Draw, tmp_path: Path) -> None:
    drawn = draw()
    shutil.copytree(drawn.truth, tmp_path / "other")
    (tmp_path / "other" / "a.png").unlink()
    with pytest.raises(DataError, match=r"1 of 4 images .* no masks .*: a\. "):
        evaluate_folder(tmp_path / "other", drawn.data)
    scores = evaluate_folder(tmp_path / "other", drawn.data, settings=EvaluateSettings(missing="background"))
    assert scores.missing == 1
    value = scores.segmentation[0].iou["cat"]
    assert value is not None
    assert 0 < value < 1


def test_30_a_class_absent_from_both_is_left_out_and_counted(draw: Draw) -> None:
    drawn = draw()
    score = entry(evaluate(drawn.run, drawn.data.subset([0, 1])), "rcam", "argmax")
    assert score.iou["dog"] is None
    assert score.absent == 1
    present = [value for value in score.iou.values() if value is not None]
    assert len(present) == 3
    assert score.miou == pytest.approx(np.mean(present))


def test_31_ground_truth_is_not_scored_with_itself(draw: Draw, tmp_path: Path) -> None:
    drawn = draw()
    with pytest.raises(DataError, match="is the folder of the ground truth"):
        evaluate_folder(drawn.truth, drawn.data)
    shutil.copytree(drawn.truth, tmp_path / "links", copy_function=os.link)
    with pytest.raises(DataError, match=r"links/a\.png is the ground truth itself"):
        evaluate_folder(tmp_path / "links", drawn.data)


def test_31_an_honest_copy_is_scored(draw: Draw, tmp_path: Path) -> None:
    drawn = draw()
    shutil.copytree(drawn.truth, tmp_path / "copy")
    scores = evaluate_folder(tmp_path / "copy", drawn.data)
    [score] = scores.segmentation
    assert (score.source, score.policy, score.threshold, score.miou) == ("folder", "given", None, 1.0)
    assert scores.predictions == str(tmp_path / "copy")


def test_maps_of_another_model_are_refused(draw: Draw) -> None:
    drawn = draw()
    drawn.change("b", made_by="another")
    with pytest.raises(SwtformerError, match=r"b\.npz is stale: it was made by another model"):
        evaluate(drawn.run, drawn.data)
    assert evaluate(drawn.run, drawn.data.subset([0, 2])).images == 2


def test_foreign_maps_beside_the_set_do_not_disturb(draw: Draw) -> None:
    """CAMs of another method, or damaged: `mask` skips them as well, so both choose one threshold."""
    drawn = draw()
    drawn.change("sub/c", rcam=None, made_by="another")
    drawn.run.map_file("none").write_bytes(b"")
    scores = evaluate(drawn.run, drawn.data.subset([0, 1]))
    rule = mask(drawn.run, settings=MaskSettings(source="rcam", policy="label_free")).rule
    assert entry(scores, "rcam", "label_free").threshold == rule.threshold


def test_other_class_lists_are_refused(draw: Draw) -> None:
    drawn = draw()
    with pytest.raises(SwtformerError, match="knows the classes cat, dog, sheep; "):
        evaluate(drawn.run, replace(drawn.data, classes=("dog", "cat", "sheep")))
    drawn.change("a", probabilities=np.zeros(4))
    with pytest.raises(SwtformerError, match="another class list: expected 3 "):
        evaluate(drawn.run, drawn.data)


def test_a_folder_or_masks_that_are_not_there(draw: Draw, tmp_path: Path) -> None:
    drawn = draw()
    with pytest.raises(DataError, match="is not a folder"):
        evaluate_folder(tmp_path / "nowhere", drawn.data)
    records = tuple(replace(record, mask=None) for record in drawn.data.records)
    with pytest.raises(DataError, match=r"no masks to score against.*data\.masks"):
        evaluate_folder(drawn.truth, replace(drawn.data, records=records))


def test_masks_without_class_names_are_refused(draw: Draw) -> None:
    """A folder of images alone has none; the values of its masks mean nothing then."""
    drawn = draw()
    with pytest.raises(DataError, match=r"no class names.*data\.classes"):
        evaluate_folder(drawn.run.masks.parent, replace(drawn.data, classes=()))


def test_progress_counts_every_image(draw: Draw) -> None:
    drawn = draw()
    calls: list[tuple[Any, ...]] = []
    evaluate(drawn.run, drawn.data, progress=lambda *call: calls.append(call))
    assert calls == [("evaluate", done, 4) for done in (1, 2, 3, 4)]


def test_the_threshold_of_the_masks_is_used_for_single_images(draw: Draw) -> None:
    drawn = draw()
    write_json(
        drawn.run.masks_file, {"source": "cam", "policy": "label_free", "threshold": 0.77, "images": 4}
    )
    scores = evaluate(drawn.run, drawn.data)
    expected = [
        np.nanmean(iou([(predict(maps.cam, maps.values, maps.size, 0.77), read(drawn.truth / "a.png"))]))
        for maps in [drawn.maps("a")]
    ]
    assert scores.per_image[0].miou == pytest.approx(expected[0])
    assert read_json(drawn.run.masks_file)["threshold"] == 0.77


def test_undecided_pixels_get_a_second_score_that_says_its_coverage(draw: Draw, tmp_path: Path) -> None:
    drawn = draw()
    pairs = []
    for record in drawn.data.records:
        truth = read(record.mask)
        predicted = np.where(truth == 255, 0, truth).astype(np.uint8)
        predicted[: len(predicted) // 2] = 255
        predicted[-3:] = 0
        write_mask(tmp_path / "masks" / f"{record.id}.png", predicted)
        pairs.append((predicted, truth))
    scores = evaluate_folder(tmp_path / "masks", drawn.data)
    assert [item.policy for item in scores.segmentation] == ["given", "decided"]
    given, decided = scores.segmentation
    scored = [(p[t != 255], t[t != 255]) for p, t in pairs]
    kept = [(p[p != 255], t[p != 255]) for p, t in scored]
    coverage = sum(len(p) for p, _ in kept) / sum(len(p) for p, _ in scored)
    assert (given.coverage, decided.coverage) == (1, pytest.approx(coverage))
    assert [given.iou[name] for name in NAMES] == pytest.approx(iou(scored))
    assert [decided.iou[name] for name in NAMES] == pytest.approx(iou(kept))
    assert decided.miou is not None
    assert given.miou is not None
    assert decided.miou > given.miou
    means = [np.mean([np.nanmean(iou([pair])) for pair in pairs]) for pairs in (scored, kept)]
    assert [given.miou_per_image, decided.miou_per_image] == pytest.approx(means)


def test_refined_maps_are_scored_by_themselves(draw: Draw) -> None:
    drawn = draw()
    evaluate(drawn.run, drawn.data)
    before = drawn.run.scores_file.read_bytes()
    settings = EvaluateSettings(maps="refined")
    with pytest.raises(SwtformerError, match=r"no refined maps; .*`swtformer refine`"):
        evaluate(drawn.run, drawn.data, settings=settings)
    pairs = []
    for record in drawn.data.records:
        maps = drawn.maps(record.id)
        fingerprints = {"made_by": "refiner", "made_from": maps_stamp(maps)}
        sharper = replace(maps, rcam=None, refined=maps.rcam**3, **fingerprints)
        sharper.save(drawn.run.refined_map_file(record.id))
        predicted = predict(maps.rcam.astype(np.float32) ** 3, maps.values, maps.size, None)
        pairs.append((predicted, read(record.mask)))
    notes = RefinedNotes(made_by="refiner", maps_made_by="model", method="par", source="rcam", scales=(1.0,))
    write_json(drawn.run.refined_file, notes.model_dump(mode="json"))
    scores = evaluate(drawn.run, drawn.data, settings=settings)
    assert {item.source for item in scores.segmentation} == {"cam", "refined"}
    found = entry(scores, "refined", "argmax")
    assert [found.iou[name] for name in NAMES] == pytest.approx(iou(pairs), abs=2e-3)
    assert scores.predictions == str(drawn.run.refined)
    assert read_json(RefinedRun(drawn.run).scores_file)["predictions"] == str(drawn.run.refined)
    assert drawn.run.scores_file.read_bytes() == before
    drawn.change("a", made_from="another image")
    with pytest.raises(SwtformerError, match=r"a\.npz is stale: .*`swtformer refine` again"):
        evaluate(drawn.run, drawn.data, settings=settings)
    write_json(drawn.run.maps_file, {**read_json(drawn.run.maps_file), "made_by": "a better model"})
    with pytest.raises(SwtformerError, match=r"refined is stale: .*`swtformer refine` again"):
        evaluate(drawn.run, drawn.data, settings=settings)


def test_masks_of_maps_that_the_run_no_longer_has_do_not_count(draw: Draw) -> None:
    """As when V1 replaced V2 and `mask` was not run since."""
    drawn = draw(rcam=False)
    before = evaluate(drawn.run, drawn.data).per_image
    write_json(drawn.run.masks_file, {"source": "rcam", "policy": "argmax", "threshold": None, "images": 4})
    assert evaluate(drawn.run, drawn.data).per_image == before


def _evaluate_launched(drawn: Any, masks: Path) -> None:
    scores = evaluate(drawn.run, drawn.data)
    folder = evaluate_folder(masks, drawn.data)
    (drawn.run.path / f"{os.environ['RANK']}.txt").write_text(repr((vars(scores), vars(folder))))


@pytest.mark.parametrize("rcam", [True, False])
def test_three_processes_give_the_scores_of_one_to_the_last_digit(rcam: bool, draw: Draw) -> None:
    drawn = draw(rcam=rcam)
    mask(drawn.run)
    one = evaluate(drawn.run, drawn.data)
    folder = evaluate_folder(drawn.run.masks, drawn.data)
    written = drawn.run.scores_file.read_bytes()
    drawn.run.scores_file.unlink()
    assert launch(_evaluate_launched, drawn, drawn.run.masks, count=3) == [0, 0, 0]
    assert drawn.run.scores_file.read_bytes() == written
    told = repr((vars(one), vars(folder)))
    assert [path.read_text() for path in drawn.run.path.glob("*.txt")] == [told] * 3
