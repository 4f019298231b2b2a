"""Time our work beside that of the peers' own code, and write peers.md beside this file.

    python benchmarks/peers.py --peers FOLDER [--packages FOLDER] [--rounds 3] [--only sipe irn]

FOLDER holds clones of the repositories that `benchmarks/peer_rows` names. What is missing is skipped with a
message. `--packages` names a folder of packages that the peers import and the program does not
(opencv-python-headless, ttach, matplotlib, imageio, scikit-learn and what these need, by `pip install
--target`).

Every kind of work lives in a process of its own, on one thread. Each is done once before the clock starts;
then they take turns. Seconds are those of the processor, children included, which a shared machine stretches
less than the clock's.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import torch
from rivals import commit

from swtformer.allocator import keep_freed_memory
from swtformer.machine import processor_name
from swtformer.store.files import write_text

HERE = Path(__file__).parent
RESULT = HERE / "peers.md"
PEERS = sorted(path.stem for path in (HERE / "peer_rows").glob("[!_]*.py"))
PEAKS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def seconds() -> float:
    """Processor seconds of this process and its children so far."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def serve(peer: str, kind: str, folder: Path, packages: Path | None, result: Path) -> None:
    """Do one kind of work whenever a line comes in; print its seconds."""
    torch.set_num_threads(1)
    if packages is not None:
        sys.path.append(str(packages))
    module = import_module(f"peer_rows.{peer}")
    sys.path.insert(0, str(folder / module.FOLDER))
    if kind.split("_")[1:2] == ["ours"] or kind.startswith("ours"):
        keep_freed_memory()  # as all our commands do
    work = module.KINDS[kind]()
    torch.save(work(), result)
    print("ready", flush=True)
    for _ in sys.stdin:
        start = seconds()
        work()
        print(f"took {seconds() - start}", flush=True)


class Worker:
    """A process that does one kind of work."""

    def __init__(self, peer: str, kind: str, options: argparse.Namespace, result: Path) -> None:
        self.result = result
        command = [
            sys.executable,
            __file__,
            "--peers",
            str(options.peers),
            "--serve",
            peer,
            kind,
            str(result),
        ]
        if options.packages is not None:
            command += ["--packages", str(options.packages)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
        )
        self._answer("ready")

    def measure(self) -> float:
        """Processor seconds of doing it once."""
        self._pipe(self._process.stdin).write("go\n")
        self._pipe(self._process.stdin).flush()
        return float(self._answer("took").split()[1])

    def close(self) -> None:
        """End the process."""
        self._pipe(self._process.stdin).close()
        self._process.wait()

    def _answer(self, word: str) -> str:
        for line in self._pipe(self._process.stdout):
            if line.startswith(word):
                return line
        raise SystemExit(f"{' '.join(map(str, self._process.args))} stopped.")  # type: ignore[arg-type]

    def _pipe(self, pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


@contextmanager
def workers(peer: str, kinds: list[str], options: argparse.Namespace) -> Iterator[dict[str, Worker]]:
    with tempfile.TemporaryDirectory() as folder:
        made = {kind: Worker(peer, kind, options, Path(folder) / f"{kind}.pt") for kind in kinds}
        yield made
        for worker in made.values():
            worker.close()


def matrix_peak(kind: torch.dtype) -> float:
    """GFLOP per processor second of products of 2048 × 2048 matrices, the best of five."""
    matrix = torch.randn(2048, 2048, dtype=kind)
    found = []
    for _ in range(6):
        start = time.process_time()
        matrix @ matrix
        found.append(2 * 2048**3 / (time.process_time() - start) / 1e9)
    return max(found)


def share_of_peak(row: Any, seconds: float, peaks: dict[str, float]) -> str:
    """How much of the processor's matrix products our work gets, in words; empty where it has few."""
    return "" if row.gflop is None else f"{100 * row.gflop / seconds / peaks[row.precision]:.0f} %"


def measured(peer: str, options: argparse.Namespace, peaks: dict[str, float]) -> list[str]:
    """Lines of the table of one repository."""
    module: Any = import_module(f"peer_rows.{peer}")
    folder = options.peers / module.FOLDER
    kinds = list(dict.fromkeys(kind for row in module.ROWS for kind in (row.theirs, row.ours)))
    lines = []
    with workers(peer, kinds, options) as served:
        found: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(options.rounds):
            for kind, worker in served.items():
                found[kind].append(worker.measure())
        middle = {kind: statistics.median(taken) for kind, taken in found.items()}
        for row in module.ROWS:
            agreement = "networks differ"
            if row.agreement is not None:
                results = [torch.load(served[kind].result) for kind in (row.theirs, row.ours)]
                agreement = row.agreement(*results)
            theirs, ours = middle[row.theirs], middle[row.ours]
            lines.append(
                f"| {row.what} | {folder.name} {commit(folder)}, `{row.code}` | {theirs:.3g} | {ours:.3g} | "
                f"{theirs / ours:.3g} | {share_of_peak(row, ours, peaks)} | {agreement} |"
            )
            print(lines[-1], flush=True)
    return lines


def page(lines: list[str], peaks: dict[str, float], *, rounds: int) -> str:
    """The page of all lines."""
    limits = " and ".join(f"{peak:.0f} GFLOP/s in {name}" for name, peak in peaks.items())
    return f"""# Beside the peers' own code

    python benchmarks/peers.py --peers FOLDER --packages FOLDER --rounds {rounds}

Made on {date.today()}; {processor_name()}, 1 thread, torch {torch.__version__}; products of large matrices
reach {limits}. Processor seconds, medians of {rounds} rounds in which ours and theirs take turns, each in a
process of its own; other programs ran on the machine, so trust the ratios more than the seconds. Their code
runs as it is, from a clone, without CUDA; where its network would not compare (SIPE's ResNet-50), it runs
timm's Swin-T, as ours does. "Of the peak" is what our networks' matrix products reach of these limits, with
all other work in the time; a row at 92 % could gain 8 % of its time and no more by the
same operations on this processor. "Result" says how far both results agree.

| work | peer and its code | theirs, s | ours, s | theirs / ours | of the peak | result |
|---|---|---|---|---|---|---|
{chr(10).join(lines)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--packages", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=PEERS, default=PEERS)
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        peer, kind, result = options.serve
        serve(peer, kind, options.peers, options.packages, Path(result))
        return
    torch.set_num_threads(1)
    peaks = {name: matrix_peak(kind) for name, kind in PEAKS.items()}
    lines = []
    for peer in options.only:
        folder = options.peers / import_module(f"peer_rows.{peer}").FOLDER
        if not folder.is_dir():
            print(f"{peer} is skipped: there is no folder {folder}.", file=sys.stderr)
            continue
        lines += measured(peer, options, peaks)
    if lines and options.only == PEERS:
        write_text(RESULT, page(lines, peaks, rounds=options.rounds))


if __name__ == "__main__":
    main()
