"""Device and arithmetic."""

from __future__ import annotations

import pytest
import torch

from swtformer.errors import SettingsError
from swtformer.precision import autocast, pick_device, pick_precision


def test_fp16_is_refused_on_a_cpu() -> None:
    with pytest.raises(SettingsError, match="fp16 is not for CPUs"):
        pick_precision("fp16", "cpu")


def test_auto_follows_the_processor() -> None:
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    assert pick_precision("auto", "cpu") == ("bf16" if native else "fp32")
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
