from __future__ import annotations

import json

import pytest

from swtformer.datasets.assemble import Classes
from swtformer.datasets.labels import (
    LabelRow,
    LabelTable,
    classes_of,
    declared_classes,
    read_label_table,
    split_labels,
)
from swtformer.datasets.problems import Problems
from swtformer.errors import DataError
from swtformer.settings import DataSettings

AUTO = DataSettings()


class TestCells:
    @pytest.mark.parametrize(
        ("cell", "labels"),
        [
            ("cat", ("cat",)),
            (" cat ; dog ", ("cat", "dog")),
            ("cat|dog", ("cat", "dog")),
            ("cat,dog", ("cat", "dog")),
            ("a|b,c;d", ("a|b,c", "d")),
            ("a|b,c", ("a", "b,c")),
            ("dog;cat;dog", ("dog", "cat")),
            (";cat;;", ("cat",)),
            ("", ()),
            ("  ", ()),
            (None, ()),
            ([], ()),
            ("[]", ()),
            ("none", ()),
            ("Background; cat", ("cat",)),
            ("__background__", ()),
            ('["cat", " dog ", ""]', ("cat", "dog")),
            (["tench, Tinca tinca", "a;b"], ("tench, Tinca tinca", "a;b")),
            ([3, "cat"], ("3", "cat")),
        ],
    )
    def test_ways_to_write_labels(self, cell, labels):
        assert split_labels(cell) == labels

    @pytest.mark.parametrize(
        ("cell", "known", "labels"),
        [
            ("tench, Tinca tinca", {"tench, Tinca tinca"}, ("tench, Tinca tinca",)),
            (" background noise|hum ", {"background noise|hum"}, ("background noise|hum",)),
            ("tench, Tinca tinca;cat", {"tench, Tinca tinca", "cat"}, ("tench, Tinca tinca", "cat")),
            ("[cat]", {"[cat]"}, ("[cat]",)),
            ("None", {"None"}, ("None",)),
        ],
    )
    def test_a_known_class_is_never_split_nor_read_as_background(self, cell, known, labels):
        assert split_labels(cell, frozenset(known)) == labels

    @pytest.mark.parametrize(
        ("cell", "message"),
        [
            ("[cat]", r"^'\[cat\]' is not a JSON list such as \[\"cat\", \"dog\"\]$"),
            ('["cat"', "is not a JSON list"),
            ("[" * 100_000, r"^'\[{59} is not a JSON list"),
            ('["\\ud800"]', "is not a JSON list"),
            ('{"cat": 1}', None),
            ({"cat": 1}, r"^labels must be names, got \{'cat': 1\}$"),
            (3, "labels must be names, got 3"),
            (True, "labels must be names, got True"),
            ("[1.5]", r"labels must be names, got \[1\.5\]"),
            ([["cat"]], "labels must be names"),
            (["cat", None], "labels must be names"),
            ([True, False], r"labels must be names, got \[True, False\]"),
        ],
    )
    def test_cells_that_hold_no_names(self, cell, message):
        if message is None:  # text without a bracket is a name, however odd
            assert split_labels(cell) == (cell,)
            return
        with pytest.raises(ValueError, match=message):
            split_labels(cell)


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
            ('{"cat": 1}', r"classes\.json: expected a list of names"),
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


