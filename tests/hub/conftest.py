from __future__ import annotations

from support.farm_runs import run, run_with_network
from support.hub import hub

__all__ = ["hub", "run", "run_with_network"]
