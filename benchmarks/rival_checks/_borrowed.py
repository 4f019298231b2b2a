"""Statements and functions of a peer's scripts, which can be run without the script around them."""

from __future__ import annotations

import ast
import re
import sys
import types
from pathlib import Path
from typing import Any

import torch


def statements(path: Path, first: str, last: str) -> str:
    """The lines of a script from the one that begins with `first` to that with `last`, without indent."""
    lines = path.read_text().splitlines()
    start = next(index for index, line in enumerate(lines) if line.strip().startswith(first))
    end = next(index for index in range(start, len(lines)) if lines[index].strip().startswith(last))
    indent = re.match(r" *", lines[start])[0]  # type: ignore[index]
    return "\n".join(line.removeprefix(indent) for line in lines[start : end + 1])


def functions(path: Path, *names: str, **scope: Any) -> dict[str, Any]:
    """Functions of a script that is not run, by name; `scope` is what they see."""
    source = path.read_text().replace("version is '", "version == '")  # a warning of Python's
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name in names:
            exec(ast.get_source_segment(source, node), scope)  # type: ignore[arg-type]
    return {name: scope[name] for name in names}


def settle_batch_norm(net: torch.nn.Module, images: torch.Tensor) -> None:
    """Give batch norm the statistics of a batch, for networks with `forward_as_dict`; eval mode then."""
    net.eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train()
            module.momentum = 1.0
    with torch.no_grad():
        net.forward_as_dict(images)  # type: ignore[operator]
    net.eval()


def stay_on_the_cpu() -> None:
    """`.cuda()` does nothing from here on."""
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign, assignment, return-value]


def stub(name: str, **content: Any) -> None:
    """Put an empty module in place of a missing package, unless it is there already."""
    module = types.ModuleType(name)
    vars(module).update(content)
    sys.modules.setdefault(name, module)
