"""The words of Lightning for the arithmetic."""

from __future__ import annotations

from swtformer.engine.precision import lightning_precision


def test_lightning_s_words() -> None:
    assert lightning_precision("fp32", "cpu") == "32-true"
    assert lightning_precision("bf16", "cpu") == "bf16-mixed"
    assert lightning_precision("fp16", "cuda") == "16-mixed"
