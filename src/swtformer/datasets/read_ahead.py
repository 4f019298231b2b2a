"""Reads images in threads while earlier ones are processed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

import numpy as np

from swtformer.datasets.images import read_image
from swtformer.datasets.records import Record
from swtformer.errors import ImageError

AHEAD = 4
"""Images that are ready or being read, per thread."""


def read_ahead(
    records: Iterable[Record], *, exif: Literal["raw", "apply"], threads: int
) -> Iterator[tuple[Record, np.ndarray | ImageError]]:
    """Yield every record in order with its (H, W, 3) uint8 image, or with the reason why it cannot be read.

    Readings are thorough (see `read_image`), as a result is made of every image.

    Args:
        records: images to read.
        exif: as in `read_image`.
        threads: reading threads; 0 counts as 1.
    """
    threads = max(threads, 1)
    remaining = iter(records)
    waiting: deque[tuple[Record, Future[np.ndarray]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            while True:
                while len(waiting) < threads * AHEAD and (record := next(remaining, None)) is not None:
                    future = pool.submit(read_image, record.image, exif=exif, thorough=True)
                    waiting.append((record, future))
                if not waiting:
                    return
                record, future = waiting.popleft()
                try:
                    image: np.ndarray | ImageError = future.result()
                except ImageError as error:
                    image = error
                yield record, image
        finally:
            pool.shutdown(cancel_futures=True)
