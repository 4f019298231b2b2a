"""The report of a drawn run: whole, in parts, escaped, bounded, and true to scores.json."""

from __future__ import annotations

import csv
import itertools
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image, ImageDraw

from swtformer.datasets import open_dataset
from swtformer.errors import SettingsError, SwtformerError
from swtformer.machine import processor_name
from swtformer.report.pictures import TILE_BYTES
from swtformer.settings import DataSettings, ModelSettings, Settings
from swtformer.stages.report import report
from swtformer.store.failures import Failure, write_failures
from swtformer.store.files import write_json, write_text
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.masks import MaskRule, write_mask, write_rule
from swtformer.store.notes import update_training_notes
from swtformer.store.run import Run
from swtformer.store.scores import ClassificationScore, ImageScore, Scores, SegmentationScore, write_scores

HOSTILE = "<script>alert(1)</script>"
CLASSES = ("cat", 'dog & "co"', HOSTILE)
SIZE = (48, 64)
INLINE = {"em", "code", "a", "small"}
VOID = {"meta", "img", "br", "link", "line", "circle", "polyline"}


class Page(HTMLParser):
    """The page as the tests ask about it; refuses tags that do not match."""

    def __init__(self, html):
        super().__init__()
        self.html = html
        self.open, self.tags, self.tables, self.sections, self._cell = [], [], [], {}, None
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self.sections[attributes["id"]] = ""
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag
        if self.sections and tag not in INLINE:
            self.sections[list(self.sections)[-1]] += " "

    def handle_data(self, data):
        if {"style", "script"} & set(self.open):
            return
        if "section" in self.open:
            self.sections[list(self.sections)[-1]] += data
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data + " "

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    def rows(self, heading):
        """Rows of the first table whose first heading is this, each cell's text with single blanks."""
        table = next(table for table in self.tables if table[0][0].strip() == heading)
        return [[" ".join(cell.split()) for cell in row] for row in table]

    def text(self, section):
        return " ".join(self.sections[section].split())


def fake_scores():
    rng = np.random.default_rng(7)
    names = ("background", *CLASSES)
    segmentation = [
        SegmentationScore(
            source=source,
            policy=policy,
            threshold=threshold,
            uses_ground_truth=policy == "oracle",
            miou=float(rng.random()),
            iou={name: None if name == HOSTILE else float(rng.random()) for name in names},
            absent=1,
            frequency_weighted_iou=float(rng.random()),
            miou_per_image=float(rng.random()),
            mean_dice=float(rng.random()),
            dice={name: None if name == HOSTILE else float(rng.random()) for name in names},
        )
        for source in ("cam", "rcam")
        for policy, threshold in (("fixed", 0.15), ("argmax", None), ("label_free", 0.2134), ("oracle", 0.31))
    ]
    return Scores(
        split="holdout",
        images=11,
        ground_truth="somewhere/masks",
        labels_from="labels.csv",
        predictions="maps",
        classes=names,
        scored_classes=names[:3],
        scales=(0.5, 1.0),
        flip=True,
        segmentation=tuple(segmentation),
        classification=ClassificationScore(
            map_per_class=0.87719,
            map_per_image=0.93113,
            ap={name: float(rng.random()) for name in CLASSES},
            images=17,
        ),
        per_image=tuple(ImageScore(f"photo {i:02}", i / 20) for i in range(14)),
        skipped=5,
        missing=2,
        seeds=3,
    )


