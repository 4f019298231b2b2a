"""An S3 bucket on a local server. The server is moto, which the extra `dev` does not install."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

_NUMBERS = count()
"""The server keeps its buckets while the process lives."""


@pytest.fixture
def s3_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a new bucket; needs pip install s3fs 'moto[s3,server]'."""
    server_type = pytest.importorskip("moto.server").ThreadedMotoServer
    fsspec = pytest.importorskip("fsspec")
    filesystem = pytest.importorskip("s3fs").S3FileSystem
    server = server_type(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    filesystem.clear_instance_cache()
    name = f"bucket-{next(_NUMBERS)}"
    fsspec.filesystem("s3").mkdir(name)
    yield f"s3://{name}"
    filesystem.clear_instance_cache()
    server.stop()
