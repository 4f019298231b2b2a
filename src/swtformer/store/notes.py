"""What a stage notes about its result: what it was made of, with which settings. One type per file of a
run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from swtformer.errors import SwtformerError
from swtformer.settings import DataSettings, PredictSettings
from swtformer.store.environment import describe_environment
from swtformer.store.files import Contents, read_json_as, write_json
from swtformer.store.run import Run

Supervision = Literal["pseudo_masks", "corrected", "ground_truth", "given"]
"""What the masks of a segmentation network are: made by `pseudo-label`; some of them corrected by hand and
brought back by `import`; wholly or partly the data set's own ground truth or copies of it; of unknown
origin."""

Made = Literal["cam", "rcam"]
"""Maps that a method makes: class activation maps, and those that it refines itself."""

Shaping = dict[str, Any]
"""Settings that shaped a result, as plain values by dotted name (`Settings.shaping`)."""


class Notes(BaseModel):
    """Base of all notes; keys that a type does not have are left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class DataNotes(Notes):
    """Which images a result is about."""

    data: Path | None = None
    """Where the data set lies."""
    split: str | None = None
    """Its split."""
    data_name: str | None = None
    """What it is called."""
    data_settings: DataSettings | None = None
    """How it was opened; None for a set that was made in Python."""
    reader: dict[str, Any] = {}
    """Options of its reader."""


class EnvironmentNotes(Notes):
    """Versions and machine (`describe_environment`)."""

    python: str | None = None
    platform: str | None = None
    processor: str | None = None
    cpu_count: int | None = None
    packages: dict[str, str] = {}
    """Versions of the packages that made the result."""


class TrainingNotes(DataNotes, EnvironmentNotes):
    """environment.json of a run: what its model was trained on, and where."""

    labels_from: str = ""
    """Where the image-level labels came from, in words."""
    data_fingerprint: str | None = None
    """Equal for equal classes, image ids and labels."""
    file_sizes: str | None = None
    """Equal while all image files have their sizes in bytes, as they were when they were last accepted."""
    validation_fingerprint: str | None = None
    """`data_fingerprint` of the validation images; None without any."""
    training_images: int = 0
    validation_images: int = 0
    seed: int | None = None
    threads: int | None = None
    """CPU threads of torch."""
    parameters: int = 0
    resumed_anyway: tuple[str, ...] = ()
    """Changes that the training was resumed in spite of."""
    checked: str | None = None
    """Fingerprint of the labels, names and sizes of the image files that `run` last read as a whole."""
    commands: tuple[str, ...] = ()
    """Command lines that worked on the run, the oldest first."""


class CorrectionNotes(Notes):
    """How much of the masks that a network was trained on was corrected by hand."""

    base: Path
    """Folder of the masks before correction."""
    count: int
    """Number of masks that were changed."""


class NetworkNotes(TrainingNotes):
    """environment.json of a segmentation network's training."""

    masks: Path | None = None
    """Folder of the masks."""
    supervision: Supervision = "given"
    masks_fingerprint: str | None = None
    """Equal for equal masks, confidences and image sizes."""
    present_fingerprint: str | None = None
    """Equal for equal image-level labels; None where the network has no image-level head."""
    masks_made_with: Shaping | None = None
    """Settings behind the run's own pseudo-masks; None for other masks."""
    corrections: CorrectionNotes | None = None
    rejected_ids: tuple[str, ...] = ()
    """Masks that the review rejected and the training left out."""
    finished: str | None = None
    """When the training was finished, as an ISO date; None before."""


class MapNotes(DataNotes):
    """maps.json: how the maps were made."""

    made_by: str
    """Fingerprint of the model and the settings."""
    images: int = 0
    ids: tuple[str, ...] = ()
    """Those of the images."""
    scales: tuple[float, ...] = ()
    flip: bool | Literal["in_turn"] = False
    classes: Literal["given", "predicted"] = "given"
    settings: Shaping = {}


class RefinedNotes(DataNotes):
    """refined.json: how the refined maps were made."""

    made_by: str
    maps_made_by: str | None = None
    """`made_by` of the maps that they were made from."""
    images: int = 0
    method: str
    source: Made
    background_power: float | None = None
    """Of the background of CAMs; None where R-CAMs brought their own."""
    scales: tuple[float, ...] = ()
    flip: bool | Literal["in_turn"] = False
    settings: Shaping = {}


