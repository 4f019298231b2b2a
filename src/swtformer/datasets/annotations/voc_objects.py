"""The objects in an XML file of Pascal VOC."""

from __future__ import annotations

from pathlib import Path

from swtformer.datasets.annotations.xml_files import xml_elements
from swtformer.datasets.files import opened
from swtformer.datasets.problems import Problems
from swtformer.errors import DataError

_MOST_BYTES = 32 * 2**20


def read_objects(file: Path, problems: Problems) -> tuple[str, ...] | None:
    """Names of the objects in a file, in order and each once; difficult and truncated ones included.

    Returns:
        None for a file that cannot be read, which is a fatal problem.
    """
    names: dict[str, None] = {}
    name = deleted = ""
    try:
        with opened(file, most_bytes=_MOST_BYTES) as stream:
            for element in xml_elements(stream, str(file)):
                if element.path[1:] == ("object", "name"):
                    name = element.text
                elif element.path[1:] == ("object", "deleted"):  # of LabelMe's web tool
                    deleted = element.text
                elif element.path[1:] == ("object",):
                    if name and deleted != "1":
                        names[name] = None
                    name = deleted = ""
                root = element.path[0]
    except DataError as error:
        problems.fatal("annotation", str(error))
        return None
    if root != "annotation":
        problems.fatal("annotation", f"{file}: is not a file of Pascal VOC: its root is <{root}>.")
        return None
    return tuple(names)