def draw(folder, count):
    """A table of images with an ellipse or a box in each, its labels, and exact masks."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        image = Image.fromarray(rng.integers(0, 60, (*SIZE, 3), dtype=np.uint8))
        labels = Image.new("L", SIZE[::-1])
        present = [] if i == 3 else sorted({i % 3, (i // 3) % 3})
        for label in present:
            x, y = 4 + 18 * label, 4 + 8 * (i % 4)
            for canvas, colour in ((image, (90 + 60 * label, 200, 80)), (labels, label + 1)):
                ImageDraw.Draw(canvas).ellipse((x, y, x + 16, y + 14), fill=colour)
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"photo {i:02}.png")
        write_mask(folder / "masks" / f"photo {i:02}.png", np.asarray(labels))
        rows.append((f"photo {i:02}.png", present, np.asarray(labels)))
    with (folder / "labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "labels"])
        writer.writerows((name, ";".join(CLASSES[label] for label in present)) for name, present, _ in rows)
    return rows


def make_run(folder, *, method="swtformer_v2", count=14):
    """A run as train, localize, mask and evaluate would leave it."""
    run, source = Run(folder / "run"), folder / "photos"
    rows = draw(source, count)
    data = DataSettings(classes=CLASSES, masks=source / "masks")
    run.write_settings(Settings(data=data, model=ModelSettings(method=method)))
    write_json(run.classes_file, list(CLASSES))
    where = {"data": str(source.resolve() / "labels.csv"), "split": None}
    update_training_notes(run, **where, data_name="photos", data_fingerprint="f00d")
    write_json(run.maps_file, {**where, "data_name": "photos", "classes": "given", "made_by": "model"})
    for name, present, labels in rows:
        grid = labels[::4, ::4]
        cam = np.array([(grid == label + 1) * 0.9 for label in present]).reshape(-1, *grid.shape)
        rcam = np.concatenate([1 - cam.max(0, initial=0)[None], cam])
        id = name.removesuffix(".png")
        ClassActivationMaps(
            values=np.array(present, dtype=int) + 1,
            size=SIZE,
            cam=cam,
            rcam=rcam if method == "swtformer_v2" else None,
            probabilities=np.zeros(len(CLASSES)),
        ).save(run.map_file(id))
        write_mask(run.mask_file(id), labels)
    write_rule(run, MaskRule("rcam", "argmax", None), images=count)
    write_scores(run.scores_file, fake_scores())
    lines = [
        "epoch,step,learning_rate,loss,cls,gsc,ccl,validation_map_per_class,validation_map_per_image,seconds"
    ]
    lines += [f"{e},{e * 9},6e-5,{1 / e},{0.5 / e},0.1,0.15,{1 - 1 / e},{1 - 0.9 / e},3.5" for e in (1, 2, 3)]
    write_text(run.metrics_file, "\n".join(lines) + "\n")
    write_failures(run, "localize", [Failure("lost <1>", "localize", "x/lost.jpg", "is cut & short")])
    return run


@pytest.fixture
def run(tmp_path):
    """A run that the test may change."""
    return make_run(tmp_path)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of an unchanged run."""
    return page_of(make_run(tmp_path_factory.mktemp("whole")))


def page_of(run, **options):
    return Page(report(run, **options).read_text(encoding="utf-8"))


def test_one_file_at_the_runs_place(run):
    assert report(run) == run.report_file
    assert [file.name for file in run.report_file.parent.iterdir()] == ["index.html"]


def test_nothing_comes_from_outside(page):
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            value = attributes.get(name, "#")
            assert value.startswith(("#", "data:image/")), (name, value)
    styles = re.sub(r"data:image/[^\"']+", "", page.html)
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", styles)


def test_text_of_users_is_escaped(page):
    assert len(page.all("script")) == 1
    assert HOSTILE not in page.html
    assert HOSTILE in page.text("classes")
    assert "lost <1>" in page.text("skipped")
    assert any(HOSTILE in picture["alt"] for picture in page.all("img"))


def test_miou_table_is_that_of_the_scores(page):
    scores = fake_scores()
    head, cam, rcam = page.rows("Maps")
    assert head == [
        "Maps",
        "Argmax",
        "Label-free threshold",
        "Fixed threshold",
        "Oracle threshold uses ground truth",
    ]
    for row, source in ((cam, "cam"), (rcam, "rcam")):
        by_policy = {entry.policy: entry for entry in scores.segmentation if entry.source == source}
        for cell, policy in zip(row[1:], ("argmax", "label_free", "fixed", "oracle"), strict=True):
            entry = by_policy[policy]
            assert cell.split()[0] == f"{100 * entry.miou:.2f}"
            assert (f"at {entry.threshold:.3g}" in cell) if entry.threshold else ("at" not in cell)
    assert "these masks" in rcam[1]
    assert sum("these masks" in cell for cell in cam + rcam) == 1


def test_the_other_means_are_shown_by_their_names(page):
    head, *rows = page.rows("Masks, in %")
    assert head[2:6] == ["mIoU", "mIoU per image", "Frequency-weighted IoU", "Mean Dice"]
    for row, entry in zip(rows, fake_scores().segmentation, strict=True):
        means = (entry.miou, entry.miou_per_image, entry.frequency_weighted_iou, entry.mean_dice)
        assert row[2:6] == [f"{100 * value:.2f}" for value in means]
    assert "Dice coefficient of every class under every policy" in page.text("classes")


