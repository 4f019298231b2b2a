"""What all fitted modules share, in real fits of one weight."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn
from torch.optim import SGD, Optimizer

from support.slope import Slope, empty_batches
from swtformer.errors import NonFiniteError, PluginError
from swtformer.settings import SegmentSettings

pytestmark = pytest.mark.filterwarnings("ignore:::lightning")


def trainer(epochs: int = 1, **options: Any) -> Trainer:
    return Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def fitted(seed: int = 0, **options: Any) -> Slope:
    module = Slope(SegmentSettings(), seed=seed)
    trainer(epochs=2).fit(module, empty_batches(3), **options)
    return module


class Several(Slope):
    """Announces some losses."""

    loss_names = ("one", "two", "three")


def test_the_total_is_the_weighted_sum_by_hand() -> None:
    module = Several(SegmentSettings())
    one, two = (torch.tensor(value, requires_grad=True) for value in (2.0, 3.0))
    total = module.total({"one": one, "two": two}, {"two": 0.5, "three": 7.0})
    total.backward()
    assert total.item() == 3.5
    assert (one.grad, two.grad) == (torch.tensor(1.0), torch.tensor(0.5))
    assert module.latest == {"loss": torch.tensor(3.5), "one": torch.tensor(2.0), "two": torch.tensor(3.0)}
    assert not any(value.requires_grad for value in module.latest.values())


def test_losses_weigh_1_unless_told_otherwise() -> None:
    assert Several(SegmentSettings()).total({"one": torch.tensor(2.0), "two": torch.tensor(3.0)}).item() == 5


def test_a_loss_that_was_not_announced_is_refused() -> None:
    with pytest.raises(PluginError, match=r"The network: the loss 'four' .*loss_names "):
        Several(SegmentSettings()).total({"one": torch.tensor(1.0), "four": torch.tensor(1.0)})


@pytest.mark.parametrize(("value", "shown"), [(float("nan"), "nan"), (float("inf"), "inf")])
def test_a_total_that_is_not_finite_stops_and_names_its_parts(value: float, shown: str) -> None:
    module = Several(SegmentSettings())
    with pytest.raises(
        NonFiniteError, match=rf"step 0, epoch 1 \(loss {shown}, one 0\.25, two {shown}\).*segment\."
    ) as caught:
        module.total({"one": torch.tensor(0.25), "two": torch.tensor(value)}, {"one": 1.0, "two": 2.0})
    assert caught.value.exit_code == 5


def test_the_message_names_step_and_epoch() -> None:
    class Tips(Slope):
        def on_train_epoch_start(self) -> None:
            self.slope = 1.0 if self.current_epoch == 0 else float("nan")

    with pytest.raises(NonFiniteError, match="at step 3, epoch 2"):
        trainer(epochs=2).fit(Tips(SegmentSettings()), empty_batches(3))


def test_the_rate_warms_up_and_falls_per_optimiser_step() -> None:
    """Eight batches are four steps: 1/2 and all of the rate, then a cosine from all of it through 1/2."""
    options = SegmentSettings(learning_rate=0.5, minimum_learning_rate=0, warmup_fraction=0.5)
    module = Slope(options)
    trainer(epochs=2, accumulate_grad_batches=2).fit(module, empty_batches(4))
    assert module.rates == pytest.approx([0.25, 0.25, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25])


def test_the_first_step_of_adamw_by_hand() -> None:
    """Its moments cancel to the sign of the gradient: the weight goes down by the rate."""
    options = SegmentSettings(learning_rate=0.5, minimum_learning_rate=0.5, warmup_fraction=0, weight_decay=0)
    module = Slope(options, slope=7.0)
    trainer().fit(module, empty_batches(1))
    assert module.weight == pytest.approx(-0.5)


def test_weights_decay_by_hand() -> None:
    """The second step first subtracts 0.5 · 0.2 of the weight −0.5, then the rate."""
    options = SegmentSettings(
        learning_rate=0.5, minimum_learning_rate=0.5, warmup_fraction=0, weight_decay=0.2
    )
    module = Slope(options)
    trainer().fit(module, empty_batches(2))
    assert module.weight == pytest.approx(-0.5 * 0.9 - 0.5)


def test_another_optimiser_and_schedule_take_their_place() -> None:
    """The rate falls as (1 - step / steps)^0.9, as for PSA and IRN."""

    class Polynomial(Slope):
        def create_optimizer(self) -> Optimizer:
            return SGD(self.parameters(), lr=0.5)

        def learning_rate_factor(self, steps: int) -> Callable[[int], float]:
            return lambda step: (1 - step / steps) ** 0.9

    module = Polynomial(SegmentSettings())
    trainer(epochs=2).fit(module, empty_batches(2))
    assert module.rates == pytest.approx([0.5, 0.5 * 0.75**0.9, 0.5 * 0.5**0.9, 0.5 * 0.25**0.9])
    assert module.weight == pytest.approx(-sum(module.rates))


class TwoParts(Slope):
    """A network with a backbone and a head of one weight each."""

    def __init__(self, options: SegmentSettings) -> None:
        super().__init__(options)
        self.model = nn.ModuleDict({"backbone": nn.Linear(1, 1, bias=False), "head": nn.Linear(1, 1)})


def rates_by_group(module: TwoParts) -> dict[str, float]:
    return {group["name"]: group["lr"] for group in module.create_optimizer().param_groups}


def test_each_part_of_the_network_is_a_group_and_new_ones_have_the_rate_of_heads() -> None:
    module = TwoParts(SegmentSettings(learning_rate=0.5, head_multiplier=4.0))
    assert rates_by_group(module) == {"backbone/decay": 0.5, "head/decay": 2.0, "head/plain": 2.0}


def test_a_module_chooses_its_groups_and_their_rates() -> None:
    class Chosen(TwoParts):
        def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
            return {"all": list(self.model.parameters())}

        def learning_rate_multipliers(self) -> dict[str, float]:
            return {"all": 3.0}

    assert rates_by_group(Chosen(SegmentSettings(learning_rate=0.5))) == {"all/decay": 1.5, "all/plain": 1.5}


def test_a_parameter_that_no_group_trains_is_refused_unless_it_is_frozen() -> None:
    class Forgetful(TwoParts):
        def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
            return {"backbone": list(self.model["backbone"].parameters())}

    module = Forgetful(SegmentSettings())
    with pytest.raises(ValueError, match=r"2 parameters of ModuleDict .*head\.weight, head\.bias"):
        module.create_optimizer()
    module.model["head"].requires_grad_(False)
    assert set(rates_by_group(module)) == {"backbone/decay"}


def test_the_module_knows_how_long_an_epoch_is() -> None:
    module = Slope(SegmentSettings())
    assert module.batches_in_epoch == 1
    trainer().fit(module, empty_batches(3))
    assert module.batches_in_epoch == 3


def test_every_batch_has_random_numbers_of_its_own() -> None:
    """They depend on seed, epoch and batch, and not on earlier draws."""
    first = fitted().draws
    assert len(set(first)) == 6
    torch.manual_seed(1234)
    assert fitted().draws == first
    assert not set(fitted(seed=1).draws) & set(first)


def test_a_resumed_fit_draws_what_the_unbroken_one_drew(tmp_path: Path) -> None:
    half = trainer(epochs=1)
    half.fit(Slope(SegmentSettings()), empty_batches(3))
    half.save_checkpoint(tmp_path / "half.ckpt")
    resumed = fitted(ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    assert resumed.draws == fitted().draws[3:]


def test_every_process_has_random_numbers_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = []
    for rank in ("1", "0"):  # the first process last, as Lightning remembers the last one
        monkeypatch.setenv("LOCAL_RANK", rank)
        module = Slope(SegmentSettings())
        module.trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False)
        assert module.global_rank == int(rank)
        module.on_train_batch_start({}, 0)
        draws.append(float(torch.rand(())))
    assert draws[0] != draws[1]
