"""Class activation maps of classifiers that are already trained, and their refinement without training."""

from swtformer.cam.maps import CAM, ClassMaps, RefinedMaps

__all__ = ["CAM", "ClassMaps", "RefinedMaps"]