def test_class_table_is_that_of_the_scores(page):
    scores = fake_scores()
    quoted = [
        entry.iou
        for entry in scores.segmentation
        if (entry.source, entry.policy) in (("cam", "label_free"), ("rcam", "argmax"))
    ]
    head, *rows = page.rows("Class")
    assert head[1:] == [
        "Mask value",
        "Images",
        "CAM IoU label-free threshold",
        "R-CAM IoU argmax",
        "AP classifier",
    ]
    for value, (name, row) in enumerate(zip(scores.classes, rows, strict=True)):
        shown = name if name in scores.scored_classes else f"({name})"
        assert row[:2] == [shown, str(value)]
        for cell, iou in zip(row[3:5], quoted, strict=True):
            assert cell == ("n/a" if iou[name] is None else f"{100 * iou[name]:.1f}")
        assert row[5] == (f"{100 * scores.classification.ap[name]:.1f}" if value else "")


def test_every_iou_of_every_policy_is_shown(page):
    scores = fake_scores()
    table = next(table for table in page.tables if len(table[0]) == 1 + len(scores.segmentation))
    for name, row in zip(scores.classes, table[1:], strict=True):
        for cell, entry in zip(row[1:], scores.segmentation, strict=True):
            value = entry.iou[name]
            assert cell.strip() == ("n/a" if value is None else f"{100 * value:.1f}")


def test_every_figure_says_where_it_comes_from(page):
    summary, scores = page.text("summary"), page.text("scores")
    assert "mAP per class 87.72" in summary
    assert "mAP per image 93.11" in summary
    for fact in (
        "Split holdout",
        "Images scored 11",
        "Images skipped 5",
        "Images without a prediction 2",
        "Training seeds 3",
        "mAP over 17 images",
        "Scales 0.5, 1",
        "Mirror images added",
        "Classes of each map given by the image labels",
        "Image labels from labels.csv",
        "Mean over 3 of 4 classes",
        "Ground truth somewhere/masks",
    ):
        assert fact in scores


def test_sentences_keep_their_blanks(page):
    summary = page.text("summary")
    assert not re.search(r"[a-z)][.:;][A-Z]", summary)
    assert "swtformer_v2 learned 3 classes from image-level labels alone" in summary


def test_worst_and_best_cases_are_those_of_the_scores(page):
    order = re.findall(r"photo (\d\d) .*?mIoU (\d+\.\d) %", page.text("worst"))
    assert order == [(f"{i:02}", f"{5 * i:.1f}") for i in range(6)]
    order = re.findall(r"photo (\d\d) .*?mIoU (\d+\.\d) %", page.text("best"))
    assert order == [(f"{i:02}", f"{5 * i:.1f}") for i in range(13, 7, -1)]


def test_without_scores_the_confidence_ranks(run):
    run.scores_file.unlink()
    page = page_of(run)
    assert "Least confident" in page.text("worst")
    assert "Most confident" in page.text("best")
    assert re.search(r"confidence \d+\.\d %", page.text("best"))


def test_the_sample_shows_every_class_and_the_columns(run):
    page = page_of(run, images=4)
    pictures = page.text("pictures")
    assert all(name in pictures for name in CLASSES)
    assert pictures.count("R-CAM") == pictures.count("Truth") == 4


@pytest.mark.parametrize(
    ("remove", "line"),
    [
        ("scores_file", "swtformer evaluate"),
        ("metrics_file", "swtformer train DATA --out"),
        ("maps", "swtformer localize"),
        ("masks", "swtformer mask"),
    ],
)
def test_each_missing_part_names_its_command(run, remove, line):
    assert "Not in this report" not in page_of(run).text("summary")
    part = getattr(run, remove)
    shutil.rmtree(part) if part.is_dir() else part.unlink()
    assert f"{line} {run.path}" in page_of(run).text("summary").split("Not in this report")[1]


def test_a_method_without_rcams_has_no_column_for_them(tmp_path):
    page = page_of(make_run(tmp_path, method="swtformer_v1"))
    assert "R-CAM: the maps include none" in page.text("summary")
    assert "refined it (R-CAM)" not in page.text("summary")
    assert "R-CAM" not in page.text("pictures")
    assert "CAM" in page.text("pictures")


def test_without_truth_there_is_no_column(run):
    run.write_settings(Settings(data=DataSettings(classes=CLASSES)))
    shutil.rmtree(run.path.parent / "photos" / "masks")
    page = page_of(run)
    assert "Truth" not in page.text("pictures")
    assert "--data.masks FOLDER" in page.text("summary")


def test_truth_that_only_evaluate_knew_is_shown(run):
    masks = run.path.parent / "photos" / "masks"
    masks.rename(run.path.parent / "elsewhere")
    run.write_settings(Settings(data=DataSettings(classes=CLASSES)))
    scores = replace(fake_scores(), ground_truth=str(run.path.parent / "elsewhere"))
    write_scores(run.scores_file, scores)
    assert "Truth" in page_of(run).text("pictures")


