import subprocess
import sys
from pathlib import Path

import pytest

from swtformer.errors import SwtformerError
from swtformer.store.files import (
    atomic_file,
    digest,
    file_stamp,
    read_json,
    read_json_as,
    remove_abandoned,
    sha256,
    write_json,
    write_text,
    write_with,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_makes_folders_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "c.txt", "één\n")
    assert (tmp_path / "a" / "b" / "c.txt").read_text(encoding="utf-8") == "één\n"
    assert names(tmp_path / "a" / "b") == ["c.txt"]


def test_write_replaces_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "before")

    def interrupted() -> None:
        with atomic_file(path, "w") as stream:
            stream.write("half")
            stream.flush()
            assert path.read_text() == "before"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "before"
    assert names(tmp_path) == ["a.txt"]


def test_a_failing_writer_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_with(path, lambda stream: stream.write(b"before"))

    def fail(_: object) -> None:
        raise ValueError("no such tensor")

    with pytest.raises(ValueError, match="no such tensor"):
        write_with(path, fail)
    assert path.read_bytes() == b"before"
    assert names(tmp_path) == ["a.bin"]


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from swtformer.errors import SwtformerError
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.files import write_text

folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
noise = np.random.default_rng(0).random((1, 90, 90)).astype(np.float16)
maps = ClassActivationMaps(np.array([1]), (90, 90), noise, np.zeros(1))
for name, write in (("a.txt", lambda path: write_text(path, "x" * 10000)), ("a.npz", maps.save)):
    try:
        write(folder / name)
    except SwtformerError as error:
        print(error)
"""


def test_no_room_keeps_the_file_before_and_names_the_path(tmp_path: Path) -> None:
    """A limit on file size makes the kernel refuse the bytes, as a full disk does."""
    write_text(tmp_path / "a.txt", "before")
    (tmp_path / "a.npz").write_bytes(b"before")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert str(tmp_path / "a.txt") in lines[0]
    assert str(tmp_path / "a.npz") in lines[1]
    assert all("cannot be written: File too large" in line for line in lines)
    assert done.stderr == ""
    assert (tmp_path / "a.txt").read_text() == "before"
    assert (tmp_path / "a.npz").read_bytes() == b"before"
    assert names(tmp_path) == ["a.npz", "a.txt"]


READ_ONLY = """
import os, sys
from pathlib import Path
from swtformer.errors import SwtformerError
from swtformer.store.files import write_text

if os.geteuid() == 0:
    os.setuid(65534)
try:
    write_text(Path(sys.argv[1]) / "a.txt", "after")
except SwtformerError as error:
    print(error)
"""


def test_read_only_folder(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "before")
    tmp_path.chmod(0o555)
    try:
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, str(tmp_path)], capture_output=True, text=True, check=True
        )
    finally:
        tmp_path.chmod(0o755)
    assert "a.txt: cannot be written: Permission denied." in done.stdout
    assert (tmp_path / "a.txt").read_text() == "before"


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "")
    with pytest.raises(SwtformerError, match=r"a/b\.txt: cannot be written: (Not a directory|File exists)"):
        write_text(tmp_path / "a" / "b.txt", "x")


def test_a_folder_where_the_file_should_be(tmp_path: Path) -> None:
    (tmp_path / "a.txt" / "inside").mkdir(parents=True)
    with pytest.raises(SwtformerError, match=r"a\.txt: cannot be written: Is a directory"):
        write_text(tmp_path / "a.txt", "x")
    assert names(tmp_path) == ["a.txt"]


def test_json_round_trip_and_its_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"klasse": "één", "path": Path("x")})
    assert read_json(path) == {"klasse": "één", "path": "x"}
    assert "één" in path.read_text(encoding="utf-8")
    path.write_text('{"half": ')
    with pytest.raises(SwtformerError, match=r"a\.json: cannot be read as JSON"):
        read_json(path)
    with pytest.raises(SwtformerError, match=r"b\.json: does not exist"):
        read_json(tmp_path / "b.json")
    with pytest.raises(SwtformerError, match="cannot be read as JSON"):
        read_json(tmp_path)


def test_sha256_of_known_bytes(tmp_path: Path) -> None:
    """The test vector of FIPS 180-2 for "abc"."""
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_file_stamp_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert file_stamp(path) == "missing"
    path.write_text("one")
    stamp = file_stamp(path)
    assert file_stamp(path) == stamp
    path.write_text("more")
    assert file_stamp(path) != stamp


def test_a_digest_is_that_of_the_facts_in_their_order() -> None:
    # printf 'model 4 None' | sha256sum | cut -c 1-32
    assert digest("model", 4, None) == "772fee41626f9233ee20be33d4720c49"
    assert digest("model", None, 4) != digest("model", 4, None)


KILLED = """
import os, signal, sys
from pathlib import Path
from swtformer.store.files import atomic_file

with atomic_file(Path(sys.argv[1]) / "a.txt", "w") as stream:
    stream.write("half")
    stream.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_temporary_file_goes_once_its_process_was_killed(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert done.returncode == -9
    (left,) = tmp_path.iterdir()
    (tmp_path / ".own.tmp").touch()
    with atomic_file(tmp_path / "b.txt", "w"):
        assert not left.exists()
        (mine,) = tmp_path.glob(".b.txt.*")
        remove_abandoned(tmp_path)
        assert mine.exists()
    assert names(tmp_path) == [".own.tmp", "b.txt"]


def test_names_that_are_not_utf_8_come_back_from_json(tmp_path: Path) -> None:
    name = "b\udcff.png"
    write_json(tmp_path / "a.json", {"name": name})
    assert (tmp_path / "a.json").read_bytes().decode("utf-8")
    assert read_json(tmp_path / "a.json") == {"name": name}


def test_a_name_may_fill_what_a_file_system_takes(tmp_path: Path) -> None:
    name = "\N{CJK UNIFIED IDEOGRAPH-6F22}" * 84 + ".js"
    write_text(tmp_path / name, "long")
    assert (tmp_path / name).read_text() == "long"


def test_a_link_to_a_missing_disk_is_named(tmp_path: Path) -> None:
    (tmp_path / "maps").symlink_to("/nowhere/maps")
    with pytest.raises(SwtformerError, match=r"maps is a link to /nowhere/maps.*mounted"):
        write_text(tmp_path / "maps" / "sub" / "a.txt", "a")
    (tmp_path / "maps").unlink()
    (tmp_path / "disk").mkdir()
    (tmp_path / "maps").symlink_to("disk")
    write_text(tmp_path / "maps" / "sub" / "a.txt", "a")
    assert (tmp_path / "disk" / "sub" / "a.txt").read_text() == "a"


def test_json_of_another_type_names_the_place(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"masks": ["one", 2]})
    with pytest.raises(SwtformerError, match=r"a\.json: masks\.1: .*valid string.*Make it again"):
        read_json_as(tmp_path / "a.json", dict[str, list[str]])
    assert read_json_as(tmp_path / "a.json", dict[str, list[str | int]]) == {"masks": ["one", 2]}
