"""Image names in lists and tables: whether they are safe, which file they mean, what outputs are called."""

from __future__ import annotations

import itertools
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from swtformer.datasets.problems import Problems
from swtformer.errors import DataError
from swtformer.safe_names import safe_name

IMAGE_EXTENSIONS = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"),
        *(".jp2", ".j2k", ".j2c", ".avif", ".heic", ".heif", ".btf", ".tf8"),
    }
)
"""Extensions (lower case) of files that count as images."""

PROBED_NAMES = 50
MOST_PREFIXES = 100

_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of an uploaded file."""
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|/?data/local-files/\?|/data/|/tasks/")
"""Start of an address, or of a reference within Label Studio; a drive (``C:/``) is neither."""


def is_image_name(name: str) -> bool:
    """Whether a file of this name counts as an image; hidden files (``._a.jpg``) do not."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_EXTENSIONS


def record_id(name: str) -> str:
    """Name of an image's outputs: its relative POSIX path without image extension."""
    stem, _, ending = name.rpartition(".")
    if stem and f".{ending}".lower() in IMAGE_EXTENSIONS and not stem.startswith(".") and "/" not in stem:
        return stem  # most names, in a tenth of the time
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in IMAGE_EXTENSIONS else str(path)


@dataclass(frozen=True)
class _Listing:
    """Files of one folder by name, composed Unicode name, name without image extension, and without case."""

    names: frozenset[str]
    composed: dict[str, str]
    stems: dict[str, tuple[str, ...]]
    folded: dict[str, tuple[str, ...]]


class ImageFolder:
    """Finds files by the names that lists give them; each folder on disk is read once.

    Attributes:
        root: the folder.
        prefix: folders at the start of listed names that are not below `root`, such as "/home/me/photos".
    """

    def __init__(self, root: Path, prefix: str = "") -> None:
        self.root = root
        self.prefix = prefix
        self._listings: dict[str, _Listing] = {}

    def with_prefix(self, prefix: str) -> ImageFolder:
        """The same folder for names that begin with other folders."""
        moved = ImageFolder(self.root, prefix)
        moved._listings = self._listings
        return moved

    def matches(self, name: str) -> tuple[str, ...]:
        """Files that a safe relative name can mean, as relative POSIX paths.

        There are several only where the extension or the case is not the file's.

        Names are compared as they are, then in composed Unicode form (macOS decomposes), then as names
        whose image extension was left out, then whole without case (a.JPG), then without what Label Studio
        writes before uploaded files.
        """
        parent, slash, base = name.rpartition("/")
        listing = self._listing(parent)
        prefix = parent + slash
        if base in listing.names:
            return (name,)
        composed = composed_name(base)
        if composed in listing.composed:
            return (prefix + listing.composed[composed],)
        if composed in listing.stems:
            return tuple(prefix + found for found in listing.stems[composed])
        if composed.casefold() in listing.folded:
            return tuple(prefix + found for found in listing.folded[composed.casefold()])
        uploaded = without_upload(base)
        return self.matches(prefix + uploaded) if uploaded != base else ()

    def inner(self, name: str) -> str:
        """A listed name as a relative one, without `prefix`.

        Raises:
            ValueError: it is unsafe, or lies elsewhere.
        """
        listed = listed_path(name)
        if self.prefix and listed.startswith(f"{self.prefix}/"):
            return safe_name(listed[len(self.prefix) + 1 :])
        return safe_name(listed)

    def _listing(self, parent: str) -> _Listing:
        if parent not in self._listings:
            self._listings[parent] = _list_folder(self.root / parent)
        return self._listings[parent]


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a folder is a folder or leads to one; a link that leads to itself does not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _list_folder(folder: Path) -> _Listing:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not is_folder(entry))
    except PermissionError:
        raise DataError(f"{folder}: permission denied; change its permissions.") from None
    except OSError:  # missing, or not a folder: then it holds no images
        names = []
    stems: dict[str, tuple[str, ...]] = {}
    folded: dict[str, tuple[str, ...]] = {}
    for name in filter(is_image_name, names):
        whole = composed_name(name)
        for key, found in ((record_id(whole), stems), (whole.casefold(), folded)):
            found[key] = (*found.get(key, ()), name)
    composed = {composed_name(name): name for name in names}
    return _Listing(frozenset(names), composed, stems, folded)


def composed_name(name: str) -> str:
    """A name in composed Unicode form; macOS decomposes names of files."""
    return unicodedata.normalize("NFC", name)


