"""Objects in XML files of Pascal VOC."""

from __future__ import annotations

import pytest

from swtformer.datasets.annotations.voc_objects import read_objects
from swtformer.datasets.problems import Problems
from swtformer.errors import DataError


def objects(tmp_path, content):
    file = tmp_path / "a.xml"
    file.write_text(content)
    problems = Problems()
    names = read_objects(file, problems)
    problems.raise_fatal("set")
    return names


@pytest.mark.parametrize(
    ("inner", "names"),
    [
        ("<object><name> cat </name></object><object><name>dog</name></object>", ("cat", "dog")),
        ("<object><name>cat</name></object><object><name>cat</name></object>", ("cat",)),
        ("<object><name>cat</name><difficult>1</difficult><truncated>1</truncated></object>", ("cat",)),
        ("<object><name>cat</name><part><name>head</name></part></object>", ("cat",)),
        ("<object><name>cat</name><deleted>1</deleted></object><object><name>dog</name></object>", ("dog",)),
        ("<object><deleted>1</deleted><name>cat</name></object>", ()),
        ("<object><name/></object>", ()),
        ("<source><name>Flickr</name></source>", ()),
    ],
)
def test_the_names_of_objects_alone(tmp_path, inner, names):
    assert objects(tmp_path, f"<annotation><filename>a.jpg</filename>{inner}</annotation>") == names


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotations/>", "a.xml: is not a file of Pascal VOC: its root is <annotations>"),
        ("<annotation><object>", "incomplete or damaged XML"),
        ("", "incomplete or damaged XML"),
    ],
)
def test_other_files_are_faults(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        objects(tmp_path, content)
