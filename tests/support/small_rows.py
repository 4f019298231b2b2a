"""Settings that make every row of a table small."""

from __future__ import annotations

from typing import Any

SMALL: dict[str, Any] = {
    "model": {"backbone": "swin_nano", "weights": "none"},
    "train": {
        "epochs": 1,
        "batch_size": 4,
        "crop_px": 32,
        "long_side_px": [40, 48],
        "workers": 0,
        "precision": "fp32",
    },
    "localize": {"scales": [1.0], "precision": "fp32", "workers": 0},
    "refine": {"workers": 0},
    "data": {"validation_fraction": 0.25},
}
