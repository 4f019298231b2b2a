from __future__ import annotations

import json

import pytest

from swtformer.datasets.assemble import Classes
from swtformer.datasets.labels import (
    LabelTable,
    classes_of,
    declared_classes,
)
from swtformer.datasets.problems import Problems
from swtformer.errors import DataError
from swtformer.settings import DataSettings

AUTO = DataSettings()


class TestDeclaredClasses:
    def test_the_settings_come_first_then_the_files_in_their_order(self, tmp_path):
        assert declared_classes(tmp_path, AUTO, Problems()) is None
        for name, content, expected in (
            ("class_names.txt", "owl\n", ("owl",)),
            ("classes.json", '["dog", "cat"]', ("dog", "cat")),
            ("classes.txt", "fish\ncat\n", ("fish", "cat")),
        ):
            (tmp_path / name).write_text(content)
            assert declared_classes(tmp_path, AUTO, Problems()) == expected
        settings = DataSettings(classes=(" cow ", "cat"))
        assert declared_classes(tmp_path, settings, Problems()) == ("cow", "cat")

    def test_a_folder_of_that_name_is_passed_over(self, tmp_path):
        (tmp_path / "classes.txt").mkdir()
        assert declared_classes(tmp_path, AUTO, Problems()) is None

    @pytest.mark.parametrize("first", ["", "background\n", "Background\n", "_background_\n", "none\n"])
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_blank_lines_marks_and_a_leading_background_are_left_out(self, tmp_path, first, end):
        text = f"\ufeff{first}\n cat \n\ntench, Tinca tinca".replace("\n", end)
        (tmp_path / "classes.txt").write_bytes(text.encode())
        assert declared_classes(tmp_path, AUTO, Problems()) == ("cat", "tench, Tinca tinca")

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["cat", "dog", "cat", "cat"], "names the class 'cat' twice"),
            (["cat", "Background"], "'Background' cannot be a class"),
            (["cat", " "], "holds an empty class name"),
            (["background"], "names no class"),
            ([], "names no class"),
        ],
    )
    def test_names_that_cannot_be_used(self, tmp_path, names, message):
        (tmp_path / "classes.json").write_text(json.dumps(names))
        for settings, where in (
            (AUTO, str(tmp_path / "classes.json")),
            (DataSettings(classes=tuple(names)), "classes of the settings"),
        ):
            problems = Problems()
            declared_classes(tmp_path, settings, problems)
            with pytest.raises(DataError, match=message) as error:
                problems.raise_fatal("set")
            (problem,) = error.value.problems
            assert (problem.kind, problem.message.startswith(f"{where}: ")) == ("class_file", True)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("{", r"classes\.json: is not JSON"),
            ('["\\ud800"]', r"classes\.json: is not JSON .*lone escape"),
            ('{"cat": "1", "dog": "2"}', r"classes\.json: expected a list of names"),
            ('{"1": "cat", "01": "dog"}', r"classes\.json: expected a list of names"),
            ("7", r"or a map such as"),
            ('["cat", 1]', r"classes\.json: expected a list of names"),
        ],
    )
    def test_json_that_cannot_be_used(self, tmp_path, content, message):
        (tmp_path / "classes.json").write_text(content)
        problems = Problems()
        declared_classes(tmp_path, AUTO, problems)
        with pytest.raises(DataError, match=message):
            problems.raise_fatal("set")


def test_declared_classes_stand_above_those_of_a_table():
    found = LabelTable((), ("cat", "dog"), has_splits=False, declares_order=False)
    columns = LabelTable((), ("dog", "cat"), has_splits=False, declares_order=True)
    assert classes_of(found, None) == Classes(("cat", "dog"), declared=False)
    assert classes_of(columns, None) == Classes(("dog", "cat"), declared=True)
    assert classes_of(columns, ("owl",)) == Classes(("owl",), declared=True)
