import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, jaccard_score
from torchmetrics.classification import MulticlassConfusionMatrix
from torchmetrics.segmentation import MeanIoU

from swtformer.functional.scores import (
    ConfusionMatrix,
    ImageMean,
    average_precision,
    confusion_matrix,
    dice_per_label,
    frequency_weighted_iou,
    iou_of_areas,
    iou_per_label,
    label_areas,
    mean_average_precision,
    mean_dice,
    mean_iou,
)


def random_labels(seed: int, labels: int, size: tuple[int, int] = (37, 53)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, labels, size, generator=generator, dtype=torch.uint8)


def test_confusion_matrix_by_hand() -> None:
    truth = torch.tensor([[0, 0, 1, 1, 2, 255]], dtype=torch.uint8)
    predicted = torch.tensor([[0, 1, 1, 255, 1, 2]], dtype=torch.uint8)
    counts = confusion_matrix(predicted, truth, labels=3)
    assert counts.tolist() == [[1, 1, 0, 0], [0, 1, 0, 1], [0, 1, 0, 0]]
    assert counts.dtype == torch.int64


@pytest.mark.parametrize("labels", [2, 21, 255])
def test_confusion_matrix_equals_torchmetrics(labels: int) -> None:
    truth, predicted = random_labels(0, labels), random_labels(1, labels)
    truth[:4] = 255
    oracle = MulticlassConfusionMatrix(labels, ignore_index=255)
    counts = confusion_matrix(predicted, truth, labels=labels)
    assert torch.equal(counts[:, :labels], oracle(predicted.int(), truth.int()))
    assert not counts[:, labels].any()


def test_confusion_matrix_equals_a_loop() -> None:
    truth, predicted = random_labels(2, 4, (9, 7)), random_labels(3, 4, (9, 7))
    truth[0, :3] = 255
    predicted[5] = 255
    expected = np.zeros((4, 5), dtype=np.int64)
    for t, p in zip(truth.flatten().tolist(), predicted.flatten().tolist(), strict=True):
        if t != 255:
            expected[t, 4 if p == 255 else p] += 1
    np.testing.assert_array_equal(confusion_matrix(predicted, truth, labels=4), expected)


@pytest.mark.parametrize(("row", "column"), [(3, 0), (0, 3), (254, 255)])
def test_confusion_matrix_refuses_values_out_of_range(row: int, column: int) -> None:
    truth = torch.tensor([[0, row]], dtype=torch.uint8)
    predicted = torch.tensor([[0, column]], dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"values 0 to 2 or 255, got others in 1 pixel"):
        confusion_matrix(predicted, truth, labels=3)


def test_confusion_matrix_refuses_other_shapes_and_types() -> None:
    truth = torch.zeros(2, 3, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"equal shapes, got \(3, 2\) and \(2, 3\)"):
        confusion_matrix(truth.T, truth, labels=3)
    with pytest.raises(ValueError, match=r"uint8 label images, got torch\.int64"):
        confusion_matrix(truth.long(), truth, labels=3)


def test_streaming_equals_one_count() -> None:
    truth, predicted = random_labels(4, 5, (40, 30)), random_labels(5, 5, (40, 30))
    total = ConfusionMatrix(5)
    for start in range(0, 40, 7):
        total.update(predicted[start : start + 7], truth[start : start + 7])
    assert torch.equal(total.counts, confusion_matrix(predicted, truth, labels=5))


def test_counts_beyond_32_bits_stay_exact() -> None:
    total = ConfusionMatrix(2)
    total.update(torch.tensor([0, 1, 1], dtype=torch.uint8), torch.tensor([0, 0, 1], dtype=torch.uint8))
    for _ in range(40):
        total.counts += total.counts
    assert total.counts[:, :2].tolist() == [[2**40, 2**40], [0, 2**40]]
    total.update(torch.zeros(1, dtype=torch.uint8), torch.zeros(1, dtype=torch.uint8))
    assert int(total.counts[0, 0]) == 2**40 + 1
    torch.testing.assert_close(iou_per_label(total.counts), torch.tensor([0.5, 0.5], dtype=torch.float64))


