"""What one image adds, worked by hand on maps of four cells, and the sums over images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from swtformer.datasets.records import Record
from swtformer.errors import DataError, SwtformerError
from swtformer.functional.labels import Foreground
from swtformer.functional.thresholds import confusion_at_thresholds, label_free_threshold, threshold_grid
from swtformer.scoring.map_scores import ImageCounts, MapCounter, MapTotals
from swtformer.store.maps import ClassActivationMaps, Source
from swtformer.store.masks import Policy, write_mask
from swtformer.store.run import Run

CLASSES = ("cat", "dog")
CAM = ClassActivationMaps(
    values=np.array([1]),
    size=(1, 4),
    cam=np.array([[[0.0, 0.25, 0.625, 1.0]]]),
    rcam=np.array([[[0.875, 0.5, 0.25, 0.0]], [[0.0, 0.5, 0.75, 1.0]]]),
    probabilities=np.array([0.75, 0.125], np.float32),
    made_by="model",
)
"""A cat in one row of four pixels, on a grid of their own size."""

TRUTH = np.array([[0, 1, 1, 255]], np.uint8)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with the maps of "a", and their ground truth beside it."""
    CAM.save(Run(tmp_path / "run").map_file("a"))
    write_mask(tmp_path / "truth" / "a.png", TRUTH)
    return Run(tmp_path / "run")


def counter(run: Run, *records: Record, **changes: Any) -> MapCounter:
    made = MapCounter(
        run=run,
        records={record.id: record for record in records},
        classes=CLASSES,
        sources=("cam", "rcam"),
        thresholds=torch.tensor([0.0, 0.5]),
        masks_by=("rcam", "argmax"),
        over=(0, 1, 2),
        made_by="model",
        missing="error",
    )
    return replace(made, **changes)


def record(run: Run, id: str = "a", *, present: tuple[int, ...] | None = (0,), masked: bool = True) -> Record:
    mask = run.path.parent / "truth" / f"{id}.png" if masked else None
    return Record(id, Path(f"{id}.jpg"), present, mask)


def bins(histogram: torch.Tensor) -> list[int]:
    return histogram.nonzero()[:, 0].tolist()


def test_one_image_by_hand(run: Run) -> None:
    image = counter(run, record(run))("a")
    assert (image.id, image.ignored, image.missing) == ("a", 1, False)
    for source in ("cam", "rcam"):
        # Above 0 the cat wins both its pixels, above 0.5 one of them; the fourth is not scored.
        assert image.sweeps[source].labels.tolist() == [0, 1]
        assert image.sweeps[source].counts.tolist() == [[[1, 0], [0, 2]], [[1, 0], [1, 1]]]
    # Against R-CAM's own background: 0.875 > 0; a tie, which it wins; 0.25 < 0.75.
    assert image.argmax is not None
    assert image.argmax.tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    assert image.miou is not None
    assert image.miou.tolist() == [(1 / 2 + 1 / 2) / 2]
    # Of all four cells, whatever the truth: 0.25 lies in (0.24, 0.25], 0.625 in (0.62, 0.63].
    assert bins(image.histograms["cam"]) == [0, 25, 63, 100]
    assert bins(image.histograms["rcam"]) == [0, 50, 75, 100]
    assert image.probabilities is not None
    assert image.probabilities.tolist() == [0.75, 0.125]


@pytest.mark.parametrize(
    ("masks_by", "over", "miou"),
    [
        (("cam", "fixed"), (0, 1, 2), [1.0, 0.5]),
        (("cam", "argmax"), (0, 1, 2), [1.0, 0.5]),
        (("rcam", "label_free"), (0, 1), [1.0, 0.5]),
        (("rcam", "fixed"), (1, 2), [1.0, 0.5]),
        (("rcam", "fixed"), (2,), [float("nan")] * 2),
        (("rcam", "argmax"), (0,), [0.5]),
    ],
)
def test_the_rule_of_the_masks_decides_an_image_s_own_score(
    run: Run, masks_by: tuple[Source, Policy], over: tuple[int, ...], miou: list[float]
) -> None:
    image = counter(run, record(run), masks_by=masks_by, over=over)("a")
    assert image.miou is not None
    assert image.miou.tolist() == pytest.approx(miou, nan_ok=True)


def test_a_method_without_rcams_is_scored_by_its_cams(run: Run) -> None:
    replace(CAM, rcam=None).save(run.map_file("a"))
    image = counter(run, record(run), sources=("cam",), masks_by=("cam", "fixed"))("a")
    assert image.argmax is None
    assert list(image.sweeps) == list(image.histograms) == ["cam"]


def test_images_that_the_set_lacks_add_to_the_histograms_alone(run: Run) -> None:
    """Whoever made them: `mask` pools them as well."""
    image = counter(run, made_by="another")("a")
    assert bins(image.histograms["cam"]) == [0, 25, 63, 100]
    assert image == ImageCounts("a", image.histograms)


def test_without_truth_the_classifier_alone_is_scored(run: Run) -> None:
    image = counter(run, record(run, masked=False))("a")
    assert image.probabilities is not None
    assert (image.sweeps, image.argmax, image.miou, image.ignored) == ({}, None, None, 0)


def test_without_labels_the_maps_alone_are_scored(run: Run) -> None:
    image = counter(run, record(run, present=None))("a")
    assert image.probabilities is None
    assert image.miou is not None


