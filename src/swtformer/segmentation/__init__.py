"""Segmentation networks: images to class logits at full size, (B, 3, H, W) to (B, C+1, H, W).

An encoder (any of segmentation-models-pytorch, or one of our backbones) makes a pyramid of feature maps, a
decoder of segmentation-models-pytorch makes one map of it, and a 1×1 convolution the logits; background is
channel 0. Needs the extra `seg`.
"""

from swtformer.segmentation.network import NetworkSettings, SegmentationNetwork, create_network

__all__ = ["NetworkSettings", "SegmentationNetwork", "create_network"]
