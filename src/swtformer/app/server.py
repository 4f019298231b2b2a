"""Serves the pages: by default on loopback only, without telemetry, and no files but its own."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gradio as gr
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from swtformer.app.review_page import review_page
from swtformer.app.segment_page import segment_page
from swtformer.app.study import Studio
from swtformer.app.style import CSS, SHORTCUTS
from swtformer.datasets.records import ImageSet
from swtformer.errors import SettingsError
from swtformer.store.run import Run

MOST_BYTES = "100mb"
"""Larger uploads are refused while they arrive."""

CLEANED_SECONDS = 3600
"""Uploads and pictures are deleted when they are this old, and all of them when the app ends."""

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "frame-ancestors 'self'; base-uri 'self'; form-action 'self'"
)
"""What a browser may do with the pages: load from this server and from no other."""

_FETCHING = ("/gradio_api/file=http", "/gradio_api/proxy=")
"""Routes of Gradio by which the server would fetch from other hosts."""

LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
"""Host names by which a browser on this machine asks for the pages."""


class Guard:
    """Refuses to fetch from other hosts, and tells the browser to load nothing from them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"].startswith(_FETCHING):
            await PlainTextResponse("Nothing is fetched from elsewhere.", 403)(scope, receive, send)
            return

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = POLICY
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        await self._app(scope, receive, send_with_policy)


def build(run: Run, studio: Studio, data: ImageSet | None = None, *, named: Sequence[str] = ()) -> gr.Blocks:
    """Both pages; `running` serves them."""
    name = run.path.resolve().name
    with gr.Blocks(
        title=f"{name} · swtformer", analytics_enabled=False, delete_cache=(CLEANED_SECONDS, CLEANED_SECONDS)
    ) as blocks:
        gr.Markdown(f"# {name}\n{len(studio.classes)} classes; files stay on the machine that this runs on.")
        with gr.Tabs():
            with gr.Tab("Segment", id="segment"):
                segment_page(studio)
            with gr.Tab("Review", id="review"):
                review_page(run, blocks, data, named=named)
    return blocks


@contextmanager
def running(
    run: Run,
    data: ImageSet | None = None,
    *,
    named: Sequence[str] = (),
    host: str = "127.0.0.1",
    port: int = 7860,
) -> Iterator[str]:
    """Serve a run's pages while the context lasts.

    Args:
        run: with a finished model.
        data: the photographs that the review shows; those that the masks were made for where None.
        named: path and flags of that data set as on the command line.
        host: address to listen on; others can connect unless it is loopback.
        port: of the server.

    Yields:
        The address of the pages.

    Raises:
        SettingsError: the port is taken or invalid, or this machine does not have the address.
        CheckpointError: a model is missing or damaged.
    """
    _require_free(host, port)
    studio = Studio(run)
    middleware = [Middleware(Guard)]
    if is_loopback(host):
        # Else a page of another site, whose name resolves to 127.0.0.1, could talk to the app from the
        # visitor's browser (DNS rebinding).
        names = [*LOCAL_NAMES, host]
        middleware.append(Middleware(TrustedHostMiddleware, allowed_hosts=names, www_redirect=False))

    async def launched(folder: str) -> tuple[gr.Blocks, str]:
        """The pages and their address; in an event loop, as Gradio never closes one that it makes itself."""
        blocks = build(run, studio, data, named=named)
        _, address, _ = blocks.launch(
            server_name=host,
            server_port=port,
            share=False,
            prevent_thread_lock=True,
            quiet=True,
            allowed_paths=[folder],
            app_kwargs={"middleware": middleware},
            max_file_size=MOST_BYTES,
            enable_monitoring=False,
            run_history=False,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            footer_links=[],
            theme=_theme(),
            css=CSS,
            head=SHORTCUTS,
        )
        return blocks, address

    with tempfile.TemporaryDirectory(prefix="swtformer-app-") as folder, _environment(folder):
        blocks, address = asyncio.run(launched(folder))
        try:
            yield address
        finally:
            blocks.close(verbose=False)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _require_free(host: str, port: int) -> None:
    """Refuse a bad port or host before models are loaded."""
    if not 1 <= port <= 65535:
        raise SettingsError(f"--port must be from 1 to 65535, got {port}.")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise SettingsError(
            f"The app cannot listen on {host}:{port}: {error.strerror or error}. Name another --port or "
            "--host."
        ) from None


@contextmanager
def _environment(folder: str) -> Iterator[None]:
    """Set what Gradio reads from the environment only."""
    wanted = {
        "GRADIO_TEMP_DIR": folder,
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    before = {name: os.environ[name] for name in wanted if name in os.environ}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name in wanted:
            del os.environ[name]
        os.environ.update(before)


def _theme() -> Any:
    """Fonts of the visitor's system, and small print with enough contrast."""
    return gr.themes.Default(
        primary_hue="blue",
        font=["system-ui", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    ).set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
    )
