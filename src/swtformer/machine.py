"""The name of the machine, for results."""

from __future__ import annotations

import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def processor_name() -> str:
    """The processor's model name ("AMD EPYC 9654 96-Core …"), or its architecture if the name is unknown."""
    if CPUINFO.is_file():
        for line in CPUINFO.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def machine_line(*, threads: int, torch_version: str, precision: str) -> str:
    """One line about the machine, for a table of measurements.

    Args:
        threads: number of torch's threads.
        torch_version: `torch.__version__` ("2.15.0+cu132").
        precision: "bf16" or "fp32".

    Returns:
        "AMD EPYC 9654, 2 threads, torch 2.15.0, bf16".
    """
    count = "1 thread" if threads == 1 else f"{threads} threads"
    return f"{processor_name()}, {count}, torch {torch_version.partition('+')[0]}, {precision}"
