"""How far the maps of two runs agree, pixel by pixel, and how clear the pixels were where they do not.

    swtformer localize fp32 DATA --localize.precision fp32
    swtformer localize bf16 DATA --localize.precision bf16
    python benchmarks/agreement.py fp32 bf16

Both are runs with the same model and settings but one, here the precision. Labels are those of the argmax,
of CAMs at a threshold of 0.5. The margin of a pixel is its best map minus the second best in the first run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from swtformer.functional.labels import upsample
from swtformer.store.maps import ClassActivationMaps, Source
from swtformer.store.run import Run

MARGINS = (0.005, 0.02, 0.05)
"""Margins below which a pixel is counted as unclear."""


def compared(first: ClassActivationMaps, second: ClassActivationMaps, source: Source) -> torch.Tensor:
    """Number of pixels, of different labels, and of those among them below each margin.

    Raises:
        SystemExit: the maps are of other classes or another size, or one has no maps of this kind.
    """
    same = first.size == second.size and first.values.tolist() == second.values.tolist()
    if not same or (source == "rcam" and second.rcam is None):
        raise SystemExit("The runs have maps of different classes, sizes or kinds for an image.")
    maps, others = (upsample(torch.from_numpy(own.channels(source)), own.size) for own in (first, second))
    differ = maps.argmax(0) != others.argmax(0)
    best = maps.topk(2, dim=0).values
    margins = (best[0] - best[1])[differ]
    below = [(margins < margin).sum() for margin in MARGINS]
    return torch.tensor([differ.numel(), differ.sum(), *below])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    options = parser.parse_args()
    first, second = Run(options.first), Run(options.second)
    ids = first.map_ids()
    if set(ids) != set(second.map_ids()):
        raise SystemExit("The runs have maps of different images.")
    counts: dict[Source, torch.Tensor] = {}
    worst: dict[Source, float] = {}
    seen = 0
    for id in ids:
        pair = [ClassActivationMaps.load(run.map_file(id)) for run in (first, second)]
        seen += len(pair[0].values) > 0
        sources: tuple[Source, ...] = ("cam",) if pair[0].rcam is None else ("cam", "rcam")
        for source in sources if len(pair[0].values) else ():
            found = compared(pair[0], pair[1], source)
            counts[source] = counts.get(source, 0) + found
            worst[source] = min(worst.get(source, 1.0), 1 - float(found[1] / found[0]))
    print(f"{seen} images with a class\n")
    columns = [f"margin below {margin:g}" for margin in MARGINS]
    names = ["maps", "equal pixels, %", "worst image, %", f"of the others: {columns[0]}", *columns[1:]]
    print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")
    for source, (total, differ, *below) in counts.items():
        shares = " | ".join(f"{100 * int(own) / max(int(differ), 1):.0f} %" for own in below)
        print(f"| {source} | {100 * (1 - differ / total):.2f} | {100 * worst[source]:.1f} | {shares} |")


if __name__ == "__main__":
    main()
