"""A hub on this machine, with as much of the hub's protocol as publishing and fetching a model needs."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

COMMIT = "0" * 40


class FakeHub:
    """What was published.

    Attributes:
        files: content by file name, by repository.
        private: names of the private repositories.
        denies: answer 401 to every attempt to create a repository.
    """

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.denies = False

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Serve until the block ends; gives the address."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                if self.path.startswith("/api/models/"):
                    self._describe(*self.path.removeprefix("/api/models/").split("/", 2))
                    return
                name, found, rest = self.path.lstrip("/").partition("/resolve/")
                repository = hub.files.get(name)
                if not found:
                    self._send(200, b"")
                elif repository is None:
                    self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
                elif (content := repository.get(rest.partition("/")[2])) is None:
                    self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
                else:
                    tag = hashlib.sha1(content).hexdigest()
                    self._send(200, content, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/api/repos/create":
                    about = json.loads(body)
                    name = f"{about['organization']}/{about['name']}"
                    if hub.denies:
                        self._send(401, b"{}")
                        return
                    hub.files.setdefault(name, {})
                    if about.get("visibility") == "private" or about.get("private"):
                        hub.private.add(name)
                    self._send_json({"url": f"http://{self.headers['Host']}/{name}"})
                elif self.path == "/api/validate-yaml":
                    self._send_json({})
                elif "/preupload/" in self.path:
                    files = [
                        {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                        for file in json.loads(body)["files"]
                    ]
                    self._send_json({"files": files})
                else:
                    name = self.path.removeprefix("/api/models/").partition("/commit/")[0]
                    for line in map(json.loads, body.splitlines()):
                        if line["key"] == "file":
                            content = base64.b64decode(line["value"]["content"])
                            hub.files[name][line["value"]["path"]] = content
                    url = f"http://{self.headers['Host']}/{name}/commit/{COMMIT}"
                    self._send_json({"commitUrl": url, "commitOid": COMMIT})

            def _describe(self, owner: str, name: str, rest: str = "") -> None:
                """Answer what a repository's one commit is ("revision/main") and holds ("tree/…")."""
                repository = hub.files.get(f"{owner}/{name}")
                if repository is None:
                    self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
                elif rest.startswith("tree/"):
                    self._send_json(
                        [
                            {
                                "type": "file",
                                "path": path,
                                "size": len(content),
                                "oid": hashlib.sha1(content).hexdigest(),
                            }
                            for path, content in repository.items()
                        ]
                    )
                else:
                    files = [{"rfilename": path} for path in repository]
                    self._send_json({"id": f"{owner}/{name}", "sha": COMMIT, "siblings": files})

            def _send_json(self, value: Any) -> None:
                self._send(200, json.dumps(value).encode())

            def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for key, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                    self.send_header(key, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """A hub on this machine that huggingface_hub uses in place of the real one, with a cache of its own."""
    fake = FakeHub()
    for proxy in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(proxy, "127.0.0.1")
    with fake.listening() as address:
        # Set by HF_ENDPOINT when the library is imported.
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield fake
