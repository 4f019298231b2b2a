"""Device and arithmetic."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from support.models import tiny
from swtformer import precision
from swtformer.errors import SettingsError
from swtformer.precision import autocast, mkl_is_slow, pick_device, pick_precision, use_onednn
from swtformer.settings import LocalizeSettings


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


@pytest.mark.parametrize(
    ("processor", "capability", "slow"),
    [
        ("AMD EPYC 9654 96-Core Processor", "AVX512", True),
        ("AMD Ryzen 7 5800X", "AVX2", False),
        ("Intel(R) Xeon(R) Processor", "AVX512", False),
    ],
)
def test_mkl_is_slow_on_amd_with_avx512(
    processor: str, capability: str, slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "processor_name", lambda: processor)
    for library in (torch.backends.mkl, torch.backends.mkldnn):
        monkeypatch.setattr(library, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert mkl_is_slow() == slow


@pytest.fixture
def onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch.backends.mkldnn.is_available():
        pytest.skip("needs oneDNN")
    monkeypatch.setattr(precision, "mkl_is_slow", lambda: True)


def test_maps_by_onednn_are_those_by_mkl(onednn: None) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8, generator=generator)
    model, present = tiny("swtformer_v2"), torch.tensor([[1.0, 0.0, 1.0]])
    settings = LocalizeSettings(scales=(0.5, 1.0))
    by_mkl = model.maps(images, present, settings=settings)
    use_onednn(model)
    by_onednn = model.maps(images, present, settings=settings)
    torch.testing.assert_close(by_onednn.cam, by_mkl.cam, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(by_onednn.rcam, by_mkl.rcam, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(by_onednn.probabilities, by_mkl.probabilities, atol=1e-6, rtol=1e-5)


def test_onednn_computes_float32_without_gradients_alone(onednn: None) -> None:
    torch.manual_seed(0)
    layer, values = nn.Linear(24, 40), torch.randn(2, 5, 24)
    expected = layer(values)
    use_onednn(layer)
    with torch.no_grad():
        torch.testing.assert_close(layer(values), expected)
        layer.weight.zero_()
        assert layer(values).any(), "this is its own copy of the weights"
        with autocast("bf16", "cpu"):
            assert torch.equal(layer(values), layer.bias.bfloat16().expand(2, 5, 40))
    assert torch.equal(layer(values), layer.bias.expand(2, 5, 40))
    layer(values).sum().backward()
    assert layer.weight.grad is not None
