import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swtformer.errors import SwtformerError
from swtformer.stages.mask import mask
from swtformer.stages.pseudo_label import pseudo_label
from swtformer.store.run import Run
from swtformer.store.sole_writer import RESULTS_LOCK, sole_maker, sole_writer

HOLD = """
import sys
from pathlib import Path
from swtformer.store.sole_writer import sole_writer

with sole_writer(Path(sys.argv[1])):
    print("holds", flush=True)
    sys.stdin.read()
"""


@sole_maker
def made(run: Run, result: int) -> int:
    return result


def test_two_commands_never_make_maps_or_masks_of_one_run_at_once(draw: Callable[..., Any]) -> None:
    run = draw().run
    command = [sys.executable, "-c", HOLD, str(run.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "holds\n"
        for stage in (mask, pseudo_label):
            with pytest.raises(SwtformerError, match=r"another command .* is writing here\. Wait until it"):
                stage(run)
        assert not run.masks.exists()
        other.kill()
    assert (run.path / RESULTS_LOCK).is_file()
    assert mask(run).done == 4  # the file of the lock is still there


def test_a_failure_gives_the_folder_free(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), sole_writer(tmp_path):
        raise KeyboardInterrupt
    assert made(Run(tmp_path), 3) == 3


def test_a_folder_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    assert made(Run(tmp_path / "none"), result=3) == 3
    assert not (tmp_path / "none").exists()


def test_a_folder_that_cannot_be_locked(tmp_path: Path) -> None:
    (tmp_path / RESULTS_LOCK).mkdir()
    with pytest.raises(SwtformerError, match=r"\.results\.lock: cannot be locked: Is a directory\."):
        made(Run(tmp_path), 3)
