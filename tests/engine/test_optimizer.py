"""The optimiser's groups, and the schedules."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from support.models import tiny
from support.squares import quick_settings
from swtformer.engine.optimizer import create_optimizer, warmup_and_decay
from swtformer.settings import Settings
from swtformer.training.module import TrainingModule


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape))


def test_groups_have_their_rates_and_decays() -> None:
    matrix, bias, table, frozen = parameter(2, 2), parameter(2), parameter(3, 2), parameter(2, 2)
    frozen.requires_grad_(False)
    optimizer = create_optimizer(
        {"old": [matrix, bias, frozen], "new": [table]},
        learning_rate=0.5,
        multipliers={"new": 4.0, "unused": 9.0},
        weight_decay=0.25,
        undecayed=[table],
    )
    found = [
        (group["name"], group["lr"], group["weight_decay"], group["params"])
        for group in optimizer.param_groups
    ]
    assert found == [
        ("old/decay", 0.5, 0.25, [matrix]),
        ("old/plain", 0.5, 0.0, [bias]),
        ("new/plain", 2.0, 0.0, [table]),
    ]


def test_one_kernel_steps_as_the_loop_over_parameters_does() -> None:
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(*shape, generator=generator) for shape in ((40, 30), (30,))]
    gradients = [[torch.randn(each.shape, generator=generator) for each in start] for _ in range(5)]
    ours, looped = ([nn.Parameter(each.clone()) for each in start] for _ in range(2))
    fused = create_optimizer({"all": ours}, learning_rate=0.01, multipliers={}, weight_decay=0.1)
    assert fused.defaults["fused"]
    loop = torch.optim.AdamW(
        [{"params": [looped[0]], "weight_decay": 0.1}, {"params": [looped[1]], "weight_decay": 0.0}],
        lr=0.01,
        foreach=False,
    )
    for step in gradients:
        for parameters, optimizer in ((ours, fused), (looped, loop)):
            for each, gradient in zip(parameters, step, strict=True):
                each.grad = gradient.clone()
            optimizer.step()
    torch.testing.assert_close(ours, looped)


class TestMethod:
    """The groups of a V2."""

    def module(self, fusion_multiplier: float = 1.0, **train: object) -> TrainingModule:
        settings: Settings = quick_settings(train=dict(train))
        return TrainingModule(tiny(fusion_multiplier=fusion_multiplier), settings)

    def test_groups_have_their_rates(self) -> None:
        module = self.module(learning_rate=1e-4, head_multiplier=10, fusion_multiplier=3, weight_decay=0.05)
        groups = {group["name"]: group for group in module.create_optimizer().param_groups}
        assert list(groups) == [
            "backbone/decay",
            "backbone/plain",
            "head/decay",
            "head/plain",
            "fusion/decay",
        ]
        rates = [group["lr"] for group in groups.values()]
        assert rates == pytest.approx([1e-4, 1e-4, 1e-3, 1e-3, 3e-4])
        decays = [group["weight_decay"] for group in groups.values()]
        assert decays == [0.05, 0, 0.05, 0, 0.05]

    def test_biases_norms_and_bias_tables_are_not_decayed(self) -> None:
        module = self.module()
        names = {id(item): name for name, item in module.model.named_parameters()}
        groups = {
            group["name"]: [names[id(item)] for item in group["params"]]
            for group in module.create_optimizer().param_groups
        }
        plain, decayed = groups["backbone/plain"], groups["backbone/decay"]
        assert any("relative_position_bias_table" in name for name in plain)
        assert not any("relative_position_bias_table" in name or name.endswith(".bias") for name in decayed)
        assert any("norm" in name for name in plain)
        assert sum(map(len, groups.values())) == len(names)

    def test_frozen_stages_are_left_out(self) -> None:
        module = self.module(freeze_stages=2)
        frozen = {id(item) for item in module.model.parameters() if not item.requires_grad}
        groups = module.create_optimizer().param_groups
        optimised = {id(item) for group in groups for item in group["params"]}
        assert frozen
        assert optimised.isdisjoint(frozen)
        assert id(module.model.head.weight) in optimised


def test_schedule_by_hand() -> None:
    factor = warmup_and_decay(100, warmup_fraction=0.1, floor=0.01)
    assert factor(0) == pytest.approx(0.1)
    assert factor(9) == pytest.approx(1.0)
    assert factor(10) == pytest.approx(1.0)
    assert factor(55) == pytest.approx((1 + 0.01) / 2)
    assert factor(100) == pytest.approx(0.01)
    assert factor(1000) == pytest.approx(0.01)


def test_schedule_without_warmup_starts_at_the_peak() -> None:
    assert warmup_and_decay(10, warmup_fraction=0.0, floor=0.0)(0) == pytest.approx(1.0)


def test_poly_falls_by_the_power_of_what_is_left() -> None:
    factor = warmup_and_decay(100, warmup_fraction=0.0, floor=0.0, decay="poly")
    assert [factor(0), factor(50), factor(100)] == pytest.approx([1.0, 0.5**0.9, 0.0])
    assert warmup_and_decay(10, warmup_fraction=0.0, floor=0.1, decay="poly")(10) == pytest.approx(0.1)


def test_sgd_has_momentum_and_the_same_groups() -> None:
    """Two steps of a constant gradient 1 at rate 0.1: 0.1, then 0.1 · (1 + 0.9)."""
    weight = parameter(1, 1)
    optimizer = create_optimizer(
        {"backbone": [weight]}, learning_rate=0.1, multipliers={}, weight_decay=0.0, kind="sgd"
    )
    for _ in range(2):
        weight.grad = torch.ones(1, 1)
        optimizer.step()
    assert weight.item() == pytest.approx(-0.29)


def test_settings_choose_optimizer_and_schedule() -> None:
    settings = quick_settings(train={"optimizer": "sgd", "schedule": "poly", "warmup_fraction": 0.0})
    module = TrainingModule(tiny(), settings)
    assert isinstance(module.create_optimizer(), torch.optim.SGD)
    assert module.learning_rate_factor(10)(5) == pytest.approx(0.5**0.9, rel=0.02)


def test_embeddings_and_class_tokens_are_not_decayed() -> None:
    module = TrainingModule(tiny("mctformer_v1"), quick_settings())
    names = {id(item): name for name, item in module.model.named_parameters()}
    decayed = [
        names[id(item)]
        for group in module.create_optimizer().param_groups
        if group["weight_decay"] > 0
        for item in group["params"]
    ]
    assert any(name.endswith("qkv.weight") for name in decayed)
    assert not any(name.endswith(("pos_embed", "cls_token")) for name in decayed)
