from __future__ import annotations

import sys

import pytest
import segmentation_models_pytorch

from swtformer.errors import SwtformerError
from swtformer.segmentation.library import require_smp


def test_it_is_the_library() -> None:
    assert require_smp() is segmentation_models_pytorch


def test_the_library_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(SwtformerError, match=r"pip install 'swtformer\[seg\]'") as caught:
        require_smp()
    assert caught.value.exit_code == 2
