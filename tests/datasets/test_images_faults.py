"""What damaged, hostile and missing files are answered with; every fault is made for real."""

import io
import os
import random
import socket
import struct
import threading
import tracemalloc
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.pictures import ENCODINGS, LOSSY, distance, encode, write
from swtformer.datasets.images import check_readable, has_rotation, image_size, read_image
from swtformer.datasets.mask_images import read_mask
from swtformer.datasets.pixels import opened_files
from swtformer.errors import DataError, ImageError


@pytest.mark.parametrize("kept", [0.5, 0.9, -2, -1])
def test_truncated_files_are_refused(tmp_path, encoded, kept):
    end = int(len(encoded) * kept) if kept > 0 else kept
    path = write(tmp_path, encoded[:end])
    with pytest.raises(ImageError, match=r"picture\.jpg: cannot be decoded: .+ Replace"):
        read_image(path)


def test_every_flipped_bit_of_a_png_is_found(tmp_path, scene):
    data = encode(Image.fromarray(scene[:9, :9]), "PNG")
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 1 << position % 8
        with pytest.raises(ImageError, match=r"cannot be decoded|got a file that begins"):
            read_image(write(tmp_path, bytes(flipped)))


def test_damaged_scan_of_a_jpeg_is_refused_where_pillow_fills_it_up(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    texture = Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC)
    data = encode(texture, "JPEG", quality=80)
    start = data.index(b"\xff\xda") + 14
    generator = random.Random(0)
    found, filled_by_pillow = 0, 0
    for _ in range(40):
        flipped = bytearray(data)
        for _ in range(20):
            flipped[generator.randrange(start, len(data) - 2)] ^= 1 << generator.randrange(8)
        found += check_readable(write(tmp_path, bytes(flipped))) is not None
        with Image.open(io.BytesIO(flipped)) as picture:
            try:
                picture.load()
                filled_by_pillow += 1
            except OSError:
                continue
    assert found >= 30
    assert filled_by_pillow >= 30


def test_flipped_header_of_a_jpeg_is_refused(tmp_path, scene):
    data = encode(Image.fromarray(scene), "JPEG")
    broken = data.replace(b"\xff\xc4", b"\xff\xc5", 1)
    with pytest.raises(ImageError, match="cannot be decoded"):
        read_image(write(tmp_path, broken))


def test_uncommon_subsampling_of_a_jpeg_is_refused(tmp_path, scene):
    data = encode(Image.fromarray(scene), "JPEG", subsampling="4:2:0")
    frame = data.index(b"\xff\xc0")
    broken = bytearray(data)
    broken[frame + 11] = 0x31
    with pytest.raises(ImageError, match="subsampling"):
        read_image(write(tmp_path, bytes(broken)))


@pytest.mark.parametrize("reader", [read_image, image_size, has_rotation, read_mask])
@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"<!DOCTYPE html><html></html>", "is a web page")],
)
def test_empty_files_and_web_pages_are_refused(tmp_path, reader, content, message):
    with pytest.raises(DataError, match=message):
        reader(write(tmp_path, content))


def test_damaged_exif_does_not_matter_and_does_not_warn(tmp_path, scene):
    block = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x1a\x01\x05\0\x01\0\0\0\xf0\xff\0\0"
    path = write(tmp_path, encode(Image.fromarray(scene), "JPEG", exif=block))
    assert has_rotation(path) is False
    assert distance(read_image(path), scene) < LOSSY


def claiming(format, side):
    """A small file whose header claims side² pixels."""
    data = encode(Image.new("RGB", (8, 8)), format)
    if format == "PNG":
        head = struct.pack(">II", side, side) + data[24:29]
        return data[:16] + head + struct.pack(">I", zlib.crc32(b"IHDR" + head)) + data[33:]
    if format == "JPEG":
        frame = data.index(b"\xff\xc0")
        return data[: frame + 5] + struct.pack(">HH", side, side) + data[frame + 9 :]
    if format == "GIF":
        return data[:6] + struct.pack("<HH", side, side) + data[10:]
    if format == "BMP":
        return data[:18] + struct.pack("<ii", side, side) + data[26:]
    if format == "PPM":
        return data.replace(b"8 8", f"{side} {side}".encode(), 1)
    edited = bytearray(data)
    for tag in (256, 257):
        entry = data.index(struct.pack("<HHII", tag, 4, 1, 8))
        struct.pack_into("<I", edited, entry + 8, side)
    return bytes(edited)


@pytest.mark.parametrize("reader", [read_image, image_size])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF"])
def test_huge_claims_are_refused_from_the_header(tmp_path, format, reader):
    path = write(tmp_path, claiming(format, 65_500))
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match=r"claims 65500×65500 pixels|claims more than 178,956,970"):
            reader(path)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_large_but_allowed_claims_do_not_warn(tmp_path):
    # Pillow warns from half its limit on; warnings are errors here.
    assert image_size(write(tmp_path, claiming("PNG", 12_000))) == (12_000, 12_000)
    with pytest.raises(ImageError, match="cannot be decoded"):
        read_image(write(tmp_path, claiming("GIF", 12_000)[:-2]))


