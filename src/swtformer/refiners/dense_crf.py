"""Dense CRF as a refiner: our own inference, or the reference library."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from swtformer.errors import SwtformerError
from swtformer.functional.dense_crf import PairwiseTerms, label_energies, map_energies, mean_field
from swtformer.functional.labels import upsample
from swtformer.refiners.base import Refiner
from swtformer.settings import RefineSettings


class DenseCRF(Refiner):
    """Fully connected CRF at the image's full size; the maps that come out are its marginals.

    Mean field makes marginals overconfident: each round adds the neighbours' belief in a label to a pixel's
    own, until nearly all of them are near 0 or 1.

    Raises:
        SwtformerError: `pydensecrf` is wanted and not installed.
    """

    name: ClassVar[str] = "dense_crf"
    shaped_by: ClassVar[tuple[str, ...]] = ("crf_",)
    tells_how_sure: ClassVar[bool] = False

    def __init__(self, settings: RefineSettings, *, device: torch.device | str = "cpu") -> None:
        super().__init__(settings, device=device)
        self._library = _import_pydensecrf() if settings.crf_engine == "pydensecrf" else None
        self._terms = PairwiseTerms(
            gaussian_px=settings.crf_gaussian_px,
            gaussian_weight=settings.crf_gaussian_weight,
            bilateral_px=settings.crf_bilateral_px,
            bilateral_rgb=settings.crf_bilateral_rgb,
            bilateral_weight=settings.crf_bilateral_weight,
        )

    def _refined(self, image: Tensor, maps: Tensor) -> Tensor:
        _, height, width = image.shape
        if len(maps) == 1:
            return image.new_ones(1, height, width)  # one label alone has a probability of 1
        full = upsample(maps, (height, width))
        if self.settings.crf_unary == "maps":
            energies = map_energies(full)
        else:
            energies = label_energies(full.argmax(0), count=len(full), certainty=self.settings.crf_certainty)
        if self._library is not None:
            return self._reference(energies, image)
        return mean_field(energies, image, terms=self._terms, iterations=self.settings.crf_iterations)

    def _reference(self, energies: Tensor, image: Tensor) -> Tensor:
        """`mean_field` by pydensecrf, on the CPU."""
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
        marginals = np.asarray(crf.inference(self.settings.crf_iterations), dtype=np.float32)
        return torch.from_numpy(marginals).view(labels, height, width)


def _import_pydensecrf() -> Any:
    try:
        from pydensecrf import densecrf
    except ImportError:
        raise SwtformerError(
            "--refine.crf_engine pydensecrf needs a library that is not installed; install it with "
            "pip install 'swtformer[crf]' (it needs a C++ compiler), or use --refine.crf_engine torch."
        ) from None
    return densecrf
