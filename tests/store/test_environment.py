"""Versions and machine that results carry."""

from __future__ import annotations

import platform
from importlib import metadata

import pytest

from swtformer.store.environment import describe_environment


def test_versions_are_those_that_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = describe_environment()
    assert made["python"] == platform.python_version()
    assert made["packages"]["numpy"] == metadata.version("numpy")
    assert made["cpu_count"] >= 1
    known = metadata.version

    def version(package: str) -> str:
        if package == "lightning":
            raise metadata.PackageNotFoundError(package)
        return known(package)

    monkeypatch.setattr(metadata, "version", version)
    assert describe_environment()["packages"] == made["packages"] | {"lightning": "not installed"}
