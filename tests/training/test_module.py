"""Weights of the losses over the epochs."""

from __future__ import annotations

import pytest

from support.models import tiny
from support.squares import quick_settings
from swtformer.training.module import TrainingModule


def test_gsc_and_ccl_rise_over_the_ramp() -> None:
    settings = quick_settings(loss={"cls": 1, "gsc": 0.5, "ccl": 2, "ramp_epochs": 4})
    module = TrainingModule(tiny(), settings)
    assert module.loss_weights(0) == {"cls": 1, "gsc": 0, "ccl": 0}
    assert module.loss_weights(1) == pytest.approx({"cls": 1, "gsc": 0.125, "ccl": 0.5})
    assert module.loss_weights(9) == {"cls": 1, "gsc": 0.5, "ccl": 2}


def test_without_a_ramp_all_losses_count_from_the_start() -> None:
    module = TrainingModule(tiny(), quick_settings(loss={"ramp_epochs": 0}))
    assert module.loss_weights(0) == {"cls": 1, "gsc": 1, "ccl": 1}
