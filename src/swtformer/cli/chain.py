"""All stages in one command: `run`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from swtformer.cli.flags import gather, with_settings
from swtformer.cli.outcome import Config, Outcome, finish
from swtformer.cli.screen import progress, say, warn_of
from swtformer.processes import is_main_process
from swtformer.store.known_data import settings_for
from swtformer.store.run import Run

if TYPE_CHECKING:
    from swtformer.stages.chain import ChainResult, Step

RUNS = Path("runs")
"""Where runs go that the user gives no place."""

Until = Literal["check", "train", "localize", "refine", "pseudo-label", "segment", "evaluate", "report"]


@with_settings(
    "seed",
    "data",
    "model",
    "method",
    "train",
    "localize",
    "refine",
    "refiner",
    "pseudo_label",
    "segment",
    "predict",
    "evaluate",
)
def run(
    data: Annotated[Path, Parameter(help="Data set: a file or folder in any known format.")],
    /,
    *,
    out: Annotated[
        Path | None,
        Parameter(help="Run folder; by default runs/ and the name of the data's folder.", negative=()),
    ] = None,
    until: Annotated[Until, Parameter(help="Last stage to run.")] = "report",
    rounds: Annotated[
        int | None,
        Parameter(
            help="How many times pseudo-masks are made: from the class maps, then by the segmentation "
            "network under the image labels. With 3 or more, the network is trained on its own masks too. "
            "By default 2, or 1 with --segment.masks.",
            validator=Number(gte=1),
        ),
    ] = None,
    config: Config = None,
    **flags: Any,
) -> Outcome:
    """All stages: from images with labels to masks, a segmentation network and a report.

    check, train, localize, refine, pseudo-label, segment, evaluate, report. Where the data has masks,
    evaluate scores what every stage made, the segmentation network's predictions included. Nothing is
    trained on these masks or chosen by them, unless --segment.masks names them or a score is marked *.
    The same command resumes an interrupted run. Settings that are not given here are those of the
    run, where there is one.
    """
    made = Run(default_out(data) if out is None else out)
    base = settings_for(made, data) if made.settings_file.is_file() else None
    settings = gather(base=base, config=config, flags=flags)
    with progress(
        lambda: f"Run the same command again to resume; what is done is kept in {made.path}."
    ) as view:
        from swtformer.datasets import open_dataset
        from swtformer.stages.chain import run_stages

        images = open_dataset(data, settings.data, reader=settings.reader)
        result = run_stages(
            images,
            settings=settings,
            out=made.path,
            rounds=rounds,
            until=until,
            progress=view,
            on_step=_tell,
        )
    _show(result)
    distinct = {failure.id: failure for failure in result.failures}
    return finish(
        made, list(distinct.values()), next_command="\n      ".join(_next(data, made, until, result))
    )


def default_out(data: Path) -> Path:
    """Run folder for a data set that the user gives none for: runs/ and the name of its folder."""
    place = data.resolve()
    return RUNS / ((place.parent if place.is_file() else place).name or "run")


def _tell(step: Step) -> None:
    """Say on stderr that a stage is over, and what is wrong with the data while there is time to stop."""
    warn_of(step.problems)
    if is_main_process():
        print(
            f"stage {step.number} of {step.total}, {_named(step)}: {step.result} ({step.seconds:.0f} s)",
            file=sys.stderr,
            flush=True,
        )


def _named(step: Step) -> str:
    return step.stage if step.round == 1 else f"{step.stage} of round {step.round}"


def _show(result: ChainResult) -> None:
    from rich.table import Table

    from swtformer.cli.tables import chain_tables

    table = Table("stage", "result")
    table.add_column("seconds", justify="right")
    for step in result.steps:
        table.add_row(_named(step), step.result, f"{step.seconds:.0f}")
    say(f"The run is in {result.run.path}.", table)
    if result.scores is not None:
        say(*chain_tables(result.scores))


def _next(data: Path, made: Run, until: Until, result: ChainResult) -> list[str]:
    """Commands that use the results; the masks are those of the last round."""
    name = shlex.quote(str(made.path))
    if until in ("check", "train", "localize", "refine", "pseudo-label"):
        return [f"swtformer run {shlex.quote(str(data))} --out {name}"]
    last = made.round(max(step.round for step in result.steps)).path
    masks = shlex.quote(str(last))
    return [
        f"swtformer predict {name} PHOTOS --out FOLDER",
        f"swtformer app {masks}",
        f"swtformer export {masks} --format coco --out {shlex.quote(str(last / 'coco.json'))}",
    ]
