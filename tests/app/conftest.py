from __future__ import annotations

from pathlib import Path

import pytest

from support.app_runs import draw_app_run
from swtformer.app.study import Studio
from swtformer.store.run import Run


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a model, a segmentation network, pseudo-masks and a queue; `images` lies beside it."""
    return draw_app_run(tmp_path_factory.mktemp("drawn")).path


@pytest.fixture(scope="session")
def studio(drawn: Path) -> Studio:
    return Studio(Run(drawn))


@pytest.fixture(scope="session")
def photograph(drawn: Path) -> Path:
    return drawn.parent / "images" / "1.png"
