"""MCTformer (xulianuwa/MCTformer): the best of 60 thresholds over 20 drawn images of 375×500."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from rival_checks._borrowed import stub
from torch import Tensor

from peer_rows import Row, Setup
from peer_rows._drawn import CLASSES, smooth

FOLDER = "MCTformer"
IMAGES = 20
SIZE = (375, 500)
THRESHOLDS = 60


def _drawn(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, (2, h, w) fp16 maps at stride 4, and the mask of an image that shows two classes."""
    values = np.array(sorted({number % 20 + 1, (7 * number + 3) % 20 + 1}))
    planes = smooth(len(values) + 1, SIZE, seed=number)
    planes[0] *= 1.3
    places = planes.argmax(0)
    truth = np.concatenate([[0], values])[places.numpy()].astype(np.uint8)
    grid = tuple(-(-side // 4) for side in SIZE)
    maps = F.interpolate(
        torch.stack([places == place for place in range(1, len(planes))]).float()[None], grid, mode="area"
    )[0]
    maps = (F.avg_pool2d(maps, 9, 1, 4) + 0.3 * smooth(len(values), grid, seed=number + 1000)).clamp(max=1)  # type: ignore[arg-type]
    maps = maps / (maps.amax((1, 2), keepdim=True) + 1e-5)
    return values, maps.half().numpy(), truth


def theirs() -> Callable[[], Tensor]:
    """Their `do_python_eval` on .npy files, once for each threshold, as `--curve` does."""
    stub("pandas")
    import evaluation  # type: ignore[import-not-found]

    folder = Path(tempfile.mkdtemp())
    names = [f"{number:03d}" for number in range(IMAGES)]
    for number, name in enumerate(names):
        values, maps, truth = _drawn(number)
        full = F.interpolate(
            torch.from_numpy(maps).float()[None], SIZE, mode="bilinear", align_corners=False
        )[0]
        np.save(folder / f"{name}.npy", {int(value) - 1: full[i].numpy() for i, value in enumerate(values)})  # type: ignore[arg-type]
        Image.fromarray(truth).save(folder / f"{name}.png")

    def work() -> Tensor:
        with contextlib.redirect_stdout(io.StringIO()):
            curve = [
                evaluation.do_python_eval(str(folder), str(folder), names, 21, "npy", step / 100)["mIoU"]
                for step in range(THRESHOLDS)
            ]
        return torch.tensor(max(curve))

    return work


def ours() -> Callable[[], Tensor]:
    """`evaluate` with the oracle threshold, which is counted in one pass."""
    from swtformer.datasets.records import ImageSet, Record
    from swtformer.settings import EvaluateSettings, Settings, validate
    from swtformer.stages.evaluate import evaluate
    from swtformer.store.files import write_json
    from swtformer.store.maps import ClassActivationMaps
    from swtformer.store.notes import MapNotes, write_notes
    from swtformer.store.run import Run

    folder = Path(tempfile.mkdtemp())
    run = Run(folder / "run")
    method = {"model": {"method": "swtformer_v1", "backbone": "mobilenetv2_100", "weights": "none"}}
    run.write_settings(validate(Settings, method, where="peers.py"))
    write_json(run.classes_file, list(CLASSES))
    records = []
    for number in range(IMAGES):
        id = f"{number:03d}"
        values, maps, truth = _drawn(number)
        ClassActivationMaps(
            values=values,
            size=SIZE,
            cam=maps,
            rcam=None,
            probabilities=np.full(20, 0.5, np.float32),
            made_by="x",
        ).save(run.map_file(id))
        Image.fromarray(truth).save(folder / f"{id}.png")
        present = tuple(int(value) - 1 for value in values)
        records.append(Record(id, folder / f"{id}.jpg", present, mask=folder / f"{id}.png"))
    data = ImageSet("drawn", "table", folder, CLASSES, tuple(records))
    notes = MapNotes(
        data="", data_name="drawn", split=None, made_by="x", images=IMAGES,
        ids=tuple(record.id for record in records), scales=(1.0,), flip=True, classes="given", settings={},
    )  # fmt: skip
    write_notes(run.maps_file, notes)
    settings = EvaluateSettings(policies=("oracle",))

    def work() -> Tensor:
        with contextlib.redirect_stderr(io.StringIO()):
            scores = evaluate(run, data, settings=settings)
        return torch.tensor(100 * max(entry.miou or 0 for entry in scores.segmentation))

    return work


def _same_best(theirs: Tensor, ours: Tensor) -> str:
    return f"best mIoU {float(theirs):.2f} and {float(ours):.2f}"


KINDS: dict[str, Setup] = {"theirs": theirs, "ours": ours}
ROWS = (
    Row(
        f"best of 60 thresholds, {IMAGES} images of 375×500",
        "evaluation.py: --curve",
        "theirs",
        "ours",
        _same_best,
    ),
)
