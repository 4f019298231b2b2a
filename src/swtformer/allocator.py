"""Keep freed memory in the process: without it every batch pays for fresh pages from the kernel."""

from __future__ import annotations

import ctypes
import os
import platform

OPT_OUT = "SWTFORMER_DEFAULT_MALLOC"
"""Environment variable that, set to 1, leaves the allocator as it is."""

M_TRIM_THRESHOLD = -1
M_TOP_PAD = -2
M_MMAP_THRESHOLD = -3


def keep_freed_memory() -> bool:
    """Tell glibc to hold on to what is freed instead of giving it back to the kernel at once.

    Networks free and take the same large blocks over and over; by default glibc unmaps each and the kernel
    zeroes new pages for the next. Memory still goes back when the process ends. Measured in
    benchmarks/speed.md.

    Returns:
        True where it was done: Linux with glibc, and the environment variable SWTFORMER_DEFAULT_MALLOC not 1.
    """
    if os.environ.get(OPT_OUT) == "1" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    done = [
        mallopt(M_MMAP_THRESHOLD, 1 << 30),
        mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1),
        mallopt(M_TOP_PAD, 64 << 20),
    ]
    return all(done)