class FitNotes(Notes):
    """fit.json: what a learned refiner was fitted from."""

    fitted_from: str
    """Fingerprint of all that decides the weights."""
    weights: str | None = None
    """SHA-256 of the weights' file; None before the fit is finished."""


class PseudoMaskNotes(DataNotes):
    """pseudo_masks.json: how the pseudo-masks were made."""

    made_by: str = ""
    """`made_by` of the maps that they were made from."""
    method: str | None = None
    """Refiner of these maps; None for those of the run's method."""
    source: Literal["refined", "maps"] = "maps"
    rule: str = ""
    images: int = 0
    undecided: float = 0.0
    """Mean part of the pixels that are 255."""
    made_from: str | None = None
    """Fingerprint of the files of the maps."""
    settings: Shaping = {}
    """Settings of the pseudo-masks themselves."""
    made_with: Shaping | None = None
    """These settings, and those of the maps."""


class PredictionNotes(PredictSettings):
    """predictions.json beside a folder of masks: how `predict` made them, among its settings."""

    model_config = ConfigDict(extra="ignore")

    model: Path | None = None
    """Folder of the model."""
    weights: str = ""
    """SHA-256 of its weights' file."""
    kind: Literal["segmentation", "cam", ""] = ""
    encoder: str | None = None
    """Of a segmentation network, as is the decoder."""
    decoder: str | None = None
    method: str | None = None
    """Of a model that makes maps, as is what follows."""
    backbone: str | None = None
    """None where the method builds a network of its own."""
    source: str | None = None
    policy: str | None = None
    threshold: float | None = None
    classes: tuple[str, ...] = ()
    """Background first."""
    exif: Literal["raw", "apply"] = "raw"
    """How the photographs were read."""
    images: int = 0
    skipped: int = 0


class Area(Notes):
    """Pixels of one class in an image, and their part of all."""

    pixels: int
    fraction: float


class ImageAreas(Notes):
    """A photograph that was segmented, and how much of it each class covers."""

    image: str
    """Its id."""
    file: Path
    width: int
    height: int
    areas: dict[str, Area]
    """By class, background first."""


class Areas(Notes):
    """areas.json: all photographs that `predict` segmented."""

    classes: tuple[str, ...]
    """Background first."""
    images: tuple[ImageAreas, ...]


def read_notes(
    file: Path, kind: type[Contents], *, remedy: str = "Make it again, or remove it."
) -> Contents | None:
    """What a JSON file notes, checked; None without the file.

    Args:
        file: the file.
        kind: notes, or a dataclass.
        remedy: what to do about a damaged file.

    Raises:
        SwtformerError: the file is damaged.
    """
    return read_json_as(file, kind, remedy=remedy) if file.is_file() else None


def map_notes(run: Run) -> MapNotes:
    """How a run's maps were made; of a `RefinedRun`, how its refined maps were made.

    Raises:
        SwtformerError: there is no maps.json, or it is damaged.
    """
    notes = read_notes(run.maps_file, MapNotes)
    if notes is None:
        raise SwtformerError(f"{run.maps_file}: does not exist; make the maps with `swtformer localize`.")
    return notes


def write_notes(file: Path, notes: Notes) -> None:
    """Write all notes of a file."""
    write_json(file, notes.model_dump(mode="json"))


def training_notes(run: Run) -> TrainingNotes:
    """What a run's training noted; empty where it noted nothing."""
    return read_notes(run.environment_file, TrainingNotes) or TrainingNotes()


def network_notes(run: Run) -> NetworkNotes:
    """What the training of a segmentation network noted; empty where it noted nothing."""
    return read_notes(run.environment_file, NetworkNotes) or NetworkNotes()


def update_training_notes(run: Run, **changes: Any) -> None:
    """Change some of the notes of a training, with versions and machine of this process.

    Args:
        run: the folder of the training.
        changes: fields of `TrainingNotes` or `NetworkNotes`.
    """
    known = set(NetworkNotes.model_fields)
    unknown = changes.keys() - known
    if unknown:
        raise TypeError(f"Training notes have no field {sorted(unknown)[0]!r}.")
    before = read_notes(run.environment_file, dict[str, Any]) or {}
    plain = NetworkNotes.model_validate(changes).model_dump(mode="json", include=set(changes))
    write_json(run.environment_file, {**before, **describe_environment(), **plain})
