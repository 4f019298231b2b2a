from __future__ import annotations

from pathlib import Path

from swtformer.store.files import write_json, write_text
from swtformer.store.remote import RemoteFolder
from swtformer.store.shard_notes import ShardNotes, SkippedImage, is_noted, shard_notes


def test_only_whole_shards_made_from_this_count(tmp_path: Path) -> None:
    names = ["good.tar", "sub/good.tar", "stale.tar", "short.tar", "gone.tar", "damaged.tar", "new.tar"]
    for name in names[:4]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    skipped = (SkippedImage(key="a", reason="is empty"),)
    good = ShardNotes(made_by="now", size=5, images=3, skipped=skipped)
    write_json(tmp_path / "good.tar.json", good.model_dump())
    write_json(tmp_path / "sub" / "good.tar.json", good.model_dump())
    write_json(tmp_path / "stale.tar.json", good.model_copy(update={"made_by": "before"}).model_dump())
    write_json(tmp_path / "short.tar.json", good.model_copy(update={"size": 6}).model_dump())
    write_json(tmp_path / "gone.tar.json", good.model_dump())
    write_text(tmp_path / "damaged.tar.json", '{"made_by": "no')
    found = shard_notes(RemoteFolder(str(tmp_path)), dict.fromkeys(names, "now"))
    assert found == {"good.tar": good, "sub/good.tar": good}


def test_faults_have_no_shard(tmp_path: Path) -> None:
    fault = ShardNotes(made_by="now", fault="is damaged")
    write_json(tmp_path / "a.tar.json", fault.model_dump())
    assert shard_notes(RemoteFolder(str(tmp_path)), {"a.tar": "now"}) == {"a.tar": fault}
    assert is_noted(RemoteFolder(str(tmp_path)), ["a.tar"])
    assert not is_noted(RemoteFolder(str(tmp_path)), ["a.tar", "b.tar"])