def test_zero_sized_claims_are_refused(tmp_path):
    with pytest.raises(ImageError, match="claims 0×0 pixels"):
        read_image(write(tmp_path, claiming("JPEG", 0)))


def test_huge_files_are_refused_unread(tmp_path):
    path = tmp_path / "sparse.jpg"
    with path.open("wb") as stream:
        stream.write(b"\xff\xd8\xff")
        stream.truncate(opened_files.MAX_BYTES + 1)
    with pytest.raises(ImageError, match="at most 1,431,655,760 are read"):
        read_image(path)


def test_pipes_folders_devices_and_sockets_are_refused(tmp_path):
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    with pytest.raises(ImageError, match=r"pipe\.jpg: is a pipe, socket or device"):
        read_image(pipe)
    with pytest.raises(ImageError, match="is a pipe, socket or device"):
        image_size(pipe)
    with pytest.raises(ImageError, match="is a folder; expected an image file"):
        read_image(tmp_path)
    with pytest.raises(ImageError, match="is a pipe, socket or device"):
        read_image(Path(os.devnull))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(ImageError, match="is a pipe, socket or device"):
            read_mask(tmp_path / "socket")


def test_missing_and_impossible_paths(tmp_path):
    with pytest.raises(ImageError, match=r"gone\.jpg: does not exist"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(ImageError, match="null"):
        read_image(tmp_path / "a\0b.jpg")
    loop = tmp_path / "loop.jpg"
    loop.symlink_to(loop)
    with pytest.raises(ImageError, match=r"loop\.jpg: cannot be read: .*symbolic links"):
        read_image(loop)


def test_file_removed_while_others_are_read(tmp_path, scene):
    data = encode(Image.fromarray(scene), "PNG")
    paths = [write(tmp_path, data, f"{number}.jpg") for number in range(40)]
    begun = threading.Event()

    def read(path):
        begun.set()
        return check_readable(path)

    with ThreadPoolExecutor(2) as pool:
        results = [pool.submit(read, path) for path in paths]
        begun.wait()
        paths[-1].unlink()
        reasons = [result.result() for result in results]
    assert reasons[:-1] == [None] * 39
    assert reasons[-1] is None or "does not exist" in reasons[-1]
    assert "does not exist" in str(check_readable(paths[-1]))


def test_threads_read_all_formats_without_disturbing_filters(tmp_path, scene):
    paths = []
    for name, (format, options) in ENCODINGS.items():
        paths.append(write(tmp_path, encode(Image.fromarray(scene), format, **options), name))
    before = warnings.filters[:]
    with ThreadPoolExecutor(4) as pool:
        for pixels in pool.map(read_image, paths * 4):
            assert distance(pixels, scene) < LOSSY
    assert warnings.filters == before


def test_random_damage_never_escapes_as_another_error(tmp_path, encoded, capfd):
    generator = random.Random(0)
    for _ in range(40):
        damaged = bytearray(encoded)
        for _ in range(generator.choice([1, 4])):
            damaged[generator.randrange(min(len(damaged), 400))] = generator.randrange(256)
        path = write(tmp_path, bytes(damaged))
        for reader in (read_image, image_size, has_rotation, read_mask):
            try:
                reader(path)
            except DataError as error:
                assert str(path) in str(error)  # noqa: PT017 - most damaged files are refused, some are not
    capfd.readouterr()  # libtiff speaks to stderr


def test_damaged_masks_are_refused(tmp_path):
    data = encode(Image.fromarray(np.eye(5, dtype=np.uint8)), "PNG")
    with pytest.raises(ImageError, match="it is cut off"):
        read_mask(write(tmp_path, data[:-2]))


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_a_png_that_holds_fewer_rows_than_it_says_is_refused(tmp_path, mode):
    data = encode(Image.new(mode, (40, 5), 1), "PNG")
    header = b"IHDR" + struct.pack(">II", 40, 9) + data[24:29]
    path = write(tmp_path, data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:])
    with pytest.raises(ImageError, match="its last rows are missing"):
        read_image(path, thorough=True)
    with pytest.raises(ImageError, match="its last rows are missing"):
        read_mask(path)


@pytest.mark.parametrize("reader", [read_image, read_mask])
def test_a_png_without_its_palette_is_refused(tmp_path, reader):
    data = encode(Image.new("P", (4, 3)), "PNG")
    start = data.index(b"PLTE") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4])
    with pytest.raises(ImageError, match="it has no palette"):
        reader(write(tmp_path, data[:start] + data[end:]))
