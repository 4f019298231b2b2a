"""The app as a server: what uploads are answered with, and what is not given away."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from support.app_runs import free_port
from support.pictures import draw_scene, encode
from swtformer.app.server import is_loopback, running
from swtformer.datasets.mask_images import read_mask
from swtformer.errors import SettingsError
from swtformer.review.decisions import decided_ids, open_queue, rejected_ids
from swtformer.store.corrections import NOTES
from swtformer.store.files import read_json, write_json
from swtformer.store.masks import write_mask
from swtformer.store.run import Run

# What Gradio asks of pandas is about to go.
pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")


@pytest.fixture(scope="module")
def address(drawn: Path) -> Iterator[str]:
    with running(Run(drawn), port=free_port()) as address:
        yield address


@pytest.fixture(scope="module")
def client(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(address, verbose=False, download_files=tmp_path_factory.mktemp("downloads"))
    yield client
    client.close()


def segment(client: Client, path: Path, classes: tuple[str, ...] = ()) -> Any:
    """The message and what comes behind it."""
    return client.predict(handle_file(path), list(classes), "one", "raw", "par", api_name="/segment")


def huge_png() -> bytes:
    """A header that claims 65500² pixels."""
    data = encode(Image.new("RGB", (8, 8)), "PNG")
    header = struct.pack(">II", 65500, 65500) + data[24:29]
    return data[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + data[33:]


def flipped_png() -> bytes:
    data = bytearray(encode(Image.fromarray(draw_scene()), "PNG"))
    data[len(data) // 2] ^= 8
    return bytes(data)


def jpeg() -> bytes:
    return encode(Image.fromarray(draw_scene()), "JPEG", quality=80)


FAULTS: dict[str, tuple[Callable[[], bytes], str]] = {
    "half.jpg": (lambda: jpeg()[: len(jpeg()) // 2], "cannot be decoded"),
    "short.jpg": (lambda: jpeg()[:-2], "cannot be decoded"),
    "flipped.png": (flipped_png, "cannot be decoded"),
    "empty.jpg": (lambda: b"", "is empty"),
    "page.jpg": (lambda: b"<html><script>alert(1)</script>", "is a web page or XML"),
    "bomb.png": (huge_png, "claims more than"),
    "noextension": (lambda: b"\0\1", "got a file that begins with"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faulty_uploads_are_answered_with_a_message(
    client: Client, tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    make, expected = FAULTS[name]
    (tmp_path / name).write_bytes(make())
    status = segment(client, tmp_path / name)[0]
    assert 'role="alert"' in status
    assert f"{name}: " in status
    assert expected in status
    assert "<script>" not in status
    assert "swtformer-app" not in status  # the server's folder stays private
    assert "Traceback" not in capfd.readouterr().err


ODD: dict[str, Callable[[], bytes]] = {
    "really a png.jpg": lambda: encode(Image.fromarray(draw_scene()), "PNG"),
    "grey.jpg": lambda: encode(Image.fromarray(draw_scene()).convert("L"), "JPEG"),
    "cmyk.jpg": lambda: encode(Image.fromarray(draw_scene()).convert("CMYK"), "JPEG"),
    "rgba.png": lambda: encode(Image.fromarray(draw_scene()).convert("RGBA"), "PNG"),
    "sixteen.png": lambda: encode(Image.fromarray(draw_scene()[..., 0].astype(np.uint16) * 257), "PNG"),
    "1x1.png": lambda: encode(Image.new("RGB", (1, 1)), "PNG"),
    "1x160.png": lambda: encode(Image.new("RGB", (160, 1)), "PNG"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_uploads_are_segmented_and_their_mask_downloaded(
    client: Client, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(ODD[name]())
    with Image.open(path) as image:
        width, height = image.size
    status = segment(client, path, ("dog",))[0]
    assert 'role="status"' in status
    assert f"({width}×{height} px): dog." in status
    saved = client.predict("rcam", "threshold", 0.2, api_name="/mask")
    labels = read_mask(Path(saved))
    assert labels.shape == (height, width)
    assert set(np.unique(labels).tolist()) <= {0, 2}


def test_decisions_reach_the_disk(client: Client, drawn: Path) -> None:
    run = Run(drawn)
    about = client.predict("open", 0.5, api_name="/queue")
    assert "0 of 4 reviewed" in about[0]
    assert "<b>2</b>: number 1 of 4" in about[2]
    about = client.predict("open", 0.5, api_name="/correct")
    assert "1 of 4 reviewed: 0 accepted, 0 skipped for now, 1 marked for correction" in about[0]
    assert "<b>0</b>: number 2 of 4" in about[2]
    assert [item.decision for item in open_queue(run).items] == ["correct", None, None, None]
    client.predict("open", 0.5, api_name="/reject")
    assert rejected_ids(run, run.pseudo_masks) == {"0"}
    write_json(run.pseudo_masks_file, read_json(run.pseudo_masks_file) | {"margin": 0.3})
    client.predict("all", 0.5, api_name="/queue")
    write_json(run.pseudo_masks_file, read_json(run.pseudo_masks_file) | {"margin": 0.4})
    assert "has changed since this page was opened" in client.predict("all", 0.5, api_name="/accept")[1]


def test_corrected_masks_are_walked_too(client: Client, drawn: Path) -> None:
    run = Run(drawn)
    about = client.predict("open", 0.5, "corrected_masks", api_name="/review")
    assert "has no corrected masks to review" in about[1]
    assert "--source corrected_masks --decision correct" in about[-1]
    write_mask(run.corrected_masks / "3.png", np.full((56, 64), 3, np.uint8))
    notes = {"base": "../pseudo_masks", "corrected": {"3": "v1"}}
    write_json(run.corrected_masks / NOTES, notes)
    about = client.predict("open", 0.5, "corrected_masks", api_name="/review")
    assert "<b>3</b>: number 1 of 1, not reviewed yet" in about[2]
    about = client.predict("open", 0.5, "corrected_masks", api_name="/accept")
    assert "1 of 1 reviewed: 1 accepted" in about[0]
    assert decided_ids(run, "accept", "corrected_masks") == {"3"}
    shutil.rmtree(run.corrected_masks)  # other tests share the run


@pytest.mark.parametrize(
    "place", ["/etc/passwd", "{run}/classes.json", "{run}/../images/1.png", "pyproject.toml"]
)
def test_no_other_file_is_served(address: str, drawn: Path, place: str) -> None:
    path = place.format(run=drawn)
    assert httpx.get(f"{address}gradio_api/file={path}").status_code == 403
    payload = {"path": path, "meta": {"_type": "gradio.FileData"}}
    data = [payload, [], "one", "raw", "par"]
    event = httpx.post(f"{address}gradio_api/call/segment", json={"data": data}).json()["event_id"]
    answer = httpx.get(f"{address}gradio_api/call/segment/{event}", timeout=30).text
    assert answer.startswith("event: error")


@pytest.mark.parametrize(
    "path", ["file=http://127.0.0.1/x", "file=https://example.org/x", "proxy=https://x.hf.space/"]
)
def test_nothing_is_fetched_from_elsewhere(address: str, path: str) -> None:
    answer = httpx.get(f"{address}gradio_api/{path}")
    assert answer.status_code == 403
    assert answer.text == "Nothing is fetched from elsewhere."


def test_the_page_asks_nobody_else(address: str) -> None:
    answer = httpx.get(address)
    assert "connect-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "fonts.googleapis.com/css" not in answer.text
    config = httpx.get(f"{address}config").json()
    assert config["analytics_enabled"] is False
    assert "http" not in json.dumps(config["stylesheets"])
    assert httpx.get(f"{address}monitoring/summary").status_code in {403, 404}


def test_foreign_host_names_are_refused(address: str) -> None:
    assert httpx.get(address, headers={"Host": "evil.example"}).status_code == 400
    for name in ("localhost:1", "[::1]:7860", "127.0.0.1"):
        assert httpx.get(address, headers={"Host": name}).status_code == 200


def test_a_taken_port_is_refused(drawn: Path, address: str) -> None:
    port = int(address.rstrip("/").rsplit(":", 1)[1])
    with (
        pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{port}"),
        running(Run(drawn), port=port),
    ):
        pass
    with (
        pytest.raises(SettingsError, match="--port must be from 1 to 65535, got 0"),
        running(Run(drawn), port=0),
    ):
        pass
    with (
        pytest.raises(SettingsError, match=r"cannot listen on 192\.0\.2\.1"),
        running(Run(drawn), host="192.0.2.1", port=free_port()),
    ):
        pass


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("box.local", False)],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
