from xml.etree import ElementTree

import pytest

from swtformer.errors import SwtformerError
from swtformer.report.history import curves, read_history
from swtformer.store.run import Run

HEAD = "epoch,step,learning_rate,loss,cls,gsc,ccl,validation_map_per_class,validation_map_per_image,seconds\n"


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def test_rows_and_gaps(run):
    run.metrics_file.write_text(HEAD + "1,10,6e-5,0.5,0.3,0.1,0.1,,,2\n2,20,3e-5,0.4,0.2,0.1,0.1,0.8,0.9,2\n")
    history = read_history(run)
    assert history.columns[:2] == ("epoch", "step")
    assert history.rows[0]["validation_map_per_class"] is None
    assert history.rows[1]["validation_map_per_class"] == 0.8
    captions = [curve.caption for curve in curves(history)]
    assert captions == ["Losses, mean of each epoch", "Learning rate of the backbone", "Validation mAP, %"]


def test_every_loss_is_drawn_under_a_readable_name(run):
    losses = ["cls", "er_consistency", "dice", "one", "two", "three"]
    run.metrics_file.write_text(f"epoch,step,learning_rate,loss,{','.join(losses)},validation_miou,seconds\n")
    with run.metrics_file.open("a") as stream:
        stream.write("1,10,,2,1,1,1,1,1,1,0.5,2\n")
    drawn, miou = curves(read_history(run))
    names = [
        text.text for text in ElementTree.fromstring(drawn.svg).iter("text") if "label" in text.get("class")
    ]
    assert names == ["Total", "CLS", "Er consistency", "Dice", "ONE", "TWO", "Three"]
    assert miou.caption.startswith("mIoU against held-out masks")


def test_what_was_not_measured_has_no_curve(run):
    run.metrics_file.write_text(HEAD + "1,10,6e-5,0.5,0.5,,,,,2\n")
    losses, rate = curves(read_history(run))
    assert "CLS" in losses.svg
    assert "GSC" not in losses.svg
    assert rate.caption.startswith("Learning rate")


def test_values_that_are_not_finite_are_left_out(run):
    run.metrics_file.write_text(HEAD + "1,10,6e-5,0.5,0.5,,,,,2\n2,20,6e-5,nan,inf,,,,,2\n")
    losses, _ = curves(read_history(run))
    assert "polyline" not in losses.svg
    assert "nan" not in losses.svg


def test_map_is_drawn_in_percent(run):
    run.metrics_file.write_text(HEAD + "1,10,,,,,,0.5,,2\n2,20,,,,,,0.75,,2\n")
    (plot,) = curves(read_history(run))
    assert "Per class from 50 to 75" in plot.svg


@pytest.mark.parametrize("text", [None, "", HEAD])
def test_no_epoch_yet(run, text):
    if text is not None:
        run.metrics_file.write_text(text)
    assert read_history(run) is None


@pytest.mark.parametrize("line", ["1,10,fast,,,,,,,\n", "1,10\n", "1,10,,,,,,,,,7\n"])
def test_damaged_line_is_named(run, line):
    run.metrics_file.write_text(HEAD + line)
    with pytest.raises(SwtformerError, match=r"metrics\.csv, line 2: expected 10"):
        read_history(run)


def test_a_sum_of_one_loss_is_drawn_once_under_its_name(run):
    run.metrics_file.write_text(HEAD + "1,10,,0.5,0.5,,,,,2\n")
    assert "Total" not in curves(read_history(run))[0].svg
    run.metrics_file.write_text(HEAD + "1,10,,0.5,0.4,0.1,,,,2\n")
    assert "Total" in curves(read_history(run))[0].svg
    run.metrics_file.write_text("epoch,loss,new\n1,0.5,0.25\n")
    assert "Total" in curves(read_history(run))[0].svg, "a weight makes it another number"
