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
    Parameter(help="Which network of a run; auto is the newest segmentation network if there is one."),
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
    """Write a model as ONNX, after comparing it with torch in onnxruntime.

    Input: images, float RGB in [0, 1]; for R-CAMs also the classes present (0/1). Outputs: logits and maps,
    or the logits of every pixel. Nothing is written if an output differs from torch by more than 1e-3 (of
    its largest magnitude if that is above 1). A Swin of free size takes a minute or more to trace. Needs the
    extra `onnx`.
    """
    fixed = None if size is None else _size(size)
    if network != "cam":
        say_network(Path(model))
    with progress(again):
        from swtformer.publishing.export import export_onnx

        differences = export_onnx(model, out, network=network, size=fixed)
    for (batch, height, width), gaps in differences.items():
        shown = ", ".join(f"{name} {gap:.1e}" for name, gap in gaps.items())
        say(f"Largest difference from torch at {batch} × {height}×{width} px: {shown}")
    say(f"The model is {out}.")
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

        place = run_push(model, name, network=network, private=private, license=license, dry_run=dry_run)
    published = "would be published" if dry_run is not None else "published"
    say(f"README.md, config.json, model.safetensors {published}: {place}")
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