class TestTables:
    @pytest.fixture
    def read(self, tmp_path):
        """Writes a table and reads it; gives the table and the problems."""

        def read(text, *, name="labels.csv", declared=None):
            (tmp_path / name).write_text(text)
            problems = Problems()
            return read_label_table(tmp_path / name, declared=declared, problems=problems), problems

        return read

    def test_one_column_of_labels(self, read, tmp_path):
        table, problems = read(
            "split,image,mask,labels,size\nval,b.jpg,m/b.png,dog;cat,3\n\n,a.jpg,,,\n", declared=None
        )
        file = tmp_path / "labels.csv"
        assert table == LabelTable(
            rows=(
                LabelRow(f"{file}:2", "b.jpg", ("dog", "cat"), "m/b.png", "val"),
                LabelRow(f"{file}:4", "a.jpg", (), None, None),
            ),
            names=("cat", "dog"),
            has_splits=True,
            declares_order=False,
        )
        problems.raise_fatal("set")
        assert problems.warnings == ()

    def test_one_column_per_class_declares_the_order(self, read):
        table, problems = read("image,dog,cat,mask\na.jpg,1,0,m.png\nb.jpg,1.0,TRUE,\nc.jpg,False,0.0,\n")
        assert [row.labels for row in table.rows] == [("dog",), ("dog", "cat"), ()]
        assert [row.mask for row in table.rows] == ["m.png", None, None]
        assert (table.names, table.declares_order, table.has_splits) == (("dog", "cat"), True, False)
        problems.raise_fatal("set")

    def test_a_table_of_images_alone_is_unlabelled(self, read):
        table, problems = read("path,split,mask\na.jpg,train,\n")
        assert [(row.labels, row.split) for row in table.rows] == [(None, "train")]
        assert table.names == ()
        problems.raise_fatal("set")

    def test_usual_names_have_an_order_of_their_own(self, read):
        table, _ = read("file,class,LABELS,Image\nx,cat,dog,a.jpg\n")
        assert [(row.name, row.labels) for row in table.rows] == [("a.jpg", ("dog",))]

    def test_json_lines_hold_lists_and_numbers(self, read):
        text = '{"image": "a", "labels": ["x", 2], "split": 0}\n{"image": "b", "labels": null, "mask": ""}\n'
        table, problems = read(text, name="labels.jsonl")
        assert [(row.labels, row.split, row.mask) for row in table.rows] == [
            (("x", "2"), "0", None),
            ((), None, None),
        ]
        assert table.names == ("2", "x")
        problems.raise_fatal("set")

    def test_a_column_counts_as_a_class_where_most_cells_are_0_or_1(self, read):
        rows = "a,1,1,300\nb,0,x,500\nc,1,y,1\n"
        table, problems = read(f"image,cat,half,width\n{rows}")
        assert table.names == ("cat",)
        (warning,) = problems.warnings
        assert warning.kind == "ignored_column"
        assert warning.message.endswith("labels.csv:1: columns that are not 0/1 are ignored: half, width.")
        problems.raise_fatal("set")

    def test_exactly_half_is_not_most(self, read):
        table, _ = read("image,cat,odd\na,1,1\nb,0,x\n")
        assert table.names == ("cat",)

    def test_a_declared_class_is_a_column_whatever_it_holds(self, read):
        _, problems = read("image,cat,width\na,yes,3\nb,no,4\n", declared=("cat", "dog"))
        with pytest.raises(DataError, match=r"csv:2: column 'cat' .* 0 or 1, got 'yes'") as error:
            problems.raise_fatal("set")
        assert [p.kind for p in error.value.problems] == ["table_row", "table_row", "ignored_column"]

    def test_declared_classes_are_not_split(self, read):
        table, _ = read('image,label\na,"tench, Tinca tinca"\n', declared=["tench, Tinca tinca"])
        assert table.rows[0].labels == ("tench, Tinca tinca",)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "imgae,labels\na.jpg,cat\n",
                r"labels\.csv:1: expected .* found: imgae, labels\. Did you mean 'image'",
            ),
            ("a.jpg,cat\nb.jpg,dog\n", r"a header with a column image or file_name"),
            ("", r"labels\.csv:1: expected a header .* found: none"),
            (
                "image,lables\na.jpg,cat\n",
                r"column labels or label .* found: image, lables\. Did you mean 'label",
            ),
            ("image,labels\na.jpg,cat,dog\n", r"labels\.csv:2: has 3 cells by ','"),
            ("image,labels\na.jpg,[cat]\n", r"csv:2: '\[cat\]' is not a JSON list .*\]\.$"),
            ("image,labels\n,cat\n", r"csv:2: .*'image' holds no image name, got ''"),
            (
                "image,cat,dog\na.jpg,1,0\nb.jpg,0,1\nc.jpg,2,0\n",
                r"labels\.csv:4: column 'cat' must be 0 or 1, got '2'",
            ),
            ("image,cat\na,1\nb,0\nc,\n", r"csv:4: column 'cat' must be 0 or 1, got ''"),
        ],
    )
    def test_faults_of_a_csv(self, read, text, message):
        _, problems = read(text)
        with pytest.raises(DataError, match=message):
            problems.raise_fatal("set")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('["a.jpg", "cat"]\n', r"labels\.jsonl:1: expected a JSON object"),
            (
                '{"image": "a.jpg", "labels": []}\n{"image": "b.jpg"}\n',
                r"labels\.jsonl:2: has no 'labels'; write \[\] for an image without any class",
            ),
            ('{"image": 5, "labels": []}\n', r"labels\.jsonl:1: the column 'image' holds no .*, got 5"),
            ('{"labels": []}\n{"image": "a", "labels": []}\n', r"jsonl:1: .*no image name, got None"),
            ('{"image": "a.jpg", "labels": {"cat": 1}}\n', r"labels must be names, got \{'cat': 1\}"),
            (
                '{"image": "a", "cat": 1}\n{"image": "b", "cat": 0}\n{"image": "c"}\n',
                r":3: column 'cat' must",
            ),
        ],
    )
    def test_faults_of_json_lines(self, read, text, message):
        _, problems = read(text, name="labels.jsonl")
        with pytest.raises(DataError, match=message):
            problems.raise_fatal("set")

    def test_one_row_s_fault_does_not_hide_the_others(self, read):
        text = '{"image": "a", "labels": 1}\n{"image": "b", "labels": "cat"}\n{"image": ""}\nx\n'
        table, problems = read(text, name="labels.jsonl")
        assert [(row.name, row.labels) for row in table.rows] == [("a", None), ("b", ("cat",))]
        with pytest.raises(DataError, match="3 problems"):
            problems.raise_fatal("set")

    def test_where_no_line_can_be_read_no_column_is_missed(self, read):
        table, problems = read("x\n", name="labels.jsonl")
        assert table.rows == ()
        with pytest.raises(DataError, match=r"1 problem to fix first:\n  .*is not JSON"):
            problems.raise_fatal("set")
