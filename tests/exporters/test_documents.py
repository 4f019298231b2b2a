from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from swtformer.errors import DataError
from swtformer.exporters.documents import documents, has_document

LIST = r"\["


def test_a_document_alone_in_a_folder_and_in_a_zip_file(tmp_path: Path) -> None:
    (tmp_path / "set" / "deeper").mkdir(parents=True)
    file = tmp_path / "set" / "deeper" / "a.json"
    file.write_bytes(b"\xef\xbb\xbf \n[1]")
    (tmp_path / "set" / "other.json").write_text("{}")
    (tmp_path / "set" / "swtformer.json").write_text("[2]")
    packed = tmp_path / "set.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(file, "deeper/a.json")
        archive.writestr("__MACOSX/deeper/._a.json", "[3]")
    for path, source in (
        (file, str(file)),
        (tmp_path / "set", f"{tmp_path}/set: deeper/a.json"),
        (packed, f"{packed}: deeper/a.json"),
    ):
        assert has_document(path, ".json", LIST)
        with documents(path, ".json", LIST) as found:
            (document,) = found
            assert (document.source, document.json()) == (source, [1])
            with document.opened() as stream:
                assert stream.read().endswith(b"[1]")


def test_a_file_that_was_named_is_taken_whatever_it_begins_with(tmp_path: Path) -> None:
    path = tmp_path / "a.JSON"
    path.write_text("{}")
    assert not has_document(path, ".json", LIST)
    with documents(path, ".json", LIST) as found:
        assert [document.json() for document in found] == [{}]


def test_what_holds_no_document(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    broken = tmp_path / "x.zip"
    broken.write_text("no zip")
    assert not has_document(tmp_path, ".json", LIST)
    assert not has_document(broken, ".json", LIST)
    assert not has_document(tmp_path / "a.txt", ".json", LIST)
    with (
        pytest.raises(DataError, match=r"holds no \.json file of this format"),
        documents(tmp_path, ".json", LIST),
    ):
        pass
    with pytest.raises(DataError, match="is not a complete zip file"), documents(broken, ".json", LIST):
        pass


def test_links_that_lead_out_of_a_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("[1]")
    (tmp_path / "set").mkdir()
    os.symlink(tmp_path / "secret.json", tmp_path / "set" / "a.json")
    assert not has_document(tmp_path / "set", ".json", LIST)


@pytest.mark.parametrize("packed", [True, False])
def test_a_damaged_document_is_named(packed: bool, tmp_path: Path) -> None:
    path = tmp_path
    (tmp_path / "a.json").write_text("[1")
    if packed:
        path = tmp_path / "x.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(tmp_path / "a.json", "a.json")
    with (
        documents(path, ".json", LIST) as (document,),
        pytest.raises(DataError, match=r"a\.json: is not complete JSON"),
    ):
        document.json()
