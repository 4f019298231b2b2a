"""Sheets of a table whose counts are known."""

from __future__ import annotations

from dataclasses import replace

from support.reproduced import made
from swtformer.reproduction.sheets import sheets


def test_the_difference_is_to_the_oracle() -> None:
    """Mean of 56 and 58 is 57, 1.84 above V2's published 55.16; deviations are √(2·1²/1)."""
    main = sheets(made())[0]
    assert main.rows[1][3:] == ("55.16", "55.00 ± 7.07", "57.00 ± 1.41", "+1.84")
    assert main.rows[0][-1] == "+7.16"
    assert not any("No difference" in note for note in main.notes)


def test_what_a_row_was_made_with_is_said() -> None:
    notes = sheets(made())[0].notes
    assert notes[0] == "Ours: drawn, 4 images; seeds 0, 1; mean ± standard deviation over seeds."
    assert (
        "SWTformer-V1: published on ImageNet-1k weights of Swin-T; ours from weights: pretrained; maps at "
        "scales 0.5, 1, 1.5, 2, each with its mirror image." in notes
    )
    assert "SWTformer-V1, 49.84: CLS alone, which is V1." in notes


def test_views_in_turn_are_said() -> None:
    whole = made()
    localize = whole.rows[0].settings.localize.model_copy(update={"views": "in_turn"})
    settings = whole.rows[0].settings.model_copy(update={"localize": localize})
    rows = (replace(whole.rows[0], settings=settings), *whole.rows[1:])
    assert "scales 0.5, 1, 1.5, 2, every second one mirrored." in " ".join(
        sheets(replace(whole, rows=rows))[0].notes
    )


def test_without_comparison_there_is_no_difference_but_a_reason() -> None:
    main = sheets(made(unlike=("4 images in place of VOC's 1,464",)))[0]
    assert [row[-1] for row in main.rows] == ["–", "–"]
    assert main.notes[-1] == "No difference is given, as ours are of 4 images in place of VOC's 1,464."


def test_a_reason_of_the_full_method_alone_is_named() -> None:
    whole = made()
    own = whole.rows[1].table
    assert own is not None
    full = replace(own, name="V2, refined", unlike=("train.epochs 2 in place of 30",))
    rows = (whole.rows[0], replace(whole.rows[1], full=full))
    main = sheets(replace(whole, rows=rows))[0]
    assert main.columns[7:9] == ("full method: maps", "published, on PASCAL VOC 2012 train")
    assert main.rows[0][7:] == ("–",) * 5
    assert main.notes[-1] == "SWTformer-V2, 55.16, no difference is given: train.epochs 2 in place of 30."


def test_rows_are_compared_with_an_interval_and_shared_figures_come_once() -> None:
    """IoUs 90/100 and 100/110 against 50/150 each; equal images leave no spread."""
    whole = made()
    assert whole.rows[1].table is not None
    again = replace(whole, rows=(*whole.rows, replace(whole.rows[0], table=whole.rows[1].table)))
    for one in (whole, again):
        differences = {sheet.name: sheet for sheet in sheets(one)}["differences"]
        assert differences.rows == (
            ("SWTformer-V1, maps", ""),
            ("SWTformer-V2, maps", "+57.1 (+57.1 to +57.1)"),
        )


def test_classes_and_their_companions() -> None:
    found = {sheet.name: sheet for sheet in sheets(made())}
    assert found["classes"].rows == (
        ("SWTformer-V1, maps", "33.3", "33.3"),
        ("SWTformer-V2, maps", "90.0", "90.9"),
    )
    assert found["co-occurrence"].rows == (("cat", "dog", "25 %", "1.00", "0.10"),)