def test_iou_by_hand() -> None:
    # Label 0: 3 hits, 1 missed, 2 false alarms; label 1: 5 hits, 2 missed, 1 false alarm; 2 and 3 are absent.
    confusion = torch.tensor([[3, 1, 0, 0], [2, 5, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    assert iou_per_label(confusion)[:2].tolist() == [3 / 6, 5 / 8]
    assert iou_per_label(confusion)[2:].isnan().all()
    assert float(mean_iou(confusion)) == (3 / 6 + 5 / 8) / 2


def test_areas_by_hand_leave_out_no_undecided_pixel() -> None:
    confusion = torch.tensor([[3, 1, 4], [2, 5, 0]])
    assert label_areas(confusion).tolist() == [[3, 5], [8, 7], [5, 6]]
    torch.testing.assert_close(iou_of_areas(label_areas(confusion)), iou_per_label(confusion))


def test_a_label_of_either_side_counts_as_zero() -> None:
    confusion = torch.tensor([[4, 0, 2], [1, 0, 0], [0, 0, 0]])
    assert iou_per_label(confusion).tolist() == [4 / 7, 0, 0]


def test_undecided_pixels_are_misses() -> None:
    confusion = torch.tensor([[4, 0, 4], [0, 1, 0]])
    assert iou_per_label(confusion).tolist() == [0.5, 1.0]


def test_mean_iou_over_some_labels_keeps_the_errors_of_the_others() -> None:
    confusion = torch.tensor([[6, 0, 2], [0, 4, 0], [0, 4, 0]])
    assert float(mean_iou(confusion, over=[0, 1])) == (6 / 8 + 4 / 8) / 2


def test_mean_iou_of_nothing_is_nan() -> None:
    assert mean_iou(torch.zeros(3, 4, dtype=torch.int64)).isnan()


def test_iou_follows_a_permutation_of_the_labels_and_takes_batches() -> None:
    truth, predicted = random_labels(6, 6), random_labels(7, 6)
    order = torch.tensor([3, 0, 5, 1, 4, 2], dtype=torch.uint8)
    confusion = confusion_matrix(predicted, truth, labels=6)
    permuted = confusion_matrix(order[predicted.long()], order[truth.long()], labels=6)
    assert torch.equal(iou_per_label(permuted)[order.long()], iou_per_label(confusion))
    both = torch.stack([confusion, permuted])
    assert torch.equal(iou_per_label(both), torch.stack([iou_per_label(confusion), iou_per_label(permuted)]))
    assert mean_iou(both).shape == (2,)


def test_perfect_and_opposite_predictions() -> None:
    truth = random_labels(8, 2)
    assert float(mean_iou(confusion_matrix(truth, truth, labels=2))) == 1
    assert float(mean_iou(confusion_matrix(1 - truth, truth, labels=2))) == 0


# Label 0: 6 true pixels, 5 found, 2 false alarms; label 1: 4 true, 1 found, 1 undecided, 1 false alarm.
UNEVEN = torch.tensor([[5, 1, 0, 0], [2, 1, 0, 1], [0, 0, 0, 0]])


def test_frequency_weighted_iou_by_hand() -> None:
    expected = (6 * 5 / 8 + 4 * 1 / 5) / 10
    assert float(frequency_weighted_iou(UNEVEN)) == pytest.approx(expected)
    assert float(frequency_weighted_iou(UNEVEN, over=[1, 2])) == pytest.approx(1 / 5)
    assert frequency_weighted_iou(UNEVEN, over=[2]).isnan()
    assert frequency_weighted_iou(torch.stack([UNEVEN, UNEVEN])).tolist() == pytest.approx([expected] * 2)


def test_frequency_weighted_iou_ignores_labels_that_are_only_predicted() -> None:
    confusion = torch.tensor([[3, 1], [0, 0]])
    assert float(frequency_weighted_iou(confusion)) == 3 / 4
    assert float(mean_iou(confusion)) == 3 / 8


def test_dice_by_hand() -> None:
    assert dice_per_label(UNEVEN)[:2].tolist() == pytest.approx([2 * 5 / (6 + 7), 2 * 1 / (4 + 2)])
    assert dice_per_label(UNEVEN)[2].isnan()
    assert float(mean_dice(UNEVEN)) == pytest.approx((10 / 13 + 1 / 3) / 2)
    assert float(mean_dice(UNEVEN, over=[0, 2])) == pytest.approx(10 / 13)
    assert mean_dice(UNEVEN, over=[2]).isnan()


def test_dice_and_frequency_weighted_iou_equal_sklearn() -> None:
    truth, predicted = random_labels(9, 5), random_labels(10, 5)
    predicted[truth < 3] = truth[truth < 3]
    flat = truth.flatten().numpy(), predicted.flatten().numpy()
    confusion = confusion_matrix(predicted, truth, labels=5)
    np.testing.assert_allclose(dice_per_label(confusion), f1_score(*flat, average=None), rtol=1e-12)
    assert float(mean_dice(confusion)) == pytest.approx(f1_score(*flat, average="macro"), rel=1e-12)
    weighted = jaccard_score(*flat, average="weighted")
    assert float(frequency_weighted_iou(confusion)) == pytest.approx(weighted, rel=1e-12)


def test_dice_and_frequency_weighted_iou_equal_a_loop() -> None:
    truth, predicted = random_labels(11, 4, (9, 7)), random_labels(12, 4, (9, 7))
    truth[0, :3] = 255
    predicted[5] = 255
    true, made = truth.numpy(), predicted.numpy()
    valid = true != 255
    dice, weighted, pixels = [], 0.0, 0
    for label in range(4):
        hits = int(((true == label) & (made == label) & valid).sum())
        n_true, n_made = int((true == label).sum()), int(((made == label) & valid).sum())
        dice.append(2 * hits / (n_true + n_made))
        weighted += n_true * hits / (n_true + n_made - hits)
        pixels += n_true
    confusion = confusion_matrix(predicted, truth, labels=4)
    np.testing.assert_allclose(dice_per_label(confusion), dice, rtol=1e-12)
    assert float(frequency_weighted_iou(confusion)) == pytest.approx(weighted / pixels, rel=1e-12)


def test_dice_is_a_function_of_iou() -> None:
    confusion = confusion_matrix(random_labels(13, 6), random_labels(14, 6), labels=6)
    iou = iou_per_label(confusion)
    torch.testing.assert_close(dice_per_label(confusion), 2 * iou / (1 + iou), rtol=1e-12, atol=0)


def test_mean_iou_per_image_by_hand() -> None:
    mean = ImageMean(2)
    for scores in ([0.5, 1.0], [0.25, np.nan], [0.0, np.nan]):
        mean.update(torch.tensor(scores, dtype=torch.float64))
    assert mean.means().tolist() == [0.25, 1.0]
    assert ImageMean().means().isnan().all()


def test_mean_iou_per_image_equals_torchmetrics() -> None:
    truth = torch.stack([random_labels(seed, 3) for seed in range(4)])
    predicted = torch.stack([random_labels(seed + 20, 3) for seed in range(4)])
    predicted[2] = truth[2]
    mean = ImageMean()
    for one, other in zip(predicted, truth, strict=True):
        mean.update(mean_iou(confusion_matrix(one, other, labels=3))[None])
    oracle = MeanIoU(num_classes=3, input_format="index")(predicted.long(), truth.long())
    assert float(mean.means()) == pytest.approx(float(oracle), rel=1e-6)
    pooled = mean_iou(confusion_matrix(predicted, truth, labels=3))
    assert float(mean.means()) != pytest.approx(float(pooled), rel=1e-3)


def test_average_precision_by_hand() -> None:
    # Positives at ranks 1 and 3 of 4: (1/1 + 2/3) / 2.
    scores = torch.tensor([[0.9], [0.8], [0.7], [0.1]])
    assert float(average_precision(scores, torch.tensor([[1], [0], [1], [0]]))) == pytest.approx(5 / 6)


@pytest.mark.parametrize("levels", [3, 10, 10**6])
def test_average_precision_equals_sklearn(levels: int) -> None:
    """Few levels make many ties."""
    generator = torch.Generator().manual_seed(levels)
    scores = torch.randint(0, levels, (80, 6), generator=generator) / levels
    truth = (torch.rand(80, 6, generator=generator) < 0.3).int()
    expected = [average_precision_score(truth[:, c], scores[:, c]) for c in range(6)]
    np.testing.assert_allclose(average_precision(scores, truth), expected, rtol=1e-12)


def test_equal_scores_do_not_depend_on_the_order() -> None:
    scores = torch.full((10, 1), 0.5)
    truth = torch.zeros(10, 1)
    truth[-1] = 1
    assert float(average_precision(scores, truth)) == pytest.approx(0.1)
    assert float(average_precision(scores, truth.flip(0))) == pytest.approx(0.1)


def test_columns_without_positives_are_nan_and_left_out() -> None:
    scores = torch.tensor([[0.1, 0.4], [0.2, 0.3]])
    result = average_precision(scores, torch.tensor([[0, 1], [0, 0]]))
    assert result[0].isnan()
    assert mean_average_precision(result) == 1.0
    assert np.isnan(mean_average_precision(result[:1]))


def test_where_nothing_is_to_be_told_apart_there_is_no_precision() -> None:
    scores = torch.tensor([[0.9, 0.4], [0.2, 0.3], [0.1, 0.6]])
    labels = torch.tensor([[1, 1], [1, 0], [1, 1]])
    per_class = average_precision(scores, labels)
    assert per_class[0].isnan()
    assert float(per_class[1]) == 1.0
    per_image = average_precision(scores.T, labels.T)
    assert per_image.isnan().tolist() == [True, False, True]
    assert float(per_image[1]) == 0.5
    assert average_precision(scores[:, :1].T, labels[:, :1].T).isnan().all()


def mctformer_map(labels: np.ndarray, scores: np.ndarray) -> float:
    """The loop of MCTformer's engine: AP of each image that has a label, averaged."""
    return float(
        np.mean([average_precision_score(t, s) for t, s in zip(labels, scores, strict=True) if t.sum() > 0])
    )


def test_both_readings_differ_and_match_their_sources() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(50, 7, generator=generator)
    labels = (torch.rand(50, 7, generator=generator) < 0.25).float()
    per_image = mean_average_precision(average_precision(scores.T, labels.T))
    per_class = mean_average_precision(average_precision(scores, labels))
    assert per_image == pytest.approx(mctformer_map(labels.numpy(), scores.numpy()))
    assert per_class == pytest.approx(
        average_precision_score(labels.numpy(), scores.numpy(), average="macro")
    )
    assert abs(per_image - per_class) > 0.01
    order = torch.randperm(7, generator=generator)
    torch.testing.assert_close(
        average_precision(scores[:, order], labels[:, order]),
        average_precision(scores, labels)[order],
    )


@pytest.mark.parametrize(
    ("scores", "truth", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(2, 3), r"two \(N, L\) tensors"),
        (torch.tensor([[torch.nan]]), torch.ones(1, 1), "finite scores"),
        (torch.zeros(1, 1), torch.tensor([[torch.nan]]), "truths of 0 and 1"),
    ],
)
def test_average_precision_refuses(scores: torch.Tensor, truth: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        average_precision(scores, truth)
