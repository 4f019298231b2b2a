"""The paper's tables on the user's data: `reproduce`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from swtformer.cli.flags import given, with_settings
from swtformer.cli.outcome import Config, Outcome, again, warn_of_skipped
from swtformer.cli.screen import progress, say, warn_of
from swtformer.errors import SettingsError
from swtformer.reproduction.rows import FigureName, TableName
from swtformer.settings import Settings, merge, validate


@with_settings("data", "model", "method", "train", "localize", "refine", "refiner", "evaluate")
def reproduce(
    what: Annotated[TableName | FigureName, Parameter(help="Table or figure of the paper.")],
    data: Annotated[Path, Parameter(help="Data set that is trained on, in any known format.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="Folder of the runs and tables.", negative=())],
    score: Annotated[
        str | None,
        Parameter(help="Split that is scored; by default the one that is trained on.", negative=()),
    ] = None,
    only: Annotated[
        tuple[str, ...], Parameter(help="Rows to make, by name; may be repeated.", negative=())
    ] = (),
    seeds: Annotated[
        tuple[int, ...], Parameter(help="Seeds of the trainings; may be repeated.", negative=())
    ] = (0,),
    epochs: Annotated[
        int | None, Parameter(help="Epochs of every training, for trials.", validator=Number(gte=1))
    ] = None,
    pictures: Annotated[
        tuple[str, ...], Parameter(help="Ids of the images of a figure; may be repeated.", negative=())
    ] = (),
    weights: Annotated[
        Path | None,
        Parameter(
            help="Folder of weights that timm lacks, such as resnet38d.params and conformer_small.pth.",
            negative=(),
        ),
    ] = None,
    config: Config = None,
    **flags: Any,
) -> Outcome:
    """Train and score the methods of a table of the SWTformer paper on your data, or draw a figure of it.

    table1 is the mAP of the image labels, table2 the seeds of all methods, table3 the losses of V2, figure1
    CAMs of a CNN, a ViT and a hierarchical transformer, figure4 R-CAMs of V2. The published figure and ours
    stand side by side; the difference is given only where both are of the same images, scales and
    pretraining. Settings given here stand above those of every row. The same command resumes what was
    interrupted.
    """
    overrides = given(config=config, flags=flags)
    if epochs is not None:
        overrides = merge(overrides, {"train": {"epochs": epochs}})
    _require_fitting(what, only=only, seeds=seeds, pictures=pictures)
    # Options of methods and refiners are checked with the rows that take them.
    own = {name: values for name, values in overrides.items() if name not in ("method", "refiner")}
    settings = validate(Settings, own, where="command line")
    with progress(again) as view:
        import torch

        from swtformer.datasets import open_dataset
        from swtformer.machine import machine_line
        from swtformer.precision import pick_device, pick_precision
        from swtformer.reproduction.files import write_sheets
        from swtformer.reproduction.sheets import sheets
        from swtformer.stages.reproduce import reproduce as make
        from swtformer.stages.reproduce import reproduce_figure

        images = open_dataset(data, settings.data, reader=settings.reader)
        warn_of(images.problems)
        scored, validation = (
            None if split is None else open_dataset(data, settings.data, split=split, reader=settings.reader)
            for split in (score, settings.data.validation_split)
        )
        if what == "figure1" or what == "figure4":
            picture = reproduce_figure(
                what,
                images,
                out=out,
                scored=scored,
                images=pictures,
                seed=seeds[0],
                weights=weights,
                overrides=overrides,
                progress=view,
            )
            say(f"The figure is {picture}.")
            return Outcome()
        made = make(
            what,
            images,
            out=out,
            scored=scored,
            validation=validation,
            only=only,
            seeds=seeds,
            weights=weights,
            overrides=overrides,
            progress=view,
        )
        device = pick_device(settings.localize.accelerator)
        precision = pick_precision(settings.localize.precision, device)
        machine = machine_line(
            threads=torch.get_num_threads(), torch_version=torch.__version__, precision=precision
        )
        found = sheets(made)
        command = shlex.join(["swtformer", *sys.argv[1:]])
        name = "-".join([what, *only])  # a part does not replace the whole table
        files = write_sheets(out, name, found, command=command, machine=machine)
    from swtformer.cli.tables import sheet_table

    say(*sheet_table(found[0]), f"\nThe whole table is {files[0]} and {files[1]}.")
    codes = [warn_of_skipped(failures, file) for file, failures in made.failures.items()]
    return Outcome(max(codes, default=0))


def _require_fitting(
    what: str, *, only: tuple[str, ...], seeds: tuple[int, ...], pictures: tuple[str, ...]
) -> None:
    """Refuse flags that a table or a figure does not take."""
    is_figure = what.startswith("figure")
    for name, is_given in (("only", bool(only)), ("seeds", len(seeds) > 1)):
        if is_figure and is_given:
            raise SettingsError(f"{what} takes no `{name}`: it has one run for each of its columns.")
    if pictures and not is_figure:
        raise SettingsError(f"{what} takes no --pictures: these are images of a figure.")
