from dataclasses import replace

import pytest
import torch

from swtformer.functional.labels import Foreground, best_foreground, labels_at
from swtformer.functional.scores import confusion_matrix
from swtformer.functional.thresholds import (
    ThresholdSweep,
    confusion_at_thresholds,
    count_below,
    label_free_threshold,
    score_histogram,
    threshold_grid,
)


def test_grid_has_percent_steps_and_the_extra_ones_once() -> None:
    assert len(threshold_grid()) == 101
    grid = threshold_grid([0.15, 0.1234])
    assert len(grid) == 102
    assert (grid.diff() > 0).all()
    assert float(grid[0]) == 0
    assert float(grid[-1]) == 1


@pytest.mark.parametrize("extra", [[], [0.15 + 1e-6, 0.15 + 2e-6, 0.999999, 1e-7]])
def test_count_below_equals_bucketize_at_and_beside_every_threshold(extra: list[float]) -> None:
    """The extra thresholds share cells of the table with others."""
    grid = threshold_grid(extra)
    one = torch.ones(())
    scores = torch.cat(
        [
            grid,
            torch.nextafter(grid, one * 2),
            torch.nextafter(grid, -one),
            torch.rand(5000, generator=torch.Generator().manual_seed(0)),
            torch.tensor([-0.5, 1.5]),
        ]
    )
    assert torch.equal(count_below(scores, grid), torch.bucketize(scores, grid, out_int32=True))


def example(seed: int, classes: int) -> tuple[Foreground, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(classes, 7, 9, generator=generator).half()
    values = torch.tensor([3, 5, 20])[:classes]
    truth = torch.tensor([0, 3, 11, 255], dtype=torch.uint8)[
        torch.randint(0, 4, (26, 35), generator=generator)
    ]
    return best_foreground(maps, values, (26, 35)), truth


@pytest.mark.parametrize("classes", [0, 1, 3])
def test_one_pass_equals_argmax_at_every_threshold(classes: int) -> None:
    grid = threshold_grid([0.333])
    sweep = ThresholdSweep(21, grid)
    naive = torch.zeros(len(grid), 21, 21, dtype=torch.int64)
    for seed in range(2):
        best, truth = example(seed, classes)
        sweep.add(confusion_at_thresholds(best, truth, grid))
        for place, threshold in enumerate(grid.tolist()):
            naive[place] += confusion_matrix(labels_at(best, threshold), truth, labels=21)[:, :21]
    assert torch.equal(sweep.counts, naive)


def test_truth_without_scored_pixel_adds_nothing() -> None:
    best, truth = example(0, 2)
    assert not confusion_at_thresholds(best, torch.full_like(truth, 255), threshold_grid()).counts.any()


def test_counts_beyond_32_bits_stay_exact() -> None:
    best, truth = example(0, 3)
    local = confusion_at_thresholds(best, truth, threshold_grid())
    sweep = ThresholdSweep(21, threshold_grid())
    sweep.add(replace(local, counts=local.counts * 2**40))
    sweep.add(local)
    scored = int((truth != 255).sum())
    assert sweep.counts.sum((1, 2)).tolist() == [scored * (2**40 + 1)] * 101


def test_sweep_refuses_what_does_not_fit() -> None:
    best, truth = example(0, 3)
    grid = threshold_grid()
    with pytest.raises(ValueError, match=r"equal sizes, got \(26, 35\) and \(35, 26\)"):
        confusion_at_thresholds(best, truth.T, grid)
    with pytest.raises(ValueError, match="labels 0 to 19 or 255, got 20"):
        ThresholdSweep(20, grid).add(confusion_at_thresholds(best, truth, grid))
    with pytest.raises(ValueError, match=r"no threshold 0\.123"):
        ThresholdSweep(21, grid).index(0.123)
    assert ThresholdSweep(21, grid).index(0.29) == 29


def test_histogram_counts_the_best_score_of_each_cell() -> None:
    maps = torch.tensor([[[0.0, 0.005, 0.3]], [[0.0, 0.001, 1.0]]])
    histogram = score_histogram(maps)
    assert histogram.nonzero()[:, 0].tolist() == [0, 1, 100]
    assert int(histogram.sum()) == 3
    assert not score_histogram(torch.zeros(0, 4, 4)).any()


def test_label_free_threshold_by_hand() -> None:
    # Ten scores of about 0.2 and ten of 0.8. Above 0.2: S⁺ = 8, N⁺ + S⁻ = 10 + 2, J = 2/3; with all: 10 / 20.
    maps = torch.cat([torch.full((10,), 0.195), torch.full((10,), 0.795)]).view(1, 4, 5)
    assert label_free_threshold(score_histogram(maps)) == 0.2
    # Below J / (1 + J) = 0.4 a score only costs, above it gains: 0.5 belongs to the foreground.
    maps = torch.cat([torch.full((10,), 0.495), torch.full((10,), 0.795)]).view(1, 4, 5)
    assert label_free_threshold(score_histogram(maps)) == 0.0


def brute_force(scores: torch.Tensor) -> tuple[float, float]:
    """Expected IoU at each threshold, straight from its definition."""
    curve = []
    for threshold in threshold_grid().tolist():
        above = scores > threshold
        curve.append(float(scores[above].sum() / (above.sum() + scores[~above].sum())))
    return curve.index(max(curve)) / 100, max(curve)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 5.0])
def test_label_free_threshold_maximises_the_expected_iou(power: float) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(1, 200, 200, generator=generator, dtype=torch.float64) ** power
    threshold = label_free_threshold(score_histogram(scores))
    best, iou = brute_force(scores)
    assert threshold == pytest.approx(best, abs=0.011)
    assert threshold == pytest.approx(iou / (1 + iou), abs=0.02)


def test_surer_maps_get_a_higher_threshold_and_never_above_one_half() -> None:
    scores = torch.linspace(0, 1, 2500).view(1, 50, 50)
    thresholds = [label_free_threshold(score_histogram(scores**power)) for power in (8, 4, 2, 1)]
    assert thresholds == sorted(thresholds)
    assert 0 < thresholds[0] < thresholds[-1] <= 0.5


def test_label_free_threshold_of_nothing_is_zero() -> None:
    assert label_free_threshold(torch.zeros(102, dtype=torch.int64)) == 0
    assert label_free_threshold(score_histogram(torch.zeros(1, 3, 3))) == 0
