"""Keep freed memory in the process, so that batches reuse it rather than get new pages from the kernel."""

from __future__ import annotations

import ctypes
import os
import platform

OPT_OUT = "SWTFORMER_DEFAULT_MALLOC"
"""Environment variable; 1 leaves the allocator unchanged."""

M_TRIM_THRESHOLD = -1
M_TOP_PAD = -2
M_MMAP_THRESHOLD = -3


def keep_freed_memory() -> None:
    """Make glibc keep freed memory instead of returning it to the kernel at once.

    Networks free and allocate the same large blocks over and over. By default glibc unmaps each of them, and
    the kernel zeroes new pages for the next. Measured in benchmarks/speed.md.
    """
    if os.environ.get(OPT_OUT) == "1" or platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(M_MMAP_THRESHOLD, 1 << 30)
    mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
    mallopt(M_TOP_PAD, 64 << 20)
