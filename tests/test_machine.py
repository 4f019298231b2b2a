from __future__ import annotations

import platform
from pathlib import Path

import pytest

from swtformer import machine
from swtformer.machine import machine_line, processor_name


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC 9654\nmodel name\t: another\n", "AMD EPYC 9654"),
        ("processor\t: 0\nBogoMIPS\t: 50.00\n", "fallback"),  # as on ARM
        ("model name\t:\n", "fallback"),
        (None, "fallback"),  # as on macOS
    ],
)
def test_the_processor_is_named(
    cpuinfo: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "fallback")
    assert processor_name() == expected


@pytest.mark.parametrize(("threads", "shown"), [(1, "1 thread"), (4, "4 threads")])
def test_the_line_names_what_decides_a_speed(threads: int, shown: str) -> None:
    line = machine_line(threads=threads, torch_version="2.15.0+cu132", precision="bf16")
    assert line == f"{processor_name()}, {shown}, torch 2.15.0, bf16"
