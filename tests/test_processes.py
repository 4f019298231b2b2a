"""The variables are those that torchrun, Lightning and srun set."""

from __future__ import annotations

import pytest

from swtformer.processes import (
    VARIABLES,
    is_main_process,
    launched_processes,
    local_number,
    process_number,
    without_launcher,
)

TORCHRUN = {"RANK": "2", "LOCAL_RANK": "0", "WORLD_SIZE": "4"}
LIGHTNING = {"LOCAL_RANK": "1", "NODE_RANK": "0", "WORLD_SIZE": "2"}
SRUN = {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4"}


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "SLURM_LOCALID"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variables", "is_main", "processes"),
    [
        ({}, True, 1),
        (TORCHRUN, False, 4),
        ({**TORCHRUN, "RANK": "0"}, True, 4),
        (LIGHTNING, False, 2),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False, 1),
        ({"NODE_RANK": "0"}, True, 1),
        (SRUN, False, 4),
        ({**SRUN, "SLURM_PROCID": "0"}, True, 4),
        # torchrun, once per machine by srun: the first process of the second machine, and of the first.
        ({**TORCHRUN, "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}, False, 4),
        ({**TORCHRUN, "RANK": "0", "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"}, True, 4),
        # Lightning's own launcher in the script of a batch job, which counts as process 0.
        ({**LIGHTNING, "SLURM_PROCID": "0"}, False, 2),
    ],
)
def test_launchers_are_recognised(
    variables: dict[str, str], is_main: bool, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_main_process() is is_main
    assert launched_processes() == processes


@pytest.mark.parametrize(
    ("variables", "number", "local"),
    [
        ({}, 0, 0),
        (TORCHRUN, 2, 0),
        ({**TORCHRUN, "LOCAL_RANK": "1", "SLURM_PROCID": "1", "SLURM_LOCALID": "0"}, 2, 1),
        ({**SRUN, "SLURM_LOCALID": "1"}, 3, 1),
    ],
)
def test_processes_are_numbered(
    variables: dict[str, str], number: int, local: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (process_number(), local_number()) == (number, local)


def test_without_its_launcher_a_process_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**TORCHRUN, **SRUN}.items():
        monkeypatch.setenv(name, value)
    with without_launcher():
        assert is_main_process()
        assert (process_number(), launched_processes()) == (0, 1)
    assert not is_main_process()
    assert (process_number(), launched_processes()) == (2, 4)
