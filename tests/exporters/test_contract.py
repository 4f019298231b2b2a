"""What every format must do. The tests run over every registered format and one that is export-only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from support.counts_exporter import counts_registered
from support.label_images import CLASSES, as_annotated, by_id, labelled_images, reading_of
from swtformer.errors import DataError, SwtformerError
from swtformer.exporters import (
    EXPORTERS,
    ExchangeFormat,
    Exporter,
    LabelledImage,
    exchange_format,
    exchange_formats,
    exporter,
    recognise,
)
from swtformer.exporters.fingerprints import fingerprint
from swtformer.exporters.reading import Ignored
from swtformer.settings import ExportSettings

ALL = [*EXPORTERS, "toy_counts"]
LOSSLESS = [format.name for format in exchange_formats() if format.is_lossless]


@pytest.fixture(scope="module", autouse=True)
def counts() -> Iterator[None]:
    with counts_registered():
        yield


@pytest.fixture(params=ALL)
def any_format(request: pytest.FixtureRequest) -> Exporter:
    return exporter(request.param)


@pytest.fixture(params=[format.name for format in exchange_formats()])
def plug_in(request: pytest.FixtureRequest) -> ExchangeFormat:
    return exchange_format(request.param)


def write(
    plug_in: Exporter,
    folder: Path,
    images: list[LabelledImage],
    *,
    classes: tuple[str, ...] = CLASSES,
    **settings: str,
) -> tuple[Path, list[str]]:
    out = folder / f"out{plug_in.suffix}"
    chosen = ExportSettings.model_validate(settings)
    return out, plug_in.write(iter(images), out, classes=classes, settings=chosen)


@pytest.mark.parametrize("seed", [0, 100, 200])
@pytest.mark.parametrize("objects", ["class", "component"])
@pytest.mark.parametrize("name", LOSSLESS)
def test_every_pixel_comes_back(name: str, objects: str, seed: int, tmp_path: Path) -> None:
    images = labelled_images(seed)
    out, _ = write(exporter(name), tmp_path, images, objects=objects)
    as_annotated(name, out)
    reading, problems = reading_of(images)
    found = by_id(list(exchange_format(name).read(out, reading)))
    problems.raise_fatal("contract")
    assert problems.warnings == ()
    assert found.keys() == {image.id for image in images}
    for image in images:
        np.testing.assert_array_equal(found[image.id], image.labels, err_msg=image.id)
        assert found[image.id].dtype == np.uint8


def test_a_solid_region_comes_back_from_every_format(plug_in: ExchangeFormat, tmp_path: Path) -> None:
    labels = np.zeros((9, 14), dtype=np.uint8)
    labels[2:7, 3:11] = 3
    labels[4, 5:8] = 1
    images = [LabelledImage("a/b", "a/b.jpg", None, labels)]
    out, _ = write(plug_in, tmp_path, images)
    as_annotated(plug_in.name, out)
    reading, problems = reading_of(images)
    found = by_id(list(plug_in.read(out, reading)))
    problems.raise_fatal("contract")
    np.testing.assert_array_equal(found["a/b"], labels)


@pytest.mark.parametrize("ignored", ["keep", "drop"])
def test_unchanged_masks_are_read_as_round_trip_says(
    plug_in: ExchangeFormat, ignored: Ignored, tmp_path: Path
) -> None:
    images = labelled_images(300)
    out, _ = write(plug_in, tmp_path, images, ignored=ignored)
    as_annotated(plug_in.name, out)
    reading, problems = reading_of(images)
    found = by_id(list(plug_in.read(out, reading)))
    problems.raise_fatal("contract")
    for image in images:
        expected = plug_in.round_trip(image.labels, ignored=ignored)
        np.testing.assert_array_equal(found[image.id], expected, err_msg=image.id)
        assert expected.dtype == np.uint8
        if plug_in.is_lossless and ignored == "keep":
            np.testing.assert_array_equal(expected, image.labels)


@pytest.mark.parametrize("ignored", ["keep", "drop"])
def test_unchanged_masks_have_the_fingerprint_of_the_export(
    plug_in: ExchangeFormat, ignored: Ignored, tmp_path: Path
) -> None:
    images = labelled_images()
    out, _ = write(plug_in, tmp_path, images, ignored=ignored)
    as_annotated(plug_in.name, out)
    reading, problems = reading_of(images)
    found = list(plug_in.read(out, reading))
    problems.raise_fatal("contract")
    assert [item.exported for item in found] == [fingerprint(item.labels) for item in found]


@pytest.mark.parametrize("ignored", ["keep", "drop"])
@pytest.mark.parametrize("name", ["coco", "cvat", "voc"])
def test_a_file_without_a_label_for_255_says_so(name: str, ignored: Ignored, tmp_path: Path) -> None:
    """Tools that drop the fingerprints keep their list of labels."""
    images = labelled_images()
    out, _ = write(exporter(name), tmp_path, images, ignored=ignored)
    reading, _ = reading_of(images)
    assert {item.ignored for item in exchange_format(name).read(out, reading)} == {ignored}


def test_a_share_of_the_images_clashes_with_none_that_was_not_exported(
    plug_in: ExchangeFormat, tmp_path: Path
) -> None:
    """The other images have names that the exported ones might be called by."""
    labels = np.ones((3, 4), dtype=np.uint8)
    images = [LabelledImage(id, f"{id}.jpg", None, labels) for id in ("images/x", "sub/images/y", "b/z")]
    others = [LabelledImage(id, f"{id}.jpg", None, labels) for id in ("x", "sub/y", "images/b/z", "z")]
    out, _ = write(plug_in, tmp_path, images)
    as_annotated(plug_in.name, out)
    reading, problems = reading_of([*images, *others])
    found = by_id(list(plug_in.read(out, reading)))
    problems.raise_fatal("contract")
    assert found.keys() == {image.id for image in images}


def test_ignored_pixels_are_dropped_where_asked(plug_in: ExchangeFormat, tmp_path: Path) -> None:
    labels = np.full((4, 6), 255, dtype=np.uint8)
    labels[:, :3] = 2
    images = [LabelledImage("a", "a.jpg", None, labels)]
    out, warnings = write(plug_in, tmp_path, images, ignored="drop")
    as_annotated(plug_in.name, out)
    reading, _ = reading_of(images)
    found = by_id(list(plug_in.read(out, reading)))
    np.testing.assert_array_equal(found["a"], np.where(labels == 255, 0, labels))
    assert not any("255" in warning for warning in warnings)


def test_what_was_written_is_recognised(plug_in: ExchangeFormat, tmp_path: Path) -> None:
    out, _ = write(plug_in, tmp_path, labelled_images())
    assert recognise(out).name == plug_in.name


def test_equal_masks_give_equal_bytes(any_format: Exporter, tmp_path: Path) -> None:
    contents = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        out, _ = write(any_format, folder, labelled_images())
        files = sorted(out.rglob("*")) if out.is_dir() else [out]
        contents.append({file.relative_to(folder): file.read_bytes() for file in files if file.is_file()})
    assert contents[0] == contents[1]


def test_nothing_is_left_when_work_stops(any_format: Exporter, tmp_path: Path) -> None:
    def images():  # type: ignore[no-untyped-def]
        yield labelled_images()[0]
        raise KeyboardInterrupt

    out = tmp_path / f"out{any_format.suffix}"
    with pytest.raises(KeyboardInterrupt):
        any_format.write(images(), out, classes=CLASSES, settings=ExportSettings())
    assert list(tmp_path.iterdir()) == []


def test_images_of_other_runs_are_noted_and_left_out(plug_in: ExchangeFormat, tmp_path: Path) -> None:
    images = labelled_images()
    out, _ = write(plug_in, tmp_path, images)
    as_annotated(plug_in.name, out)
    reading, problems = reading_of(images[:2])
    found = by_id(list(plug_in.read(out, reading)))
    assert found.keys() == {image.id for image in images[:2]}
    assert {problem.id for problem in problems.warnings} >= {"row", "empty"}


def test_a_class_that_the_run_lacks_is_fatal_and_names_the_nearest(
    plug_in: ExchangeFormat, tmp_path: Path
) -> None:
    images = labelled_images(values=(1, 2))[:3]
    out, _ = write(plug_in, tmp_path, images, classes=("cat", "traktor"))
    as_annotated(plug_in.name, out)
    reading, problems = reading_of(images)
    list(plug_in.read(out, reading))
    with pytest.raises(DataError, match=r"class 'traktor'. Did you mean 'träktor'"):
        problems.raise_fatal("contract")


@pytest.mark.parametrize("name", LOSSLESS)
def test_another_size_is_fatal_and_names_both(name: str, tmp_path: Path) -> None:
    images = [LabelledImage("a", "a.jpg", None, np.ones((4, 6), dtype=np.uint8))]
    out, _ = write(exporter(name), tmp_path, images)
    as_annotated(name, out)
    reading, problems = reading_of([LabelledImage("a", "a.jpg", None, np.ones((6, 4), dtype=np.uint8))])
    assert list(exchange_format(name).read(out, reading)) == []
    with pytest.raises(DataError, match=r"6×4 pixels, masks/a\.png has 4×6"):
        problems.raise_fatal("contract")


@pytest.mark.parametrize("reserved", ["background", "Ignored"])
def test_reserved_class_names_are_refused(plug_in: ExchangeFormat, reserved: str, tmp_path: Path) -> None:
    with pytest.raises(SwtformerError, match=f"'{reserved}' means background"):
        write(plug_in, tmp_path, labelled_images(), classes=("cat", reserved))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    out, _ = write(exporter("voc"), tmp_path, labelled_images())
    assert (out / "labelmap.txt").is_file()


def test_a_format_without_read_is_export_only() -> None:
    assert exporter("toy_counts").suffix == ".csv"
    assert "toy_counts" not in [format.name for format in exchange_formats()]
    with pytest.raises(SwtformerError, match="'toy_counts' is export-only"):
        exchange_format("toy_counts")


def test_unknown_formats_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SwtformerError, match=r"Unknown format 'cooc'. Did you mean 'coco'\?"):
        exporter("cooc")
    with pytest.raises(DataError, match="nothing: does not exist"):
        recognise(tmp_path / "nothing")
    (tmp_path / "notes.txt").write_text("[]")
    with pytest.raises(DataError, match=r"notes\.txt: the format was not recognised") as refused:
        recognise(tmp_path / "notes.txt")
    assert all(f"{format.expects} ({format.name})" in str(refused.value) for format in exchange_formats())
