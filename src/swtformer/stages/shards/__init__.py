"""Maps and masks of images in shards: each shard is fetched, worked on as a folder would be, and put away."""

from swtformer.stages.shards.maps import localize_shards
from swtformer.stages.shards.masks import predict_shards
from swtformer.stages.shards.over_shards import ShardsResult

__all__ = ["ShardsResult", "localize_shards", "predict_shards"]
