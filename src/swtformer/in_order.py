"""Process images in threads, and yield the results in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from swtformer.progress import Progress

Result = TypeVar("Result")

CHUNK = 64
"""Images in progress at a time; it bounds the memory of waiting results."""


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
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(ids), CHUNK):
            for done, result in enumerate(pool.map(work, ids[start : start + CHUNK]), start=start + 1):
                yield result
                progress(stage, done, len(ids))
