from __future__ import annotations

from swtformer.store.shard_names import is_address, is_shard


def test_shards_are_told_by_their_endings() -> None:
    assert is_shard("s3://bucket/a-*.tar")
    assert is_shard("a/train-00000-of-00002.parquet")
    assert not any(map(is_shard, ("a.jpg", "a.tar.gz", "a.tar/b.jpg", "photos")))


def test_addresses_are_told_from_paths() -> None:
    assert is_address("s3://bucket/a")
    assert not is_address("/photos/a")
    assert not is_address("C:/photos")
