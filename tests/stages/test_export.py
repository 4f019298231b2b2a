from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.mask_runs import CLASSES, SIZES, draw_mask_run
from swtformer.datasets import open_dataset
from swtformer.datasets.records import ImageSet
from swtformer.errors import DataError, SwtformerError
from swtformer.exporters import EXPORTERS
from swtformer.settings import ExportSettings
from swtformer.stages.export import declared_classes, export, mask_folder, mask_ids, masks_in
from swtformer.store.files import write_json
from swtformer.store.masks import write_mask
from swtformer.store.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return draw_mask_run(tmp_path)


@pytest.fixture
def data(run: Run) -> ImageSet:
    return open_dataset(run.path.parent / "photos" / "labels.csv")


def test_every_format_gets_all_masks(run: Run, data: ImageSet, tmp_path: Path) -> None:
    for name, plug_in in EXPORTERS.items():
        calls: list[tuple[int, int]] = []
        out = tmp_path / f"{name}{plug_in.suffix}"
        result = export(
            run.pseudo_masks,
            out,
            format=name,
            classes=CLASSES,
            data=data,
            progress=lambda stage, done, total, note="", calls=calls: calls.append((done, total)),
        )
        assert (result.images, result.failures) == (4, ())
        assert calls[-1] == (4, 4)
        assert out.exists()


def test_file_names_are_the_images_own(run: Run, data: ImageSet, tmp_path: Path) -> None:
    out = tmp_path / "x.json"
    export(run.pseudo_masks, out, format="coco", classes=CLASSES, data=data)
    names = {item["file_name"] for item in json.loads(out.read_text(encoding="utf-8"))["images"]}
    assert names == {f"{id}.png" for id in SIZES}
    result = export(run.pseudo_masks, out, format="coco", classes=CLASSES)
    names = {item["file_name"] for item in json.loads(out.read_text(encoding="utf-8"))["images"]}
    assert names == {f"{id}.jpg" for id in SIZES}
    assert "No data set is named, so the images are taken to be called <id>.jpg" in result.warnings[0]


def test_images_are_copied_under_their_ids(run: Run, data: ImageSet, tmp_path: Path) -> None:
    out = tmp_path / "voc"
    settings = ExportSettings(images="copy")
    export(run.pseudo_masks, out, format="voc", classes=CLASSES, data=data, settings=settings)
    for record in data.records:
        copied = out / "JPEGImages" / f"{record.id}.png"
        assert copied.read_bytes() == record.image.read_bytes()


def test_what_cannot_be_read_is_left_out(run: Run, data: ImageSet, tmp_path: Path) -> None:
    (run.path.parent / "photos/images/a.png").write_bytes(data.records[0].image.read_bytes()[:-2])
    mask = run.pseudo_mask_file("sub/b")
    mask.write_bytes(mask.read_bytes()[:-2])
    write_mask(run.pseudo_mask_file("other"), np.zeros((3, 3), dtype=np.uint8))
    result = export(run.pseudo_masks, tmp_path / "x.zip", format="cvat", classes=CLASSES, data=data)
    assert result.images == 2
    reasons = {failure.id: failure.reason for failure in result.failures}
    assert reasons.keys() == {"a", "sub/b", "other"}
    assert "a.png: cannot be decoded" in reasons["a"]
    assert "b.png: cannot be decoded" in reasons["sub/b"]
    assert reasons["other"] == "the data set has no image of this id"


def test_nothing_is_written_when_nothing_can_be(run: Run, data: ImageSet, tmp_path: Path) -> None:
    for record in data.records:
        record.image.write_bytes(b"")
    for name, plug_in in EXPORTERS.items():
        out = tmp_path / f"{name}{plug_in.suffix}"
        with pytest.raises(DataError, match=r"none of its 4 masks can be exported: .*a\.png: is empty"):
            export(run.pseudo_masks, out, format=name, classes=CLASSES, data=data)
        assert not out.exists()


def test_masks_of_another_size_or_class_list_are_refused(run: Run, data: ImageSet, tmp_path: Path) -> None:
    out = tmp_path / "x.json"
    with pytest.raises(DataError, match=r"expected values 0 \(background\) to 2 or 255 \(ignored\), got 3"):
        export(run.pseudo_masks, out, format="coco", classes=CLASSES[:2], data=data)
    write_mask(run.pseudo_mask_file("a"), np.zeros((12, 8), dtype=np.uint8))
    with pytest.raises(DataError, match=r"a\.png is for 8×12 pixels, its image .*a\.png has 12×8"):
        export(run.pseudo_masks, out, format="coco", classes=CLASSES, data=data)
    assert not out.exists()


def test_turned_photographs_are_counted(run: Run, tmp_path: Path) -> None:
    photo = run.path.parent / "photos/images/a.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(photo) as image:
        image.load()
    image.save(photo, exif=exif)
    data = open_dataset(run.path.parent / "photos" / "labels.csv")
    result = export(run.pseudo_masks, tmp_path / "x.json", format="coco", classes=CLASSES, data=data)
    assert result.warnings[-1].startswith("1 images have an EXIF orientation")
    with pytest.raises(DataError, match="has 8×12\\. Expected equal sizes; is it turned"):
        export(run.pseudo_masks, tmp_path / "x.json", format="coco", classes=CLASSES, data=data, exif="apply")


