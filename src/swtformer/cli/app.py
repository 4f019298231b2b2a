"""The command `app`: a run in the browser."""

from __future__ import annotations

import threading
from typing import Annotated, Any

from cyclopts import Parameter

from swtformer.cli.flags import as_flags, gather, with_settings
from swtformer.cli.outcome import Config, OptionalData, Outcome, RunFolder, open_images
from swtformer.cli.screen import say, warn
from swtformer.errors import SwtformerError
from swtformer.store.known_data import data_of_masks
from swtformer.store.models import finished_networks
from swtformer.store.run import Run


@with_settings("data")
def app(
    run: RunFolder,
    data: OptionalData = None,
    /,
    *,
    port: Annotated[int, Parameter(help="Port to listen on.")] = 7860,
    host: Annotated[
        str, Parameter(help="Address to listen on; 0.0.0.0 lets every machine in that can reach this one.")
    ] = "127.0.0.1",
    config: Config = None,
    **flags: Any,
) -> Outcome:
    """Try a run's model on photographs and review its pseudo-masks in the browser, until Ctrl-C.

    Needs the extra `app`: pip install 'swtformer[app]'. Only this machine can reach the pages unless --host
    says otherwise; there is no password. Nothing is sent anywhere.

    Name the data set after the run if its photographs have moved since the masks were made.
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
    images = None  # the review finds those that its masks were made for
    named: list[str] = []
    if data is not None or config is not None or flags:
        path, base = data_of_masks(made, data)
        settings = gather(base=base, config=config, flags=flags)
        images = open_images(path, settings)
        # The commands take the split from different results of the run, so it is always named.
        own = {**dict(base.data), "split": None}
        named = [str(path), *as_flags("data", dict(settings.data), base=own)]
        named += as_flags("reader", settings.reader, base=base.reader)
    with running(made, images, named=named, host=host, port=port) as address:
        say(f"The app is at {address} (Ctrl-C ends it).")
        if not is_loopback(host):
            warn("Everybody who can reach this machine can use the app and decide about masks.")
        threading.Event().wait()
    return Outcome()
