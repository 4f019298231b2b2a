"""The work on single photographs, and what it leaves of them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.masked_squares import draw_pair
from support.models import CLASSES, tiny
from swtformer.datasets.mask_images import read_mask
from swtformer.datasets.records import Record
from swtformer.errors import SwtformerError
from swtformer.methods.pretrained import save_pretrained
from swtformer.settings import PredictSettings
from swtformer.stages.predict.segmenting import Segmenting
from swtformer.store.failures import Failure
from swtformer.store.unfinished import PhotographNotes, take_up

QUICK = PredictSettings.model_validate({"precision": "fp32", "flip": False})


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    """Two photographs, and a file between them that is none."""
    found = []
    for number in range(3):
        path = tmp_path / "photos" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(draw_pair(number)[0]).save(path)
        found.append(Record(f"sub/{number}", path, None))
    found[1].image.write_bytes(b"no image")
    return found


@pytest.fixture
def segmenting(tmp_path: Path) -> Segmenting:
    save_pretrained(tiny("swtformer_v2"), tmp_path / "model")
    made = Segmenting(tmp_path / "model", tmp_path / "out", QUICK)
    made.out.mkdir()
    return made


def test_every_photograph_has_a_note_or_a_failure_in_order(
    segmenting: Segmenting, records: list[Record]
) -> None:
    first, broken, last = segmenting(records)
    assert isinstance(broken, Failure)
    assert (broken.id, broken.stage, broken.path) == ("sub/1", "predict", str(records[1].image))
    for record, note in ((records[0], first), (records[2], last)):
        assert isinstance(note, PhotographNotes)
        labels = read_mask(segmenting.out / "masks" / f"{record.id}.png")
        counts = np.bincount(labels.reshape(-1), minlength=len(CLASSES) + 1)
        assert [area.pixels for area in note.areas.areas.values()] == counts.tolist()
        assert note.made_by == segmenting.made_by
    assert not (segmenting.out / "masks" / "sub" / "1.png").exists()


def test_what_was_made_counts_while_photograph_and_mask_are_what_they_were(
    segmenting: Segmenting, records: list[Record]
) -> None:
    list(segmenting(records))
    left = take_up(segmenting.out, made_by=segmenting.made_by)
    assert [segmenting.has_made(record, left) for record in records] == [True, False, True]
    (segmenting.out / "masks" / "sub" / "0.png").unlink()
    Image.fromarray(draw_pair(5)[0]).resize((80, 60)).save(records[2].image)
    assert [segmenting.has_made(record, left) for record in records] == [False] * 3
    assert take_up(segmenting.out, made_by="another model") == {}


def test_a_file_of_an_earlier_call_goes_where_the_photograph_fails_now(
    segmenting: Segmenting, records: list[Record]
) -> None:
    stale = segmenting.out / "masks" / "sub" / "1.png"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"of an earlier call")
    list(segmenting(records))
    assert not stale.exists()


def test_a_link_does_not_lead_out_of_the_folder(
    segmenting: Segmenting, records: list[Record], tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (segmenting.out / "masks").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SwtformerError, match="a link leads out of"):
        list(segmenting(records))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_another_process_gets_the_settings_and_not_the_network(segmenting: Segmenting) -> None:
    assert segmenting.predictor is segmenting.predictor
    sent = pickle.loads(pickle.dumps(segmenting))
    assert "predictor" not in vars(sent)
    assert (sent.model, sent.out, sent.settings) == (segmenting.model, segmenting.out, segmenting.settings)
    assert sent.made_by == segmenting.made_by


@pytest.mark.parametrize(
    ("change", "is_other"), [({"overlays": True}, True), ({"flip": True}, True), ({"workers": 2}, False)]
)
def test_the_fingerprint_follows_what_shapes_the_files(
    segmenting: Segmenting, change: dict[str, object], is_other: bool
) -> None:
    other = Segmenting(segmenting.model, segmenting.out, QUICK.model_copy(update=change))
    assert (other.made_by != segmenting.made_by) == is_other
