"""Dense CRF as a refiner: our own inference, or the reference library."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from swtformer.errors import SwtformerError
from swtformer.functional.dense_crf import PairwiseTerms, label_energies, map_energies, mean_field
from swtformer.functional.labels import upsample
from swtformer.refiners.base import Refiner, unpadded
from swtformer.settings import REFINERS, Section
from swtformer.settings.numbers import Count, NonNegative, Positive
from swtformer.store.notes import Made


class DenseCrfSettings(Section):
    """Options of the dense CRF."""

    engine: Literal["torch", "pydensecrf"] = "torch"
    """Our own inference on CPU or GPU, or the reference library (needs the extra `crf`)."""
    unary: Literal["labels", "maps"] = "labels"
    """Start from each pixel's best label, or from the maps scaled to sum to 1."""
    certainty: Annotated[float, Field(gt=0, lt=1)] = 0.7
    """Probability that a label of the `labels` unary is right."""
    iterations: Count = 10
    """Mean-field rounds."""
    gaussian_px: Positive = 3.0
    """Standard deviation in pixels of the smoothness kernel."""
    gaussian_weight: NonNegative = 3.0
    """Weight of the smoothness kernel."""
    bilateral_px: Positive = 50.0
    """Standard deviation in pixels of the appearance kernel."""
    bilateral_rgb: Positive = 5.0
    """Standard deviation in colour (0 to 255) of the appearance kernel."""
    bilateral_weight: NonNegative = 10.0
    """Weight of the appearance kernel."""


@REFINERS.register("dense_crf")
class DenseCRF(Refiner):
    """Fully connected CRF at the image's full size; its marginals are the refined maps.

    Mean field makes marginals overconfident: each round adds the neighbours' belief in a label to a pixel's
    own, until nearly all marginals are near 0 or 1.

    Raises:
        SwtformerError: the option `engine` asks for pydensecrf, which is not installed. When refining: the
            standard deviations are too small for an image of this size, or for this many images at once.
    """

    settings_type = DenseCrfSettings
    tells_how_sure: ClassVar[bool] = False
    options: DenseCrfSettings

    def __init__(
        self,
        options: Section | None = None,
        *,
        source: Made = "cam",
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(options, source=source, device=device)
        self._library = _import_pydensecrf() if self.options.engine == "pydensecrf" else None
        self._terms = PairwiseTerms(
            gaussian_px=self.options.gaussian_px,
            gaussian_weight=self.options.gaussian_weight,
            bilateral_px=self.options.bilateral_px,
            bilateral_rgb=self.options.bilateral_rgb,
            bilateral_weight=self.options.bilateral_weight,
        )

    def _refined(self, images: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
        # A label without rivals has a probability of 1.
        refined = [images.new_ones(1, *images.shape[2:])] * len(maps)
        uncertain = [place for place, own in enumerate(maps) if len(own) > 1]
        if not uncertain:
            return refined
        energies = [self._energies(maps[place], images.shape[2:]) for place in uncertain]
        if self._library is not None:
            made = list(map(self._reference, energies, images[uncertain]))
        else:
            made = unpadded(self._marginals(energies, images[uncertain]), energies)
        for place, own in zip(uncertain, made, strict=True):
            refined[place] = own
        return refined

    def _energies(self, maps: Tensor, size: torch.Size) -> Tensor:
        """Unary energies of the labels of one image's maps at its (H, W) size."""
        full = upsample(maps, (size[0], size[1]))
        if self.options.unary == "maps":
            return map_energies(full)
        return label_energies(full.max(0).indices, count=len(full), certainty=self.options.certainty)

    def _marginals(self, energies: Sequence[Tensor], images: Tensor) -> Tensor:
        """`mean_field` of several images, padded with impossible labels."""
        padded = pad_sequence(list(energies), batch_first=True, padding_value=inf)
        try:
            return mean_field(padded, images, terms=self._terms, iterations=self.options.iterations)
        except ValueError as error:  # their sizes agree, so the standard deviations are too small
            count, _, height, width = images.shape
            terms = self._terms
            raise SwtformerError(
                f"The dense CRF's standard deviations are too small for {count} image(s) of {width}x{height} "
                f"px at once: raise refiner.bilateral_rgb ({terms.bilateral_rgb:g}), "
                f"refiner.bilateral_px ({terms.bilateral_px:g}) or refiner.gaussian_px "
                f"({terms.gaussian_px:g})."
            ) from error

    def _reference(self, energies: Tensor, image: Tensor) -> Tensor:
        """`mean_field` of one image by pydensecrf, on the CPU."""
        assert self._library is not None
        labels, height, width = energies.shape
        terms = self._terms
        crf = self._library.DenseCRF2D(width, height, labels)
        crf.setUnaryEnergy(np.ascontiguousarray(energies.reshape(labels, -1).cpu().numpy()))
        if terms.gaussian_weight > 0:
            crf.addPairwiseGaussian(sxy=terms.gaussian_px, compat=terms.gaussian_weight)
        if terms.bilateral_weight > 0:
            pixels = (image.permute(1, 2, 0) * 255).round().byte().contiguous().cpu().numpy()
            crf.addPairwiseBilateral(
                sxy=terms.bilateral_px,
                srgb=terms.bilateral_rgb,
                rgbim=pixels,
                compat=terms.bilateral_weight,
            )
        marginals = np.asarray(crf.inference(self.options.iterations), dtype=np.float32)
        return torch.from_numpy(marginals).view(labels, height, width)


def _import_pydensecrf() -> Any:
    try:
        from pydensecrf import densecrf
    except ImportError:
        raise SwtformerError(
            "refiner.engine pydensecrf needs a library that is not installed: pip install 'swtformer[crf]' "
            "(needs a C++ compiler), or use refiner.engine torch."
        ) from None
    return densecrf
