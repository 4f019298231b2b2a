"""AdamW groups and the schedule."""

from __future__ import annotations

import pytest

from support.models import tiny
from swtformer.engine.optimizer import create_optimizer, learning_rate_factor, parameter_groups
from swtformer.settings import TrainSettings
from swtformer.training.module import freeze


def test_groups_have_their_rates_and_decays() -> None:
    model = tiny()
    settings = TrainSettings(learning_rate=1e-4, head_multiplier=10, fusion_multiplier=3, weight_decay=0.05)
    groups = {group["name"]: group for group in parameter_groups(model, settings)}
    assert set(groups) == {"backbone/decay", "backbone/plain", "head/decay", "head/plain", "fusion/decay"}
    assert groups["backbone/decay"]["lr"] == pytest.approx(1e-4)
    assert groups["head/plain"]["lr"] == pytest.approx(1e-3)
    assert groups["fusion/decay"]["lr"] == pytest.approx(3e-4)
    assert groups["backbone/plain"]["weight_decay"] == 0
    assert groups["backbone/decay"]["weight_decay"] == 0.05


def test_biases_norms_and_bias_tables_are_not_decayed() -> None:
    model = tiny()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = {group["name"]: group for group in parameter_groups(model, TrainSettings())}
    plain = [names[id(item)] for item in groups["backbone/plain"]["params"]]
    decayed = [names[id(item)] for item in groups["backbone/decay"]["params"]]
    assert any("relative_position_bias_table" in name for name in plain)
    assert not any("relative_position_bias_table" in name or name.endswith(".bias") for name in decayed)
    assert any("norm" in name for name in plain)
    grouped = sum(len(group["params"]) for group in groups.values())
    assert grouped == len(names)


def test_frozen_stages_are_left_out() -> None:
    model = tiny()
    freeze(model, 2)
    frozen = {name for name, item in model.named_parameters() if not item.requires_grad}
    assert frozen
    optimised = {
        id(item)
        for group in create_optimizer(model, TrainSettings()).param_groups
        for item in group["params"]
    }
    assert optimised.isdisjoint({id(item) for name, item in model.named_parameters() if name in frozen})
    assert model.head.weight.requires_grad


def test_schedule_by_hand() -> None:
    settings = TrainSettings(learning_rate=1e-4, minimum_learning_rate=1e-6, warmup_fraction=0.1)
    factor = learning_rate_factor(settings, 100)
    assert factor(0) == pytest.approx(0.1)
    assert factor(9) == pytest.approx(1.0)
    assert factor(10) == pytest.approx(1.0)
    assert factor(55) == pytest.approx((1 + 0.01) / 2)
    assert factor(100) == pytest.approx(0.01)
    assert factor(1000) == pytest.approx(0.01)


def test_schedule_without_warmup_starts_at_the_peak() -> None:
    assert learning_rate_factor(TrainSettings(warmup_fraction=0.0), 10)(0) == pytest.approx(1.0)
