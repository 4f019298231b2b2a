"""Tables as rows of images with labels; whole data sets are in test_label_tables."""

from __future__ import annotations

import pytest

from swtformer.datasets.labels import LabelRow, LabelTable
from swtformer.datasets.problems import Problems
from swtformer.datasets.tables.table_labels import read_label_table
from swtformer.errors import DataError


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

    def test_of_several_image_columns_the_surest_name_counts(self, read):
        table, _ = read("file,LABELS,Image\nx,dog,a.jpg\n")
        assert [(row.name, row.labels) for row in table.rows] == [("a.jpg", ("dog",))]

    def test_of_several_label_columns_one_is_asked_for(self, read):
        _, problems = read("image,class,LABELS\na.jpg,cat,dog\nb.jpg,cat,ape\n")
        with pytest.raises(DataError, match=r"several columns may hold .*'LABELS', 'class' \(2 rows\)"):
            problems.raise_fatal("set")
        table, problems = read("image,class,LABELS\na.jpg,cat,cat\n")
        problems.raise_fatal("set")
        assert table.names == ("cat",)

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
        assert warning.message.endswith("labels.csv:1: columns that are not 0/1 are ignored: 'half'.")
        problems.raise_fatal("set")

    def test_exactly_half_is_not_most(self, read):
        table, _ = read("image,cat,odd\na,1,1\nb,0,x\n")
        assert table.names == ("cat",)

    def test_a_declared_class_is_a_column_whatever_it_holds(self, read):
        _, problems = read("image,cat,notes\na,what,so\nb,ever,so\n", declared=("cat",))
        with pytest.raises(DataError, match=r"csv:2: column 'cat' .* 0 or 1, got 'what' \(2") as error:
            problems.raise_fatal("set")
        assert [p.kind for p in error.value.problems] == ["table_row", "ignored_column"]

    def test_declared_classes_are_not_split(self, read):
        table, _ = read('image,label\na,"tench, Tinca tinca"\n', declared=["tench, Tinca tinca"])
        assert table.rows[0].labels == ("tench, Tinca tinca",)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "imgae,labels\na,cat\n",
                r"labels\.csv:1: expected .* found: imgae, labels in 1 rows\. Did you mean",
            ),
            ("x,y\na,cat\nb,dog\n", r"a column of image names, such as image, file_name"),
            ("", r"labels\.csv:1: expected a header .* found: none"),
            (
                "image,lables\na.jpg,cat\n",
                r"column labels or label.* found in 1 rows: lables \('cat'\)\. Did you mean 'label",
            ),
            ("image,labels\na.jpg,cat,dog\n", r"labels\.csv:2: has 3 cells by ','"),
            ("image,labels\na.jpg,[cat]\n", r"csv:2: '\[cat\]' is not a JSON list .*\]\.$"),
            ("image,labels\n,cat\n", r"csv:2: .*'image' holds no image name, got ''"),
            (
                "image,cat,dog\na.jpg,1,0\nb.jpg,0,1\nc.jpg,-2,0\n",
                r"labels\.csv:4: column 'cat' must be 0 or 1, got '-2'",
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
            ('{"image": [], "labels": []}\n', r"labels\.jsonl:1: the column 'image' holds no .*, got \[\]"),
            ('{"labels": []}\n{"image": "a", "labels": []}\n', r"jsonl:1: .*no image name, got None"),
            ('{"image": "a.jpg", "labels": {"cat": "?"}}\n', r"labels must be names, got \{'cat': '\?'\}"),
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
        text = '{"image": "a", "labels": true}\n{"image": "b", "labels": "cat"}\n{"image": ""}\nx\n'
        table, problems = read(text, name="labels.jsonl")
        assert [(row.name, row.labels) for row in table.rows] == [("a", None), ("b", ("cat",))]
        with pytest.raises(DataError, match="4 problems"):
            problems.raise_fatal("set")

    def test_where_no_line_can_be_read_no_column_is_missed(self, read):
        table, problems = read("x\n", name="labels.jsonl")
        assert table.rows == ()
        with pytest.raises(DataError, match=r"1 problem to fix first:\n  .*is not JSON"):
            problems.raise_fatal("set")
