from __future__ import annotations

from pathlib import Path

import pytest

from swtformer.errors import DataError
from swtformer.inference.inputs import find_inputs


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.jpg", "sub/b.png", "frames/f2.jpg", "frames/f10.jpg", "notes.txt", ".hidden.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def ids(*inputs: str, **options) -> list[str]:
    return [record.id for record in find_inputs(inputs, **options)]


def test_a_folder_is_searched_and_frames_count_upwards(photos: Path) -> None:
    assert ids("photos") == ["a", "frames/f2", "frames/f10", "sub/b"]
    assert ids(str(photos / "frames")) == ["f2", "f10"]


def test_patterns_keep_what_follows_their_fixed_part(photos: Path) -> None:
    assert ids("photos/*.jpg") == ["a"]
    assert ids("photos/**/*.[jp][pn]g") == ["a", "frames/f2", "frames/f10", "sub/b"]
    assert ids("photos/s*/b.png") == ["sub/b"]


def test_a_file_whose_name_looks_like_a_pattern(photos: Path) -> None:
    (photos / "odd[1].jpg").touch()
    assert ids("photos/odd[1].jpg") == ["odd[1]"]


def test_a_single_file_is_called_by_its_name_whatever_else_is_named(photos: Path) -> None:
    assert ids("photos/sub/b.png") == ["b"]
    assert ids("photos/a.jpg", "photos/sub/b.png", str(photos / "frames" / "f2.jpg")) == ["a", "b", "f2"]
    assert ids("photos/frames", "photos/sub/b.png") == ["f2", "f10", "b"]


def test_a_line_of_a_list_is_called_by_its_path_as_written(photos: Path) -> None:
    lines = ["\ufeffphotos/a.jpg\r", "", f"  {photos / 'sub' / 'b.png'}  ", "photos/gone.jpg"]
    assert ids("-", listed=lines) == ["photos/a", "b", "photos/gone"]
    assert ids("-", listed=lines[:1]) == ["photos/a"]
    odd = ["./photos/./a.jpg", "../photos/a.jpg", "photos/../photos/sub/b.png", "photos/../../b.png"]
    assert ids("-", listed=odd) == ["photos/a", "a", "photos/sub/b", "b"]


def test_folders_in_a_list_are_passed_over(photos: Path) -> None:
    lines = [".", "./", "photos", "photos/sub/", "photos/..", "gone/..", "..", "gone/../..", "/", str(photos)]
    assert ids("-", listed=[*lines, "./photos/sub/b.png"]) == ["photos/sub/b"]
    with pytest.raises(DataError, match="the list is empty, or names only folders"):
        ids("-", listed=lines)


def test_names_that_would_clash_are_refused_with_a_way_out(photos: Path) -> None:
    (photos / "sub" / "f2.jpg").touch()
    files = ("photos/frames/f2.jpg", "photos/sub/f2.jpg")
    with pytest.raises(
        DataError, match=r"frames/f2\.jpg and photos/sub/f2\.jpg would both be f2\.png\. Name the"
    ):
        find_inputs(files)
    assert ids("-", listed=files) == ["photos/frames/f2", "photos/sub/f2"]


def test_doubles_count_once(photos: Path) -> None:
    assert ids("photos/a.jpg", "photos/a.jpg", str(photos / "a.jpg")) == ["a"]
    assert ids("photos", "photos/frames") == ["a", "frames/f2", "frames/f10", "sub/b"]
    assert ids("photos/frames/f10.jpg", "photos/frames", "photos/**/f*.jpg") == ["f10", "f2"]
    assert ids("-", "photos/sub", listed=["photos/sub/b.png", "photos/a.jpg"]) == ["photos/sub/b", "photos/a"]


def test_results_of_before_are_no_photographs(photos: Path) -> None:
    for name in ("out/masks/a.png", "out/overlays/a.jpg", "out/mine.jpg"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).touch()
    results = [photos / "out" / "masks", photos / "out" / "overlays"]
    assert "out/mine" in ids("photos", leave_out=results)
    assert not any(name.startswith("out/masks") for name in ids("photos", leave_out=results))
    assert ids("photos/out/masks", leave_out=results) == ["a"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((), "Name what to segment"),
        (("-",), "the list is empty"),
        (("gone.jpg",), r"gone\.jpg: does not exist; expected a file, a folder, a pattern or -"),
        (("photos/*.tif",), "no file matches this pattern"),
        (("empty",), "holds no image"),
        (("photos/a.jpg", "other/a.jpg", "photos", "other"), "would overwrite the result of another"),
        (("photos/a.jpg", "photos/a.png"), r"photos/a\.jpg and photos/a\.png would both be a\.png"),
    ],
)
def test_mistakes(photos: Path, inputs: tuple[str, ...], message: str) -> None:
    Path("empty").mkdir()
    Path("other").mkdir()
    Path("other/a.jpg").touch()
    (photos / "a.png").touch()
    with pytest.raises(DataError, match=message):
        find_inputs(inputs)


def test_a_nul_in_the_list() -> None:
    with pytest.raises(DataError, match="Line 2 of the list holds a NUL"):
        find_inputs(["-"], listed=["a.jpg", "b\0.jpg"])


def test_a_link_to_itself_is_an_image_that_cannot_be_read(photos: Path) -> None:
    (photos / "loop.jpg").symlink_to("loop.jpg")
    found = find_inputs([str(photos)], leave_out=[photos / "results"])
    assert "loop" in {record.id for record in found}
