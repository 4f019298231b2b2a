"""Class activation maps of the images in shards."""

from __future__ import annotations

from collections.abc import Sequence
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
from swtformer.segmentation.pretrained import map_maker
from swtformer.settings import Settings
from swtformer.stages.localize.data_set import MapMaking, localize
from swtformer.store.files import digest, sha256
from swtformer.store.models import WEIGHTS
from swtformer.store.notes import map_notes
from swtformer.store.run import Run

MAPS = "npz"


@shows_progress
def localize_shards(
    run: Run,
    shards: str | Sequence[str],
    out: str,
    *,
    settings: Settings | None = None,
    progress: Progress = shown,
) -> ShardsResult:
    """Make class activation maps of the images in shards: every shard becomes one of the same name in `out`.

    It holds <key>.npz, as `localize` writes it; all else is as with `predict_shards`. With
    `settings.localize.classes` given, the shards hold the labels: <key>.cls or <key>.json in tar files, a
    column such as labels in Parquet files.

    Args:
        run: a run with a finished model; nothing is written into it.
        shards: addresses or paths of .tar or .parquet files, of folders of these or of images, or patterns.
        out: address or path of a folder.
        settings: the data and localize sections are used; the run's own where None.
        progress: called after every image.

    Raises:
        DataError: there are no shards, two would have one name, or one would be overwritten.
        SwtformerError: `out` cannot be written to.
    """
    use_own_gpu()
    chosen = settings or run.settings()
    classes, made_by = map_maker(run).classes, MapMaking(run, chosen).made_by
    facts = {
        **chosen.shaping("localize"),
        **chosen.data.images_alone().model_dump(mode="json"),
        "background": chosen.data.background,
        "weights": sha256(run.model / WEIGHTS),
        "classes": (BACKGROUND, *classes),
    }

    def make(data: ImageSet, folder: Path, progress: Progress) -> Made:
        require_range(data, chosen.data, "data.range")
        own = Run(folder / "run")
        own.path.mkdir()
        own.model.symlink_to(run.model.resolve())
        result = localize(own, data, settings=chosen, progress=progress)
        if map_notes(own).made_by != made_by:
            raise SwtformerError(f"{run.path}: its model was replaced while shards were mapped. {REPEAT}")
        paths = {record.id: own.map_file(record.id) for record in data.records}
        files = ((id, {MAPS: path.read_bytes()}) for id, path in paths.items() if path.is_file())
        return Made(files, result.failures)

    job = Job(
        "localize",
        classes,
        chosen.localize.classes == "given",
        digest(made_by, classes),
        (MAPS,),
        facts,
        make,
    )
    return over_shards(job, shards, out, progress=progress)
