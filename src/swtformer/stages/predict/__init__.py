"""Masks of photographs that have no labels: of those in folders, and of those in shards."""

from swtformer.stages.predict.photographs import PredictResult, predict
from swtformer.stages.predict.shards import predict_shards

__all__ = ["PredictResult", "predict", "predict_shards"]
