"""Starts a command and answers for it: exit codes, messages, signals."""

from __future__ import annotations

import logging
import shlex
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cyclopts import App
from cyclopts.exceptions import CycloptsError, MissingArgumentError, UnusedCliTokensError

from swtformer.cli import (
    chain,
    commands,
    exchange,
    models,
    plugins,
    pseudo_labels,
    reproduction,
    segmentation,
)
from swtformer.cli.app import app as browse
from swtformer.cli.flags import flowing, join_booleans, join_numbers, with_dashes
from swtformer.cli.outcome import SKIPPED, Outcome
from swtformer.cli.plugin_faults import explain
from swtformer.cli.screen import make_streams_printable, say
from swtformer.cli.signals import Stopped, asked_to_stop, stop_on_signals
from swtformer.errors import SettingsError, SwtformerError
from swtformer.processes import is_main_process, launched_processes
from swtformer.store.notes import training_notes, update_training_notes

USAGE = 2
UNEXPECTED = 1
PATHS = frozenset({"--out", "--config", "--predictions", "--sheet", "--data.images", "--data.masks"})
"""Flags whose value cannot be empty."""


def build_app() -> App:
    """The commands with their help."""
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
    for order, (owner, function, usage) in enumerate(
        (
            (app, commands.demo, "demo [--out RUN]"),
            (app, chain.run, "run DATA [--out RUN] [--until STAGE]"),
            (data, commands.check, "data check DATA"),
            (app, commands.train, "train DATA --out RUN"),
            (app, commands.localize, "localize RUN [DATA]"),
            (app, commands.mask, "mask RUN"),
            (app, pseudo_labels.refine, "refine RUN [DATA]"),
            (app, pseudo_labels.pseudo_label, "pseudo-label RUN"),
            (app, segmentation.segment, "segment RUN [DATA]"),
            (app, segmentation.predict, "predict MODEL INPUT... --out FOLDER"),
            (app, commands.evaluate, "evaluate RUN [DATA]"),
            (app, exchange.export, "export RUN --format FORMAT --out PATH"),
            (app, exchange.import_, "import RUN FILE"),
            (app, models.onnx, "onnx RUN|MODEL --out FILE.onnx"),
            (app, models.push, "push RUN|MODEL OWNER/NAME"),
            (app, models.pull, "pull OWNER/NAME --out FOLDER"),
            (app, commands.report, "report RUN"),
            (app, browse, "app RUN [DATA] [--port PORT] [--host HOST]"),
            (app, reproduction.reproduce, "reproduce TABLE DATA --out FOLDER"),
            (app, plugins.plugins, "plugins [KIND [NAME]]"),
            (app, commands.version, "version"),
        )
    ):
        # The usage is spelled out: deriving it from the signature takes a fifth of the time of `--help`.
        owner.command(
            function,
            sort_key=order,
            help=flowing(function.__doc__ or ""),
            usage=f"Usage: swtformer {usage} [OPTIONS]",
        )
    return app


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
            return _refuse(with_dashes(str(error)), error.exit_code)
        if isinstance(error, OSError):
            where = f"{error.filename}: " if error.filename else ""
            return _refuse(f"{where}{error.strerror or error}.", USAGE)
        if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
            return _refuse("Out of memory. Lower the batch size, the crop or the scales.", UNEXPECTED)
        traceback.print_exc()
        return _refuse(explain(error), UNEXPECTED)


def _run(arguments: list[str]) -> int:
    _require_paths(arguments)
    app = build_app()
    command, bound, _ = app.parse_args(
        join_numbers(join_booleans(arguments, also=("--resume", "--private"))),
        exit_on_error=False,
        print_error=False,
    )
    is_launched = launched_processes() > 1  # before a training launches processes of its own
    outcome = command(*bound.args, **bound.kwargs)
    if (swallowed := asked_to_stop()) is not None:
        raise swallowed
    if not isinstance(outcome, Outcome):
        return 0  # help and version
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
