"""Masks of the photographs in shards."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from swtformer.datasets.records import ImageSet
from swtformer.datasets.shards.over_shards import (
    REPEAT,
    Job,
    Made,
    ShardsResult,
    over_shards,
    require_range,
    use_own_gpu,
)
from swtformer.errors import SwtformerError
from swtformer.label_values import BACKGROUND
from swtformer.progress import Progress, shown
from swtformer.progress_view import shows_progress
from swtformer.settings import PredictSettings
from swtformer.stages.predict.photographs import predict
from swtformer.stages.predict.segmenting import (
    ENDINGS,
    GEOREFERENCED,
    MASKS,
    OVERLAYS,
    PROBABILITIES,
    Segmenting,
)
from swtformer.store.files import sha256
from swtformer.store.notes import Areas, PredictionNotes, read_notes
from swtformer.store.run import Run

AREAS = "json"
FOLDERS = {"png": MASKS, "overlay.jpg": OVERLAYS, "npz": PROBABILITIES, "tif": GEOREFERENCED}
"""Folder of each file in a shard, by its ending."""


@shows_progress
def predict_shards(
    model: str | os.PathLike[str],
    shards: str | Sequence[str],
    out: str,
    *,
    settings: PredictSettings | None = None,
    progress: Progress = shown,
) -> ShardsResult:
    """Segment the photographs in shards: every shard becomes one of the same name in `out`.

    It holds what `predict` writes: <key>.png (the mask), <key>.json (size and areas of the classes) and, if
    asked for, <key>.overlay.jpg and <key>.npz (probabilities); <key>.tif is the mask of a GeoTIFF. Beside a
    shard lies <its name>.json, which says what it was made from: called again, those shards are made that are
    missing or were made from something else. The processes of torchrun or srun divide the shards.

    Args:
        model: a run, a saved model or an ONNX file.
        shards: addresses or paths of .tar or .parquet files, of folders of these or of images, or patterns.
        out: address or path of a folder.
        settings: how; defaults where None.
        progress: called after every image.

    Raises:
        DataError: there are no shards, two would have one name, or one would be overwritten.
        SwtformerError: `out` cannot be written to.
    """
    use_own_gpu()
    settings = settings or PredictSettings()
    segmenting = Segmenting(model, Path(), settings)
    predictor, made_by = segmenting.predictor, segmenting.made_by
    images, classes = predictor.images, predictor.classes
    facts = {
        **settings.model_dump(mode="json"),
        **images.images_alone().model_dump(mode="json"),
        **predictor.about,
        "weights": sha256(predictor.weights),
        "kind": predictor.kind,
        "classes": (BACKGROUND, *classes),
    }
    del segmenting, predictor  # each shard loads its own

    def make(data: ImageSet, folder: Path, progress: Progress) -> Made:
        require_range(data, images, "predict.range")
        result = predict(model, data, folder / "out", settings=settings, progress=progress)
        notes = read_notes(Run(result.out).predictions_file, PredictionNotes)
        if notes is None or notes.weights != facts["weights"]:
            raise SwtformerError(f"{model}: was replaced while shards were segmented. {REPEAT}")
        return Made(_files(result.out), result.failures)

    job = Job("predict", classes, False, made_by, (*FOLDERS, AREAS), facts, make)
    return over_shards(job, shards, out, progress=progress)


def _files(out: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """What `predict` wrote of each image, by the image's id."""
    noted = read_notes(Run(out).areas_file, Areas)
    for row in noted.images if noted else ():
        files = {}
        for ending, folder in FOLDERS.items():
            path = out / folder / f"{row.image}{ENDINGS[folder]}"
            if path.is_file():
                files[ending] = path.read_bytes()
        about = row.model_dump(mode="json", include={"width", "height", "areas"})
        yield row.image, {**files, AREAS: json.dumps(about, ensure_ascii=False).encode()}
