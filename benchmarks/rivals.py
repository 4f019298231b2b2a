"""Compare our methods with their authors' code: the same weights and input, maps and losses side by side.

    python benchmarks/rivals.py --peers FOLDER [--only seam sipe]

FOLDER holds clones of the repositories that `benchmarks/rival_checks` names. What is missing is skipped
with a message. The command fails where a difference exceeds 1e-4.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
CHECKS = sorted(path.stem for path in (HERE / "rival_checks").glob("[!_]*.py"))
TOLERANCE = 1e-4


def commit(folder: Path) -> str:
    """The commit that a clone is at, short."""
    shown = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "--short=7", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout.strip()


def run_one(name: str, folder: Path) -> None:
    """Print the checks of one repository as JSON, in this process."""
    sys.path.insert(0, str(HERE))
    module = import_module(f"rival_checks.{name}")
    sys.path.insert(0, str(folder / module.FOLDER))
    found = module.checks(folder / module.FOLDER)
    print(json.dumps([[check.what, check.theirs, check.difference] for check in found]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=CHECKS, default=CHECKS)
    parser.add_argument("--one", choices=CHECKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        run_one(options.one, options.peers)
        return
    sys.path.insert(0, str(HERE))
    print("| repository | commit | what | their code | largest difference |\n|---|---|---|---|---|")
    failed = []
    for name in options.only:
        folder = options.peers / import_module(f"rival_checks.{name}").FOLDER
        if not folder.is_dir():
            print(f"{name} is skipped: there is no folder {folder}.", file=sys.stderr)
            continue
        command = [sys.executable, __file__, "--peers", str(options.peers), "--one", name]
        made = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ, check=False)
        if made.returncode:
            failed.append(f"{name} stopped with exit status {made.returncode}")
            continue
        for what, theirs, difference in json.loads(made.stdout.splitlines()[-1]):
            print(f"| {folder.name} | {commit(folder)} | {what} | `{theirs}` | {difference:.1e} |")
            if not difference <= TOLERANCE:  # nan as well
                failed.append(f"{name}: {what} differs by {difference:.1e}")
    if failed:
        raise SystemExit("\n".join(failed))


if __name__ == "__main__":
    main()
