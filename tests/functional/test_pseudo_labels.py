import numpy as np
import pytest
import torch

from swtformer.functional.pseudo_labels import (
    Evidence,
    agreement,
    certainty,
    evidence,
    labels_by_margin,
    labels_by_thresholds,
    margin_histogram,
    margins_to_keep,
    support,
)

VALUES = torch.tensor([2, 7])
MAPS = torch.tensor([[[0.6, 0.3, 0.1, 0.0, 0.4]], [[0.2, 0.4, 0.1, 0.0, 0.4]], [[0.2, 0.3, 0.6, 0.0, 0.0]]])
"""Shares by pixel: .6 .2 .2, .3 .4 .3, ⅛ ⅛ ¾, none, .5 .5 0."""
PIXELS = evidence(MAPS, VALUES, (1, 5))


def test_evidence_by_hand() -> None:
    assert PIXELS.labels.tolist() == [[0, 2, 7, 0, 0]]  # the tie goes to the background
    torch.testing.assert_close(PIXELS.margins, torch.tensor([[0.4, 0.1, 0.625, 0.0, 0.0]]))
    assert PIXELS.foreground[0, 1:3].tolist() == [2, 7]
    torch.testing.assert_close(PIXELS.foreground_share, torch.tensor([[0.2, 0.4, 0.75, 0.0, 0.5]]))


GIVEN = torch.tensor([[0, 7, 7, 2, 2]], dtype=torch.uint8)
"""Labels from elsewhere; only the first and third equal `PIXELS`; the fourth has no evidence."""
SUPPORTED = support(GIVEN, MAPS, VALUES, (1, 5))


def test_support_by_hand() -> None:
    assert SUPPORTED.labels is GIVEN
    torch.testing.assert_close(SUPPORTED.margins, torch.tensor([[0.4, -0.1, 0.625, 0.0, 0.0]]))
    assert (SUPPORTED.foreground == PIXELS.foreground).all()
    assert (SUPPORTED.foreground_share == PIXELS.foreground_share).all()


def test_support_of_the_background_alone() -> None:
    pixels = support(torch.zeros(4, 6, dtype=torch.uint8), torch.full((1, 2, 2), 0.3), VALUES[:0], (4, 6))
    torch.testing.assert_close(pixels.margins, torch.ones(4, 6))


def test_support_against_a_loop() -> None:
    rng = np.random.default_rng(3)
    maps = rng.random((3, 5, 7), dtype=np.float32)
    labels = rng.choice(np.array([0, 2, 7], np.uint8), (5, 7))
    found = support(torch.from_numpy(labels), torch.from_numpy(maps), VALUES, (5, 7))
    expected = np.empty((5, 7))
    for row, column in np.ndindex(5, 7):
        shares = dict(zip((0, 2, 7), maps[:, row, column] / maps[:, row, column].sum(), strict=True))
        own = shares.pop(int(labels[row, column]))
        expected[row, column] = own - max(shares.values())
    assert (expected < 0).any()
    np.testing.assert_allclose(found.margins.numpy(), expected, atol=1e-6)


def test_the_best_labels_are_supported_by_their_evidence() -> None:
    maps = torch.rand(3, 6, 9, generator=torch.Generator().manual_seed(0))
    best = evidence(maps, VALUES, (20, 31))
    supported = support(best.labels, maps, VALUES, (20, 31))
    assert torch.equal(supported.margins, best.margins)
    assert best.margins.min() >= 0


def test_labels_that_the_maps_contradict_are_undecided() -> None:
    assert labels_by_margin(SUPPORTED, torch.zeros(256)).tolist() == [[0, 255, 7, 2, 2]]
    assert labels_by_thresholds(SUPPORTED, low=0.4, high=0.4).tolist() == [[0, 255, 7, 255, 2]]


def test_background_alone_is_certain() -> None:
    pixels = evidence(torch.full((1, 2, 2), 0.3), torch.zeros(0), (4, 6))
    assert not pixels.labels.any()
    torch.testing.assert_close(pixels.margins, torch.ones(4, 6))
    assert certainty(pixels, torch.zeros(0, dtype=torch.int64)) == pytest.approx(1)


