"""Device and arithmetic."""

from __future__ import annotations

import pytest
import torch

from swtformer.errors import SettingsError
from swtformer.precision import autocast, pick_device, pick_precision


def test_fp16_is_refused_on_a_cpu() -> None:
    with pytest.raises(SettingsError, match="fp16 is not for CPUs"):
        pick_precision("fp16", "cpu")


@pytest.mark.parametrize(
    ("avx512", "amx", "chosen"), [(0, 0, "fp32"), (1, 0, "bf16"), (0, 1, "bf16"), (1, 1, "bf16")]
)
def test_auto_follows_the_processor(
    avx512: int, amx: int, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bool(avx512))
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: bool(amx))
    assert pick_precision("auto", "cpu") == chosen
    assert pick_precision("fp32", "cpu") == "fp32"
    assert pick_precision("bf16", "cpu") == "bf16"


def test_autocast_changes_products() -> None:
    ones = torch.ones(2, 2)
    with autocast("bf16", "cpu"):
        assert (ones @ ones).dtype == torch.bfloat16
    with autocast("fp32", "cpu"):
        assert (ones @ ones).dtype == torch.float32


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_missing_gpu_is_named() -> None:
    with pytest.raises(SettingsError, match="No CUDA GPU"):
        pick_device("gpu")
    assert pick_device("cpu") == "cpu"


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="needs a machine without MPS")
def test_missing_mps_is_named() -> None:
    with pytest.raises(SettingsError, match="MPS is not available"):
        pick_device("mps")
