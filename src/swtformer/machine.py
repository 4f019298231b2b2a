"""The machine that a result was made on."""

from __future__ import annotations

import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def processor_name() -> str:
    """The processor's model, as its maker names it where the system tells ("AMD EPYC 9654 96-Core …")."""
    if _CPUINFO.is_file():
        for line in _CPUINFO.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def machine_line(*, threads: int, torch_version: str, precision: str) -> str:
    """What a table of measurements says about its machine.

    Args:
        threads: that torch computes with.
        torch_version: as torch gives it, with its build ("2.15.0+cu132").
        precision: of the arithmetic, "bf16" or "fp32".

    Returns:
        "AMD EPYC 9654, 2 threads, torch 2.15.0, bf16".
    """
    count = "1 thread" if threads == 1 else f"{threads} threads"
    return f"{processor_name()}, {count}, torch {torch_version.partition('+')[0]}, {precision}"
