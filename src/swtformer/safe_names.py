"""Names from files of unknown origin that become paths."""

from __future__ import annotations

from pathlib import PurePosixPath


def safe_name(name: str) -> str:
    """A name as a relative POSIX path; backslashes become slashes.

    Raises:
        ValueError: the name is empty or absolute, leaves its folder by ``..``, or contains a NUL.
    """
    if "\0" in name:
        raise ValueError(f"image name {name!r} holds a NUL character")
    slashed = name.replace("\\", "/")
    path = PurePosixPath(slashed)
    if path.is_absolute() or (slashed[:1].isalpha() and slashed[1:2] == ":"):
        raise ValueError(f"image name {name!r} is an absolute path; give it relative to the images' folder")
    if ".." in path.parts:
        raise ValueError(f"image name {name!r} leaves the images' folder by '..'")
    if not path.parts:
        raise ValueError("the image name is empty")
    return str(path)
