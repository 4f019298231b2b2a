"""Classifiers of other libraries and of one's own, for CAM: what goes through them shows their parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from swtformer.cam.linearise import scores_by_place
from swtformer.cam.networks import (
    FINEST_STRIDE,
    Network,
    Reading,
    appended,
    channels_of,
    is_of_timm,
    maps_and_bias,
)
from swtformer.errors import SwtformerError
from swtformer.methods.swtformer_v3 import SWTformerV3Settings

TOLERANCE = 1e-4
"""Largest difference between a pooled vector and the mean of a feature map, relative to its largest value."""

_Call = tuple[nn.Module, Any, Any]


class PooledNetwork(Network):
    """A classifier that ends in: feature map, mean over places, one module that gives the scores.

    The first images show which module gives the feature map and which one takes its mean; no names are asked
    for. So it may be one of torchvision, or a wrapper around a network of timm.
    """

    def __init__(self, model: nn.Module) -> None:
        self.name = type(model).__name__
        self.model = model
        self.options = SWTformerV3Settings()
        self.channels = channels_of(model)
        self.mean, self.std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        self.float_range = None
        self.floats = "floats as the model takes them"
        self.probe_sizes = ((64, 96), (224, 224))
        self._stages: tuple[nn.Module, ...] = ()
        self._head: nn.Module | None = None

    def logits(self, images: Tensor) -> Tensor:
        """See `Network.logits`."""
        logits = self.model(images)
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            what = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
            raise SwtformerError(
                f"CAM takes classifiers, which give (images, classes) scores; {self.name} gives {what}. Give "
                "the classifier itself, or a module around it that gives its scores alone."
            )
        return logits

    def read(self, images: Tensor) -> Reading:
        """See `Network.read`."""
        if self._head is None:
            self._find(images)
        head = self._head
        assert head is not None
        with _calls((*self._stages, head)) as calls:
            self.logits(images)
        outputs = {module: output for module, _, output in calls}
        pyramid = tuple(outputs[stage] for stage in self._stages)
        pooled = next(given for module, given, _ in reversed(calls) if module is head)

        def score(features: Tensor) -> Tensor:
            means: Tensor = features.mean((2, 3))
            scores: Tensor = head(means.reshape(len(means), *pooled.shape[1:]))
            return scores

        features = pyramid[-1]
        places = appended(features)[:, :, None, None]
        logits, scores = scores_by_place(self.model, score, features, places)
        maps, bias = maps_and_bias(scores, features)
        return Reading(pyramid, maps, bias, logits)

    def _find(self, images: Tensor) -> None:
        """Find head and stages: the head gives the scores and takes the mean of the last stage."""
        with _calls(self.model.modules()) as calls:
            logits = self.logits(images)
        maps = [(module, output) for module, _, output in calls if _is_map(output, images)]
        heads = [(module, given) for module, given, output in calls if _is_equal(output, logits)]
        for head, given in reversed(heads):
            for last, final in reversed(maps):
                if _is_mean(given, final):
                    # The last map of every finer grid, but not of an activation that is shared by several.
                    uses = Counter(module for module, _, _ in calls)
                    finer = {item.shape[2:]: owner for owner, item in maps if uses[owner] == 1}
                    grids = [grid for grid in finer if grid.numel() > final.shape[2:].numel()]
                    grids.sort(key=lambda grid: grid.numel(), reverse=True)
                    self._head, self._stages = head, (*(finer[grid] for grid in grids), last)
                    return
        inner = [name for name, child in self.model.named_children() if is_of_timm(child)]
        hint = f" Or give the classifier inside, `.{inner[0]}`." if inner else ""
        raise SwtformerError(
            f"CAM does not find how {self.name} scores classes. It takes models of timm and torchvision, "
            "and modules of your own that average a feature map (images, channels, height, width) over its "
            f"places and give it to one module, a Linear or Sequential, that gives the scores.{hint}"
        )


def _is_map(value: Any, images: Tensor) -> bool:
    """Whether a value is a map (B, D, h, w) of the images at stride 4 or coarser, and not (B, h, w, D)."""
    if not isinstance(value, Tensor) or value.ndim != 4:
        return False
    (height, width), (rows, columns) = images.shape[2:], value.shape[2:]
    is_upright = abs(rows * width - columns * height) <= max(height, width)
    return rows * columns > 1 and height >= FINEST_STRIDE * rows and is_upright


def _is_equal(value: Any, logits: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == logits.shape and value.equal(logits)


def _is_mean(vector: Any, features: Tensor) -> bool:
    """Whether a (B, D) or (B, D, 1, 1) vector is the mean of a feature map over its places."""
    if not isinstance(vector, Tensor) or vector.shape[:2] != features.shape[:2]:
        return False
    if vector[0].numel() != features.shape[1]:
        return False
    gap = (features.mean((2, 3)) - vector.flatten(1)).abs().max()
    return bool(gap <= TOLERANCE * vector.abs().max())


@contextmanager
def _calls(modules: Iterator[nn.Module] | Sequence[nn.Module]) -> Iterator[list[_Call]]:
    """Collect modules with their first input and their output, in the order in which they finish."""
    calls: list[_Call] = []

    def note(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        calls.append((module, inputs[0] if inputs else None, output))

    hooks = [module.register_forward_hook(note) for module in modules]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()
