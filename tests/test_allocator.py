"""Measured in separate processes: the setting cannot be undone, and the test process has it already."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from swtformer.allocator import OPT_OUT

BLOCK = 64 << 20  # bytes; above the 32 MiB up to which glibc keeps blocks by itself

PROBE = f"""
import ctypes
from pathlib import Path

from swtformer.allocator import keep_freed_memory


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
before = resident()
block = libc.malloc({BLOCK})
libc.memset(block, 1, {BLOCK})
libc.free(block)
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
@pytest.mark.parametrize(("opt_out", "kept"), [("0", True), ("1", False)])
def test_freed_memory_stays_in_the_process_unless_opted_out(opt_out: str, kept: bool) -> None:
    environment = os.environ | {OPT_OUT: opt_out}
    grown = subprocess.check_output([sys.executable, "-c", PROBE], env=environment, text=True)
    assert (int(grown) > BLOCK // 2) is kept
