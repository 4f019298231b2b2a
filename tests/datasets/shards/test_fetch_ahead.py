from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

from swtformer.datasets.shards.fetch_ahead import Fetch, fetched_ahead
from swtformer.datasets.shards.sources import Source
from swtformer.errors import DataError, SwtformerError
from swtformer.store.remote import DiskFullError


class _Source(Source):
    """A shard whose copy holds its name."""

    def fetch(self, target: Path) -> None:
        target.write_text(self.name)
        if self.stamp == "network":
            raise SwtformerError("cannot be fetched")
        if self.stamp == "full":
            raise DiskFullError("no space left")
        if self.stamp == "bug":
            raise TypeError("a bug")

    def samples(self, fetched: Path, *, labelled: bool) -> None:  # type: ignore[override]
        raise AssertionError


def _source(number: int, stamp: str = "") -> Source:
    return _Source(f"s3://b/{number}", f"{number}", stamp, ())


def test_one_shard_and_the_next_are_there(tmp_path: Path) -> None:
    seen = []
    for fetch in fetched_ahead([_source(number) for number in range(5)], tmp_path):
        assert len(list(tmp_path.iterdir())) <= 2
        seen.append(fetch.result().read_text())
        fetch.remove()
    assert seen == ["0", "1", "2", "3", "4"]
    assert list(tmp_path.iterdir()) == []


def test_the_next_one_is_fetched_meanwhile(tmp_path: Path) -> None:
    begun = Event()

    class Noticed(_Source):
        def fetch(self, target: Path) -> None:
            begun.set()

    fetches = fetched_ahead([_source(0), Noticed("s3://b/1", "1", "", ())], tmp_path)
    assert next(fetches).source.name == "0"
    assert begun.wait(30)


@pytest.mark.parametrize(
    ("stamp", "kind", "match"),
    [
        ("network", DataError, "cannot be fetched"),
        ("full", DiskFullError, "no space"),
        ("bug", TypeError, "bug"),
    ],
)
def test_what_goes_wrong_is_raised_where_the_copy_is_wanted(
    stamp: str, kind: type[Exception], match: str, tmp_path: Path
) -> None:
    fetch = Fetch(_source(0, stamp), tmp_path / "copy")
    with pytest.raises(kind, match=match):
        fetch.result()
    fetch.remove()
    assert list(tmp_path.iterdir()) == []
