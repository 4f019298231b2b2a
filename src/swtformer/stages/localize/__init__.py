"""Class activation maps by a run's model: of a data set, and of images in shards."""

from swtformer.stages.localize.data_set import LocalizeResult, localize, require_mappable
from swtformer.stages.localize.shards import localize_shards

__all__ = ["LocalizeResult", "localize", "localize_shards", "require_mappable"]
