"""What data.yaml and lists of a YOLO data set say: class names, and which images are in which split."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swtformer.datasets.files import opened, read_start, some_files
from swtformer.datasets.problems import Problems
from swtformer.datasets.rows import read_lines, read_text
from swtformer.datasets.splits import is_split
from swtformer.errors import DataError
from swtformer.settings import parse_yaml

YAML_SUFFIXES = frozenset({".yaml", ".yml"})
NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels", "labels.txt", "names.txt", "class_names.txt")
"""Files with a class name per line that stand for data.yaml; any other file *.names does too."""

_USUAL = ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml")
_MOST_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Layout:
    """What a data set says of itself.

    Attributes:
        source: file that names the classes, for messages.
        names: class names by number.
        splits: images of each split, as paths below the data set; empty if it has no splits.
    """

    source: Path
    names: Mapping[int, str]
    splits: Mapping[str, Collection[str]] = field(default_factory=dict)


def find_yaml(path: Path) -> Path | None:
    """The YAML file that describes a YOLO data set.

    Args:
        path: the file, its folder, or a folder with nothing else but that folder, as archives unpack to.

    Raises:
        DataError: there are several, none of which has the usual name.
    """
    if path.is_file():
        return path if path.suffix.lower() in YAML_SUFFIXES and _describes(path) else None
    entries = [entry for entry in sorted(path.iterdir()) if not entry.name.startswith((".", "__MACOSX"))]
    files = [file for file in entries if file.suffix.lower() in YAML_SUFFIXES and _describes(file)]
    if not files and len(entries) == 1 and entries[0].is_dir() and not entries[0].is_symlink():
        return find_yaml(entries[0])
    usual = [file for name in _USUAL for file in files if file.name == name]
    if len(files) > 1 and not usual:
        listed = ", ".join(file.name for file in files)
        raise DataError(
            f"{path}: has several descriptions of a YOLO data set; give the path of one: {listed}."
        )
    return next(iter(usual or files), None)


def folders_with_yaml(path: Path) -> list[str]:
    """Folders below a folder that hold the description of a YOLO data set."""
    found = {file.parent for file in some_files(path, YAML_SUFFIXES) if _describes(file)}
    return sorted(folder.relative_to(path).as_posix() for folder in found)


def _describes(file: Path) -> bool:
    lines = read_start(file, _MOST_BYTES).splitlines()
    keys = {line.split(b":")[0].strip().strip(b"\"'") for line in lines if line[:1].strip() and b":" in line}
    return b"names" in keys and not keys.isdisjoint({b"train", b"val", b"valid", b"test", b"path"})


def read_layout(file: Path, images: Collection[str], problems: Problems) -> Layout:
    """Read data.yaml.

    Args:
        file: the YAML file.
        images: all images below its folder.
        problems: gets what is wrong.

    Raises:
        DataError: the file cannot be read at all.
    """
    try:
        with opened(file, most_bytes=_MOST_BYTES) as stream:
            content = parse_yaml(stream.read())
    except ValueError as error:
        raise DataError(f"{file}: {error}.") from None
    if not isinstance(content, dict):
        raise DataError(f"{file}: expected names, train and val, got {_shown(content)}.")
    names = _names(content.get("names"), file, problems)
    count = content.get("nc")
    if names and isinstance(count, int) and count != len(names):
        problems.fatal(
            "yolo_names", f"{file}: says nc: {count}, but names has {len(names)}; correct one of them."
        )
    splits = {}
    for key, value in content.items():
        if isinstance(key, str) and is_split(key) and value:
            found = _images_of(value, file, images, key, problems, start=content.get("path"))
            if found:
                splits[key] = found
            elif _is_default(key):
                problems.fatal("yolo_split", f"{file}: {key}: {_shown(value)} holds no images.")
    return Layout(file, names, splits)


def _shown(value: Any) -> str:
    """A value for a message. Others are not written out: by references, a few bytes can mean gigabytes."""
    is_short = isinstance(value, str | float | None) or _is_number(value)
    return f"{value!r:.60}" if is_short else f"a value of type {type(value).__name__}"


def _is_number(value: Any) -> bool:
    """Whether a value is a whole number that can be written; Python refuses to write very long ones."""
    return isinstance(value, int) and abs(value) < 1 << 63


def _names(value: Any, file: Path, problems: Problems) -> dict[int, str]:
    """Class names by number."""
    numbered = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(numbered, dict) or not numbered:
        problems.fatal(
            "yolo_names", f"{file}: expected names as a list or as numbers and names, got {_shown(value)}."
        )
        return {}
    names: dict[int, str] = {}
    for number, name in numbered.items():
        if isinstance(name, bool) or not (isinstance(name, str) or _is_number(name)) or not str(name).strip():
            problems.fatal(
                "yolo_names", f"{file}: {_shown(name)} is not a class name; write names in quotes."
            )
        elif isinstance(number, bool) or not _shown(number).strip("'").isdecimal():
            problems.fatal(
                "yolo_names", f"{file}: expected the number of the class {name!r:.60}, got {_shown(number)}."
            )
        elif str(name).strip() in names.values():
            problems.fatal("yolo_names", f"{file}: names the class {name!r:.60} twice.")
        else:
            names[int(number)] = str(name).strip()
    return dict(sorted(names.items()))


def _images_of(
    value: Any, file: Path, images: Collection[str], key: str, problems: Problems, *, start: Any
) -> set[str]:
    """Images of a split: in folders, or in lists (.txt) of images."""
    found: set[str] = set()
    root = file.parent
    for text in value if isinstance(value, list) else [value]:
        if not isinstance(text, str):
            problems.fatal("yolo_split", f"{file}: expected folders of images in {key}, got {_shown(text)}.")
            continue
        place = (_below(root, f"{start}/{text}") if isinstance(start, str) else None) or _below(root, text)
        if place is None:
            message = (
                f"{file}: {key}: {text!r:.200} is not in {root}, also not without its first folders. Put the "
                "images there, or correct the file."
            )
            if _is_default(key):
                problems.fatal("yolo_split", message)
            else:
                problems.warn("yolo_split", f"{message} The split is left out.")
        elif (root / place).is_dir():
            prefix = f"{place}/" if place != "." else ""
            found.update(image for image in images if image.startswith(prefix))
        else:
            found |= listed(root / place, images, problems)
    return found


def _is_default(key: str) -> bool:
    return key.lower().startswith("train")


def _below(root: Path, text: str) -> str | None:
    """A path of a YAML file as one below the data set; None where nothing is there.

    Paths are those of the machine that wrote them, so first folders are dropped until the rest exists. Names
    of splits are not dropped, as the images of another split may be what is left.
    """
    parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if not parts:
        return "."
    for start in range(len(parts)):
        if any(is_split(part) for part in parts[:start]):
            return None
        place = "/".join(parts[start:])
        if (root / place).is_dir() or (place.endswith(".txt") and (root / place).is_file()):
            return place
    return "." if parts[-1] == root.name else None


def listed(file: Path, images: Collection[str], problems: Problems) -> set[str]:
    """Images that a list names, with any first folders."""
    found: set[str] = set()
    missing: list[str] = []
    for number, line in read_lines(file):
        parts = [part for part in line.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        names = ("/".join(parts[start:]) for start in range(len(parts)))
        name = next((name for name in names if name in images), None)
        if name is None:
            missing.append(f"{line!r:.200} (line {number})")
        else:
            found.add(name)
    if missing:
        message = (
            f"{file}: {len(missing)} of the images that it lists are missing, {missing[0]} first; left out."
        )
        (problems.warn if found else problems.fatal)("missing_image", message)
    return found


def layout_without_yaml(
    root: Path, files: Sequence[str], images: Collection[str], problems: Problems
) -> Layout | None:
    """Class names of a file beside the labels, and splits of train.txt and the like; None without names.

    Args:
        root: the data set.
        files: all files below it.
        images: all images below it.
        problems: gets what is wrong.
    """
    sources = [root / name for name in files if _is_name_file(name.rpartition("/")[2])]
    if not sources:
        return None
    contents = {source: tuple(line for _, line in read_lines(source)) for source in sources}
    if len(set(contents.values())) > 1:
        listed_sources = " and ".join(str(source) for source in sources[:3])
        problems.fatal("yolo_names", f"{root}: {listed_sources} name different classes; keep one of them.")
    names = _names(list(contents[sources[0]]), sources[0], problems)
    lists = {Path(name).stem: root / name for name in files if "/" not in name and _is_split_list(name)}
    splits = {name: listed(file, images, problems) for name, file in lists.items() if any(_lines(file))}
    return Layout(sources[0], names, splits)


def _lines(file: Path) -> Iterator[str]:
    return (line for line in read_text(file).splitlines() if line.strip())


def _is_name_file(name: str) -> bool:
    return name in NAME_FILES or name.endswith(".names")


def _is_split_list(name: str) -> bool:
    return name.endswith(".txt") and is_split(name.removesuffix(".txt"))
