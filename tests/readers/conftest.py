"""Writers of tiny data sets."""

from support.tiny_sets import photos as photos
from support.tiny_sets import write_images as write_images
from support.tiny_sets import write_mask as write_mask
