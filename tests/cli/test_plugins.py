from __future__ import annotations

import pytest

from swtformer.cli import main
from swtformer.settings import REFINERS


def test_all_kinds_are_listed_with_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[:4])
    assert list(lines) == ["method", "refiner", "reader", "exporter"]
    assert {"swtformer_v1", "swtformer_v2", "sipe"} <= set(lines["method"].split(", "))
    assert "label-studio" in lines["exporter"]


def test_those_of_a_kind_are_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "refiner"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert {"par", "dense_crf", "psa", "irn"} <= set(lines)
    assert all(lines[name].endswith(".") for name in REFINERS.own_names)


def test_one_is_shown_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "refiner", "par"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("par: ")
    assert "--refiner.iterations INT (default " in out
    assert main(["plugins", "exporter", "voc"]) == 0
    assert "It has no options." in capsys.readouterr().out


def test_a_plugin_of_another_package_is_listed_with_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(REFINERS, "package", lambda name: "my-extras" if name == "par" else "")
    assert main(["plugins", "refiner"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert {name for name, text in lines.items() if text.endswith(". (my-extras)")} == {"par"}


def test_an_empty_default_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "exporter", "label-studio"]) == 0
    out = capsys.readouterr().out
    assert "--exporter.image_prefix TEXT" in out
    assert "(default )" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["refiners"], "'refiners'. Did you mean 'refiner'?"),
        (["refiner", "dense_crv"], "Unknown refiner 'dense_crv'. Did you mean 'dense_crf'?"),
    ],
)
def test_unknown_names(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", *arguments]) == 2
    assert message in capsys.readouterr().err
