"""The page from lines that are written by hand, what is skipped, and our side of the rows on small sizes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch


@pytest.fixture
def peers(script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    return script("peers")


def test_the_page_holds_the_lines_and_the_limits(peers: ModuleType) -> None:
    page = peers.page(["| a | b | 2 | 1 | 2 | c |"], {"fp32": 117.4, "bf16": 373.6}, rounds=3)
    assert "| a | b | 2 | 1 | 2 | c |" in page
    assert "117 GFLOP/s in fp32 and 374 GFLOP/s in bf16" in page
    assert "--rounds 3" in page
    assert "{" not in page


def test_a_row_of_networks_tells_its_share_of_the_peak(peers: ModuleType) -> None:
    row = peers.import_module("peer_rows").Row
    peaks = {"fp32": 100.0, "bf16": 200.0}
    network = row("maps", "code", "theirs", "ours", gflop=240, precision="bf16")
    assert peers.share_of_peak(network, 3.0, peaks) == "40 %"
    assert peers.share_of_peak(row("walk", "code", "theirs", "ours"), 3.0, peaks) == ""


def test_missing_peers_are_skipped_with_a_message(
    peers: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["peers.py", "--peers", str(tmp_path)])
    monkeypatch.setattr(peers, "RESULT", tmp_path / "peers.md")
    peers.main()
    said = capsys.readouterr().err
    for folder in ("SIPE", "irn", "MCTformer", "pytorch-grad-cam", "torch-cam"):
        assert f"there is no folder {tmp_path / folder}" in said
    assert not (tmp_path / "peers.md").exists()


def test_rows_name_kinds_that_there_are(peers: ModuleType) -> None:
    for name in peers.PEERS:
        module = peers.import_module(f"peer_rows.{name}")
        for row in module.ROWS:
            assert {row.theirs, row.ours} <= set(module.KINDS)
            assert "ours" in row.ours


def test_agreement_is_told_in_words(peers: ModuleType) -> None:
    rows = peers.import_module("peer_rows")
    classifier = peers.import_module("peer_rows._classifier")
    assert rows.largest_difference(torch.tensor([1.0, 4.0]), torch.tensor([1.0, 4.004])) == "1e-03 apart"
    assert (
        rows.equal_labels(torch.tensor([1, 2, 3, 4]), torch.tensor([1, 2, 3, 0])) == "75.0 % of labels equal"
    )
    raw = torch.tensor([[[-2.0, -1.0], [1.0, 3.0]], [[5.0, 1.0], [2.0, 8.0]]])
    scaled = (raw - raw.amin((1, 2), keepdim=True)) / 7
    assert classifier.correlation(scaled, raw.relu()) == "correlation 1.000"
    assert classifier.correlation(scaled.flip(2), raw.relu()) != "correlation 1.000"


def test_our_step_needs_no_peer(peers: ModuleType) -> None:
    sipe = peers.import_module("peer_rows.sipe")
    maps = sipe.our_refinement((2, (2, 2), (4, 4)), gradient=True)()
    assert maps.shape == (2, 21, 4, 4)
    assert maps.amax() > 0.99
