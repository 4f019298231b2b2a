"""Plain class activation maps: the baseline that most methods of the field start from.

Zhou, Khosla, Lapedriza, Oliva and Torralba, Learning Deep Features for Discriminative Localization, CVPR
2016, doi:10.1109/CVPR.2016.319, with a convolution in place of the last linear layer, as in the public code
of PSA and IRN: their rows "CAM". Pooling before or after a 1×1 convolution is the same.

It is SWTformer-V1 without a bias. What differs from the two codes:

- PSA's networks drop half of the last features in training; this is `method.dropout` 0.5.
- On VGG-16, PSA takes the square root of a map's positive part. We do not.
- IRN's ResNet-50 has its last stage at stride 16, and its gradients end behind the second stage;
  `train.freeze_stages` 2 does the latter.
"""

from __future__ import annotations

from typing import final

from swtformer.methods.pyramid import PyramidMethod, PyramidSettings
from swtformer.settings import METHODS


class PlainCAMSettings(PyramidSettings):
    """Options of plain CAM; the defaults are those of IRN's code."""

    bias: bool = False
    """Whether the CAM head has a bias."""


@final
@METHODS.register("cam")
class PlainCAM(PyramidMethod):
    """A 1×1 convolution on the last stage, whose mean is the logit and whose positive part is the map."""

    settings_type = PlainCAMSettings
