"""Process images in threads, and yield the results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from swtformer.processes import local_processes
from swtformer.progress import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = 8
"""Threads at most: decoding and writing gain little from more, and each holds an image."""
AHEAD = 4
"""Results per thread that are ready or in progress; it bounds the memory of those that wait."""


def thread_count() -> int:
    """Threads for decoding and counting: the cores of this process, shared with others of its machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(min(cores // local_processes(), THREADS), 1)


def work_ahead(work: Callable[[Item], Result], items: Iterable[Item], *, threads: int) -> Iterator[Result]:
    """Yield `work(item)` for every item in order, while threads work on those that follow.

    Args:
        work: called in several threads; its errors are raised here and stop the work.
        items: what to work on.
        threads: number of threads; 0 counts as 1.
    """
    threads = max(threads, 1)
    remaining = iter(items)
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            while True:
                more = islice(remaining, threads * AHEAD - len(waiting))
                waiting.extend(pool.submit(work, item) for item in more)
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def in_order(
    stage: str, work: Callable[[str], Result], ids: Sequence[str], progress: Progress
) -> Iterator[Result]:
    """Yield `work(id)` for every id. Threads help, as decoding, counting and writing release the interpreter.

    Args:
        stage: name for `progress`.
        work: called in several threads; its errors are raised here and stop the work.
        ids: the images.
        progress: called after every image, in the caller's thread.
    """
    results = work_ahead(work, ids, threads=thread_count())
    for done, result in enumerate(results, start=1):
        yield result
        progress(stage, done, len(ids))
