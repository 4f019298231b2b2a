"""Processes with the variables that torchrun or srun would give them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

KILLED = -signal.SIGKILL


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def torchrun_variables(number: int, count: int, port: int) -> dict[str, str]:
    return {
        "RANK": str(number),
        "LOCAL_RANK": str(number),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def srun_variables(number: int, count: int, port: int) -> dict[str, str]:
    return {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "SLURM_JOB_ID": "4711",
        "SLURM_JOB_NAME": "maps",
        "SLURM_NNODES": "1",
        "SLURM_NODEID": "0",
        "SLURM_NTASKS": str(count),
        "SLURM_NTASKS_PER_NODE": str(count),
        "SLURM_STEP_NUM_TASKS": str(count),
        "SLURM_PROCID": str(number),
        "SLURM_LOCALID": str(number),
    }


def launch(
    target: Callable[..., object],
    *args: Any,
    count: int = 2,
    variables: Callable[[int, int, int], dict[str, str]] = torchrun_variables,
) -> list[int | None]:
    """Run `target(*args)` in processes that were launched together; their exit codes."""
    context, port = multiprocessing.get_context("fork"), free_port()
    processes: list[BaseProcess] = [
        context.Process(target=_run, args=(variables(number, count, port), target, args))
        for number in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(240)
        if process.is_alive():
            process.kill()
    return [process.exitcode for process in processes]


def _run(variables: dict[str, str], target: Callable[..., object], args: tuple[Any, ...]) -> None:
    os.environ.update(variables)
    target(*args)


def killed_at(call: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, of which the second process does not survive one call."""
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        is_second = "1" in (os.environ.get("RANK"), os.environ.get("SLURM_PROCID"))
        if calls == call and is_second:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return counted


def files_below(folder: Path) -> dict[str, bytes]:
    """The contents of all files but locks."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }
