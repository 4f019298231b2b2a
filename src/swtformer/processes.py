"""Which of several processes this is, from the environment variables of the usual launchers.

torchrun sets RANK and WORLD_SIZE, Lightning's own launcher LOCAL_RANK and NODE_RANK, srun SLURM_PROCID and
SLURM_STEP_NUM_TASKS. torchrun's come first: inside a SLURM job its processes see srun's variables too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS")


def is_main_process() -> bool:
    """True in the first process; the others print nothing and write no results."""
    if "RANK" in os.environ:
        return _number("RANK") == 0
    if "LOCAL_RANK" in os.environ or "NODE_RANK" in os.environ:
        return _number("LOCAL_RANK") == 0 and _number("NODE_RANK") == 0
    return _number("SLURM_PROCID") == 0


def launched_processes() -> int:
    """Number of processes that a launcher started; 1 without a launcher."""
    for name in ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        if name in os.environ:
            return _number(name)
    return 1


def process_number() -> int:
    """Number of this process among those that a launcher started, from 0.

    Lightning's own launcher, which only trainings use, does not say it; there it is 0.
    """
    return _number("RANK" if "RANK" in os.environ else "SLURM_PROCID")


def local_number() -> int:
    """Number of this process among those of its machine, from 0."""
    return _number("LOCAL_RANK" if "LOCAL_RANK" in os.environ else "SLURM_LOCALID")


def local_processes() -> int:
    """Number of processes that a launcher started on this machine, which share its cores; 1 without one.

    srun binds each process to its own cores as a rule, so its processes are not counted.
    """
    return max(_number("LOCAL_WORLD_SIZE"), 1)


@contextmanager
def without_launcher() -> Iterator[None]:
    """Let what runs inside take this process for the only one, which does all of its work alone."""
    hidden = {name: os.environ.pop(name) for name in VARIABLES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _number(name: str) -> int:
    return int(os.environ.get(name) or 0)
