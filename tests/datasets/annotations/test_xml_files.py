from __future__ import annotations

import io

import pytest

from swtformer.datasets.annotations.xml_files import xml_elements
from swtformer.errors import DataError


def elements(text: str | bytes):
    data = text.encode() if isinstance(text, str) else text
    return list(xml_elements(io.BytesIO(data), "a.xml"))


def test_elements_come_when_they_end():
    found = elements('<a>\n <b k="1"> x&amp;<c/> y</b>\n</a>')
    assert [(element.path, element.text, element.line) for element in found] == [
        (("a", "b", "c"), "", 2),
        (("a", "b"), "x& y", 2),
        (("a",), "", 1),
    ]
    assert found[1].attributes == {"k": "1"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings(encoding):
    assert elements("<a>Hündin</a>".encode(encoding))[0].text == "Hündin"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("type", ['[<!ENTITY x "y">]', 'SYSTEM "file:///etc/passwd"'])
def test_document_types_are_refused(encoding, type):
    text = f'<?xml version="1.0" encoding="{encoding}"?>\n<!DOCTYPE a {type}>\n<a>&x;</a>'
    with pytest.raises(DataError, match=r"^a\.xml:\d+: has a document type"):
        elements(text.encode(encoding))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<a><b></a>", r"a\.xml:1: is incomplete or damaged XML"),
        ("<a>\n", r"a\.xml:2: is incomplete"),
        ("", r"a\.xml:1: is incomplete"),
        ("<a>" * 51, "nested too deeply"),
        (b"<?xml version='1.0' encoding='nonsense'?><a/>", "is incomplete or damaged XML"),
        (b"<a>\xff</a>", "is incomplete or damaged XML"),
    ],
)
def test_damage_names_file_and_line(text, message):
    with pytest.raises(DataError, match=message):
        elements(text)