@pytest.mark.parametrize("fault", ["gone", "damaged", "CAMs only"])
def test_maps_that_cannot_be_read_are_refused_or_all_background(run: Run, fault: str) -> None:  # fault 28
    if fault == "gone":
        run.map_file("a").unlink()
    elif fault == "damaged":
        run.map_file("a").write_bytes(run.map_file("a").read_bytes()[:-1])
    else:
        replace(CAM, rcam=None).save(run.map_file("a"))
    message = {"gone": "does not exist", "damaged": "cannot be read", "CAMs only": "no R-CAMs"}[fault]
    with pytest.raises(SwtformerError, match=message):
        counter(run, record(run))("a")
    image = counter(run, record(run), missing="background")("a")
    assert image.missing
    assert image.probabilities is None
    assert image.argmax is not None
    assert image.argmax.tolist() == [[1, 0, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]]
    assert image.sweeps["cam"].counts.tolist() == [[[1, 0], [2, 0]]] * 2
    assert not any(histogram.any() for histogram in image.histograms.values())


def test_without_truth_lost_maps_are_not_missed(run: Run) -> None:
    run.map_file("a").unlink()
    for records in ((record(run, masked=False),), ()):
        image = counter(run, *records)("a")
        assert (image.missing, image.probabilities, image.miou) == (False, None, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"made_by": "another"}, r"a\.npz is stale: it was made by another model"),
        ({"probabilities": np.zeros(3)}, "another class list: expected 2 classes, got 3"),
        ({"values": np.array([3])}, "another class list"),
    ],
)
def test_maps_of_others_are_refused(run: Run, change: dict[str, Any], message: str) -> None:
    replace(CAM, **change).save(run.map_file("a"))
    with pytest.raises(SwtformerError, match=message):
        counter(run, record(run), missing="background")("a")


def test_truth_of_another_size_or_kind_is_refused(run: Run) -> None:
    write_mask(run.path.parent / "truth" / "a.png", TRUTH.T)
    with pytest.raises(DataError, match=r"4×1 pixels, .*a\.png has 1×4"):
        counter(run, record(run))("a")
    write_mask(run.path.parent / "truth" / "a.png", TRUTH + 2)
    with pytest.raises(DataError, match=r"a\.png: expected values 0 .* to 2 \(dog\)"):
        counter(run, record(run))("a")


class TestTotals:
    def totals(self, run: Run) -> MapTotals:
        """The cat of above twice, and an image without maps whose truth is three dogs."""
        write_mask(run.path.parent / "truth" / "b.png", np.array([[2, 2, 2]], np.uint8))
        count = counter(run, record(run), record(run, "b", present=(1,)), missing="background")
        totals = MapTotals(("cam", "rcam"), count.thresholds, labels=3)
        for image in (count("a"), replace(count("a"), id="c"), count("b")):
            totals.add(image)
        return totals

    def test_sums(self, run: Run) -> None:
        totals = self.totals(run)
        assert totals.truth().tolist() == [2, 4, 3]
        assert (totals.ignored, totals.missing) == (2, 1)
        assert totals.argmax.tolist() == [[2, 0, 0, 0], [2, 2, 0, 0], [3, 0, 0, 0]]
        assert list(totals.probabilities) == ["a", "c"]
        assert list(totals.miou) == ["a", "c", "b"]
        assert int(totals.histograms["cam"].sum()) == 8
        assert totals.label_free("cam") == label_free_threshold(totals.histograms["cam"]) > 0

    def test_confusion_at_a_threshold_or_by_argmax(self, run: Run) -> None:
        totals = self.totals(run)
        assert totals.confusion("cam", 0.5).tolist() == [[2, 0, 0], [2, 2, 0], [3, 0, 0]]
        assert totals.confusion("cam", 0.0).tolist() == [[2, 0, 0], [0, 4, 0], [3, 0, 0]]
        assert totals.confusion("rcam", None) is totals.argmax
        with pytest.raises(ValueError, match=r"no threshold 0\.25"):
            totals.confusion("cam", 0.25)

    def test_single_images_at_a_threshold_or_by_argmax(self, run: Run) -> None:
        totals = self.totals(run)
        # The argmax is kept for the rule of `counter`; "b" is three dogs that nobody predicted.
        assert totals.miou_of_images("rcam", None) == {"a": 0.5, "c": 0.5, "b": 0.0}

    def test_the_oracle_takes_the_best_threshold(self, run: Run) -> None:
        assert self.totals(run).oracle("cam", (0, 1, 2)) == 0.0

    def test_of_equal_thresholds_it_takes_the_lowest(self) -> None:
        totals = swept([0.3, 0.6], [0, 1], threshold_grid())
        assert totals.oracle("cam", (0, 1)) == 0.3
        assert totals.oracle("cam", (2,)) == 0.0, "labels that never occur prefer none"
        assert MapTotals(("cam",), threshold_grid(), labels=3).oracle("cam", (0, 1)) == 0.0

    @pytest.mark.parametrize("extra", [0.123456789, 1 / 3, 0.5000001, 1e-9])
    def test_an_oracle_of_many_digits_is_found_again(self, extra: float) -> None:
        """Where the threshold of the settings happens to be the best."""
        thresholds = threshold_grid([extra])
        totals = swept([extra, np.nextafter(np.float32(extra), np.float32(1))], [0, 1], thresholds)
        found = totals.oracle("cam", (0, 1))
        assert found == pytest.approx(extra, rel=1e-6)
        assert totals.confusion("cam", found).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def swept(scores: list[float], truth: list[int], thresholds: torch.Tensor) -> MapTotals:
    """Totals of one row of pixels whose best class is 1, with these scores."""
    totals = MapTotals(("cam",), thresholds, labels=3)
    best = Foreground(torch.tensor([scores]), torch.ones(1, len(scores), dtype=torch.uint8))
    local = confusion_at_thresholds(best, torch.tensor([truth], dtype=torch.uint8), thresholds)
    totals.sweeps["cam"].add(local)
    return totals
