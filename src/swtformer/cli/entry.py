"""Starts a command and answers for it: exit codes, messages, signals."""

from __future__ import annotations

import logging
import shlex
import sys
import traceback
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from cyclopts import App
from cyclopts.exceptions import CycloptsError, MissingArgumentError, UnusedCliTokensError

from swtformer.cli.screen import make_streams_printable, say
from swtformer.cli.signals import Stopped, asked_to_stop, stop_on_signals
from swtformer.errors import SettingsError, SwtformerError
from swtformer.processes import is_main_process, launched_processes

if TYPE_CHECKING:
    from swtformer.cli.outcome import Outcome

USAGE = 2
UNEXPECTED = 1
PATHS = frozenset({"--out", "--config", "--data", "--dry-run", "--predictions", "--sheet", "--weights"})
"""Flags for files and folders outside the settings; their value cannot be empty."""


class _Command(NamedTuple):
    """A command as `--help` shows it.

    Attributes:
        place: its module in this package, and its function.
        usage: its name and what it takes.
        summary: the first paragraph of its docstring.
    """

    place: str
    usage: str
    summary: str

    @property
    def name(self) -> str:
        """The word that calls it; `check` where the usage begins with "data check"."""
        first, second, *_ = (*self.usage.split(), "")
        return second if first == "data" else first


COMMANDS = (
    _Command(
        "commands:demo",
        "demo [--out RUN]",
        "Draw images of shapes, train on their labels, make maps and masks, score them, open the report.",
    ),
    _Command(
        "chain:run",
        "run DATA [--out RUN] [--until STAGE]",
        "All stages: from images with labels to masks, a segmentation network and a report.",
    ),
    _Command("commands:check", "data check DATA", "Read a data set whole and list every problem at once."),
    _Command(
        "commands:train",
        "train DATA --out RUN",
        "Train a model from images and their labels; masks are never looked at.",
    ),
    _Command(
        "commands:localize",
        "localize RUN [DATA]",
        "Make class activation maps for a data set with a run's model.",
    ),
    _Command("commands:mask", "mask RUN", "Make label images from a run's maps; the network is not needed."),
    _Command(
        "pseudo_labels:refine", "refine RUN [DATA]", "Make a run's maps follow the edges of the images."
    ),
    _Command(
        "pseudo_labels:pseudo_label",
        "pseudo-label RUN",
        "Make masks to train on from a run's maps, with 255 where the evidence is weak.",
    ),
    _Command(
        "segmentation:segment",
        "segment RUN [DATA]",
        "Train a segmentation network on a run's pseudo-masks, or on any folder of masks.",
    ),
    _Command(
        "segmentation:predict",
        "predict MODEL INPUT... --out FOLDER",
        "Make masks of photographs that have no labels, and tell the area of every class.",
    ),
    _Command(
        "commands:evaluate",
        "evaluate RUN [DATA]",
        "Score a run's maps, or with --predictions any folder of masks, against masks and image labels.",
    ),
    _Command(
        "exchange:export",
        "export RUN --format FORMAT --out PATH",
        "Write masks in the format of another tool, to look at them, correct them or train on them there.",
    ),
    _Command("exchange:import_", "import RUN FILE", "Import masks that were corrected in another tool."),
    _Command(
        "models:onnx",
        "onnx RUN|MODEL --out FILE.onnx",
        "Write a model as ONNX, after comparing it with torch in onnxruntime.",
    ),
    _Command(
        "models:push",
        "push RUN|MODEL OWNER/NAME",
        "Publish a model on the Hugging Face hub, with a model card written from its run.",
    ),
    _Command(
        "models:pull",
        "pull OWNER/NAME --out FOLDER",
        "Fetch a model from the Hugging Face hub into a folder.",
    ),
    _Command(
        "commands:report",
        "report RUN",
        "Write one self-contained HTML page about a run: settings, curves, scores, pictures.",
    ),
    _Command(
        "app:app",
        "app RUN [DATA] [--port PORT] [--host HOST]",
        "Try a run's model on photographs and review its pseudo-masks in the browser, until Ctrl-C.",
    ),
    _Command(
        "reproduction:reproduce",
        "reproduce TABLE DATA --out FOLDER",
        "Train and score the methods of a table of the SWTformer paper on your data, or draw a figure of it.",
    ),
    _Command(
        "plugins:plugins",
        "plugins [KIND [NAME]]",
        "List the methods, refiners, readers and exporters, those of other packages too, and their options.",
    ),
    _Command("commands:version", "version", "Print the version."),
)
"""All commands, in the order of `--help`; importing their modules takes longer than printing this list."""


def build_app(words: Collection[str] | None = None) -> App:
    """The commands with their help.

    Args:
        words: the command line. Commands that it does not name have their summary alone, and cannot be run.
            None for all commands.
    """
    app = App(
        name="swtformer",
        help="Pixel masks from image-level labels. Start with: swtformer demo",
        help_format="plaintext",
        version=_version,
        help_epilogue="Exit codes: 0 done, 2 bad input, 3 images skipped, 4 bad checkpoint, "
        "5 numbers not finite, 130 and 143 stopped by a signal.",
    )
    data = App(name="data", help="Look at a data set before work starts.", sort_key=2)
    app.command(data)
    for order, command in enumerate(COMMANDS):
        owner = data if command.usage.startswith("data ") else app
        if words is not None and command.name not in words:
            owner.command(_not_loaded, name=command.name, sort_key=order, help=command.summary)
            continue
        from swtformer.cli.flags import flowing

        module, _, name = command.place.partition(":")
        function = getattr(import_module(f"swtformer.cli.{module}"), name)
        # The usage is spelled out: deriving it from the signature takes a fifth of the time of `--help`.
        owner.command(
            function,
            name=command.name,
            sort_key=order,
            help=flowing(function.__doc__ or ""),
            usage=f"Usage: swtformer {command.usage} [OPTIONS]",
        )
    return app


