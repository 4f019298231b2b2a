"""Plug-ins by name: ours, those of other packages, and those of this process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field

from swtformer.errors import SettingsError
from swtformer.settings import METHODS, READERS, REFINERS, REGISTRIES, Registry, Section, Settings, validate


class SieveSettings(Section):
    holes: int = 3
    sizes: Annotated[tuple[int, ...], Field(min_length=1)] = (1,)
    mesh: Literal[3, 1] = 1
    depth: float | None = 2.0
    is_fine: bool = False


@pytest.fixture
def sieves() -> Registry:
    registry: Registry = Registry("sieve", group="swtformer.functional", section="sieve")

    @registry.register("coarse")
    class Coarse:
        name: ClassVar[str]
        settings_type = SieveSettings

    return registry


def test_our_own_are_known_without_importing_torch() -> None:
    code = (
        "import sys; from swtformer.settings import REGISTRIES; print([len(r) for r in REGISTRIES.values()]);"
        "assert not {'torch', 'numpy', 'swtformer.methods'} & set(sys.modules), 'imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([len(registry) for registry in REGISTRIES.values()])


@pytest.mark.parametrize("registry", REGISTRIES.values(), ids=lambda registry: registry.group)
def test_every_name_stands_for_a_plugin_with_settings(registry: Registry) -> None:
    assert len(registry) > 2
    for name, plugin in registry.items():
        assert plugin.name == name
        assert issubclass(plugin.settings_type, Section)
        assert registry.options(name, {}) == plugin.settings_type()


def test_a_name_that_nothing_registers(sieves: Registry) -> None:
    with pytest.raises(SettingsError, match=r"Unknown sieve 'coarze'\. Did you mean 'coarse'\?$"):
        sieves["coarze"]
    with pytest.raises(SettingsError, match=r"Unknown sieve 'xyz'\. Known: coarse\. .*install or import"):
        sieves["xyz"]
    assert "coarze" not in sieves


def test_two_plugins_of_one_name(sieves: Registry) -> None:
    class Other:
        settings_type = SieveSettings

    with pytest.raises(SettingsError, match=r"sieve 'coarse': .*Coarse and .*Other\..* SIEVES\.unregister"):
        sieves.register("coarse")(Other)
    sieves.register("coarse")(sieves["coarse"])  # a notebook cell that is run again
    sieves.unregister("coarse")
    sieves.register("coarse")(Other)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"holes": "4"}, {"holes": 4}),
        ({"sizes": "1,2"}, {"sizes": (1, 2)}),
        ({"sizes": [3]}, {"sizes": (3,)}),
        ({"mesh": "3"}, {"mesh": 3}),
        ({"depth": "none"}, {"depth": None}),
        ({"is_fine": "true"}, {"is_fine": True}),
    ],
)
def test_options_from_flags_and_files(
    sieves: Registry, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert sieves.options("coarse", given) == SieveSettings(**expected)


def test_all_mistakes_of_options_are_reported_with_their_flags(sieves: Registry) -> None:
    with pytest.raises(SettingsError) as caught:
        sieves.options("coarse", {"hole": 1, "holes": "many", "sizes": []}, where="farm.yaml")
    assert "farm.yaml, sieve 'coarse'" in str(caught.value)
    assert "unknown setting 'sieve.hole'. Did you mean 'holes'?" in str(caught.value)
    assert "sieve.holes: " in str(caught.value)
    assert "sieve.sizes: " in str(caught.value)


PLUGIN = """
from swtformer.settings import METHODS, NoSettings

@METHODS.register("borrowed")
class Borrowed:
    settings_type = NoSettings
"""


def test_another_package_adds_a_plugin_by_an_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "lender.py").write_text(PLUGIN)
    about = tmp_path / "lender-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lender\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[swtformer.methods]\nborrowed = lender\n[swtformer.refiners]\nlost = lender:Nothing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    methods: Registry = Registry("method", group="swtformer.methods", section="method")
    assert set(methods) == {*METHODS, "borrowed"}
    with pytest.raises(SettingsError, match=r"'borrowed' should be in lender \(package lender\)"):
        methods["borrowed"]  # it registered itself in METHODS, not here
    assert METHODS["borrowed"].__name__ == "Borrowed"
    assert methods.package("borrowed") == "lender"
    METHODS.unregister("borrowed")
    refiners: Registry = Registry("refiner", group="swtformer.refiners", section="refiner")
    with pytest.raises(SettingsError, match=r"refiner 'lost' .* from lender:Nothing \(package lender\)"):
        refiners["lost"]
    caplog.clear()
    assert "lost" not in dict(refiners.loadable())
    assert "'lost' cannot be imported" in caplog.text


def test_only_a_name_in_dispute_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package, line in (
        ("taker", "par = taker:Par"),
        ("one", "mine = one.mine"),
        ("two", "mine = two.mine"),
    ):
        about = tmp_path / f"{package}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[swtformer.refiners]\n{line}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    refiners: Registry = Registry("refiner", group="swtformer.refiners", section="refiner")
    assert {*refiners.own_names, "mine"} <= set(refiners)
    with pytest.raises(
        SettingsError, match=r"refiner 'par': swtformer\.refiners\.par and .*\(package taker\)"
    ):
        refiners["par"]
    with pytest.raises(SettingsError, match=r"one\.mine \(package one\).* two\.mine .*uninstall"):
        refiners["mine"]
    with pytest.raises(SettingsError, match=r"'irn' .*test_registry.*name of one of ours"):

        @refiners.register("irn")
        class Mine:
            settings_type = SieveSettings


def test_a_package_is_known_by_its_name(sieves: Registry) -> None:
    assert sieves.package("coarse") == ""
    assert sieves.loaded() == {"coarse": sieves["coarse"]}


def test_settings_choose_plugins_and_hold_their_options() -> None:
    settings = Settings.model_validate({"refine": {"method": "par"}, "refiner": {"iterations": 4}})
    assert settings.plugin_options("refiner").iterations == 4
    assert settings.shaping("refiner")["refiner.iterations"] == 4
    typed = REFINERS["par"].settings_type(iterations=4)
    assert Settings(refiner=typed) == Settings(refiner={"iterations": 4})
    with pytest.raises(SettingsError, match=r"refiner\.stride"):
        Settings(refiner={"stride": 0}).plugin_options("refiner")


def test_names_are_checked_with_all_other_mistakes() -> None:
    values = {"data": {"format": "vok"}, "model": {"method": "swtformer_v9"}, "seed": -1}
    with pytest.raises(SettingsError) as caught:
        validate(Settings, values, where="farm.yaml")
    assert "data.format: Unknown format 'vok'. Did you mean 'voc'?" in str(caught.value)
    assert "model.method: Unknown method" in str(caught.value)
    assert "seed: " in str(caught.value)
    assert "voc" in READERS
