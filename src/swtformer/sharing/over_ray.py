"""The workers of a Ray cluster (extra `ray`), fed by Ray Data."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, final

from swtformer.errors import SwtformerError
from swtformer.sharing.base import Advance, Decision, Item, Result, Team, Work, unseen

LOCAL = "local"
"""Address that means a cluster of this machine alone, which ends with the process."""
CHUNK = 64
"""Images of a task at most. What a killed worker had made of one is made again by another."""
TASKS = 32
"""Tasks that images are divided into where there are few."""


@final
class OverRay(Team):
    """This process decides and sees results; the images are divided over actors, which see its folders.

    Ray Data adds actors while the cluster grows, and gives the tasks of those that end to others.
    """

    def __init__(self, address: str, *, accelerator: str) -> None:
        """Connect to a cluster.

        Raises:
            SwtformerError: Ray is not installed, or not reached.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
        os.environ.setdefault("RAY_DATA_LOG_LEVEL", "ERROR")
        try:
            import ray.data
        except ImportError:
            raise SwtformerError(
                "Ray is not installed; install it with pip install 'swtformer[ray]'."
            ) from None
        if not ray.is_initialized():
            options = {"include_dashboard": False} if address == LOCAL else {}
            try:
                ray.init(address=address, log_to_driver=False, logging_level="ERROR", **options)
            except (ConnectionError, ValueError) as error:
                raise SwtformerError(f"No Ray cluster is reached at {address!r}: {error}") from None
        has_gpus = accelerator == "gpu" or (accelerator == "auto" and "GPU" in ray.cluster_resources())
        self._resources = {"num_cpus": 1, "num_gpus": 1 if has_gpus else 0}

    def agreed(self, decide: Callable[[], Decision]) -> Decision:
        """See `Team`."""
        return decide()

    def divided(
        self, work: Work[Item, Result], items: Sequence[Item], advance: Advance = unseen
    ) -> Iterator[Result]:
        """See `Team`; `advance` is called task by task."""
        if not items:
            return
        from ray import data

        size = min(CHUNK, -(-len(items) // TASKS))
        tasks = [{"items": pickle.dumps(items[at : at + size])} for at in range(0, len(items), size)]
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        results = data.from_items(tasks, override_num_blocks=len(tasks)).map(
            _Worker,
            fn_constructor_args=(pickle.dumps(work), os.getcwd()),
            compute=data.ActorPoolStrategy(min_size=1),
            **self._resources,
        )
        done = 0
        for row in results.iter_rows():
            made, error = pickle.loads(row["made"])
            yield from made
            if error is not None:
                raise error
            done += len(made)
            advance(done)


class _Worker:
    """An actor, which does the work on one list of items after the other."""

    def __init__(self, work: bytes, folder: str) -> None:
        os.chdir(folder)  # relative paths mean the same as in the first process
        self._work: Work[Any, Any] = pickle.loads(work)

    def __call__(self, task: dict[str, Any]) -> dict[str, bytes]:
        made: list[Any] = []
        try:
            made.extend(self._work(pickle.loads(task["items"])))
        except SwtformerError as error:
            return {"made": pickle.dumps((made, error))}
        except (OSError, MemoryError) as error:  # a full disk, say: one line, as without Ray
            return {
                "made": pickle.dumps((made, SwtformerError(f"A worker of the Ray cluster failed: {error}")))
            }
        return {"made": pickle.dumps((made, None))}
