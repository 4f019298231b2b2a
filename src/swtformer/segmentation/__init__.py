"""Segmentation networks: images to class logits at full size, (B, 3, H, W) to (B, C+1, H, W).

An encoder (of segmentation-models-pytorch, or one of our backbones) computes a pyramid of feature maps, a
decoder of segmentation-models-pytorch combines them, and a 1×1 convolution gives the logits; channel 0 is
background. Needs the extra `seg`.
"""

from swtformer.segmentation.network import NetworkSettings, SegmentationNetwork, create_network

__all__ = ["NetworkSettings", "SegmentationNetwork", "create_network"]
