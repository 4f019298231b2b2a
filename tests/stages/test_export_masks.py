from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.counts_exporter import PixelCounts, counts_registered
from support.mask_runs import CLASSES, SIZES, draw_mask_run
from swtformer.datasets import open_dataset
from swtformer.datasets.mask_images import read_mask
from swtformer.datasets.records import ImageSet
from swtformer.errors import DataError, PluginError, SettingsError, SwtformerError
from swtformer.exporters import EXPORTERS, exporter
from swtformer.review.decisions import decide
from swtformer.settings import Settings
from swtformer.stages.export_masks import export_masks
from swtformer.store.failures import read_failures
from swtformer.store.files import write_json
from swtformer.store.masks import write_mask
from swtformer.store.notes import Areas, ImageAreas, write_notes
from swtformer.store.pseudo_masks import version_of
from swtformer.store.review_queue import Review, write_reviews
from swtformer.store.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return draw_mask_run(tmp_path)


@pytest.fixture
def photos(run: Run) -> Path:
    return run.path.parent / "photos"


def opened(photos: Path) -> ImageSet:
    return open_dataset(photos / "labels.csv")


def file_names(out: Path) -> set[str]:
    return {item["file_name"] for item in json.loads(out.read_text(encoding="utf-8"))["images"]}


@pytest.mark.parametrize("name", EXPORTERS)
def test_every_format_gets_all_masks(name: str, run: Run, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    out = tmp_path / f"masks{exporter(name).suffix}"
    result = export_masks(
        run,
        str(out),
        format=name,
        progress=lambda stage, done, total, note="": calls.append((done, total)),
    )
    assert (result.folder, result.images, result.failures) == (run.pseudo_masks, 4, ())
    assert not any("No data set is named" in warning for warning in result.warnings)
    assert calls[-1] == (4, 4)
    assert out.exists()


def test_an_export_only_format_of_another_package(run: Run, tmp_path: Path) -> None:
    with counts_registered():
        result = export_masks(run, tmp_path / "x.csv", format="toy_counts")
    assert (result.images, result.warnings) == (4, ())
    rows = (tmp_path / "x.csv").read_text().splitlines()
    dogs = int(np.count_nonzero(read_mask(run.pseudo_mask_file("a")) == 2))
    assert f"a,dog,{dogs}" in rows


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda *_, **__: [], "write gave list and did not write"),
        (lambda _, images, out, **__: out.write_text("x") and None, "write gave NoneType and wrote"),
    ],
)
def test_an_exporter_that_breaks_its_contract_is_named(
    write: object, message: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PixelCounts, "write", write)
    with counts_registered(), pytest.raises(PluginError, match=f"The exporter 'toy_counts': {message}"):
        export_masks(run, tmp_path / "x.csv", format="toy_counts")


def test_options_of_a_format_are_settings(run: Run, tmp_path: Path) -> None:
    settings = run.settings().model_copy(update={"exporter": {"image_prefix": "https://host/"}})
    export_masks(run, tmp_path / "x.json", format="label-studio", settings=settings)
    task = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))[0]
    assert task["data"]["image"] == "https://host/a.png"
    with pytest.raises(SettingsError, match="image_prefix"):
        export_masks(run, tmp_path / "y.json", format="coco", settings=settings)


def test_a_folder_of_masks_needs_class_names(run: Run, photos: Path, tmp_path: Path) -> None:
    out, folder = tmp_path / "x.json", tmp_path / "elsewhere" / "masks"
    shutil.copytree(run.pseudo_masks, folder)
    with pytest.raises(SwtformerError, match="class names are not known"):
        export_masks(folder, out, format="coco")
    assert export_masks(folder, out, format="coco", data=opened(photos)).images == 4
    assert file_names(out) == {f"{id}.png" for id in SIZES}
    assert not Run(folder).failures_file.exists()
    write_json(folder.parent / "classes.json", CLASSES)
    result = export_masks(folder, out, format="coco")
    assert file_names(out) == {f"{id}.jpg" for id in SIZES}
    assert "No data set is named, so 4 of 4 images" in result.warnings[0]


