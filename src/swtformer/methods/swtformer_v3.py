"""SWTformer-V3, ours: prototypes of untrained features, and a background that each image finds itself.

It differs from V2 in four places, each measured in benchmarks/recipes.md:

- the stages are set side by side, each divided by its norm, without weights: nothing but the classification
  loss is trained, so it trains as V1 does;
- seeds are located by these features, of an image and its mirror image together, as SIPE does at inference;
- the weight of the background is found for each image (`functional.seeds.background_weights`);
- R-CAMs are not divided by their own maxima, so they compare as the similarities that they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

from torch import Tensor

from swtformer.methods.prototypes import (
    PrototypeMethod,
    PrototypeSettings,
    Reading,
    similarities_of_pairs,
)
from swtformer.methods.pyramid import View
from swtformer.settings import METHODS
from swtformer.settings.numbers import Positive


class SWTformerV3Settings(PrototypeSettings):
    """Options of V3."""

    background_weight: Positive | Literal["auto"] = "auto"
    """Factor on the background's overlap when seeds are located; auto finds it for each image. A larger one
    makes objects smaller."""

    def reading(self) -> Reading:
        """Features side by side that locate seeds themselves."""
        return Reading(
            hff="none",
            seed_features="fused",
            affinity="relu",
            background_weight=None if self.background_weight == "auto" else self.background_weight,
            seedless="closest",
            scaled="together",
        )


@final
@METHODS.register("swtformer_v3")
class SWTformerV3(PrototypeMethod):
    """V1 whose CAMs are refined by prototypes without any further training."""

    settings_type = SWTformerV3Settings
    options: SWTformerV3Settings

    def summed_similarities(
        self,
        encoded: Sequence[Sequence[View]],
        present: Tensor,
        *,
        pooled: Tensor | None,
        grid: tuple[int, int],
    ) -> Tensor:
        """As in the base class, but a view and its mirror image are added before the prototypes."""
        return similarities_of_pairs(self, encoded, present, reading=self.reading, pooled=pooled, grid=grid)
