"""Colours of map values."""

from __future__ import annotations

import numpy as np

# 64 of the 256 colours of "inferno" (Nathaniel Smith and Stéfan van der Walt, CC0): even steps of a map value
# look like even steps of brightness. Linear in between, it is within 2 of 255 levels of the original.
_INFERNO = """
00000402010a04031207051b0b072410092d150b371b0c41210c4a280b532f0a5b3809623e0966450a694c0c6b520e6d
59106e5f136e65156e6c186e721a6e781c6d7f1e6c85216b8c23699225689827669f2a63a52c60ab2f5eb1325ab73557
bf3952c43c4eca404acf4446d44842d94d3dde5238e25734e65d2fea632aed6925f06f20f3761bf57d15f78410f98b0b
fa9207fb9906fca108fca80dfcb014fbba1ffac228f9c932f7d13df5d949f4e156f2e865f1ef75f3f586f6fa96fcffa4
"""
_ANCHORS = np.frombuffer(bytes.fromhex("".join(_INFERNO.split())), dtype=np.uint8).reshape(-1, 3)


def map_colours(values: np.ndarray) -> np.ndarray:
    """Colours of map values.

    Args:
        values: any shape, in [0, 1]; what lies outside is clipped.

    Returns:
        (..., 3) float64 RGB, 0 to 255; black-violet for 0, over red, to pale yellow for 1.
    """
    grid = np.linspace(0, 1, len(_ANCHORS))
    return np.stack([np.interp(values, grid, _ANCHORS[:, channel]) for channel in range(3)], axis=-1)


def map_gradient(steps: int = 12) -> str:
    """The colour map as the stops of a CSS `linear-gradient`, from 0 to 1."""
    return ", ".join(css(colour) for colour in map_colours(np.linspace(0, 1, steps)))


def css(colour: np.ndarray) -> str:
    """`#rrggbb` of an RGB colour of 0 to 255."""
    red, green, blue = (round(float(value)) for value in colour)
    return f"#{red:02x}{green:02x}{blue:02x}"
