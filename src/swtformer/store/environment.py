"""Versions and machine, as every result carries them."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

from swtformer.machine import processor_name


def describe_environment() -> dict[str, Any]:
    """Versions and machine, as every result carries them."""
    from importlib import metadata  # with all of `email`, a tenth of the time of `--help`

    packages = ("swtformer", "torch", "torchvision", "timm", "lightning", "numpy", "pillow")
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": processor_name(),
        "cpu_count": os.cpu_count(),
        "packages": versions,
    }
