"""Class activation maps of trained classifiers, and their refinement without training."""

from swtformer.cam.maps import CAM, ClassMaps, RefinedMaps

__all__ = ["CAM", "ClassMaps", "RefinedMaps"]
