"""Maps that break the contract are refused with the method's name; rounding is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from support.models import tiny
from swtformer.errors import PluginError
from swtformer.methods import Maps, Method, checked_maps
from swtformer.settings import LocalizeSettings

IMAGES = torch.zeros(2, 3, 61, 96, dtype=torch.uint8)
PRESENT = torch.ones(2, 3)
GOOD = Maps(PRESENT, torch.rand(2, 3, 16, 24), torch.rand(2, 4, 16, 24), torch.rand(2, 3))


def checked(made: Any, monkeypatch: pytest.MonkeyPatch, name: str = "swtformer_v2") -> Maps:
    method: Method = tiny(name)
    monkeypatch.setattr(method, "maps", lambda *_, **__: made)
    return checked_maps(method, IMAGES, PRESENT, settings=LocalizeSettings())


@pytest.mark.parametrize(("side", "scales"), [(500, (0.5 * 500 / 96, 500 / 96)), (None, (0.5, 1.0))])
def test_a_method_gets_scales_of_the_images_as_they_are(
    side: int | None, scales: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    method: Method = tiny("swtformer_v2")
    given: list[LocalizeSettings] = []

    def maps(*_: Any, settings: LocalizeSettings) -> Maps:
        given.append(settings)
        return GOOD

    monkeypatch.setattr(method, "maps", maps)
    settings = LocalizeSettings(long_side_px=side, scales=(0.5, 1.0))
    checked_maps(method, IMAGES, PRESENT, settings=settings)  # 61 x 96 pixels
    assert given[0].scales == pytest.approx(scales)
    assert given[0].long_side_px is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cam": torch.rand(2, 3, 15, 23)}, r"cam of \(2, 3, 15, 23\); expected \(2, 3, 16, 24\)"),
        (
            {"cam": torch.linspace(-1, 6, 2304).view(2, 3, 16, 24)},
            "cam with values of -1 to 6; expected 0 to 1",
        ),
        ({"rcam": None}, r"rcam of None; expected \(2, 4, 16, 24\), as `makes` is \['cam', 'rcam'\]"),
        ({"rcam": torch.rand(2, 3, 16, 24)}, r"rcam of \(2, 3, 16, 24\); expected \(2, 4, 16, 24\)"),
        ({"probabilities": torch.randn(2, 3) * 9}, "probabilities with values of"),
        ({"present": torch.ones(3)}, r"present of \(3,\); expected \(2, 3\)"),
    ],
)
def test_what_breaks_the_contract_is_refused(
    change: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    with pytest.raises(PluginError, match=f"The method 'swtformer_v2': maps gave {message}"):
        checked(replace(GOOD, **change), monkeypatch)


def test_maps_of_no_kind_that_was_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PluginError, match=r"'swtformer_v1'.* rcam of \(2, 4, 16, 24\); expected None"):
        checked(GOOD, monkeypatch, "swtformer_v1")
    with pytest.raises(PluginError, match="'swtformer_v1': maps gave tuple; expected Maps"):
        checked((GOOD.cam, None), monkeypatch, "swtformer_v1")


def test_rounding_and_what_is_not_finite_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing the maps says which image they are of, if they are not finite."""
    rounded = GOOD.cam.clone()
    rounded[0, 0, 0, :2] = torch.tensor([1.004, -0.004])
    broken = [torch.full_like(GOOD.cam, value) for value in (torch.nan, torch.inf)]
    for cam in (rounded, *broken):
        assert checked(replace(GOOD, cam=cam), monkeypatch).cam is cam
