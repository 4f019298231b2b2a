"""The contract that every reader keeps, those of other packages as well."""

from __future__ import annotations

import contextlib
import json
import os

import pytest

from swtformer.datasets import open_dataset
from swtformer.datasets.base import Reader
from swtformer.errors import DataError
from swtformer.settings import READERS, DataSettings, NoSettings, Section

NAMES = sorted(READERS)


class Nothing(Reader):
    """A reader of nothing."""

    @classmethod
    def recognises(cls, path):
        return False

    def read(self, path, settings, split):
        raise DataError(f"{path}: holds nothing.")


def test_a_reader_has_the_options_of_its_section_by_default():
    assert Nothing().options == NoSettings()

    class Options(Section):
        depth: int = 3

    class WithOptions(Nothing):
        settings_type = Options

    assert WithOptions().options.depth == 3
    assert WithOptions(Options(depth=5)).options.depth == 5


def test_what_is_not_implemented_cannot_be_made():
    class Half(Reader):
        @classmethod
        def recognises(cls, path):
            return True

    with pytest.raises(TypeError, match=r"abstract method '?read"):
        Half()


@pytest.mark.parametrize("name", NAMES)
def test_what_every_reader_says_of_itself(name):
    reader = READERS[name]
    assert issubclass(reader, Reader)
    assert reader.name == name
    assert issubclass(reader.settings_type, Section)
    assert isinstance(reader().options, reader.settings_type), "every option has a default"
    assert reader.expects or name == "shapes", "a reader of people's data says what it expects"


@pytest.fixture
def junk(tmp_path):
    """Files that no reader can take, under names that some look into."""
    contents = {
        "empty.csv": b"",
        "nul.json": b"\0" * 40,
        "deep.json": b"[" * 3000,
        "list.json": json.dumps([1, None, {}]).encode(),
        "bad.xml": b"<annotation><object>",
        "data.yaml": b"names: [",
        "latin.txt": "a.jpg H\u00fcndin".encode("latin-1"),
        "a.zip": b"PK\x03\x04 no archive",
    }
    for name, content in contents.items():
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir()
        (folder / name).write_bytes(content)
    (tmp_path / "nothing").mkdir()
    os.symlink(tmp_path / "loop", tmp_path / "loop")
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_junk_is_recognised_or_not_and_refused_with_a_message(junk, name):
    """Any other exception than the program's own would be a traceback for the user."""
    for folder in (path for path in junk.iterdir() if path.is_dir()):
        for path in (folder, *folder.iterdir()):
            with contextlib.suppress(DataError):  # a message of its own
                assert READERS[name].recognises(path) in (True, False)
            with pytest.raises(DataError) as refused:
                open_dataset(path, DataSettings(format=name))
            assert folder.name in str(refused.value)
