"""What benchmarks/agreement.py counts."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from swtformer.store.maps import ClassActivationMaps

Script = Callable[[str], ModuleType]


def maps(*values: float, label: int = 3) -> ClassActivationMaps:
    cam = np.array(values, dtype=np.float16).reshape(1, 2, 2)
    return ClassActivationMaps(np.array([label], dtype=np.int16), (2, 2), cam, np.zeros(3, dtype=np.float32))


def test_pixels_of_other_labels_and_how_unclear_they_were(script: Script) -> None:
    first, second = maps(0.4, 0.6, 0.494, 0.508), maps(0.3, 0.2, 0.7, 0.1)
    # Margins of the three that differ: 0.2, 0.012 and 0.016.
    assert script("agreement").compared(first, second, "cam").tolist() == [4, 3, 0, 2, 2]


def test_maps_of_other_classes_are_not_compared(script: Script) -> None:
    one, other = maps(0.4, 0.6, 0.5, 0.5), maps(0.4, 0.6, 0.5, 0.5, label=2)
    with pytest.raises(SystemExit, match="different classes"):
        script("agreement").compared(one, other, "cam")
