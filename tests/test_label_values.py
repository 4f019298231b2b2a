import numpy as np
import pytest

from swtformer.label_values import values_in


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (1, 7), (13, 17)])
@pytest.mark.parametrize("values", [(3,), (0, 255), (0, 1, 9, 254)])
def test_values_are_those_that_a_set_holds(shape: tuple[int, int], values: tuple[int, ...]) -> None:
    labels = np.random.default_rng(0).choice(np.array(values, dtype=np.uint8), shape)
    assert values_in(labels) == sorted(set(labels.ravel().tolist()))
    assert values_in(labels.T) == values_in(labels)
