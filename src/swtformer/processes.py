"""Which of several processes this one is, as the usual launchers say in environment variables.

torchrun sets RANK and WORLD_SIZE; Lightning's own launcher LOCAL_RANK and NODE_RANK in the processes that it
starts; srun SLURM_PROCID and SLURM_STEP_NUM_TASKS. The order counts: a process that torchrun started within a
SLURM job sees the variables of both, and there torchrun's hold.
"""

from __future__ import annotations

import os


def is_main_process() -> bool:
    """False in the processes that a launcher started beside the first; they print and write no results."""
    if "RANK" in os.environ:
        return _number("RANK") == 0
    if "LOCAL_RANK" in os.environ or "NODE_RANK" in os.environ:
        return _number("LOCAL_RANK") == 0 and _number("NODE_RANK") == 0
    return _number("SLURM_PROCID") == 0


def launched_processes() -> int:
    """How many processes a launcher started, this one included; 1 where there is no launcher."""
    for name in ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        if name in os.environ:
            return _number(name)
    return 1


def _number(name: str) -> int:
    return int(os.environ.get(name) or 0)
