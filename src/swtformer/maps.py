"""Class activation maps on disk: fp16 at stride resolution, one .npz per image, no pickles."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swtformer.errors import SwtformerError
from swtformer.run import write_with


@dataclass(frozen=True)
class ClassActivationMaps:
    """The maps of one image; only the classes that were mapped are kept.

    Attributes:
        values: (K,) int16 mask values of the mapped classes, class index + 1, rising.
        size: (height, width) of the image in pixels.
        cam: (K, h, w) float16 in [0, 1], each class divided by its own maximum (Eq. 1).
        refined: (K+1, h, w) float16 in [0, 1], background first (R-CAM, Sec. 3-5); None for V1.
        probabilities: (C,) float32 class probabilities of the classifier, mean over the views.
        made_by: fingerprint of model and settings; maps of another one are made again.
    """

    values: np.ndarray
    size: tuple[int, int]
    cam: np.ndarray
    refined: np.ndarray | None
    probabilities: np.ndarray
    made_by: str = ""

    def save(self, path: Path) -> None:
        """Write the maps atomically as compressed npz."""
        arrays = {
            "values": self.values.astype(np.int16),
            "size": np.asarray(self.size, dtype=np.int32),
            "cam": self.cam.astype(np.float16),
            "probabilities": self.probabilities.astype(np.float32),
            "made_by": np.asarray(self.made_by),
        }
        if self.refined is not None:
            arrays["refined"] = self.refined.astype(np.float16)
        write_with(path, lambda stream: np.savez_compressed(stream, **arrays))

    @classmethod
    def load(cls, path: Path) -> ClassActivationMaps:
        """Read maps back.

        Raises:
            SwtformerError: the file is missing, truncated, or holds no maps; pickles are never executed.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                height, width = arrays["size"].tolist()
                return cls(
                    values=arrays["values"],
                    size=(height, width),
                    cam=arrays["cam"],
                    refined=arrays["refined"] if "refined" in arrays else None,
                    probabilities=arrays["probabilities"],
                    made_by=str(arrays["made_by"]),
                )
        except FileNotFoundError:
            raise SwtformerError(
                f"{path}: does not exist; make the maps with `swtformer localize`."
            ) from None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise SwtformerError(f"{path}: holds no whole class activation maps ({error}).") from None
