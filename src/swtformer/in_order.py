"""Work on many images in threads, with the results in the order of the images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from swtformer.progress import Progress

Result = TypeVar("Result")

CHUNK = 64
"""Images under work at a time; it bounds the memory of results that wait."""


def in_order(
    stage: str, work: Callable[[str], Result], ids: Sequence[str], progress: Progress
) -> Iterator[Result]:
    """Yield the work of each id; decoding, counting and writing release the interpreter, so threads help.

    Args:
        stage: name told to `progress`.
        work: called in several threads; what it raises is raised here, and no further chunk is begun.
        ids: images.
        progress: told about every image, in the caller's thread.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(ids), CHUNK):
            for done, result in enumerate(pool.map(work, ids[start : start + CHUNK]), start=start + 1):
                yield result
                progress(stage, done, len(ids))
