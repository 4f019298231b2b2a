"""Opens image files, which may be anything: every failure becomes an ImageError that names the file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from PIL import Image

from swtformer.errors import DataError, ImageError

MAX_PIXELS = 178_956_970
"""Images of more pixels are refused from their header (Pillow's own limit for decompression bombs)."""

MAX_BYTES = 8 * MAX_PIXELS
"""Larger files are refused unread: the largest image allowed, with four 16-bit channels, uncompressed."""

_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (128, b"DICM", "DICOM. Save its slices as 16-bit PNG or TIFF, with pydicom or dcmj2pnm for instance"),
    (0, b"%PDF", "PDF. Save its pages as PNG, with pdftoppm for instance"),
    (0, b"8BPS", "Photoshop (PSD). Save it as PNG or TIFF"),
    (0, b"\x89HDF", "HDF5. Save its arrays as TIFF, with tifffile for instance"),
    (0, b"CDF", "NetCDF. Save its arrays as TIFF, with tifffile for instance"),
    (0, b"\x93NUMPY", "a NumPy array. Save it as PNG or TIFF, with tifffile for instance"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR. Save it as TIFF of float32"),
    (344, b"n+1\0", "NIfTI. Save its slices as TIFF, with nibabel and tifffile for instance"),
    (0, b"\x1f\x8b", "compressed by gzip. Unpack it"),
    (0, b"PK\x03\x04", "a zip archive. Unpack it"),
    (0, b"<svg", "SVG, a drawing. Save it as PNG"),
    (0, b"<", "a web page or XML, not an image. Download the image again"),
    (4, b"ftypisom", "a video. Save its frames as images, with ffmpeg for instance"),
    (4, b"ftypmp4", "a video. Save its frames as images, with ffmpeg for instance"),
    (4, b"ftypqt", "a video. Save its frames as images, with ffmpeg for instance"),
    (0, b"version https://git-lfs", "a pointer of Git LFS. Fetch the image with `git lfs pull`"),
)
"""Place, signature and name of formats that people take for images, each with the way out."""

_OWN = (b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"P5", b"P6", b"\xff\xd8")
"""First bytes of the formats that are read."""


class UnclearPixels(ValueError):
    """A whole image of which the settings do not say how to see it."""


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into an ImageError that names the file."""
    try:
        yield
    except DataError:
        raise
    except UnclearPixels as error:
        raise ImageError(f"{path}: {error}.") from error
    except FileNotFoundError as error:
        raise ImageError(f"{path}: does not exist.") from error
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{path}: its header claims more than {MAX_PIXELS:,} pixels, the most that are read."
        ) from error
    except (NameError, ImportError):
        raise  # mistakes of ours; decoders raise whatever else a damaged file makes them raise
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise ImageError(f"{path}: cannot be read: {error.strerror}.") from error
        reason = str(error).rstrip(".") or type(error).__name__
        raise ImageError(f"{path}: cannot be decoded: {reason}. Replace the file or take it out.") from error


@contextmanager
def opened(path: Path, *, max_bytes: int | None = MAX_BYTES) -> Iterator[IO[bytes]]:
    """Open a regular file, and nothing else: pipes and devices can block or have side effects.

    Args:
        path: the file.
        max_bytes: larger files are refused; None takes all, for what reads them piece by piece.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, socket or device"
        raise ImageError(f"{path}: is {kind}; expected an image file.")
    # Without blocking, in case the path has become a pipe since.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size == 0:
            raise ImageError(f"{path}: is empty.")
        if max_bytes is not None and size > max_bytes:
            raise ImageError(f"{path}: has {size:,} bytes; at most {max_bytes:,} are read.")
        yield stream


def read_file(path: Path) -> bytes:
    """The content of a regular file of at most `MAX_BYTES`."""
    with opened(path) as stream:
        return stream.read()


def require_size(height: int, width: int) -> None:
    """Refuse what a header claims before anything of that size is allocated.

    Raises:
        ValueError: the image has no pixels, or more than `MAX_PIXELS`.
    """
    if height < 1 or width < 1:
        raise ValueError(f"its header claims {width}×{height} pixels")
    if height * width > MAX_PIXELS:
        raise ValueError(f"its header claims {width}×{height} pixels, at most {MAX_PIXELS:,} are read")


def refuse_other_format(path: Path, start: bytes) -> None:
    """Refuse a file that no decoder takes, by name where its first bytes tell what it is.

    Args:
        path: the file.
        start: its first bytes, 512 or more where there are as many.

    Raises:
        ImageError: always.
    """
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    for place, signature, name in _OTHERS:
        if start[place : place + len(signature)] == signature or (place == 0 and text.startswith(signature)):
            raise ImageError(f"{path}: is {name}.")
    if start.startswith(_OWN):
        raise ValueError("its header is damaged")
    raise ImageError(
        f"{path}: expected JPEG, PNG, TIFF, WebP, GIF, BMP, PPM, JPEG 2000, AVIF or HEIC, got a file that "
        f"begins with {start[:16]!r}."
    )