@pytest.mark.parametrize(
    ("format", "out", "message"),
    [
        ("coco", "x", r"x: the format coco writes one file; its name must end in \.json"),
        ("label-studio", "x.zip", r"its name must end in \.json"),
        ("cvat", "x.json", r"its name must end in \.zip"),
        ("cvat", "folder.zip", r"folder\.zip: is a folder; expected the name of a \.zip file"),
        ("voc", "run", "run: already holds something"),
        ("yolo", "file", "file: already holds something"),
        ("pdf", "x", "Unknown format 'pdf'. Known: coco, cvat, label-studio, voc, yolo"),
    ],
)
def test_targets_that_do_not_fit(run: Run, format: str, out: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "folder.zip").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(SwtformerError, match=message):
        export(run.pseudo_masks, tmp_path / out, format=format, classes=CLASSES)


def test_a_target_in_no_folder_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for format, suffix in (("voc", ""), ("coco", ".json")):
        with pytest.raises(SwtformerError, match=f"x{suffix}: cannot be written"):
            export(run.pseudo_masks, tmp_path / f"file/x{suffix}", format=format, classes=CLASSES)


def test_which_masks_of_a_run(run: Run) -> None:
    assert mask_folder(run) == run.pseudo_masks
    with pytest.raises(SwtformerError, match="has no folder masks; make these masks with `swtformer mask`"):
        mask_folder(run, "masks")
    run.masks.mkdir()
    assert mask_folder(run, "masks") == run.masks
    assert mask_folder(run) == run.pseudo_masks
    with pytest.raises(SwtformerError, match="has no folder pseudo_masks or masks"):
        mask_folder(Run(run.path.parent))


def test_hidden_files_are_no_masks(tmp_path: Path) -> None:
    for name in ("b.png", "a/c.png", ".x.png", ".hidden/d.png", "e.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert mask_ids(tmp_path) == ["a/c", "b"]
    with pytest.raises(SwtformerError, match=r"nothing: is no folder of masks"):
        mask_ids(tmp_path / "nothing")


def test_what_predict_made_is_understood(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "predicted"
    write_mask(out / "masks" / "a.png", np.ones((3, 4), dtype=np.uint8))
    assert masks_in(out) == out
    write_json(out / "predictions.json", {"classes": ["background", *CLASSES]})
    assert masks_in(out) == out / "masks"
    assert declared_classes(out / "masks") == CLASSES
    out.rename(run.path / "predictions")
    assert mask_folder(run, "predictions") == run.path / "predictions" / "masks"
    write_json(out / "predictions.json", [])
    with pytest.raises(SwtformerError, match=r"predictions\.json: expected a list of class names"):
        declared_classes(out / "masks")


def predicted(folder: Path, *, exif: str = "raw") -> tuple[Path, Path]:
    """What predict made of one photograph, which EXIF turns, and of one that is gone since."""
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
    rows = [{"image": "a", "file": str(photograph)}, {"image": "gone", "file": str(gone)}]
    write_json(out / "areas.json", {"images": rows})
    return photograph, out / "masks"


@pytest.mark.parametrize("exif", ["raw", "apply"])
def test_the_photographs_that_were_segmented_are_found(exif: str, tmp_path: Path) -> None:
    photograph, masks = predicted(tmp_path, exif=exif)
    out = tmp_path / "yolo"
    settings = ExportSettings(images="copy")
    result = export(masks, out, format="yolo", classes=CLASSES, settings=settings)
    assert (result.images, result.failures) == (2, ())
    assert (out / "images" / "a.PNG").read_bytes() == photograph.read_bytes()
    assert any("the masks' sizes (1 of 2); name it by --data" in warning for warning in result.warnings)
    assert any("have an EXIF orientation" in warning for warning in result.warnings) == (exif == "raw")


def test_areas_that_predict_did_not_write_are_refused(tmp_path: Path) -> None:
    _, masks = predicted(tmp_path)
    for content in ([], {"images": [{"image": "a"}]}):
        write_json(masks.parent / "areas.json", content)
        with pytest.raises(SwtformerError, match=r"areas\.json: is not what `swtformer predict` writes"):
            export(masks, tmp_path / "x.json", format="coco", classes=CLASSES)
    (masks.parent / "areas.json").unlink()
    assert export(masks, tmp_path / "x.json", format="coco", classes=CLASSES).images == 2


def test_classes_beside_a_folder_of_masks(run: Run, tmp_path: Path) -> None:
    assert declared_classes(run.pseudo_masks) == CLASSES
    assert declared_classes(run.path) == CLASSES
    assert declared_classes(tmp_path) is None
    write_json(run.classes_file, {"cat": 0})
    with pytest.raises(SwtformerError, match=r"classes\.json: expected a list of class names"):
        declared_classes(run.pseudo_masks)
