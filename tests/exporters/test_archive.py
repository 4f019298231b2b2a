from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from swtformer.errors import DataError
from swtformer.exporters.archive import has_folder, open_tree, read_text, relative_files, root_of, roots_of


def packed(folder: Path, names: list[str], content: bytes = b"text") -> Path:
    path = folder / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return path


def test_all_the_shallowest_folders_of_a_name_are_found(tmp_path: Path) -> None:
    for place in ("train/labels", "valid/labels", "valid/deeper/labels", "images/labels/labels"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "a.txt").touch()
    with open_tree(tmp_path) as tree:
        assert roots_of(tree, "labels") == ["images/", "train/", "valid/"]
        with pytest.raises(DataError, match="holds no folder masks"):
            roots_of(tree, "masks")


def test_folders_and_zip_files_read_alike(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name in ("a/b.txt", "grün.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\xef\xbb\xbftext")
    archive = packed(tmp_path, ["a/", "a/b.txt", "grün.txt"], b"\xef\xbb\xbftext")
    for path in (folder, archive):
        with open_tree(path) as tree:
            assert tree.names == ("a/b.txt", "grün.txt")
            assert read_text(tree, "a/b.txt") == "text"
            with pytest.raises(DataError, match="at most 6 are read"):
                tree.read("a/b.txt", 6)


@pytest.mark.parametrize("name", ["../up.txt", "a/../../up.txt", "/etc/passwd", "C:/x", "..\\up.txt"])
def test_names_that_leave_the_archive_are_refused_whole(name: str, tmp_path: Path) -> None:
    path = packed(tmp_path, ["fine.txt", name])
    with pytest.raises(DataError, match=r"x\.zip: .*The archive is refused"), open_tree(path):
        pass


def test_odd_and_duplicate_names_are_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=r"the file name 'a//b\.txt'"),
        open_tree(packed(tmp_path, ["a//b.txt"])),
    ):
        pass
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = packed(tmp_path, ["a.txt", "a.txt"])
    with pytest.raises(DataError, match="two files of the same name"), open_tree(path):
        pass


def test_a_file_without_a_name_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path, ["a.txt"])
    path.write_bytes(path.read_bytes().replace(b"a.txt", b"\0.txt"))  # zipfile cuts names at NUL
    with pytest.raises(DataError, match="the image name is empty"), open_tree(path):
        pass


def test_a_bomb_is_refused_unread(tmp_path: Path) -> None:
    path = packed(tmp_path, ["bomb.txt"], bytes(2**26 + 1))
    assert path.stat().st_size < 2**17
    with open_tree(path) as tree, pytest.raises(DataError, match=r"bomb\.txt unpacks to 67,108,865 bytes"):
        read_text(tree, "bomb.txt")


def test_what_unpacks_to_a_hundred_times_its_size_is_refused(tmp_path: Path) -> None:
    packed_small = tmp_path / "a.zip"
    with zipfile.ZipFile(packed_small, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.txt", bytes(2**24 + 1))
        archive.writestr("small.txt", bytes(2**24))
    with open_tree(packed_small) as tree:
        assert len(tree.read("small.txt", 2**26)) == 2**24
        with pytest.raises(DataError, match=r"bomb\.txt unpacks to .* 100 times its packed size"):
            tree.read("bomb.txt", 2**26)


def test_a_lying_size_gives_no_more_than_it_says(tmp_path: Path) -> None:
    path = packed(tmp_path, ["a.txt"], bytes(1000))
    content = path.read_bytes()
    path.write_bytes(content.replace((1000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with open_tree(path) as tree, pytest.raises(DataError, match=r"a\.txt cannot be read \(Bad CRC"):
        tree.read("a.txt", 10)


def test_damaged_and_encrypted_members_are_named(tmp_path: Path) -> None:
    path = packed(tmp_path, ["a.txt"], bytes(range(256)))
    content = bytearray(path.read_bytes())
    content[60] ^= 255
    path.write_bytes(content)
    with open_tree(path) as tree, pytest.raises(DataError, match=r"x\.zip: a\.txt cannot be read"):
        tree.read("a.txt", 1000)
    path = packed(tmp_path, ["a.txt"])
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with open_tree(path) as tree, pytest.raises(DataError, match="encrypted"):
        tree.read("a.txt", 1000)


def test_what_is_no_zip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(DataError, match="is not a complete zip file"), open_tree(path):
        pass
    with pytest.raises(DataError, match="is not a complete zip file"), open_tree(tmp_path / "nothing.zip"):
        pass


def test_links_out_of_a_folder_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.txt").symlink_to(secret)
    with open_tree(folder) as tree, pytest.raises(DataError, match="is a link to a file outside"):
        tree.read("a.txt", 100)


def test_text_that_is_no_utf_8(tmp_path: Path) -> None:
    with (
        open_tree(packed(tmp_path, ["a.txt"], b"\xff\xfea")) as tree,
        pytest.raises(DataError, match=r"a\.txt is not UTF-8"),
    ):
        read_text(tree, "a.txt")


def test_the_shallowest_folder_is_the_root(tmp_path: Path) -> None:
    names = ["labels/a.txt", "x/labels/a.txt", "y/x/masks/a.txt", "x/masks/b/a.txt"]
    with open_tree(packed(tmp_path, names)) as tree:
        assert root_of(tree, "labels") == ""
        assert root_of(tree, "masks") == "x/"
        with pytest.raises(DataError, match=r"holds no folder a\.txt"):
            root_of(tree, "a.txt")


def test_what_systems_add_is_left_out(tmp_path: Path) -> None:
    path = packed(tmp_path, ["m/a.PNG", "m/b/c.png", "m/._a.png", "__MACOSX/m/a.png", "m/x.txt"])
    with open_tree(path) as tree:
        assert relative_files(tree, "m/", ".png") == {"a": "m/a.PNG", "b/c": "m/b/c.png"}
    assert has_folder(path, "m")
    assert not has_folder(path, "n")
    (tmp_path / "plain.txt").touch()
    assert not has_folder(tmp_path / "plain.txt", "m")
    assert not has_folder(packed(tmp_path, ["../m/a.png"]), "m")