def test_images_are_copied_under_their_ids(run: Run, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "voc"
    settings = Settings.model_validate({"export": {"images": "copy"}})
    export_masks(run, out, format="voc", data=opened(photos), settings=settings)
    for record in opened(photos).records:
        copied = out / "JPEGImages" / f"{record.id}.png"
        assert copied.read_bytes() == record.image.read_bytes()


def test_what_cannot_be_read_is_left_out(run: Run, photos: Path, tmp_path: Path) -> None:
    for file in (photos / "images" / "a.png", run.pseudo_mask_file("sub/b")):
        file.write_bytes(file.read_bytes()[:-2])
    write_mask(run.pseudo_mask_file("other"), np.zeros((3, 3), dtype=np.uint8))
    result = export_masks(run, tmp_path / "x.zip", format="cvat")
    assert result.images == 2
    reasons = {failure.id: failure.reason for failure in result.failures}
    assert reasons.keys() == {"a", "sub/b", "other"}
    assert "a.png: " in reasons["a"]
    assert "b.png: " in reasons["sub/b"]
    assert reasons["other"] == "the data set has no image of this id"
    assert {(row.id, row.stage) for row in read_failures(run)} == {(id, "export") for id in reasons}


@pytest.mark.parametrize("name", EXPORTERS)
def test_nothing_is_written_if_no_mask_can_be(name: str, run: Run, photos: Path, tmp_path: Path) -> None:
    for id in SIZES:
        (photos / "images" / f"{id}.png").write_bytes(b"")
    out = tmp_path / f"x{exporter(name).suffix}"
    with pytest.raises(DataError, match=r"none of its 4 masks can be exported: .*a\.png"):
        export_masks(run, out, format=name)
    assert not out.exists()


def test_masks_of_another_size_or_class_list_are_refused(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "x.json"
    write_json(run.classes_file, CLASSES[:2])
    with pytest.raises(DataError, match=r"expected values 0 .* got 3"):
        export_masks(run, out, format="coco")
    write_json(run.classes_file, CLASSES)
    write_mask(run.pseudo_mask_file("a"), np.zeros((12, 8), dtype=np.uint8))
    with pytest.raises(DataError, match=r"a\.png is for 8×12 pixels, .* has 12×8"):
        export_masks(run, out, format="coco")
    assert not out.exists()


def test_rotated_photographs_are_counted(run: Run, photos: Path, tmp_path: Path) -> None:
    photo = photos / "images" / "a.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(photo) as image:
        image.load()
    image.save(photo, exif=exif)
    result = export_masks(run, tmp_path / "x.json", format="coco")
    assert result.warnings[-1].startswith("1 images have an EXIF orientation")
    settings = Settings.model_validate({"data": {"exif": "apply"}})
    with pytest.raises(DataError, match="has 8×12"):
        export_masks(run, tmp_path / "x.json", format="coco", data=opened(photos), settings=settings)


@pytest.mark.parametrize(
    ("format", "out", "message"),
    [
        ("coco", "x", r"name must end in \.json"),
        ("label-studio", "x.zip", r"name must end in \.json"),
        ("cvat", "x.json", r"name must end in \.zip"),
        ("cvat", "folder.zip", r"folder\.zip: is a folder"),
        ("voc", "run", "run: already holds something"),
        ("yolo", "file", "file: already holds something"),
        ("voc", "file/x", "x: cannot be written"),
        ("coco", "file/x.json", r"x\.json: cannot be written"),
        ("pdf", "x", "Unknown format 'pdf'. Known: coco, "),
    ],
)
def test_targets_that_do_not_fit(run: Run, format: str, out: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "folder.zip").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(SwtformerError, match=message):
        export_masks(run, tmp_path / out, format=format)


def test_masks_with_one_decision(run: Run, tmp_path: Path) -> None:
    write_reviews(run, [Review(id, 0.5, 0.5, None, 0.1) for id in SIZES])
    write_json(run.pseudo_masks_file, {"images": len(SIZES)})
    decide(run, "a", "correct", version=version_of(run.pseudo_masks))
    out = tmp_path / "x.json"
    assert export_masks(run, out, format="coco", decision="correct").images == 1
    with pytest.raises(SwtformerError, match="has the decision 'reject'"):
        export_masks(run, out, format="coco", decision="reject")
    run.pseudo_mask_file("a").unlink()
    with pytest.raises(SwtformerError, match="holds none of the 1 masks"):
        export_masks(run, out, format="coco", decision="correct")


def test_choices_where_there_is_nothing_to_choose(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "x.json"
    with pytest.raises(SettingsError, match="`source` chooses among a run's masks"):
        export_masks(run.pseudo_masks, out, format="coco", source="masks")
    with pytest.raises(SettingsError, match="`decision` chooses among"):
        export_masks(run.pseudo_masks, out, format="coco", decision="accept")
    assert not out.exists()


def predicted(folder: Path, *, exif: str = "raw") -> tuple[Path, Path]:
    """What predict made of a photograph with an EXIF rotation, and of one that was removed since."""
    photograph, out = folder / "new" / "a.PNG", folder / "predicted"
    photograph.parent.mkdir()
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (4, 3)).save(photograph, format="PNG", exif=turned)
    size = (4, 3) if exif == "apply" else (3, 4)
    for id in ("a", "gone"):
        write_mask(out / "masks" / f"{id}.png", np.ones(size, dtype=np.uint8))
    write_json(out / "predictions.json", {"classes": ["background", *CLASSES], "exif": exif})
    gone = folder / "new" / "gone.png"
    rows = [
        ImageAreas(image=id, file=file, width=size[1], height=size[0], areas={})
        for id, file in (("a", photograph), ("gone", gone))
    ]
    write_notes(out / "areas.json", Areas(classes=("background", *CLASSES), images=tuple(rows)))
    return photograph, out


@pytest.mark.parametrize("exif", ["raw", "apply"])
def test_the_photographs_that_were_segmented_are_found(exif: str, tmp_path: Path) -> None:
    photograph, folder = predicted(tmp_path, exif=exif)
    out = tmp_path / "yolo"
    settings = Settings.model_validate({"export": {"images": "copy"}})
    result = export_masks(folder, out, format="yolo", settings=settings)
    assert (result.images, result.failures) == (2, ())
    assert (out / "images" / "a.PNG").read_bytes() == photograph.read_bytes()
    assert any("so 1 of 2 images are assumed" in warning for warning in result.warnings)
    assert any("have an EXIF orientation" in warning for warning in result.warnings) == (exif == "raw")