def is_in_other_case(name: str, found: str) -> bool:
    """Whether a file was found for a name by leaving case aside."""
    wanted, base = (composed_name(text.rpartition("/")[2]) for text in (name, found))
    return wanted != base and without_upload(wanted).casefold() == base.casefold()


def listed_path(name: str) -> str:
    """A listed name with slashes alone: the path of an address or of Label Studio's storage, else itself."""
    text = name.strip()
    if not _ADDRESS.match(text):
        return text.replace("\\", "/")
    try:
        address = urlsplit(text)
    except ValueError:
        return text
    local = parse_qs(address.query).get("d") if address.path.endswith("/local-files/") else None
    return (local or [unquote(address.path)])[0].replace("\\", "/")


def without_upload(base: str) -> str:
    """A file name without what Label Studio puts before those of uploaded files."""
    return _UPLOADED.sub("", base, count=1)


def is_absolute(path: str) -> bool:
    """Whether a path with slashes begins at a root or a drive."""
    return path.startswith("/") or (path[:1].isalpha() and path[1:2] == ":")


def without_root(path: str) -> str:
    """A path with slashes, without its root or drive."""
    return (path[2:] if path[:1].isalpha() and path[1:2] == ":" else path).lstrip("/")


def images_folder(named: Path | None, candidates: Sequence[Path], names: Iterable[str]) -> ImageFolder:
    """The folder that image names are relative to, or were, where they begin with folders of elsewhere.

    Args:
        named: the folder that the user gave, which is then taken.
        candidates: else the one that holds most of the first 50 names is taken, the first on a tie.
        names: image names as the list gives them; unsafe ones are ignored here and reported by `locate`.

    Raises:
        DataError: the folder that the user gave does not exist.
    """
    if named is not None and not named.is_dir():
        raise DataError(f"{named}: the folder of images does not exist.")
    existing = [candidate for candidate in candidates if candidate.is_dir()]
    folders = [ImageFolder(named)] if named else [ImageFolder(path) for path in existing or candidates]
    return best_folder(folders, names)


def best_folder(folders: Sequence[ImageFolder], names: Iterable[str]) -> ImageFolder:
    """The folder that holds most of the first 50 names, with what these names begin with elsewhere."""
    probed = list(dict.fromkeys(itertools.islice(filter(None, names), PROBED_NAMES)))
    best = max(folders, key=lambda folder: hits_of(folder, probed))
    if hits_of(best, probed) == len(probed):
        return best
    most = hits_of(best, probed)
    for prefix in _prefixes(probed):
        for folder in folders:
            moved = folder.with_prefix(prefix)
            if (hits := hits_of(moved, probed)) > most:
                best, most = moved, hits
    return best


def hits_of(folder: ImageFolder, names: Iterable[str]) -> int:
    """How many of some names are files of a folder."""
    return sum(1 for name in names if (inner := _inner_or_none(folder, name)) and folder.matches(inner))


def _inner_or_none(folder: ImageFolder, name: str) -> str | None:
    try:
        return folder.inner(name)
    except ValueError:
        return None


def _prefixes(names: Iterable[str]) -> list[str]:
    """Folders that names begin with, the shortest first; none that leads out by ``..``."""
    parents = (str(parent) for name in names for parent in PurePosixPath(listed_path(name)).parents)
    below = {parent for parent in parents if ".." not in PurePosixPath(parent).parts}
    found = sorted(below - {".", "/"}, key=lambda prefix: (prefix.count("/"), prefix))
    return found[:MOST_PREFIXES]


def locate(folder: ImageFolder, name: str, source: str, problems: Problems) -> tuple[str, Path | None] | None:
    """Record id and file of an image name; the file is None where it is missing.

    Returns:
        None where the name is unsafe or fits several files, which is a fatal problem.
    """
    try:
        safe = folder.inner(name)
    except ValueError as error:
        problems.fatal("unsafe_name", f"{source}: {error}.")
        return None
    found = folder.matches(safe)
    if len(found) > 1:
        shown = " and ".join(repr(item) for item in found[:2]) + (", …" if len(found) > 2 else "")
        advice = (
            "write its whole name" if len({Path(item).parent for item in found}) == 1 else "write its folder"
        )
        problems.fatal("ambiguous_name", f"{source}: {name!r} fits {shown}; {advice}.")
        return None
    if not found:
        return record_id(safe), None
    if is_in_other_case(safe, found[0]):
        problems.warn("other_case", f"{source}: {name!r} is taken to be {found[0]!r}.")
    return record_id(found[0]), folder.root / found[0]
