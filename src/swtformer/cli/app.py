"""The command `app`: a run in the browser."""

from __future__ import annotations

import threading
from typing import Annotated

from cyclopts import Parameter

from swtformer.cli.flags import with_settings
from swtformer.cli.outcome import Outcome, RunFolder
from swtformer.cli.screen import say, warn
from swtformer.errors import SwtformerError
from swtformer.model_folders import finished_networks
from swtformer.run import Run


@with_settings()
def app(
    run: RunFolder,
    /,
    *,
    port: Annotated[int, Parameter(help="Port to listen on.")] = 7860,
    host: Annotated[
        str, Parameter(help="Address to listen on; 0.0.0.0 lets every machine in that can reach this one.")
    ] = "127.0.0.1",
) -> Outcome:
    """Try a run's model on photographs and review its pseudo-masks in the browser, until Ctrl-C.

    Needs the extra `app`: pip install 'swtformer[app]'. Only this machine can reach the pages unless --host
    says otherwise; there is no password. Nothing is sent anywhere.
    """
    made = Run(run)
    made.settings()
    try:
        import gradio  # noqa: F401
    except ImportError:
        raise SwtformerError(
            "The app needs a library that is not installed; install it with pip install 'swtformer[app]'."
        ) from None
    from swtformer.app.server import is_loopback, running

    networks = finished_networks(made)
    if len(networks) > 1:
        say(f"{run} has {len(networks)} segmentation networks; the newest is taken, {networks[-1].path}.")
    with running(made, host=host, port=port) as address:
        say(f"The app is at {address} (Ctrl-C ends it).")
        if not is_loopback(host):
            warn("Everybody who can reach this machine can use the app and decide about masks.")
        threading.Event().wait()
    return Outcome()
