"""The arithmetic of a training, in Lightning's words."""

from __future__ import annotations

from typing import Literal

from swtformer.precision import Precision, pick_precision


def lightning_precision(precision: Precision, device: str) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    """`pick_precision` in Lightning's words."""
    names: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
        "fp32": "32-true",
        "bf16": "bf16-mixed",
        "fp16": "16-mixed",
    }
    return names[pick_precision(precision, device)]
