"""Measures how time and memory grow, and writes costs.md and costs.svg beside this file.

    pip install matplotlib
    python benchmarks/costs.py                  # about half an hour on one core
    python benchmarks/costs.py --images 100 1000 --processes 1 2

One thing grows at a time: the size of an image, the classes that it shows, the images of a set, the processes
that divide them. Every point is measured in processes of its own, each with one thread. Seconds are those of
the processor (user and system) of all processes together.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path

import memory
import scale
import torch

from swtformer.machine import processor_name
from swtformer.store.files import write_text

RESULT = Path(__file__).with_name("costs.md")
PLOT = RESULT.with_suffix(".svg")
SIDES = (250, 500, 1000, 2000)
SHOWN = (1, 4, 16, 64, 254)
IMAGES = (100, 1_000, 10_000, 100_000)
DIVIDED = 1_000
"""Images that processes divide."""
MAPPED = 10_000
"""Larger sets are checked and not mapped."""

SIZE, CLASSES, SET, PROCESSES = (
    "long side of the image, px",
    "classes in the image",
    "images in the set",
    "processes",
)
"""What grows."""

FAR = 20
"""Values that lie further apart have a logarithmic axis."""
QUANTITIES = {"seconds": "processor seconds", "peak": "peak memory, GB"}


@dataclass(frozen=True)
class Point:
    """What one size costs.

    Attributes:
        axis: what grows.
        work: what is done.
        at: how large it is.
        seconds: of the processor.
        peak: largest resident size of one process, in GB.
    """

    axis: str
    work: str
    at: int
    seconds: float
    peak: float


def of_images(sides: Sequence[int], shown: Sequence[int]) -> Iterator[Point]:
    """Maps of one image, without the start of the program."""
    for axis, name, values in ((SIZE, "side", sides), (CLASSES, "shown", shown)):
        for value in values:
            row = {"side": 500, "scales": [1.0], "precision": "bf16", name: value}
            found = memory.measured_apart(row)
            yield Point(axis, "localize", value, found["seconds"], found["peak"])


def of_sets(counts: Sequence[int], processes: Sequence[int], *, divided: int = DIVIDED) -> Iterator[Point]:
    """Commands on drawn thumbnails, with the start of the program."""
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            run = scale.draw(Path(folder), count)
            words = {"check": ("data", "check", str(run.path.parent / "labels.csv"))}
            if count <= MAPPED:
                words["localize"] = scale.commands(run)["localize"]
            for name, command in words.items():
                found = scale.measure(command, processes=1)
                yield _seen(Point(SET, name, count, found.cpu, found.peak))
    with tempfile.TemporaryDirectory() as folder:
        run = scale.draw(Path(folder), divided)
        for count in processes:
            shutil.rmtree(run.maps, ignore_errors=True)
            found = scale.measure(scale.commands(run)["localize"], processes=count)
            yield _seen(Point(PROCESSES, f"localize, {divided:,} images", count, found.cpu, found.peak))


def _seen(point: Point) -> Point:
    print(point, file=sys.stderr, flush=True)
    return point


def draw(points: Sequence[Point], path: Path) -> None:
    """Two rows of plots, seconds and gigabytes, with a column for each thing that grows."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullFormatter

    mpl.rcParams["svg.hashsalt"] = "costs"
    by_axis = {axis: list(own) for axis, own in groupby(points, key=lambda point: point.axis)}
    figure = Figure(figsize=(3.4 * len(by_axis), 5.4), layout="constrained")
    plots = figure.subplots(2, len(by_axis), squeeze=False)
    for column, (axis, own) in enumerate(by_axis.items()):
        for row, (quantity, name) in enumerate(QUANTITIES.items()):
            plot = plots[row, column]
            for work in dict.fromkeys(point.work for point in own):
                line = [(point.at, getattr(point, quantity)) for point in own if point.work == work]
                plot.plot(*zip(*line, strict=True), marker="o", label=work)
            plot.set_xscale("log")
            plot.set_xticks(sorted({point.at for point in own}))
            values = [getattr(point, quantity) for point in own]
            if max(values) > FAR * min(values):
                plot.set_yscale("log")
            else:
                plot.set_ylim(0, 1.2 * max(values))
            for scaled in (plot.xaxis, plot.yaxis):
                scaled.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
                scaled.set_minor_formatter(NullFormatter())
            plot.minorticks_off()
            plot.grid(alpha=0.3)
            plot.set_xlabel(axis if row else "")
            plot.set_ylabel("" if column else name)
            plot.legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None}, facecolor="white")


def page(points: Sequence[Point], command: str) -> str:
    """The Markdown page."""
    version = torch.__version__.partition("+")[0]
    lines = "\n".join(
        f"| {point.axis} | {point.at:,} | {point.work} | {point.seconds:.3g} | {point.peak:.2f} |"
        for point in points
    )
    return f"""# How time and memory grow

    {command}

Made on {date.today().isoformat()}; {processor_name()}, torch {version}, one thread a process.
Seconds are those of the processor, of all processes together; peak memory is the largest resident size of
one process, Python and torch in it.

![Seconds and memory against what grows]({PLOT.name})

- **One image**: `localize` with SWTformer-V2 on Swin-T, one scale with its mirror image, bf16; 500 px where
  classes grow. The start of the program is not counted.
- **Sets** are drawn thumbnails of {scale.SIDE_PX} px. `check` reads them all; `localize` maps them with
  SWTformer-V2 on {scale.BACKBONE}, one view. The start of the program (imports, the model) is counted: it is
  most of what 100 images cost, and what every process pays for itself, torchrun as well.

| what grows | | work | processor s | peak GB |
|---|---|---|---|---|
{lines}
"""


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    parser.add_argument("--shown", type=int, nargs="+", default=SHOWN)
    parser.add_argument("--images", type=int, nargs="+", default=IMAGES)
    parser.add_argument("--processes", type=int, nargs="+", default=(1, 2))
    options = parser.parse_args()
    points = [*of_images(options.sides, options.shown), *of_sets(options.images, options.processes)]
    draw(points, PLOT)
    write_text(RESULT, page(points, shlex.join(["python", "benchmarks/costs.py", *sys.argv[1:]])))


if __name__ == "__main__":
    main()