def test_margin_rule() -> None:
    assert labels_by_margin(PIXELS, torch.zeros(256)).tolist() == [[0, 2, 7, 0, 0]]
    assert labels_by_margin(PIXELS, torch.full((256,), 0.2)).tolist() == [[0, 255, 7, 255, 255]]
    only_seven = torch.zeros(256)
    only_seven[7] = 0.7
    assert labels_by_margin(PIXELS, only_seven).tolist() == [[0, 2, 255, 0, 0]]


def test_threshold_rule() -> None:
    assert labels_by_thresholds(PIXELS, low=0.2, high=0.7).tolist() == [[0, 255, 7, 255, 255]]
    assert labels_by_thresholds(PIXELS, low=0.4, high=0.4).tolist() == [[0, 2, 7, 255, 2]]
    assert labels_by_thresholds(PIXELS, low=0, high=0)[0, 3] == 255  # where there is no evidence
    nothing = evidence(torch.ones(1, 1, 2), torch.zeros(0), (1, 2))
    assert labels_by_thresholds(nothing, low=0, high=0).tolist() == [[0, 0]]


def test_keep_rule_keeps_the_surest_part_of_each_label() -> None:
    rng = np.random.default_rng(0)
    maps = (
        torch.from_numpy(rng.random((3, 40, 50)).astype(np.float32))
        * torch.tensor([3.0, 1, 1])[:, None, None]
    )
    pixels = evidence(maps, VALUES, (40, 50))
    smallest = margins_to_keep(margin_histogram(pixels), 0.7)
    labels = labels_by_margin(pixels, smallest)
    for label in (0, 2, 7):
        mine = pixels.labels == label
        assert float((labels[mine] == label).float().mean()) == pytest.approx(0.7, abs=0.01)
        assert pixels.margins[mine & (labels == 255)].max() <= pixels.margins[mine & (labels == label)].min()


@pytest.mark.parametrize("pixels", [PIXELS, SUPPORTED], ids=["best", "given"])
def test_keeping_everything_leaves_nothing_out(pixels: Evidence) -> None:
    assert not (labels_by_margin(pixels, margins_to_keep(margin_histogram(pixels), 1.0)) == 255).any()


def test_keep_rule_keeps_its_part_of_labels_that_the_maps_contradict() -> None:
    rng = np.random.default_rng(1)
    labels = torch.from_numpy(rng.choice(np.array([0, 2, 7], np.uint8), (40, 50)))
    maps = torch.from_numpy(rng.random((3, 40, 50), dtype=np.float32))
    pixels = support(labels, maps, VALUES, (40, 50))
    assert (pixels.margins < 0).float().mean() > 0.5
    kept = labels_by_margin(pixels, margins_to_keep(margin_histogram(pixels), 0.7)) != 255
    for label in (0, 2, 7):
        mine = labels == label
        assert float(kept[mine].float().mean()) == pytest.approx(0.7, abs=0.01)
        assert pixels.margins[mine & ~kept].max() <= pixels.margins[mine & kept].min()


def test_certainty_by_hand() -> None:
    assert certainty(SUPPORTED, VALUES) == pytest.approx((0.4 + 0 + 0.625 / 2) / 3)  # −0.1 counts as 0
    means = (0.4 / 3 + 0.1 + 0.625) / 3
    assert certainty(PIXELS, VALUES) == pytest.approx(means)
    assert certainty(PIXELS, torch.tensor([2, 7, 9])) == pytest.approx(means * 3 / 4)  # 9 wins nothing
    filled = evidence(torch.tensor([[[0.1]], [[0.9]]]), torch.tensor([3]), (2, 2))
    assert certainty(filled, torch.tensor([3])) == pytest.approx(0.8)


def test_agreement_by_hand() -> None:
    before = torch.tensor([[0, 0, 2, 2]], dtype=torch.uint8)
    after = torch.tensor([[0, 2, 2, 2]], dtype=torch.uint8)
    assert agreement(before, after, torch.tensor([2])) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert agreement(before, after, VALUES) == pytest.approx((1 / 2 + 2 / 3) / 2)  # 7 is in neither
    assert agreement(before, before, VALUES) == 1
    assert (
        agreement(torch.zeros_like(before), torch.zeros_like(before), torch.zeros(0, dtype=torch.int64)) == 1
    )