def test_a_run_of_settings_alone(tmp_path):
    run = Run(tmp_path / "bare")
    run.write_settings(Settings())
    page = page_of(run)
    for command in ("train", "localize", "mask", "evaluate"):
        assert f"swtformer {command} " in page.text("summary")
    assert "does not know its data set" in page.text("summary")
    assert "No stage skipped an image" in page.text("skipped")


def test_a_data_set_that_moved_away(run):
    shutil.rmtree(run.path.parent / "photos")
    page = page_of(run)
    assert "Pictures: the data set cannot be opened" in page.text("summary")
    assert "mAP per class 87.72" in page.text("summary")
    assert not page.all("img")


def test_a_data_set_that_is_given_is_used(run):
    settings = run.settings().data
    data = open_dataset(run.path.parent / "photos" / "labels.csv", settings).subset([0, 1], name="my two")
    page = page_of(run, data=data)
    assert "my two" in page.html
    assert len(re.findall(r"photo \d\d", page.text("pictures"))) == 2


def test_images_that_other_maps_were_made_for(run):
    for file in run.maps.rglob("*.npz"):
        file.rename(file.with_name(f"other {file.name}"))
    shutil.rmtree(run.masks)
    assert "none of the 14 images" in page_of(run).text("summary")


def test_unreadable_pictures_are_named_and_the_rest_is_shown(run):
    (run.path.parent / "photos" / "photo 05.png").write_bytes(b"not a picture")
    run.map_file("photo 06").write_bytes(b"not a map")
    page = page_of(run)
    assert "Picture of photo 05" in page.text("summary")
    assert "cannot be read" in page.text("pictures")
    assert "photo 04" in page.text("pictures")


def test_failures_are_listed(page):
    head, row = page.rows("Image")
    assert row == ["lost <1>", "localize", "is cut & short", "x/lost.jpg"]
    assert head == ["Image", "Stage", "Reason", "File"]


def test_many_failures_are_counted(run):
    write_failures(run, "localize", [Failure(f"i{i}", "localize", "p", "r") for i in range(203)])
    page = page_of(run)
    assert len(page.rows("Image")) == 201
    assert "And 3 more in failures.csv" in page.text("skipped")


def test_settings_and_environment_are_there(page):
    text = page.text("settings")
    assert "method: swtformer_v2" in text
    assert "f00d" in text
    assert "numpy" in text
    assert processor_name() in text


def test_curves_are_drawn_and_described(page):
    labels = [svg["aria-label"] for svg in page.all("svg")]
    assert labels[0].startswith("Losses, mean of each epoch: Total from 1 to 0.333;")
    assert len(labels) == 3
    assert len(page.rows("epoch")) == 4


def test_pictures_have_words_and_headings_their_order(page):
    assert all(picture["alt"] for picture in page.all("img"))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    anchors = {attributes["href"][1:] for attributes in page.all("a")}
    assert anchors == set(page.sections)


def test_the_size_is_bounded(page):
    # A case has five tiles here, each within TILE_BYTES whatever it shows (see the tests of data_uri).
    assert 36 * 5 * TILE_BYTES * 4 / 3 < 3_700_000
    without_pictures = re.sub(r"data:image/[^\"]+", "", page.html)
    assert len(without_pictures.encode()) < 200_000
    for case in page.html.split("<article")[1:]:
        assert len(case.split("</article>")[0]) < 5 * TILE_BYTES * 4 / 3


def test_progress_counts_every_picture(run):
    told = []
    report(run, images=3, progress=lambda stage, done, total, note="": told.append((stage, done, total)))
    assert told == [("report", i, 15) for i in range(1, 16)]


def test_no_pictures_wanted(run):
    write_scores(run.scores_file, replace(fake_scores(), per_image=fake_scores().per_image[:1]))
    assert not page_of(run, images=0).all("img")


def test_a_negative_number_of_images_is_refused(run):
    with pytest.raises(SettingsError, match="must be 0 or more, got -1"):
        report(run, images=-1)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(SwtformerError, match="is not a run folder"):
        report(Run(tmp_path))


def test_damaged_scores_leave_the_report_before(run):
    before = report(run).read_bytes()
    run.scores_file.write_text(json.dumps({"split": "train"}))
    with pytest.raises(SwtformerError, match="again with `swtformer evaluate`"):
        report(run)
    assert run.report_file.read_bytes() == before


def test_the_report_needs_no_torch():
    code = "import sys, swtformer.stages.report; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