def _not_loaded() -> None:
    """Stands for a command that the command line does not name."""
    raise RuntimeError("a command was called that the command line does not name")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program's name; those of the process where None.

    Returns:
        0 done; 1 unexpected; 2 bad input or usage; 3 images skipped; 4 bad checkpoint; 5 non-finite numbers;
        130 and 143 stopped by SIGINT and SIGTERM.
    """
    make_streams_printable()
    arguments = list(sys.argv[1:] if argv is None else argv)
    is_verbose = not {"-v", "--verbose"}.isdisjoint(arguments)
    with stop_on_signals(), _library_messages(shown=is_verbose):
        try:
            return _answered(arguments, is_verbose=is_verbose)
        except Stopped as stop:  # also while an error is told
            return _stopped(stop, is_verbose=is_verbose)


def _answered(arguments: list[str], *, is_verbose: bool) -> int:
    try:
        return _run(arguments)
    except CycloptsError as error:
        return _refuse(_usage(error), USAGE)
    except Exception as error:
        if (swallowed := asked_to_stop()) is not None:
            return _stopped(swallowed, is_verbose=is_verbose)
        if is_verbose and isinstance(error, (SwtformerError, OSError)):
            traceback.print_exc()
        if isinstance(error, SwtformerError):
            from swtformer.cli.flags import with_dashes

            return _refuse(with_dashes(str(error)), error.exit_code)
        if isinstance(error, OSError):
            where = f"{error.filename}: " if error.filename else ""
            return _refuse(f"{where}{error.strerror or error}.", USAGE)
        if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
            return _refuse("Out of memory. Lower the batch size, the crop or the scales.", UNEXPECTED)
        from swtformer.cli.plugin_faults import explain

        traceback.print_exc()
        return _refuse(explain(error), UNEXPECTED)


def _run(arguments: list[str]) -> int:
    _require_paths(arguments)
    app = build_app(arguments)
    words = arguments
    if any(command.name in arguments for command in COMMANDS):
        from swtformer.cli.flags import join_booleans, join_numbers

        words = join_numbers(join_booleans(arguments, also=("--resume", "--private")))
    command, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    is_launched = launched_processes() > 1  # before a training launches processes of its own
    outcome: Outcome | None = command(*bound.args, **bound.kwargs)
    if (swallowed := asked_to_stop()) is not None:
        raise swallowed
    if outcome is None:
        return 0  # help and version
    from swtformer.cli.outcome import SKIPPED
    from swtformer.store.notes import training_notes, update_training_notes

    if outcome.run is not None and is_main_process():
        for folder in outcome.run.linked_folders():
            say(f"{folder} is a link: its files lie in {folder.resolve()}.")
        done = training_notes(outcome.run).commands
        update_training_notes(outcome.run, commands=(*done, shlex.join(["swtformer", *arguments])))
    # Launchers take every other code for a crash: they would stop the others, or start them all again.
    return 0 if is_launched and outcome.exit_code == SKIPPED else outcome.exit_code


def _require_paths(arguments: Sequence[str]) -> None:
    """Refuse an empty path, such as that of an unset variable; it would mean the current folder."""
    for before, word in zip(["", *arguments], arguments, strict=False):
        flag, is_given, value = word.partition("=")
        empty = flag if is_given and not value else before if not word else None
        if empty is not None and (empty in PATHS or not empty.startswith("-")):
            raise SettingsError(
                f"{empty or 'The first argument'}: expected a file or folder, got an empty path."
            )


def _version() -> str:
    from swtformer import __version__

    return __version__


def _usage(error: CycloptsError) -> str:
    if isinstance(error, UnusedCliTokensError):
        message = f"Unexpected arguments: {' '.join(error.unused_tokens or [])}."
    elif isinstance(error, MissingArgumentError) and error.argument and error.keyword is None:
        what = error.argument.parameter.help or ""
        message = f"{error.argument.name} is missing: {what[:1].lower()}{what[1:]}"
    else:
        message = str(error)
    words = " ".join(["swtformer", *(error.command_chain or [])])
    return f"{message} See `{words} --help`."


def _stopped(stop: Stopped, *, is_verbose: bool) -> int:
    if is_verbose:
        traceback.print_exc()
    if is_main_process():
        print(f"\nStopped by {stop}. {stop.hint}".rstrip(), file=sys.stderr)
    return stop.exit_code


def _refuse(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


@contextmanager
def _library_messages(*, shown: bool) -> Iterator[None]:
    """Keep other libraries' warnings out of the terminal; our own log messages are always shown."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    own = logging.getLogger("swtformer")
    own.addHandler(handler)
    try:
        with warnings.catch_warnings():
            if not shown:
                warnings.simplefilter("ignore")
            yield
    finally:
        own.removeHandler(handler)
