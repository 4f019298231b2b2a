"""Finished models for others: the commands `onnx`, `push` and `pull`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from swtformer.cli.flags import with_settings
from swtformer.cli.outcome import Outcome, again, say_network
from swtformer.cli.screen import progress, say
from swtformer.errors import SettingsError
from swtformer.store.run import Run

Source = Annotated[str, Parameter(help="A run, the folder of a saved model, or owner/name on the hub.")]
Name = Annotated[str, Parameter(help="owner/name on the Hugging Face hub.")]
Network = Annotated[
    Literal["auto", "cam", "segmentation"],
    Parameter(help="Which network of a run; auto takes the newest segmentation network where there is one."),
]


@with_settings()
def onnx(
    model: Source,
    /,
    *,
    out: Annotated[Path, Parameter(help="File to write, FILE.onnx.")],
    network: Network = "auto",
    size: Annotated[
        str | None,
        Parameter(
            help="Fix the size of the images (224x320, height first); by default any size.", negative=()
        ),
    ] = None,
) -> Outcome:
    """Write a model as ONNX and compare it with torch in onnxruntime.

    Input: images, float RGB in [0, 1]; refined maps need the classes present as well (0/1). Outputs: logits
    and maps, or the logits of every pixel. Nothing is written where an output differs by more than 1e-4 (or
    5e-6 of its largest magnitude, if that is more) from torch in float64. A Swin of free size takes a minute
    or more to trace. Needs the extra `onnx`.
    """
    fixed = None if size is None else _size(size)
    if network != "cam":
        say_network(Path(model))
    with progress(again):
        from swtformer.publishing.export import export_onnx

        result = export_onnx(model, out, network=network, size=fixed)
    for size_px, gaps in result.differences.items():
        batch, height, width = size_px
        rounded = result.float32_differences[size_px]
        shown = ", ".join(f"{name} {gap:.1e} ({rounded[name]:.1e})" for name, gap in gaps.items())
        say(
            f"Largest difference at {batch} × {height}×{width} px from torch in float64 (in float32): {shown}"
        )
    say(f"The model is {result.path}.")
    return _outcome(model)


@with_settings()
def push(
    model: Source,
    name: Name,
    /,
    *,
    private: Annotated[bool, Parameter(help="Make a new repository private.", negative=())] = False,
    network: Network = "auto",
    license: Annotated[
        str | None,
        Parameter(help="Licence of the weights, as the hub names it (apache-2.0, cc-by-4.0 …).", negative=()),
    ] = None,
    dry_run: Annotated[
        Path | None,
        Parameter(help="Write what would be published into this folder, and publish nothing.", negative=()),
    ] = None,
) -> Outcome:
    """Publish a model on the Hugging Face hub, with a model card written from its run.

    Log in first with `hf auth login`. No path and no command line of this machine is published.
    """
    if network != "cam":
        say_network(Path(model))
    with progress(again):
        from swtformer.publishing.hub import push as run_push

        made = run_push(model, name, network=network, private=private, license=license, dry_run=dry_run)
    what = "would be published" if dry_run is not None else "published"
    say(f"{', '.join(made.files)} {what}: {made.place}")
    return _outcome(model)


@with_settings()
def pull(
    name: Name, /, *, out: Annotated[Path, Parameter(help="Folder to write the model into.")]
) -> Outcome:
    """Fetch a model from the Hugging Face hub into a folder."""
    with progress(again):
        from swtformer.publishing.hub import pull as run_pull

        run_pull(name, out)
    say(f"The model is in {out}.")
    say(f"Next: swtformer predict {shlex.quote(str(out))} PHOTOS --out FOLDER")
    return Outcome()


def _size(text: str) -> tuple[int, int]:
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise SettingsError(f"--size {text}: expected height and width in pixels, such as 224x320.")
    return int(sides[0]), int(sides[1])


def _outcome(source: str) -> Outcome:
    """Note the command line in the run, if it was one."""
    run = Run(Path(source))
    return Outcome(run=run if run.settings_file.is_file() else None)
